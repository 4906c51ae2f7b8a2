// RNN, GRU and LSTM: their types, their attributes, their constants.
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"
#include "ops/rnn_network.h"

namespace sdx::ops {
namespace {

constexpr int kInput = RecurrentInputs::x, kWeights = RecurrentInputs::weights;
constexpr int kRecurrence = RecurrentInputs::recurrence, kBias = RecurrentInputs::bias;
constexpr int kLengths = RecurrentInputs::lengths, kPeepholes = RecurrentInputs::peepholes;
constexpr int kInitialH = RecurrentInputs::initial_h, kInitialC = RecurrentInputs::initial_c;

class Recurrent final : public Op {
 public:
  explicit Recurrent(const OpInit& init)
      : kind_(init.type == "LSTM"  ? CellKind::lstm
              : init.type == "GRU" ? CellKind::gru
                                   : CellKind::rnn),
        hidden_(init.attrs.get("hidden_size", 0)),
        clip_(init.attrs.get("clip", 0.0)),
        by_batch_(init.attrs.get("layout", 0) != 0),
        couples_(kind_ == CellKind::lstm && init.attrs.get("input_forget", 0) != 0),
        resets_after_(kind_ == CellKind::gru && init.attrs.get("linear_before_reset", 0) != 0) {
    const std::string direction = init.attrs.get("direction", "forward");
    check(direction == "forward" || direction == "reverse" || direction == "bidirectional",
          "direction is '", direction, "'");
    directions_ = direction == "bidirectional" ? 2 : 1;
    reverse_[0] = direction == "reverse";
    reverse_[1] = true;
    check(hidden_ >= 0, "hidden_size is ", hidden_);
    read_activations(init.attrs);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kInput);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check_given(ctx, kWeights, kWeights + 2);
    for (int i = kWeights; i < ctx.input_count(); ++i) {
      if (!ctx.has_input(i)) continue;
      const DType wanted = i == kLengths ? DType::int32 : dtype;
      check(ctx.dtype(i) == wanted, "input ", i, " is ", ctx.dtype(i), ", expected ", wanted);
    }
    for (const int i : {kInput, kWeights, kRecurrence}) check_rank(ctx, i, 3);
    Dim steps = Dim::unknown(), batch = Dim::unknown();
    if (ctx.has_rank(kInput)) {
      steps = ctx.dims(kInput)[by_batch_ ? 1 : 0];
      batch = ctx.dims(kInput)[by_batch_ ? 0 : 1];
    }
    Dim hidden = hidden_ > 0 ? Dim(hidden_) : Dim::unknown();
    const Dim d(directions_), gates(gate_count());
    if (ctx.has_rank(kRecurrence)) {
      if (hidden.is_unknown()) hidden = ctx.dims(kRecurrence)[2];
      check_dims(ctx, kRecurrence, {d, gates * hidden, hidden});
    }
    const Dim inputs = ctx.has_rank(kInput) ? ctx.dims(kInput)[2] : Dim::unknown();
    check_dims(ctx, kWeights, {d, gates * hidden, inputs});
    check_dims(ctx, kBias, {d, Dim(2) * gates * hidden});
    check_dims(ctx, kLengths, {batch});
    const Dims state = by_batch_ ? Dims{batch, d, hidden} : Dims{d, batch, hidden};
    check_dims(ctx, kInitialH, state);
    if (kind_ == CellKind::lstm) {
      check_dims(ctx, kInitialC, state);
      check_dims(ctx, kPeepholes, {d, Dim(3) * hidden});
    } else {
      check(!ctx.has_input(kInitialC) && !ctx.has_input(kPeepholes),
            "a state of cells or peepholes, which only LSTM has");
    }
    if (ctx.wants_output(0))
      ctx.set_output(0, dtype,
                     by_batch_ ? Dims{batch, steps, d, hidden} : Dims{steps, d, batch, hidden});
    for (int i = 1; i < 3; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, dtype, state);
  }

  void pack(PackContext& ctx) const override {
    const Tensor* weights = ctx.constant(kWeights);
    const Tensor* recurrence = ctx.constant(kRecurrence);
    if (!weights || !recurrence || weights->rank() != 3 || recurrence->rank() != 3 ||
        !packs_as_float32(weights->dtype()))
      return;
    RecurrentNetwork<float> network = with_cells<float>(ctx.has_input(kPeepholes));
    network.sizes.hidden = recurrence->shape()[2];
    network.sizes.inputs = weights->shape()[2];
    if (weights->shape()[1] != network.sizes.columns() || weights->shape()[0] != directions_ ||
        recurrence->shape() != Shape({directions_, network.sizes.columns(), network.sizes.hidden}))
      return;
    const auto bytes = [&](int64_t floats) {
      return static_cast<std::size_t>(checked_mul(checked_mul(directions_, floats), sizeof(float)));
    };
    std::vector<float> wide;
    network.pack_weights(nullptr, as_floats(*weights, wide),
                         static_cast<float*>(ctx.allocate(0, bytes(network.weight_floats()))));
    network.pack_recurrence(
        nullptr, as_floats(*recurrence, wide),
        static_cast<float*>(ctx.allocate(1, bytes(network.recurrence_floats()))));
    ctx.release_input(kWeights);
    ctx.release_input(kRecurrence);
  }

  double flops(const PrepareContext& ctx) const override {
    // Steps and batch of X against W and R, which hold every gate of every direction.
    const Shape &x = ctx.shape(0), &w = ctx.shape(1), &r = ctx.shape(2);
    const double weights =
        static_cast<double>(element_count(w)) + static_cast<double>(element_count(r));
    return 2 * static_cast<double>(x[0]) * static_cast<double>(x[1]) * weights;
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(kInput) == DType::float64) return network<double>(ctx);
    return in_float32(ctx, network<float>(ctx));
  }

 private:
  int64_t gate_count() const {
    return kind_ == CellKind::lstm ? 4 : kind_ == CellKind::gru ? 3 : 1;
  }
  int function_count() const {
    return kind_ == CellKind::lstm ? 3 : kind_ == CellKind::gru ? 2 : 1;
  }

  static void check_dims(InferContext& ctx, int i, const Dims& wanted) {
    if (ctx.has_input(i) && ctx.has_rank(i))
      check(may_equal(ctx.dims(i), wanted), "input ", i, " has shape ", ctx.dims(i), ", expected ",
            wanted);
  }

  bool same_activations() const {
    const auto count = static_cast<std::ptrdiff_t>(function_count());
    return directions_ == 1 || std::equal(activations_.begin(), activations_.begin() + count,
                                          activations_.begin() + count);
  }

  // Constants are handed out in order to the functions that take them.
  void read_activations(const Attributes& attrs) {
    std::vector<std::string> names = attrs.strings("activations");
    const auto count = static_cast<std::size_t>(function_count());
    if (names.empty()) {
      const char* const defaults[] = {"Sigmoid", "Tanh", "Tanh"};
      for (int64_t d = 0; d < directions_; ++d)
        for (std::size_t i = 0; i < count; ++i)
          names.push_back(kind_ == CellKind::rnn ? "Tanh" : defaults[i]);
    }
    check(names.size() == count * static_cast<std::size_t>(directions_), "activations has ",
          names.size(), " entries, expected ", count * static_cast<std::size_t>(directions_));
    const std::vector<float> alphas = attrs.floats("activation_alpha");
    const std::vector<float> betas = attrs.floats("activation_beta");
    std::size_t alpha = 0, beta = 0;
    for (const std::string& name : names) {
      CellActivation activation = CellActivation::named(name);
      if (activation.takes_alpha() && alpha < alphas.size()) activation.alpha = alphas[alpha++];
      if (activation.takes_beta() && beta < betas.size()) activation.beta = betas[beta++];
      activations_.push_back(activation);
    }
  }

  template <class T>
  RecurrentNetwork<T> with_cells(bool has_peepholes) const {
    RecurrentNetwork<T> result;
    result.sizes.directions = directions_;
    result.sizes.gates = gate_count();
    result.by_batch = by_batch_;
    for (int64_t d = 0; d < directions_; ++d) {
      Cell<T>& cell = result.cells[d];
      cell.kind = kind_;
      cell.clip = clip_;
      cell.couples_input_and_forget = couples_;
      cell.resets_after_product = resets_after_;
      for (int i = 0; i < function_count(); ++i)
        cell.functions[i] = CellFunction(activations_[d * function_count() + i]);
      result.reverse[d] = reverse_[d];
    }
    if constexpr (std::is_same_v<T, float>)
      if (!has_peepholes && same_activations()) result.fused = FusedSteps::of(result.cells[0]);
    return result;
  }

  template <class T>
  RecurrentNetwork<T> network(PrepareContext& ctx) const {
    RecurrentNetwork<T> result = with_cells<T>(ctx.has_input(kPeepholes));
    const Shape& x = ctx.shape(kInput);
    result.sizes.steps = x[by_batch_ ? 1 : 0];
    result.sizes.batch = x[by_batch_ ? 0 : 1];
    result.sizes.inputs = x[2];
    result.sizes.hidden = ctx.shape(kRecurrence)[2];
    check(ctx.shape(kWeights) == Shape({directions_, result.sizes.columns(), x[2]}) &&
              ctx.shape(kRecurrence) ==
                  Shape({directions_, result.sizes.columns(), result.sizes.hidden}),
          "weights of shapes ", ctx.shape(kWeights), " and ", ctx.shape(kRecurrence),
          " for an input ", x);
    for (Cell<T>& cell : result.cells) cell.hidden = result.sizes.hidden;
    if constexpr (std::is_same_v<T, float>) {
      result.packed_weights = ctx.packed<float>(0);
      result.packed_recurrence = ctx.packed<float>(1);
    }
    result.plan(ctx);
    return result;
  }

  CellKind kind_;
  int64_t hidden_, directions_ = 1;
  float clip_;
  bool by_batch_, couples_, resets_after_;
  bool reverse_[2] = {false, true};
  std::vector<CellActivation> activations_;
};

}  // namespace

[[gnu::cold]] void register_rnn(OpRegistry& ops) {
  ops.add<Recurrent>("RNN", {.since = 1});
  ops.add<Recurrent>("GRU", {.since = 1});
  ops.add<Recurrent>("LSTM", {.since = 1});
}

}  // namespace sdx::ops
