// Dropout: an identity unless the model asks for training, by an input or, before opset 7, by
// leaving out is_test.
#include <optional>

#include "ir/graph.h"
#include "ops/broadcast.h"
#include "ops/random_bits.h"
#include "ops/small_float.h"

namespace sdx::ops {
namespace {

class Dropout final : public Op {
 public:
  explicit Dropout(const OpInit& init)
      : has_switch_(init.opset >= 12 && init.input_count > 2),
        always_trains_(init.opset < 7 && init.attrs.get("is_test", 0) == 0),
        ratio_(init.attrs.get("ratio", 0.5)),
        mask_is_bool_(init.opset >= 10),
        keys_(std::nullopt) {
    if (init.attrs.has("seed"))
      stream_ = std::make_unique<SeededStream>(static_cast<uint64_t>(init.attrs.get("seed", 0)));
  }

  bool is_identity() const override { return !has_switch_ && !always_trains_; }

  bool expand(Graph& graph, Node& node) const override {
    const Value* training = node.input(2);
    const bool masked =
        node.output(1) && (!node.output(1)->users().empty() || node.output(1)->is_graph_output());
    if (!has_switch_ || !training || masked) return false;
    const Tensor* constant = training->constant();
    if (!constant || constant->dtype() != DType::boolean || constant->count() != 1 ||
        *constant->data<bool>())
      return false;
    Node* identity = graph.insert_before(&node, {.op_type = "Identity", .inputs = {node.input(0)}});
    graph.replace_uses(node.output(0), identity->output(0));
    return true;
  }

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, ctx.input(0));
    Type mask = ctx.input(0);
    if (mask_is_bool_) mask.dtype = DType::boolean;
    ctx.set_output(1, std::move(mask));
    for (int i = 1; i <= 2; ++i) {
      if (!ctx.has_input(i) || !ctx.has_rank(i)) continue;
      for (const Dim& dim : ctx.dims(i))
        check(dim.value_or(1) == 1, "input ", i, " is no scalar but of shape ", ctx.dims(i));
    }
    if (has_switch_ && ctx.has_input(2))
      check(ctx.dtype(2) == DType::boolean, "training_mode is ", ctx.dtype(2), ", not bool");
    if (ctx.has_input(1))
      check(is_float(ctx.dtype(1)) || is_small_float(ctx.dtype(1)), "ratio is ", ctx.dtype(1),
            ", no float");
  }

  Step prepare(PrepareContext& ctx) const override {
    if (is_small_float(ctx.dtype(0))) {
      const DType dtype = ctx.dtype(0);
      return step<uint8_t, bool>(ctx, [dtype](uint8_t code, double scale) {
        return to_small_float(small_float_values(dtype)[code] * scale, dtype, true,
                              SmallFloatMode::nearest);
      });
    }
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      const auto scaled = [](T x, double scale) { return T(x * scale); };
      return mask_is_bool_ ? step<T, bool>(ctx, scaled) : step<T, T>(ctx, scaled);
    });
  }

 private:
  template <class T, class Mask, class Scaled>
  Step step(const PrepareContext& ctx, Scaled scaled) const {
    const int64_t count = ctx.count(0);
    const DType ratio_type = ctx.has_input(1) ? ctx.dtype(1) : DType::undefined;
    const bool has_switch = has_switch_ && ctx.has_input(2);
    return [=, keys = &keys_, stream = stream_.get(), always = always_trains_, otherwise = ratio_,
            split = split_work(count, 2, kElementGrain)](Frame& f) {
      const bool training = always || (has_switch && *f.in<bool>(2));
      const double ratio = training ? ratio_of(f, ratio_type, otherwise) : 0;
      const double scale = 1 / (1 - ratio);
      const T* x = f.in<T>(0);
      T* y = f.out<T>(0);
      Mask* mask = f.out<Mask>(1);
      const auto decide = [&](int64_t i, double chance) {
        const bool keep = ratio == 0 || chance >= ratio;
        if (y) y[i] = !keep ? T(0) : ratio == 0 ? x[i] : scaled(x[i], scale);
        if (mask) mask[i] = Mask(keep);
      };
      if (training && stream) return stream->draw(count, decide);
      const uint64_t key = training ? keys->next() : 0;
      f.parallel_for(split, [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) decide(i, random_unit(key, i));
      });
    };
  }

  static double ratio_of(const Frame& f, DType dtype, double otherwise) {
    double ratio = otherwise;
    if (is_small_float(dtype))
      ratio = small_float_values(dtype)[*f.in<uint8_t>(1)];
    else if (dtype != DType::undefined)
      ratio = dispatch(FloatTypes{}, dtype, [&]<class T>() -> double {
        return static_cast<ComputeType<T>>(*f.in<T>(1));
      });
    check_argument(ratio >= 0 && ratio < 1, "ratio is ", ratio, ", not in [0, 1)");
    return ratio;
  }

  bool has_switch_, always_trains_;
  double ratio_;  // where no input gives one
  bool mask_is_bool_;
  mutable KeySequence keys_;
  std::unique_ptr<SeededStream> stream_;  // where the model gives a seed
};

}  // namespace

[[gnu::cold]] void register_dropout(OpRegistry& ops) {
  ops.add<Dropout>("Dropout", {.elementwise = true, .pure = false});
}

}  // namespace sdx::ops
