// Recurrent steps: sums of all gates of a vector of units stay in registers through the cell.
#include "kernels/recurrent.h"

#include "kernels/simd/activation.h"
#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t gate_count(RecurrentCell cell) {
  switch (cell) {
    case RecurrentCell::lstm:
      return 4;
    case RecurrentCell::gru:
      return 3;
    case RecurrentCell::gru_gates:
      return 2;
    default:
      return 1;
  }
}

// The gates of the operator that finish a cell; a GRU's candidate comes after two others.
constexpr std::size_t first_fresh_gate(RecurrentCell cell) {
  return cell == RecurrentCell::gru_candidate ? 2 : 0;
}

// Most rows that go over a panel together, and sums that registers hold beside what they are made
// of. Where that is fewer than a tile has, its gates are taken in two parts.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t tile_rows(RecurrentCell cell) { return cell == RecurrentCell::lstm ? 6 : 8; }
constexpr int kMostSums = 24;
#else
constexpr std::size_t tile_rows(RecurrentCell cell) { return cell == RecurrentCell::gru ? 4 : 6; }
constexpr int kMostSums = 12;
#endif

// Tiles that rows are cut into: where few rows share them, gates taken in parts do not pay.
constexpr std::size_t tile_count(RecurrentCell cell, std::size_t rows) {
  const std::size_t whole = kMostSums / gate_count(cell);
  const std::size_t most =
      rows < 2 * tile_rows(cell) && whole < tile_rows(cell) ? whole : tile_rows(cell);
  return (rows + most - 1) / most;
}

// Depths whose sums are kept apart, so that enough additions are in flight.
constexpr int steps_in_flight(std::size_t sums) { return sums >= 8 ? 1 : sums >= 4 ? 2 : 4; }

// More rows than one leave time to ask for weights ahead; one row is as fast as they come.
constexpr std::size_t kPrefetchFloats = 1024, kLineFloats = 16;

// Units [at, at + count) of one row.
struct Units {
  std::size_t at, count;
};

struct Panel {
  const float* weights;
  const float* ahead;  // where a tile that has the time prefetches, a line for each depth
};

SDX_INLINE VecF read(const Units& units, const float* row) {
  if (units.count == kF32) return load(row + units.at);
  return load_head(row + units.at, units.count);
}

SDX_INLINE void write(const Units& units, float* row, VecF v) {
  if (units.count == kF32)
    store(row + units.at, v);
  else
    store_head(row + units.at, v, units.count);
}

template <RecurrentCell kCell>
SDX_INLINE void finish_row(const RecurrentStep& step, std::size_t row, const Units& units,
                           const VecF* sums) {
  const auto fresh = [&](std::size_t gate) __attribute__((always_inline)) {
    return read(units, step.fresh[row] + gate * step.hidden);
  };
  if constexpr (kCell == RecurrentCell::rnn_tanh) {
    write(units, step.next[row], tanh(sums[0] + fresh(0)));
  } else if constexpr (kCell == RecurrentCell::rnn_relu) {
    write(units, step.next[row], relu(sums[0] + fresh(0)));
  } else if constexpr (kCell == RecurrentCell::lstm) {
    const VecF input = sigmoid(sums[0] + fresh(0));
    const VecF output = sigmoid(sums[1] + fresh(1));
    const VecF forget = sigmoid(sums[2] + fresh(2));
    const VecF candidate = tanh(sums[3] + fresh(3));
    const VecF c = forget * read(units, step.memory[row]) + input * candidate;
    write(units, step.memory[row], c);
    write(units, step.next[row], output * tanh(c));
  } else if constexpr (kCell == RecurrentCell::gru) {
    const VecF update = sigmoid(sums[0] + fresh(0));
    const VecF reset = sigmoid(sums[1] + fresh(1));
    const VecF product = step.inner_bias ? sums[2] + read(units, step.inner_bias) : sums[2];
    const VecF candidate = tanh(reset * product + fresh(2));
    write(units, step.next[row], candidate + update * (read(units, step.state[row]) - candidate));
  } else if constexpr (kCell == RecurrentCell::gru_gates) {
    write(units, step.memory[row], sigmoid(sums[0] + fresh(0)));
    const VecF reset = sigmoid(sums[1] + fresh(1));
    write(units, step.next[row], reset * read(units, step.state[row]));
  } else {
    const VecF candidate = tanh(sums[0] + fresh(2));
    const VecF update = read(units, step.memory[row]);
    write(units, step.next[row], candidate + update * (read(units, step.kept[row]) - candidate));
  }
}

// Adds up gates [kBegin, kEnd) of kRows rows.
template <int kRows, int kGates, int kBegin, int kEnd>
SDX_INLINE void sum_gates(std::size_t hidden, const float* const (&rows)[kRows], const Panel& panel,
                          VecF (&totals)[kRows][kGates]) {
  constexpr int kWidth = kEnd - kBegin;
  constexpr int kSteps = steps_in_flight(kWidth * kRows);
  constexpr int kGatesOfLine = kLineFloats > kF32 ? static_cast<int>(kLineFloats / kF32) : 1;
  const float *weights = panel.weights + kBegin * kF32, *ahead = panel.ahead;
  VecF sums[kSteps][kRows][kWidth] = {};
  const auto add_depth = [&](VecF(&into)[kRows][kWidth], std::size_t d)
      __attribute__((always_inline)) {
    if constexpr (kRows > 1) {
#pragma GCC unroll 4
      for (int g = 0; g < kWidth; g += kGatesOfLine)
        __builtin_prefetch(weights + kPrefetchFloats + g * kF32);
      if (kBegin == 0) __builtin_prefetch(ahead, 0, 2);
      ahead += kLineFloats;
    }
    // The smaller set of operands is held in registers, the other one passes by.
    if constexpr (kRows < kWidth) {
      VecF h[kRows];
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) h[i] = splat(rows[i][d]);
#pragma GCC unroll 4
      for (int g = 0; g < kWidth; ++g) {
        const VecF w = load(weights + g * kF32);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) into[i][g] += h[i] * w;
      }
    } else {
      VecF w[kWidth];
#pragma GCC unroll 4
      for (int g = 0; g < kWidth; ++g) w[g] = load(weights + g * kF32);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const VecF h = splat(rows[i][d]);
#pragma GCC unroll 4
        for (int g = 0; g < kWidth; ++g) into[i][g] += h * w[g];
      }
    }
    weights += kGates * kF32;
  };
  std::size_t d = 0;
  for (; d + kSteps <= hidden; d += kSteps) {
#pragma GCC unroll 4
    for (int s = 0; s < kSteps; ++s) add_depth(sums[s], d + s);
  }
  if constexpr (kSteps > 1)
    for (; d < hidden; ++d) add_depth(sums[0], d);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int g = 0; g < kWidth; ++g) {
#pragma GCC unroll 4
      for (int s = 1; s < kSteps; ++s) sums[0][i][g] += sums[s][i][g];
      totals[i][kBegin + g] = sums[0][i][g];
    }
}

template <RecurrentCell kCell, int kRows>
void run_tile(const RecurrentStep& step, std::size_t first_row, const Units& units,
              const Panel& panel) {
  constexpr int kGates = static_cast<int>(gate_count(kCell));
  const float* rows[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) rows[i] = step.state[first_row + i];
  // What the inputs add comes from far away; by the end of the product it is here.
  for (int i = 0; i < kRows; ++i)
    for (std::size_t g = 0; g < gate_count(kCell); ++g)
      __builtin_prefetch(step.fresh[first_row + i] + (first_fresh_gate(kCell) + g) * step.hidden +
                         units.at);
  VecF totals[kRows][kGates];
  if constexpr (kRows * kGates <= kMostSums) {
    sum_gates<kRows, kGates, 0, kGates>(step.hidden, rows, panel, totals);
  } else {
    sum_gates<kRows, kGates, 0, 2>(step.hidden, rows, panel, totals);
    sum_gates<kRows, kGates, 2, kGates>(step.hidden, rows, panel, totals);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) finish_row<kCell>(step, first_row + i, units, totals[i]);
}

using TileKernel = void(const RecurrentStep&, std::size_t, const Units&, const Panel&);

template <RecurrentCell kCell>
TileKernel* tile_of(std::size_t rows) {
  constexpr std::size_t kMost = tile_rows(kCell);
#define SDX_RECURRENT_TILE(n) \
  if constexpr (n <= kMost)   \
    if (rows == n) return run_tile<kCell, n>;
  SDX_RECURRENT_TILE(1)
  SDX_RECURRENT_TILE(2)
  SDX_RECURRENT_TILE(3)
  SDX_RECURRENT_TILE(4)
  SDX_RECURRENT_TILE(5)
  SDX_RECURRENT_TILE(6)
  SDX_RECURRENT_TILE(7)
#undef SDX_RECURRENT_TILE
  return run_tile<kCell, static_cast<int>(kMost)>;
}

template <RecurrentCell kCell>
void run_panels(const RecurrentStep& step, std::size_t panel_begin, std::size_t panel_end) {
  constexpr std::size_t kPanelColumns = gate_count(kCell) * kF32;
  constexpr std::size_t kLines = kPanelColumns > kLineFloats ? kPanelColumns / kLineFloats : 1;
  const std::size_t tiles = tile_count(kCell, step.rows);
  for (std::size_t i = panel_begin; i < panel_end; ++i) {
    const std::size_t panel = step.descending ? panel_end - 1 - (i - panel_begin) : i;
    const std::size_t at = panel * kF32;
    const Units units{at, step.hidden - at < kF32 ? step.hidden - at : kF32};
    const std::size_t panel_floats = step.hidden * kPanelColumns;
    const float* weights = step.weights + panel * panel_floats;
    // Tiles that share a panel fetch what they can of the next one, should it lie far away.
    const float* next = weights;
    if (i + 1 < panel_end) next = step.descending ? weights - panel_floats : weights + panel_floats;
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t row = t * step.rows / tiles;
      tile_of<kCell>((t + 1) * step.rows / tiles - row)(
          step, row, units, {weights, next + t % kLines * kLineFloats * step.hidden});
    }
  }
}

}  // namespace

RecurrentLayout recurrent_layout(RecurrentCell cell, std::size_t hidden) {
  return {(hidden + kF32 - 1) / kF32, hidden * gate_count(cell) * kF32};
}

void recurrent_pack(RecurrentCell cell, std::size_t hidden, const float* weights, float* packed,
                    std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t gates = gate_count(cell), width = gates * kF32;
  packed += panel_begin * hidden * width;
  const std::size_t end = panel_end * kF32 < hidden ? panel_end * kF32 : hidden;
  for (std::size_t at = panel_begin * kF32; at < end; at += kF32, packed += hidden * width)
    for (std::size_t g = 0; g < gates; ++g) {
      const float* rows = weights + (g * hidden + at) * hidden;
      const std::size_t count = hidden - at < kF32 ? hidden - at : kF32;
      std::size_t d = 0;
      if (count == kF32)
        for (; d + kF32 <= hidden; d += kF32)
          transpose_square(rows + d, hidden, packed + d * width + g * kF32, width);
      for (; d < hidden; ++d)
        for (std::size_t i = 0; i < kF32; ++i)
          packed[d * width + g * kF32 + i] = i < count ? rows[i * hidden + d] : 0.0f;
    }
}

void recurrent_run(RecurrentCell cell, const RecurrentStep& step, std::size_t panel_begin,
                   std::size_t panel_end) {
  switch (cell) {
    case RecurrentCell::rnn_tanh:
      return run_panels<RecurrentCell::rnn_tanh>(step, panel_begin, panel_end);
    case RecurrentCell::rnn_relu:
      return run_panels<RecurrentCell::rnn_relu>(step, panel_begin, panel_end);
    case RecurrentCell::lstm:
      return run_panels<RecurrentCell::lstm>(step, panel_begin, panel_end);
    case RecurrentCell::gru:
      return run_panels<RecurrentCell::gru>(step, panel_begin, panel_end);
    case RecurrentCell::gru_gates:
      return run_panels<RecurrentCell::gru_gates>(step, panel_begin, panel_end);
    case RecurrentCell::gru_candidate:
      return run_panels<RecurrentCell::gru_candidate>(step, panel_begin, panel_end);
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(recurrent_layout, RecurrentLayoutQuery)
SDX_DEFINE_KERNEL(recurrent_pack, RecurrentPack)
SDX_DEFINE_KERNEL(recurrent_run, RecurrentRun)
}  // namespace sdx::kernels
