// Recurrent networks through time: the general way, cell after product, and the fused one.
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "ops/matmul.h"
#include "ops/rnn_network.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

// Rows of the batch that go through time together. Weights that a core's cache holds are cheap to
// read again for other rows; larger ones are read once a step for as many rows as there are.
constexpr int64_t kBlockRows = 16, kMostBlockRows = 64;
constexpr int64_t kCachedFloats = 3 << 17;
// A fused step is cut for threads into parts of about so many nanoseconds: a region costs far less.
constexpr double kStepPartNs = 4000, kPanelFloatsPerNs = 28;
constexpr int64_t kPartFloats = 1 << 18;
// What takes longer is done in pieces, between which the run may end.
constexpr double kLongNs = 4e6;
// Products of doubles done at once, in rows that share what they read of the weights.
constexpr int64_t kDoubleProducts = 1 << 22, kDoubleRows = 64;
constexpr double kPackNs = 0.5;  // a float

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

// Calls work(range) for all of the split's chunks: together if they take no time to speak of, else
// one after the other until the run is over.
template <class Work>
void run_alone(const Frame& f, const Split& split, double cost, Work work) {
  if (cost <= kLongNs) return work(Range{0, split.items});
  for (int64_t i = 0; i < split.chunks && !f.cancelled() && !Interrupt::due(); ++i)
    work(split.chunk(i));
}

// Calls work(range) for panels of packed weights.
template <class Work>
void pack_panels(const Frame* f, int64_t panels, int64_t floats, Work work) {
  if (!f) return work(Range{0, panels});
  const double cost = kPackNs * static_cast<double>(floats);
  f->parallel_ranges(split_work(panels, cost / static_cast<double>(std::max<int64_t>(panels, 1))),
                     work);
}

}  // namespace

void FloatProducts::pack(const Frame* f, int64_t k, int64_t n, const float* from, float* to) const {
  pack_panels(f, gemm.panels(n), floats(k, n), [&](Range panels) {
    gemm.pack_b(
        {.k = size(k), .n = size(n), .b = from, .ldb = size(k), .transposed = true, .packed = to},
        size(panels.begin), size(panels.end));
  });
}

void FloatProducts::multiply(const Caller& by, int64_t m, int64_t n, int64_t k, const float* a,
                             int64_t lda, const float* weights, const float* bias, float* c,
                             int64_t ldc) const {
  const kernels::GemmArgs args{.m = static_cast<std::size_t>(m),
                               .n = static_cast<std::size_t>(n),
                               .k = static_cast<std::size_t>(k),
                               .a = a,
                               .lda = static_cast<std::size_t>(lda),
                               .b = weights,
                               .c = c,
                               .ldc = static_cast<std::size_t>(ldc),
                               .epilogue = {.column_bias = bias}};
  const double cost = gemm_cost(m, n, k);
  if (!by.shares && cost <= kLongNs) return gemm.packed(args, {0, args.m, 0, size(gemm.panels(n))});
  const GemmGrid grid = gemm_grid(gemm, 1, m, n, k);
  if (by.shares) return run_packed(by.frame, gemm, grid, args);
  run_alone(by.frame, grid.split, cost, [&](Range items) {
    grid.for_each(items, [&](const GemmGrid::Block& block) { gemm.packed(args, block.range); });
  });
}

void DoubleProducts::multiply(const Caller& by, int64_t m, int64_t n, int64_t k, const double* a,
                              int64_t lda, const double* weights, const double* bias, double* c,
                              int64_t ldc) const {
  // Cut by the sizes alone, so that results do not depend on threads.
  const int64_t depth = std::max<int64_t>(k, 1);
  const int64_t least_rows = std::clamp<int64_t>(m, 1, kDoubleRows);
  const int64_t columns =
      std::clamp<int64_t>(kDoubleProducts / least_rows / depth, 1, std::max<int64_t>(n, 1));
  const int64_t rows =
      std::clamp<int64_t>(kDoubleProducts / columns / depth, least_rows, std::max<int64_t>(m, 1));
  const int64_t across = (n + columns - 1) / columns, down = (m + rows - 1) / rows;
  const double cost = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(depth);
  const auto work = [&](Range pieces) {
    for (int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
      const Range row{m * (piece / across) / down, m * (piece / across + 1) / down};
      const Range column{n * (piece % across) / across, n * (piece % across + 1) / across};
      double* to = c + row.begin * ldc + column.begin;
      ops::multiply(row.size(), column.size(), k,
                    StridedMatrix<double>{a + row.begin * lda, lda, 1},
                    StridedMatrix<double>{weights + column.begin * k, 1, k}, to, ldc);
      for (int64_t i = 0; bias && i < row.size(); ++i)
        for (int64_t j = 0; j < column.size(); ++j) to[i * ldc + j] += bias[column.begin + j];
    }
  };
  if (!by.shares) return run_alone(by.frame, {across * down, across * down}, cost, work);
  by.frame.parallel_for(split_work(across * down, cost / static_cast<double>(across * down)), work);
}

FusedSteps FusedSteps::of(const Cell<float>& cell) {
  using Kind = CellActivation::Kind;
  using kernels::RecurrentCell;
  FusedSteps steps;
  const auto is = [&](int function, Kind kind) {
    return cell.functions[function].activation().kind == kind;
  };
  if (cell.clip > 0 || cell.couples_input_and_forget) return steps;
  if (cell.kind == CellKind::rnn) {
    if (is(0, Kind::tanh) || is(0, Kind::relu)) {
      steps.count = 1;
      steps.cells[0] = is(0, Kind::tanh) ? RecurrentCell::rnn_tanh : RecurrentCell::rnn_relu;
    }
    return steps;
  }
  if (!is(0, Kind::sigmoid) || !is(1, Kind::tanh)) return steps;
  if (cell.kind == CellKind::lstm) {
    if (!is(2, Kind::tanh)) return steps;
    steps.count = 1;
    steps.cells[0] = RecurrentCell::lstm;
  } else if (cell.resets_after_product) {
    steps.count = 1;
    steps.cells[0] = RecurrentCell::gru;
  } else {
    steps.count = 2;
    steps.cells[0] = RecurrentCell::gru_gates;
    steps.cells[1] = RecurrentCell::gru_candidate;
  }
  return steps;
}

int64_t FusedSteps::floats(int cell, int64_t hidden) const {
  const auto [panels, panel_floats] = layout(cells[cell], static_cast<std::size_t>(hidden));
  return round_up(checked_mul(static_cast<int64_t>(panels), static_cast<int64_t>(panel_floats)),
                  kAlignment / sizeof(float));
}

int64_t FusedSteps::floats(int64_t hidden) const {
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum = checked_add(sum, floats(i, hidden));
  return sum;
}

void FusedSteps::pack(const Frame* f, int64_t hidden, const float* from, float* to) const {
  for (int i = 0; i < count; ++i) {
    const auto panels = static_cast<int64_t>(layout(cells[i], size(hidden)).panels);
    pack_panels(f, panels, floats(i, hidden), [&](Range r) {
      pack_weights(cells[i], size(hidden), from, to, size(r.begin), size(r.end));
    });
    from += 2 * hidden * hidden;  // past the gates of a GRU
    to += floats(i, hidden);
  }
}

template <class T>
int64_t RecurrentNetwork<T>::weight_floats() const {
  if constexpr (std::is_same_v<T, float>) return products_.floats(sizes.inputs, sizes.columns());
  return 0;
}

template <class T>
int64_t RecurrentNetwork<T>::recurrence_floats() const {
  if constexpr (std::is_same_v<T, float>) {
    const int64_t n = sizes.hidden;
    if (fused) return fused.floats(n);
    return products_.floats(n, first_columns()) +
           (splits_recurrence() ? products_.floats(n, n) : 0);
  }
  return 0;
}

template <class T>
void RecurrentNetwork<T>::pack_weights(const Frame* f, const float* from, float* to) const {
  if constexpr (std::is_same_v<T, float>)
    for (int64_t d = 0; d < sizes.directions; ++d)
      products_.pack(f, sizes.inputs, sizes.columns(), from + d * sizes.columns() * sizes.inputs,
                     to + d * weight_floats());
}

template <class T>
void RecurrentNetwork<T>::pack_recurrence(const Frame* f, const float* from, float* to) const {
  if constexpr (std::is_same_v<T, float>) {
    const int64_t n = sizes.hidden;
    for (int64_t d = 0; d < sizes.directions; ++d) {
      const float* r = from + d * sizes.columns() * n;
      float* packed = to + d * recurrence_floats();
      if (fused) {
        fused.pack(f, n, r, packed);
        continue;
      }
      products_.pack(f, n, first_columns(), r, packed);
      if (splits_recurrence())
        products_.pack(f, n, n, r + 2 * n * n, packed + products_.floats(n, 2 * n));
    }
  }
}

template <class T>
void RecurrentNetwork<T>::plan(PrepareContext& ctx) {
  ScratchPlan plan;
  if constexpr (std::is_same_v<T, float>) {
    weights_at_ = plan.add(packed_weights ? 0 : checked_mul(sizes.directions, weight_floats()));
    recurrence_at_ =
        plan.add(packed_recurrence ? 0 : checked_mul(sizes.directions, recurrence_floats()));
  }
  const int64_t rows = checked_mul(sizes.steps, sizes.batch);
  fresh_at_ =
      plan.add(floats_for<T>(checked_mul(sizes.directions, checked_mul(rows, sizes.columns()))));
  bias_at_ = plan.add(floats_for<T>(sizes.directions * sizes.columns()));
  inner_bias_at_ = plan.add(floats_for<T>(sizes.directions * sizes.columns()));
  state_at_ = plan.add(floats_for<T>(checked_mul(sizes.directions * sizes.batch, state_values())));
  plan.request(ctx);

  const bool cached = sizes.columns() * sizes.hidden <= kCachedFloats;
  const int64_t block_rows = cached ? kBlockRows : kMostBlockRows;
  blocks_ = std::max<int64_t>((sizes.batch + block_rows - 1) / block_rows, 1);
  if (fused) {
    const int64_t block = (sizes.batch + blocks_ - 1) / blocks_;
    const auto panels = static_cast<int64_t>(
        fused.layout(fused.cells[0], static_cast<std::size_t>(sizes.hidden)).panels);
    const double reading = static_cast<double>(sizes.columns() * sizes.hidden) / kPanelFloatsPerNs;
    const double cost = std::max(reading, gemm_cost(block, sizes.columns(), sizes.hidden));
    step_cost_ = cost;
    // Parts are no smaller than a core's cache: a thread should meet its own ones again.
    const int64_t most = std::max<int64_t>(sizes.columns() * sizes.hidden / kPartFloats, 2);
    const auto parts = static_cast<int64_t>(std::min(cost / kStepPartNs, 64.0));
    step_split_ = {panels,
                   std::clamp<int64_t>(std::min(parts, most), 1, std::max<int64_t>(panels, 1))};
  }
}

template <class T>
void RecurrentNetwork<T>::operator()(Frame& f) const {
  const T* weights = f.in<T>(In::weights);
  const T* recurrence = f.in<T>(In::recurrence);
  int64_t weight_step = sizes.columns() * sizes.inputs;
  int64_t recurrence_step = sizes.columns() * sizes.hidden;
  if constexpr (std::is_same_v<T, float>) {
    if (!packed_weights) pack_weights(&f, weights, at(f, weights_at_));
    if (!packed_recurrence) pack_recurrence(&f, recurrence, at(f, recurrence_at_));
    weights = packed_weights ? packed_weights : at(f, weights_at_);
    recurrence = packed_recurrence ? packed_recurrence : at(f, recurrence_at_);
    weight_step = weight_floats();
    recurrence_step = recurrence_floats();
  }
  check_lengths(f);
  const int64_t rows = sizes.steps * sizes.batch;
  for (int64_t d = 0; d < sizes.directions; ++d)
    products_.multiply({f, true}, rows, sizes.columns(), sizes.inputs, f.in<T>(In::x), sizes.inputs,
                       weights + d * weight_step, sum_biases(f, d),
                       at(f, fresh_at_) + d * rows * sizes.columns(), sizes.columns());
  const int64_t items = sizes.directions * blocks_;
  const double cost =
      static_cast<double>(sizes.steps) *
      gemm_cost((sizes.batch + blocks_ - 1) / blocks_, sizes.columns(), sizes.hidden);
  f.parallel_for(split_work(items, cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t block = i % blocks_, direction = i / blocks_;
      const Caller by{f, items == 1};
      const Range some{sizes.batch * block / blocks_, sizes.batch * (block + 1) / blocks_};
      const T* of_direction = recurrence + direction * recurrence_step;
      if constexpr (std::is_same_v<T, float>)
        if (fused) {
          run_fused_block(by, direction, some, of_direction);
          continue;
        }
      run_block(by, direction, some, of_direction);
    }
  });
}

template <class T>
void RecurrentNetwork<T>::check_lengths(const Frame& f) const {
  for (int64_t b = 0; f.has_input(In::lengths) && b < sizes.batch; ++b) {
    const int64_t n = length(f, b);
    check_argument(n >= 0 && n <= sizes.steps, "sequence_lens holds ", n, " for ", sizes.steps,
                   " steps");
  }
}

// Of input and state, but for the part of a candidate that the reset scales: that is kept apart,
// among zeros for the gates.
template <class T>
const T* RecurrentNetwork<T>::sum_biases(const Frame& f, int64_t direction) const {
  const T* bias = f.in<T>(In::bias);
  if (!bias) return nullptr;
  const int64_t columns = sizes.columns();
  bias += direction * 2 * columns;
  T* sum = at(f, bias_at_) + direction * columns;
  T* inner = at(f, inner_bias_at_) + direction * columns;
  for (int64_t i = 0; i < columns; ++i) {
    const bool apart = cells[0].resets_after_product && i >= 2 * sizes.hidden;
    inner[i] = apart ? bias[columns + i] : T{};
    sum[i] = bias[i] + (apart ? T{} : bias[columns + i]);
  }
  return sum;
}

template <class T>
const T* RecurrentNetwork<T>::inner_bias(const Frame& f, int64_t direction) const {
  if (!cells[0].resets_after_product || !f.has_input(In::bias)) return nullptr;
  return at(f, inner_bias_at_) + direction * sizes.columns();
}

template <class T>
const T* RecurrentNetwork<T>::fresh_row(const Frame& f, int64_t direction, int64_t b,
                                        int64_t t) const {
  const int64_t row = by_batch ? b * sizes.steps + t : t * sizes.batch + b;
  return at(f, fresh_at_) + (direction * sizes.steps * sizes.batch + row) * sizes.columns();
}

// One direction of some rows of the batch, through all of time.
template <class T>
void RecurrentNetwork<T>::run_block(const Caller& by, int64_t direction, Range rows,
                                    const T* recurrence) const {
  const Frame& f = by.frame;
  const Cell<T>& cell = cells[direction];
  const int64_t n = sizes.hidden, columns = sizes.columns(), count = rows.size();
  T* gates = at(f, state_at_) + (direction * sizes.batch + rows.begin) * state_values();
  T* h = gates + count * columns;
  T* c = h + count * n;
  T* spare = c + count * n;
  load_state(f, In::initial_h, direction, rows, h, n);
  load_state(f, In::initial_c, direction, rows, c, n);
  const T* peepholes = f.in<T>(In::peepholes);
  if (peepholes) peepholes += direction * 3 * n;
  for (int64_t step = 0; step < sizes.steps && !f.cancelled() && !Interrupt::due(); ++step) {
    const auto each_row = [&](auto&& visit) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t b = rows.begin + i, steps = length(f, b);
        if (step >= steps) continue;
        const int64_t t = time(direction, steps, step);
        visit(i, b, t, fresh_row(f, direction, b, t));
      }
    };
    products_.multiply(by, count, first_columns(), n, h, n, recurrence, inner_bias(f, direction),
                       gates, columns);
    if (cell.kind == CellKind::gru) {
      each_row([&](int64_t i, int64_t, int64_t, const T* row) {
        cell.gru_gates(row, gates + i * columns, h + i * n, spare + i * n);
      });
      if (splits_recurrence()) multiply_candidate(by, count, spare, recurrence, gates + 2 * n);
    }
    each_row([&](int64_t i, int64_t b, int64_t t, const T* row) {
      if (cell.kind == CellKind::rnn)
        cell.rnn(row, gates + i * columns, h + i * n);
      else if (cell.kind == CellKind::gru)
        cell.gru_state(row, gates + i * columns, h + i * n);
      else
        cell.lstm(row, gates + i * columns, peepholes, h + i * n, c + i * n, spare + i * n);
      if (T* y = f.out<T>(0)) std::copy_n(h + i * n, n, y + result_at(direction, b, t));
    });
  }
  clear_results(f, direction, rows);
  for (int64_t i = 0; i < count; ++i) {
    store_state(f, 1, direction, rows.begin + i, h + i * n);
    store_state(f, 2, direction, rows.begin + i, c + i * n);
  }
}

// The same with fused steps.
template <class T>
void RecurrentNetwork<T>::run_fused_block(
    const Caller& by, int64_t direction, Range rows,
    const T* recurrence) const requires std::is_same_v<T, float> {
  const Frame& f = by.frame;
  const int64_t n = sizes.hidden, count = rows.size();
  float* buffers = at(f, state_at_) + (direction * sizes.batch + rows.begin) * state_values();
  const int64_t stride = operand_stride();
  float* h = buffers;  // before and after a step, in turns
  float* reset = h + 2 * count * stride;
  float* memory = reset + count * stride;
  load_state(f, In::initial_h, direction, rows, h, stride);
  load_state(f, In::initial_c, direction, rows, memory, n);
  float* state[kMostBlockRows];
  for (int64_t i = 0; i < count; ++i) state[i] = h + i * stride;
  float* y = f.out<float>(0);

  // Of the rows whose sequence has not ended.
  const float *before[kMostBlockRows], *fresh[kMostBlockRows];
  float *next[kMostBlockRows], *kept[kMostBlockRows], *scaled[kMostBlockRows];
  float* result[kMostBlockRows];
  const auto run = [&](int cell, const kernels::RecurrentStep& step) {
    const auto part = [&](Range r) {
      fused.run(fused.cells[cell], step, static_cast<std::size_t>(r.begin),
                static_cast<std::size_t>(r.end));
    };
    if (by.shares && f.state().pool && f.state().pool->threads() > 1)
      f.parallel_for(step_split_, part);
    else
      run_alone(f, step_split_, step_cost_, part);
  };
  for (int64_t s = 0; s < sizes.steps && !f.cancelled() && !Interrupt::due(); ++s) {
    std::size_t active = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t b = rows.begin + i, steps = length(f, b);
      if (s >= steps) continue;
      const int64_t t = time(direction, steps, s);
      before[active] = state[i];
      fresh[active] = fresh_row(f, direction, b, t);
      state[i] = h + ((s + 1) % 2 * count + i) * stride;
      next[active] = state[i];
      kept[active] = memory + i * n;
      scaled[active] = reset + i * stride;
      if (y) result[active] = y + result_at(direction, b, t);
      ++active;
    }
    kernels::RecurrentStep step{.hidden = static_cast<std::size_t>(n),
                                .rows = active,
                                .weights = recurrence,
                                .state = before,
                                .fresh = fresh,
                                .inner_bias = inner_bias(f, direction),
                                .next = next,
                                .memory = kept,
                                .kept = before,
                                .descending = s % 2 != 0};
    if (step.inner_bias) step.inner_bias += 2 * n;
    if (fused.count == 1) {
      run(0, step);
    } else {
      step.next = scaled;
      run(0, step);
      step.weights += fused.floats(0, n);
      step.state = scaled;
      step.next = next;
      run(1, step);
    }
    for (std::size_t i = 0; y && i < active; ++i) std::copy_n(next[i], n, result[i]);
  }
  clear_results(f, direction, rows);
  for (int64_t i = 0; i < count; ++i) {
    store_state(f, 1, direction, rows.begin + i, state[i]);
    store_state(f, 2, direction, rows.begin + i, memory + i * n);
  }
}

template <class T>
void RecurrentNetwork<T>::multiply_candidate(const Caller& by, int64_t count, const T* reset,
                                             const T* recurrence, T* to) const {
  const T* weights = recurrence + 2 * sizes.hidden * sizes.hidden;
  if constexpr (std::is_same_v<T, float>)
    weights = recurrence + products_.floats(sizes.hidden, 2 * sizes.hidden);
  products_.multiply(by, count, sizes.hidden, sizes.hidden, reset, sizes.hidden, weights, nullptr,
                     to, sizes.columns());
}

template <class T>
int64_t RecurrentNetwork<T>::state_index(int64_t direction, int64_t b) const {
  return (by_batch ? b * sizes.directions + direction : direction * sizes.batch + b) * sizes.hidden;
}

template <class T>
int64_t RecurrentNetwork<T>::result_at(int64_t direction, int64_t b, int64_t t) const {
  return (by_batch ? (b * sizes.steps + t) * sizes.directions + direction
                   : (t * sizes.directions + direction) * sizes.batch + b) *
         sizes.hidden;
}

template <class T>
void RecurrentNetwork<T>::load_state(const Frame& f, int input, int64_t direction, Range rows,
                                     T* to, int64_t stride) const {
  const T* from = f.in<T>(input);
  for (int64_t b = rows.begin; b < rows.end; ++b, to += stride)
    if (from)
      std::copy_n(from + state_index(direction, b), sizes.hidden, to);
    else
      std::fill_n(to, sizes.hidden, T{});
}

template <class T>
void RecurrentNetwork<T>::store_state(const Frame& f, int output, int64_t direction, int64_t b,
                                      const T* from) const {
  if (T* to = f.out<T>(output)) std::copy_n(from, sizes.hidden, to + state_index(direction, b));
}

// Results past the end of a sequence are zeros.
template <class T>
void RecurrentNetwork<T>::clear_results(const Frame& f, int64_t direction, Range rows) const {
  for (int64_t b = rows.begin; f.wants_output(0) && b < rows.end; ++b)
    for (int64_t t = length(f, b); t < sizes.steps; ++t)
      std::fill_n(f.out<T>(0) + result_at(direction, b, t), sizes.hidden, T{});
}

template class RecurrentNetwork<float>;
template class RecurrentNetwork<double>;

}  // namespace sdx::ops
