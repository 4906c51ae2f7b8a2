// RNN, GRU and LSTM. What comes from the inputs is one product over all steps; then directions and
// blocks of the batch run through time on their own.
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/matmul.h"
#include "ops/registry.h"
#include "ops/rnn_cell.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

constexpr int kInput = 0, kWeights = 1, kRecurrence = 2, kBias = 3, kLengths = 4;
constexpr int kInitialH = 5, kInitialC = 6, kPeepholes = 7;
constexpr int64_t kBlockRows = 16;  // of the batch, that go through time together

struct Sizes {
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1, gates = 1;
  int64_t columns() const { return gates * hidden; }
};

// Weights of one direction, [n][k] as ONNX has them: packed floats, or doubles as they lie.
struct FloatProducts {
  GemmKernels gemm;
  int64_t floats(int64_t k, int64_t n) const { return gemm.packed_floats(k, n); }
  void pack(int64_t k, int64_t n, const float* from, float* to) const {
    gemm.pack_b({.k = static_cast<std::size_t>(k),
                 .n = static_cast<std::size_t>(n),
                 .b = from,
                 .ldb = static_cast<std::size_t>(k),
                 .transposed = true,
                 .packed = to},
                0, static_cast<std::size_t>(gemm.panels(n)));
  }
  // On all threads where `f` is given.
  void multiply(const Frame* f, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                const float* weights, const float* bias, float* c, int64_t ldc) const {
    const kernels::GemmArgs args{.m = static_cast<std::size_t>(m),
                                 .n = static_cast<std::size_t>(n),
                                 .k = static_cast<std::size_t>(k),
                                 .a = a,
                                 .lda = static_cast<std::size_t>(lda),
                                 .b = weights,
                                 .c = c,
                                 .ldc = static_cast<std::size_t>(ldc),
                                 .epilogue = {.column_bias = bias}};
    if (f)
      run_packed(*f, gemm, gemm_grid(gemm, 1, m, n, k), args);
    else
      gemm.packed(args, {0, args.m, 0, static_cast<std::size_t>(gemm.panels(n))});
  }
};

struct DoubleProducts {
  void multiply(const Frame*, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
                const double* weights, const double* bias, double* c, int64_t ldc) const {
    ops::multiply(m, n, k, StridedMatrix<double>{a, lda, 1}, StridedMatrix<double>{weights, 1, k},
                  c, ldc);
    for (int64_t i = 0; bias && i < m; ++i)
      for (int64_t j = 0; j < n; ++j) c[i * ldc + j] += bias[j];
  }
};

template <class T>
struct Network {
  using Products = std::conditional_t<std::is_same_v<T, float>, FloatProducts, DoubleProducts>;

  Sizes s;
  bool by_batch = false;  // layout 1: the batch is the outermost axis
  bool reverse[2] = {false, false};
  Cell<T> cells[2];
  Products products;
  const float *packed_weights = nullptr, *packed_recurrence = nullptr;
  int64_t blocks = 1;
  // Into the scratch, in floats.
  int64_t weights_at = 0, recurrence_at = 0, fresh_at = 0, bias_at = 0, inner_bias_at = 0;
  int64_t state_at = 0;

  // GRU multiplies its candidate on its own where the reset comes first.
  bool splits_recurrence() const {
    return cells[0].kind == CellKind::gru && !cells[0].resets_after_product;
  }
  int64_t first_columns() const { return splits_recurrence() ? 2 * s.hidden : s.columns(); }
  int64_t state_values() const { return s.columns() + 3 * s.hidden; }  // of one row

  int64_t weight_floats() const requires std::is_same_v<T, float> {
    return products.floats(s.inputs, s.columns());
  }
  int64_t recurrence_floats() const requires std::is_same_v<T, float> {
    return products.floats(s.hidden, first_columns()) +
           (splits_recurrence() ? products.floats(s.hidden, s.hidden) : 0);
  }
  void pack_weights(const float* from, float* to) const requires std::is_same_v<T, float> {
    for (int64_t d = 0; d < s.directions; ++d)
      products.pack(s.inputs, s.columns(), from + d * s.columns() * s.inputs,
                    to + d * weight_floats());
  }
  void pack_recurrence(const float* from, float* to) const requires std::is_same_v<T, float> {
    for (int64_t d = 0; d < s.directions; ++d) {
      const float* r = from + d * s.columns() * s.hidden;
      float* packed = to + d * recurrence_floats();
      products.pack(s.hidden, first_columns(), r, packed);
      if (splits_recurrence())
        products.pack(s.hidden, s.hidden, r + 2 * s.hidden * s.hidden,
                      packed + products.floats(s.hidden, 2 * s.hidden));
    }
  }

  void plan(PrepareContext& ctx) {
    ScratchPlan plan;
    if constexpr (std::is_same_v<T, float>) {
      weights_at = plan.add(packed_weights ? 0 : checked_mul(s.directions, weight_floats()));
      recurrence_at =
          plan.add(packed_recurrence ? 0 : checked_mul(s.directions, recurrence_floats()));
    }
    const int64_t rows = checked_mul(s.steps, s.batch);
    fresh_at = plan.add(floats_for<T>(checked_mul(s.directions, checked_mul(rows, s.columns()))));
    bias_at = plan.add(floats_for<T>(s.directions * s.columns()));
    inner_bias_at = plan.add(floats_for<T>(s.directions * s.columns()));
    state_at = plan.add(floats_for<T>(checked_mul(s.directions * s.batch, state_values())));
    blocks = std::max<int64_t>((s.batch + kBlockRows - 1) / kBlockRows, 1);
    plan.request(ctx);
  }

  T* at(const Frame& f, int64_t offset) const {
    return reinterpret_cast<T*>(f.scratch<float>() + offset);
  }

  void operator()(Frame& f) const {
    const T* weights = f.in<T>(kWeights);
    const T* recurrence = f.in<T>(kRecurrence);
    int64_t weight_step = s.columns() * s.inputs, recurrence_step = s.columns() * s.hidden;
    if constexpr (std::is_same_v<T, float>) {
      if (!packed_weights) pack_weights(weights, at(f, weights_at));
      if (!packed_recurrence) pack_recurrence(recurrence, at(f, recurrence_at));
      weights = packed_weights ? packed_weights : at(f, weights_at);
      recurrence = packed_recurrence ? packed_recurrence : at(f, recurrence_at);
      weight_step = weight_floats();
      recurrence_step = recurrence_floats();
    }
    check_lengths(f);
    const int64_t rows = s.steps * s.batch;
    for (int64_t d = 0; d < s.directions; ++d)
      products.multiply(&f, rows, s.columns(), s.inputs, f.in<T>(kInput), s.inputs,
                        weights + d * weight_step, sum_biases(f, d),
                        at(f, fresh_at) + d * rows * s.columns(), s.columns());
    const int64_t items = s.directions * blocks;
    const double cost = static_cast<double>(s.steps) *
                        gemm_cost(std::min(s.batch, kBlockRows), s.columns(), s.hidden);
    f.parallel_for(split_work(items, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t block = i % blocks;
        run_block(f, items == 1 ? &f : nullptr, i / blocks,
                  {s.batch * block / blocks, s.batch * (block + 1) / blocks},
                  recurrence + i / blocks * recurrence_step);
      }
    });
  }

  void check_lengths(const Frame& f) const {
    const int32_t* lengths = f.in<int32_t>(kLengths);
    for (int64_t b = 0; lengths && b < s.batch; ++b)
      check_argument(lengths[b] >= 0 && lengths[b] <= s.steps, "sequence_lens holds ", lengths[b],
                     " for ", s.steps, " steps");
  }

  // Of input and state, but for the part of a candidate that the reset scales: that is kept apart,
  // among zeros for the gates.
  const T* sum_biases(const Frame& f, int64_t direction) const {
    const T* bias = f.in<T>(kBias);
    if (!bias) return nullptr;
    bias += direction * 2 * s.columns();
    T* sum = at(f, bias_at) + direction * s.columns();
    T* inner = at(f, inner_bias_at) + direction * s.columns();
    for (int64_t i = 0; i < s.columns(); ++i) {
      const bool apart = cells[0].resets_after_product && i >= 2 * s.hidden;
      inner[i] = apart ? bias[s.columns() + i] : T{};
      sum[i] = bias[i] + (apart ? T{} : bias[s.columns() + i]);
    }
    return sum;
  }

  // One direction of some rows of the batch, through all of time.
  void run_block(const Frame& f, const Frame* threads, int64_t direction, Range rows,
                 const T* recurrence) const {
    const Cell<T>& cell = cells[direction];
    const int64_t n = s.hidden, columns = s.columns(), count = rows.size();
    T* gates = at(f, state_at) + (direction * s.batch + rows.begin) * state_values();
    T* h = gates + count * columns;
    T* c = h + count * n;
    T* spare = c + count * n;
    load_state(f, kInitialH, direction, rows, h);
    load_state(f, kInitialC, direction, rows, c);
    const T* fresh = at(f, fresh_at) + direction * s.steps * s.batch * columns;
    const T* peepholes = f.in<T>(kPeepholes);
    if (peepholes) peepholes += direction * 3 * n;
    const int32_t* lengths = f.in<int32_t>(kLengths);
    const auto length = [&](int64_t b) { return lengths ? int64_t{lengths[b]} : s.steps; };
    const bool back = reverse[direction];
    for (int64_t step = 0; step < s.steps && !f.cancelled(); ++step) {
      const auto each_row = [&](auto&& visit) {
        for (int64_t i = 0; i < count; ++i) {
          const int64_t b = rows.begin + i;
          if (step >= length(b)) continue;
          const int64_t t = back ? length(b) - 1 - step : step;
          const T* row = fresh + (by_batch ? b * s.steps + t : t * s.batch + b) * columns;
          visit(i, b, t, row);
        }
      };
      const auto keep = [&](int64_t i, int64_t b, int64_t t) {
        if (T* y = f.out<T>(0)) std::copy_n(h + i * n, n, y + result_at(direction, b, t));
      };
      products.multiply(threads, count, first_columns(), n, h, n, recurrence,
                        inner_bias(f, direction), gates, columns);
      if (cell.kind == CellKind::gru) {
        each_row([&](int64_t i, int64_t, int64_t, const T* row) {
          cell.gru_gates(row, gates + i * columns, h + i * n, spare + i * n);
        });
        if (splits_recurrence())
          multiply_candidate(threads, count, spare, recurrence, gates + 2 * n);
      }
      each_row([&](int64_t i, int64_t b, int64_t t, const T* row) {
        if (cell.kind == CellKind::rnn)
          cell.rnn(row, gates + i * columns, h + i * n);
        else if (cell.kind == CellKind::gru)
          cell.gru_state(row, gates + i * columns, h + i * n);
        else
          cell.lstm(row, gates + i * columns, peepholes, h + i * n, c + i * n, spare + i * n);
        keep(i, b, t);
      });
    }
    for (int64_t b = rows.begin; b < rows.end; ++b)
      for (int64_t t = length(b); t < s.steps && f.wants_output(0); ++t)
        std::fill_n(f.out<T>(0) + result_at(direction, b, t), n, T{});
    store_state(f, 1, direction, rows, h);
    store_state(f, 2, direction, rows, c);
  }

  const T* inner_bias(const Frame& f, int64_t direction) const {
    if (!cells[0].resets_after_product || !f.has_input(kBias)) return nullptr;
    return at(f, inner_bias_at) + direction * s.columns();
  }

  void multiply_candidate(const Frame* threads, int64_t count, const T* reset, const T* recurrence,
                          T* to) const {
    const T* weights = recurrence + 2 * s.hidden * s.hidden;
    if constexpr (std::is_same_v<T, float>)
      weights = recurrence + products.floats(s.hidden, 2 * s.hidden);
    products.multiply(threads, count, s.hidden, s.hidden, reset, s.hidden, weights, nullptr, to,
                      s.columns());
  }

  int64_t state_index(int64_t direction, int64_t b) const {
    return (by_batch ? b * s.directions + direction : direction * s.batch + b) * s.hidden;
  }
  int64_t result_at(int64_t direction, int64_t b, int64_t t) const {
    return (by_batch ? (b * s.steps + t) * s.directions + direction
                     : (t * s.directions + direction) * s.batch + b) *
           s.hidden;
  }
  void load_state(const Frame& f, int input, int64_t direction, Range rows, T* to) const {
    const T* from = f.in<T>(input);
    for (int64_t b = rows.begin; b < rows.end; ++b, to += s.hidden)
      if (from)
        std::copy_n(from + state_index(direction, b), s.hidden, to);
      else
        std::fill_n(to, s.hidden, T{});
  }
  void store_state(const Frame& f, int output, int64_t direction, Range rows, const T* from) const {
    T* to = f.out<T>(output);
    for (int64_t b = rows.begin; to && b < rows.end; ++b, from += s.hidden)
      std::copy_n(from, s.hidden, to + state_index(direction, b));
  }
};

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
    Network<float> network = with_cells<float>();
    network.s.hidden = recurrence->shape()[2];
    network.s.inputs = weights->shape()[2];
    if (weights->shape()[1] != network.s.columns() || weights->shape()[0] != directions_ ||
        recurrence->shape() != Shape({directions_, network.s.columns(), network.s.hidden}))
      return;
    const auto bytes = [&](int64_t floats) {
      return static_cast<std::size_t>(checked_mul(checked_mul(directions_, floats), sizeof(float)));
    };
    std::vector<float> wide;
    network.pack_weights(as_floats(*weights, wide),
                         static_cast<float*>(ctx.allocate(0, bytes(network.weight_floats()))));
    network.pack_recurrence(
        as_floats(*recurrence, wide),
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
  Network<T> with_cells() const {
    Network<T> result;
    result.s.directions = directions_;
    result.s.gates = gate_count();
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
    return result;
  }

  template <class T>
  Network<T> network(PrepareContext& ctx) const {
    Network<T> result = with_cells<T>();
    const Shape& x = ctx.shape(kInput);
    result.s.steps = x[by_batch_ ? 1 : 0];
    result.s.batch = x[by_batch_ ? 0 : 1];
    result.s.inputs = x[2];
    result.s.hidden = ctx.shape(kRecurrence)[2];
    check(ctx.shape(kWeights) == Shape({directions_, result.s.columns(), x[2]}) &&
              ctx.shape(kRecurrence) == Shape({directions_, result.s.columns(), result.s.hidden}),
          "weights of shapes ", ctx.shape(kWeights), " and ", ctx.shape(kRecurrence),
          " for an input ", x);
    for (Cell<T>& cell : result.cells) cell.hidden = result.s.hidden;
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

void register_rnn(OpRegistry& ops) {
  ops.add<Recurrent>("RNN", {.since = 1});
  ops.add<Recurrent>("GRU", {.since = 1});
  ops.add<Recurrent>("LSTM", {.since = 1});
}

}  // namespace sdx::ops
