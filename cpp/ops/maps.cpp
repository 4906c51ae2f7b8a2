// ZipMap, DictVectorizer, CastMap (ai.onnx.ml): tensors from maps and back.
#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>

#include "base/checked.h"
#include "base/error.h"
#include "ops/classifier.h"
#include "ops/counted_vector.h"

namespace sdx::ops {
namespace {

class ZipMap final : public Op {
 public:
  explicit ZipMap(const OpInit& init) {
    const auto integers = init.attrs.ints("classlabels_int64s");
    const auto strings = init.attrs.strings("classlabels_strings");
    check(integers.empty() != strings.empty(), "exactly one list of class labels is expected");
    keys_ = strings.empty() ? Tensor::of(integers) : Tensor::of(strings);
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::float32, "expected float32 scores, got ", ctx.dtype(0));
    const RowDims dims = row_dims(ctx, 0);
    if (dims.columns.is_known()) check_columns(dims.columns.value());
    ctx.set_output(0,
                   Type::sequence(Type::map(keys_.dtype(), Type::tensor(DType::float32, Dims{}))));
  }

  Step prepare(PrepareContext& ctx) const override {
    const auto [rows, columns] = row_shape(ctx.shape(0));
    check_columns(columns);
    return [this, rows = rows, columns = columns](Frame& f) {
      const Tensor scores = f.input_tensor(0).clone();  // all maps look into this one copy
      const auto* data = scores.data<float>();
      Sequence sequence;
      sequence.items.reserve(rows);
      for (int64_t row = 0; row < rows; ++row)
        sequence.items.emplace_back(
            Map{keys_, Tensor::own(DType::float32, {columns}, scores.owner(),
                                   const_cast<float*>(data + row * columns))});
      f.set_output(0, std::move(sequence));
    };
  }

 private:
  void check_columns(int64_t columns) const {
    check(columns == keys_.count(), "there are ", keys_.count(), " class labels for ", columns,
          " columns");
  }

  Tensor keys_;
};

const Type& map_type(InferContext& ctx) {
  const Type& type = ctx.input(0);
  check(type.kind == Type::Kind::map, "expected a map, got ", type);
  return type;
}

class DictVectorizer final : public Op {
 public:
  explicit DictVectorizer(const OpInit& init)
      : integers_(init.attrs.ints("int64_vocabulary")),
        strings_(init.attrs.strings("string_vocabulary")) {
    check(integers_.empty() != strings_.empty(), "exactly one vocabulary is expected");
  }

  void infer(InferContext& ctx) const override {
    const Type& type = map_type(ctx);
    const DType expected = strings_.empty() ? DType::int64 : DType::string;
    check(type.dtype == expected, "the vocabulary does not fit keys of ", type.dtype);
    const DType item = type.element ? type.element->dtype : DType::undefined;
    check(item == DType::float32 || item == DType::float64 ||
              (item == DType::int64 && !strings_.empty()) ||
              (item == DType::string && strings_.empty()),
          "element type ", item, " is not one that DictVectorizer takes from keys of ", type.dtype);
    ctx.set_output(0, type.element ? type.element->dtype : DType::undefined, {1, count()});
  }

  Step prepare(PrepareContext& ctx) const override {
    const DType dtype = ctx.output_dtype(0);
    if (dtype == DType::string) return step<std::string>();
    return dispatch(TypeList<int64_t, float, double>{}, dtype,
                    [&]<class T>() -> Step { return step<T>(); });
  }

 private:
  int64_t count() const { return static_cast<int64_t>(integers_.size() + strings_.size()); }

  template <class T>
  Step step() const {
    return [this](Frame& f) {
      const Datum input = f.input(0);
      const Map& map = input.map();
      T* y = f.out<T>(0);
      for (int64_t i = 0; i < count(); ++i) {
        const int64_t found = strings_.empty() ? find(map, integers_[i]) : find(map, strings_[i]);
        y[i] = found < 0 ? T{} : map.values.data<T>()[found];
      }
    };
  }

  template <class Key>
  static int64_t find(const Map& map, const Key& key) {
    const auto keys = map.keys.items<Key>();
    const auto found = std::find(keys.begin(), keys.end(), key);
    return found == keys.end() ? -1 : found - keys.begin();
  }

  std::vector<int64_t> integers_;
  std::vector<std::string> strings_;
};

class CastMap final : public Op {
 public:
  explicit CastMap(const OpInit& init) : length_(init.attrs.get("max_map", 1)) {
    const std::string to = init.attrs.get("cast_to", "TO_FLOAT");
    const std::string form = init.attrs.get("map_form", "DENSE");
    check(form == "DENSE" || form == "SPARSE", "map_form '", form, "' is not known");
    sparse_ = form == "SPARSE";
    check(!sparse_ || length_ > 0, "max_map is ", length_);
    if (to == "TO_FLOAT") {
      dtype_ = DType::float32;
    } else if (to == "TO_INT64") {
      dtype_ = DType::int64;
    } else {
      check(to == "TO_STRING", "cast_to '", to, "' is not known");
      dtype_ = DType::string;
    }
  }

  void infer(InferContext& ctx) const override {
    const Type& type = map_type(ctx);
    check(type.dtype == DType::int64, "expected int64 keys, got ", type.dtype);
    ctx.set_output(0, dtype_, {1, sparse_ ? Dim(length_) : Dim::unknown()});
  }

  Step prepare(PrepareContext&) const override {
    return dispatch(TypeList<float, int64_t, std::string>{}, dtype_, [&]<class To>() -> Step {
      return [this](Frame& f) {
        const Datum input = f.input(0);
        const Map& map = input.map();
        if (map.values.dtype() == DType::string) {
          fill<std::string, To>(f, map);
        } else {
          check(map.values.dtype() == DType::float32, "the map has values of ", map.values.dtype());
          fill<float, To>(f, map);
        }
      };
    });
  }

 private:
  template <class From, class To>
  void fill(Frame& f, const Map& map) const {
    const auto keys = map.keys.items<int64_t>();
    const auto values = map.values.items<From>();
    CountedVector<std::size_t> order(keys.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
    const int64_t length = sparse_ ? length_ : static_cast<int64_t>(keys.size());
    Tensor result = Tensor::allocate(dtype_, {1, length});
    To* y = result.data<To>();
    if (sparse_) std::fill(y, y + length, To{});
    for (std::size_t i = 0; i < order.size(); ++i) {
      const int64_t key = keys[order[i]];
      check(!sparse_ || (key >= 0 && key < length), "key ", key, " is outside 0..", length - 1);
      y[sparse_ ? key : static_cast<int64_t>(i)] = cast(values[order[i]], To{});
    }
    f.set_output(0, std::move(result));
  }

  static float cast(float value, float) { return value; }
  static int64_t cast(float value, int64_t) {
    constexpr float kLimit = 9.2e18f;
    check(value > -kLimit && value < kLimit, "value ", value, " fits no int64");
    return static_cast<int64_t>(value);
  }
  static std::string cast(float value, const std::string&) {
    char text[64];
    const auto end = std::to_chars(text, std::end(text), value, std::chars_format::fixed, 6);
    return {text, end.ptr};
  }
  static float cast(const std::string& text, float) { return parse<float>(text); }
  static int64_t cast(const std::string& text, int64_t) { return parse<int64_t>(text); }
  static std::string cast(const std::string& text, const std::string&) { return text; }

  template <class T>
  static T parse(const std::string& text) {
    T value{};
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    check(end.ec == std::errc(), "'", text, "' is no number");
    return value;
  }

  DType dtype_;
  bool sparse_ = false;
  int64_t length_;
};

}  // namespace

[[gnu::cold]] void register_maps(OpRegistry& ops) {
  ops.add<ZipMap>("ZipMap", {.since = 1}, "ai.onnx.ml");
  ops.add<DictVectorizer>("DictVectorizer", {.since = 1}, "ai.onnx.ml");
  ops.add<CastMap>("CastMap", {.since = 1}, "ai.onnx.ml");
}

}  // namespace sdx::ops
