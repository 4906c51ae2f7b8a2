// Scaler, Normalizer, Imputer, Binarizer, ArrayFeatureExtractor, FeatureVectorizer (ai.onnx.ml).
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "ops/classifier.h"

namespace sdx::ops {
namespace {

using NumberFeatures = TypeList<float, double, int64_t, int32_t>;

// The number of columns: of [rows, columns, ...], or of one row [columns].
int64_t column_count(const Shape& shape) {
  check(!shape.empty(), "features have no axis");
  return shape.size() == 1 ? shape[0] : shape[1];
}

// Per-column attributes hold one number for each column or one for all.
void check_per_column(std::string_view name, std::size_t count, int64_t columns) {
  check(count == 1 || static_cast<int64_t>(count) == columns, "attribute '", name, "' has ", count,
        " entries for ", columns, " columns");
}

class Scaler final : public Op {
 public:
  explicit Scaler(const OpInit& init)
      : offset_(init.attrs.floats("offset")), scale_(init.attrs.floats("scale")) {
    if (offset_.empty()) offset_ = {0};
    if (scale_.empty()) scale_ = {1};
  }

  void infer(InferContext& ctx) const override {
    Type type = ctx.input(0);
    ctx.dtype(0);
    type.dtype = DType::float32;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t columns = column_count(ctx.shape(0)), count = ctx.count(0);
    check_per_column("offset", offset_.size(), columns);
    check_per_column("scale", scale_.size(), columns);
    const int64_t rows = columns > 0 ? count / columns : 0;
    return dispatch(NumberFeatures{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [this, columns, rows](Frame& f) {
        const T* x = f.in<T>(0);
        float* y = f.out<float>(0);
        f.parallel_for(split_work(rows, static_cast<double>(columns)), [&](Range r) {
          for (int64_t row = r.begin; row < r.end; ++row)
            scale_row(x + row * columns, columns, y + row * columns);
        });
      };
    });
  }

 private:
  template <class T>
  void scale_row(const T* x, int64_t columns, float* y) const {
    using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const float *offset = offset_.data(), *scale = scale_.data();
    const auto apply = [](T value, float by, float times) {
      return static_cast<float>((static_cast<Compute>(value) - by) * times);
    };
    if (offset_.size() > 1 && scale_.size() > 1) {
      for (int64_t i = 0; i < columns; ++i) y[i] = apply(x[i], offset[i], scale[i]);
    } else if (offset_.size() > 1) {
      for (int64_t i = 0; i < columns; ++i) y[i] = apply(x[i], offset[i], *scale);
    } else {
      const int64_t step = scale_.size() > 1;
      for (int64_t i = 0; i < columns; ++i) y[i] = apply(x[i], *offset, scale[i * step]);
    }
  }

  std::vector<float> offset_, scale_;
};

class Normalizer final : public Op {
 public:
  explicit Normalizer(const OpInit& init) {
    const std::string norm = init.attrs.get("norm", "MAX");
    check(norm == "MAX" || norm == "L1" || norm == "L2", "norm '", norm, "' is not known");
    norm_ = norm == "MAX" ? Norm::max : norm == "L1" ? Norm::l1 : Norm::l2;
  }

  void infer(InferContext& ctx) const override {
    row_dims(ctx, 0);
    Type type = ctx.input(0);
    type.dtype = DType::float32;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const auto [rows, columns] = row_shape(ctx.shape(0));
    return dispatch(NumberFeatures{}, ctx.dtype(0), [&]<class T>() -> Step {
      using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;
      return [norm = norm_, rows = rows, columns = columns](Frame& f) {
        const T* x = f.in<T>(0);
        float* y = f.out<float>(0);
        f.parallel_for(split_work(rows, 2.0 * columns), [&](Range r) {
          for (int64_t row = r.begin; row < r.end; ++row)
            normalize<Compute>(norm, x + row * columns, columns, y + row * columns);
        });
      };
    });
  }

 private:
  enum class Norm { max, l1, l2 };

  // A row whose norm is zero stays as it is.
  template <class Compute, class T>
  static void normalize(Norm norm, const T* x, int64_t columns, float* y) {
    if (columns == 0) return;
    Compute size = norm == Norm::max ? static_cast<Compute>(x[0]) : 0;
    for (int64_t i = 0; i < columns; ++i) {
      const auto value = static_cast<Compute>(x[i]);
      if (norm == Norm::max) size = std::max(size, value);
      if (norm == Norm::l1) size += std::abs(value);
      if (norm == Norm::l2) size += value * value;
    }
    if (norm == Norm::l2) size = std::sqrt(size);
    if (size == 0) size = 1;
    for (int64_t i = 0; i < columns; ++i)
      y[i] = static_cast<float>(static_cast<Compute>(x[i]) / size);
  }

  Norm norm_;
};

class Imputer final : public Op {
 public:
  explicit Imputer(const OpInit& init)
      : floats_(init.attrs.floats("imputed_value_floats")),
        integers_(init.attrs.ints("imputed_value_int64s")),
        replaced_float_(init.attrs.get("replaced_value_float", 0.0)),
        replaced_integer_(init.attrs.get("replaced_value_int64", 0)) {
    check(floats_.empty() != integers_.empty(),
          "exactly one of imputed_value_floats and imputed_value_int64s is expected");
  }

  void infer(InferContext& ctx) const override {
    const bool floating = is_float(ctx.dtype(0));
    check(floating == !floats_.empty(), "the imputed values do not fit element type ",
          ctx.dtype(0));
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t columns = column_count(ctx.shape(0)), count = ctx.count(0);
    return dispatch(NumberFeatures{}, ctx.dtype(0), [&]<class T>() -> Step {
      if constexpr (std::is_floating_point_v<T>)
        return step<T>(floats_, static_cast<T>(replaced_float_), columns, count);
      else
        return step<T>(integers_, static_cast<T>(replaced_integer_), columns, count);
    });
  }

 private:
  template <class T, class Value>
  Step step(const std::vector<Value>& values, T replaced, int64_t columns, int64_t count) const {
    check_per_column("imputed_value", values.size(), columns);
    std::vector<T> imputed(static_cast<std::size_t>(columns));
    for (int64_t column = 0; column < columns; ++column)
      imputed[column] = static_cast<T>(values[values.size() == 1 ? 0 : column]);
    const int64_t rows = columns ? count / columns : 0;
    return [imputed = std::move(imputed), replaced, columns, rows](Frame& f) {
      f.parallel_for(split_work(rows, 0.5 * static_cast<double>(columns)), [&](Range r) {
        for (int64_t row = r.begin; row < r.end; ++row) {
          const T* x = f.in<T>(0) + row * columns;
          T* y = f.out<T>(0) + row * columns;
          const bool nan = replaced != replaced;
          for (int64_t i = 0; i < columns; ++i) {
            const T given = x[i], value = imputed[i];
            const bool missing = nan ? given != given : given == replaced;
            y[i] = missing ? value : given;
          }
        }
      });
    };
  }

  std::vector<float> floats_;
  std::vector<int64_t> integers_;
  float replaced_float_;
  int64_t replaced_integer_;
};

class Binarizer final : public Op {
 public:
  explicit Binarizer(const OpInit& init) : threshold_(init.attrs.get("threshold", 0.0)) {}

  void infer(InferContext& ctx) const override {
    ctx.dtype(0);
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    return dispatch(NumberFeatures{}, ctx.dtype(0), [&]<class T>() -> Step {
      // Integers are compared as doubles: a float threshold need not be one.
      return [threshold = static_cast<double>(threshold_), count = ctx.count(0)](Frame& f) {
        const T* x = f.in<T>(0);
        T* y = f.out<T>(0);
        f.parallel_for(split_work(count, 0.5), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) y[i] = static_cast<double>(x[i]) > threshold;
        });
      };
    });
  }

 private:
  float threshold_;
};

class ArrayFeatureExtractor final : public Op {
 public:
  explicit ArrayFeatureExtractor(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(1) == DType::int64, "the indices have element type ", ctx.dtype(1));
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    Dims dims = ctx.dims(0);
    check(!dims.empty(), "features have no axis");
    Dim picked = Dim::unknown();
    if (ctx.has_rank(1)) {
      picked = 1;
      for (const Dim& dim : ctx.dims(1)) picked = picked * dim;
    }
    dims.back() = picked;
    if (dims.size() == 1) dims.insert(dims.begin(), 1);
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t columns = ctx.shape(0).back(), picked = ctx.count(1);
    int64_t rows = 1;
    for (std::size_t i = 0; i + 1 < ctx.shape(0).size(); ++i) rows *= ctx.shape(0)[i];
    if (ctx.dtype(0) == DType::string) return step<std::string>(rows, columns, picked);
    return dispatch_size(item_size(ctx.dtype(0)),
                         [&]<class T>() -> Step { return step<T>(rows, columns, picked); });
  }

 private:
  template <class T>
  static Step step(int64_t rows, int64_t columns, int64_t picked) {
    return [rows, columns, picked](Frame& f) {
      const T* x = f.in<T>(0);
      const int64_t* indices = f.in<int64_t>(1);
      T* y = f.out<T>(0);
      for (int64_t i = 0; i < picked; ++i)
        check(indices[i] >= 0 && indices[i] < columns, "index ", indices[i], " is outside 0..",
              columns - 1);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < picked; ++i) y[row * picked + i] = x[row * columns + indices[i]];
    };
  }
};

class FeatureVectorizer final : public Op {
 public:
  explicit FeatureVectorizer(const OpInit& init) : widths_(init.attrs.ints("inputdimensions")) {
    check(init.input_count > 0, "there are no inputs");
    check(static_cast<int64_t>(widths_.size()) == init.input_count, "inputdimensions has ",
          widths_.size(), " entries for ", init.input_count, " inputs");
    for (const int64_t width : widths_) {
      check(width >= 0, "inputdimensions has the entry ", width);
      columns_ = checked_add(columns_, width);
    }
  }

  void infer(InferContext& ctx) const override {
    Dim rows = row_dims(ctx, 0).rows;
    for (int i = 1; i < ctx.input_count(); ++i) {
      const Dim other = row_dims(ctx, i).rows;
      check(!rows.is_known() || !other.is_known() || rows == other, "row counts differ: ", rows,
            " and ", other);
      if (!rows.is_known()) rows = other;
    }
    ctx.set_output(0, DType::float32, {rows, columns_});
  }

  Step prepare(PrepareContext& ctx) const override {
    struct Part {
      int64_t columns;
      ConvertFeatures<float> convert;
      int64_t item;
    };
    std::vector<Part> parts;
    for (int i = 0; i < ctx.input_count(); ++i)
      parts.push_back({row_shape(ctx.shape(i)).columns, convert_features<float>(ctx.dtype(i)),
                       static_cast<int64_t>(item_size(ctx.dtype(i)))});
    return [this, parts = std::move(parts), rows = row_shape(ctx.shape(0)).rows](Frame& f) {
      float* y = f.out<float>(0);
      for (int64_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < parts.size(); ++i) {
          const Part& part = parts[i];
          const int64_t taken = std::min(part.columns, widths_[i]);
          part.convert(f.in<std::byte>(static_cast<int>(i)) + row * part.columns * part.item, y,
                       taken);
          std::fill(y + taken, y + widths_[i], 0.0f);
          y += widths_[i];
        }
    };
  }

 private:
  std::vector<int64_t> widths_;
  int64_t columns_ = 0;
};

}  // namespace

[[gnu::cold]] void register_features(OpRegistry& ops) {
  ops.add<Scaler>("Scaler", {.since = 1}, "ai.onnx.ml");
  ops.add<Normalizer>("Normalizer", {.since = 1}, "ai.onnx.ml");
  ops.add<Imputer>("Imputer", {.since = 1}, "ai.onnx.ml");
  ops.add<Binarizer>("Binarizer", {.since = 1}, "ai.onnx.ml");
  ops.add<ArrayFeatureExtractor>("ArrayFeatureExtractor", {.since = 1}, "ai.onnx.ml");
  ops.add<FeatureVectorizer>("FeatureVectorizer", {.since = 1}, "ai.onnx.ml");
}

}  // namespace sdx::ops
