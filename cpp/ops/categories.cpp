// LabelEncoder, CategoryMapper, OneHotEncoder (ai.onnx.ml).
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/checked.h"
#include "base/error.h"
#include "ir/op.h"
#include "ops/number_index.h"

namespace sdx::ops {
namespace {

using KeyTypes = TypeList<std::string, int64_t, float, double, int32_t, int16_t>;

// Finds the position of a key. Numbers are keyed by an integer that is equal where they are: all
// NaNs are one key.
class KeyIndex {
 public:
  KeyIndex() = default;
  explicit KeyIndex(const Tensor& keys) {
    check(keys.rank() == 1, "keys have rank ", keys.rank());
    dispatch(KeyTypes{}, keys.dtype(), [&]<class T>() {
      // Of keys given twice the first one counts.
      for (int64_t i = 0; i < keys.count(); ++i) add(keys.data<T>()[i], i);
    });
  }

  int64_t find(const std::string& key) const {
    const auto found = strings_.find(key);
    return found == strings_.end() ? NumberIndex::kNone : found->second;
  }
  template <class T>
  int64_t find(T key) const {
    return numbers_.find(static_cast<uint64_t>(code(key)));
  }

 private:
  void add(const std::string& key, int64_t i) { strings_.emplace(key, i); }
  template <class T>
  void add(T key, int64_t i) {
    numbers_.add(static_cast<uint64_t>(code(key)), i);
  }
  template <class T>
  static int64_t code(T key) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(key)) return std::numeric_limits<int64_t>::min();
      return std::bit_cast<int64_t>(static_cast<double>(key) + 0.0);  // -0 becomes 0
    } else {
      return key;
    }
  }
  std::unordered_map<std::string, int64_t> strings_;
  NumberIndex numbers_;
};

// Keys of one type, a value for each, and one for all others.
struct Lookup {
  DType key_type = DType::undefined;
  KeyIndex index;
  Tensor values;
  Tensor fallback;

  Lookup(const Tensor& keys, Tensor values_given, Tensor fallback_given)
      : key_type(keys.dtype()),
        index(keys),
        values(std::move(values_given)),
        fallback(std::move(fallback_given)) {
    check(keys.count() == values.count(), "there are ", keys.count(), " keys and ", values.count(),
          " values");
    check(fallback.count() == 1 && fallback.dtype() == values.dtype(), "the default is no single ",
          values.dtype());
  }

  Step step(int64_t count) const {
    return dispatch(KeyTypes{}, key_type, [&]<class Key>() -> Step {
      if (values.dtype() == DType::string) return map_items<Key, std::string>(count);
      return dispatch_size(item_size(values.dtype()),
                           [&]<class Value>() -> Step { return map_items<Key, Value>(count); });
    });
  }

 private:
  template <class Key, class Value>
  Step map_items(int64_t count) const {
    return [this, count](Frame& f) {
      const Key* x = f.in<Key>(0);
      Value* y = f.out<Value>(0);
      const auto* known = static_cast<const Value*>(values.raw());
      const auto* other = static_cast<const Value*>(fallback.raw());
      f.parallel_for(split_work(count, std::is_same_v<Key, std::string> ? 30 : 3), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t found = index.find(x[i]);
          y[i] = found < 0 ? *other : known[found];
        }
      });
    };
  }
};

// Maps items by the lookup for their element type.
class Encoder : public Op {
 public:
  void infer(InferContext& ctx) const final {
    Type type = ctx.input(0);
    type.dtype = lookup(ctx.dtype(0)).values.dtype();
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const final { return lookup(ctx.dtype(0)).step(ctx.count(0)); }

 protected:
  void add(const Tensor& keys, Tensor values, Tensor fallback) {
    lookups_.emplace_back(keys, std::move(values), std::move(fallback));
  }

 private:
  const Lookup& lookup(DType dtype) const {
    for (const Lookup& lookup : lookups_)
      if (lookup.key_type == dtype) return lookup;
    fail(ErrorKind::invalid_model, "the model has no keys of element type ", dtype);
  }

  std::vector<Lookup> lookups_;
};

Tensor default_integer(const Attributes& attrs) {
  return Tensor::of<int64_t>({attrs.get("default_int64", -1)});
}

Tensor default_string(const Attributes& attrs) {
  return Tensor::of(std::vector<std::string>{attrs.get("default_string", "_Unused")});
}

class LabelEncoder final : public Encoder {
 public:
  explicit LabelEncoder(const OpInit& init) {
    const Attributes& attrs = init.attrs;
    if (init.opset < 2) {
      const auto names = attrs.strings("classes_strings");
      std::vector<int64_t> numbers(names.size());
      for (std::size_t i = 0; i < names.size(); ++i) numbers[i] = static_cast<int64_t>(i);
      add(Tensor::of(names), Tensor::of(numbers), default_integer(attrs));
      add(Tensor::of(numbers), Tensor::of(names), default_string(attrs));
      return;
    }
    Tensor values = list(attrs, "values");
    Tensor fallback = default_of(attrs, values.dtype());
    add(list(attrs, "keys"), std::move(values), std::move(fallback));
  }

 private:
  static Tensor list(const Attributes& attrs, const std::string& name) {
    if (const Tensor* tensor = attrs.find<Tensor>(name + "_tensor")) return *tensor;
    if (attrs.has(name + "_strings")) return Tensor::of(attrs.strings(name + "_strings"));
    if (attrs.has(name + "_int64s")) return Tensor::of(attrs.ints(name + "_int64s"));
    check(attrs.has(name + "_floats"), "attribute '", name, "_*' is missing");
    return Tensor::of(attrs.floats(name + "_floats"));
  }

  static Tensor default_of(const Attributes& attrs, DType dtype) {
    if (const Tensor* tensor = attrs.find<Tensor>("default_tensor")) {
      check(tensor->count() == 1, "default_tensor has ", tensor->count(), " elements");
      return tensor->reshaped({1});
    }
    switch (dtype) {
      case DType::string:
        return default_string(attrs);
      case DType::int64:
        return default_integer(attrs);
      case DType::float32:
        return Tensor::of<float>({attrs.get("default_float", -0.0)});
      case DType::float64:
        return Tensor::of<double>({-0.0});
      case DType::int32:
        return Tensor::of<int32_t>({-1});
      case DType::int16:
        return Tensor::of<int16_t>({-1});
      default:
        fail(ErrorKind::unsupported, "values of element type ", dtype, " are not supported here");
    }
  }
};

class CategoryMapper final : public Encoder {
 public:
  explicit CategoryMapper(const OpInit& init) {
    const Tensor numbers = Tensor::of(init.attrs.ints("cats_int64s"));
    const Tensor names = Tensor::of(init.attrs.strings("cats_strings"));
    add(names, numbers, default_integer(init.attrs));
    add(numbers, names, default_string(init.attrs));
  }
};

class OneHotEncoder final : public Op {
 public:
  explicit OneHotEncoder(const OpInit& init) : lenient_(init.attrs.get("zeros", 1) != 0) {
    const auto numbers = init.attrs.ints("cats_int64s");
    const auto names = init.attrs.strings("cats_strings");
    check(numbers.empty() != names.empty(), "exactly one list of categories is expected");
    of_strings_ = numbers.empty();
    const Tensor categories = of_strings_ ? Tensor::of(names) : Tensor::of(numbers);
    count_ = categories.count();
    index_ = KeyIndex(categories);
  }

  void infer(InferContext& ctx) const override {
    check((ctx.dtype(0) == DType::string) == of_strings_, "the categories do not fit element type ",
          ctx.dtype(0));
    if (!ctx.has_rank(0)) return ctx.set_output(0, DType::float32);
    Dims dims = ctx.dims(0);
    dims.push_back(count_);
    ctx.set_output(0, DType::float32, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    return dispatch(TypeList<std::string, int64_t, float, double, int32_t>{}, ctx.dtype(0),
                    [&]<class T>() -> Step {
                      return [this, items = ctx.count(0)](Frame& f) {
                        encode(f.in<T>(0), items, f.out<float>(0));
                      };
                    });
  }

 private:
  template <class T>
  void encode(const T* x, int64_t items, float* y) const {
    std::fill(y, y + items * count_, 0.0f);
    for (int64_t i = 0; i < items; ++i) {
      const int64_t found = find(x[i]);
      check(found >= 0 || lenient_, "item ", i, " is of no known category");
      if (found >= 0) y[i * count_ + found] = 1;
    }
  }

  template <class T>
  int64_t find(const T& key) const {
    if constexpr (std::is_floating_point_v<T>) {
      // Categories are integers: fractions are cut off, what fits no integer is none.
      constexpr T kLimit = static_cast<T>(9.2e18);
      return key > -kLimit && key < kLimit ? index_.find(static_cast<int64_t>(key)) : -1;
    } else {
      return index_.find(key);
    }
  }

  KeyIndex index_;
  int64_t count_ = 0;
  bool of_strings_ = false;
  bool lenient_;
};

}  // namespace

[[gnu::cold]] void register_categories(OpRegistry& ops) {
  ops.add<LabelEncoder>("LabelEncoder", {.since = 1}, "ai.onnx.ml");
  ops.add<CategoryMapper>("CategoryMapper", {.since = 1}, "ai.onnx.ml");
  ops.add<OneHotEncoder>("OneHotEncoder", {.since = 1}, "ai.onnx.ml");
}

}  // namespace sdx::ops
