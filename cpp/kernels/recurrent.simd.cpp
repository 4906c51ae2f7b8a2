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
// of. Where that is fewer than a tile has, its gates are taken in parts.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t tile_rows(RecurrentCell cell) { return cell == RecurrentCell::lstm ? 6 : 8; }
constexpr std::size_t part_gates(RecurrentCell cell) { return gate_count(cell); }
constexpr int kMostSums = 24;
constexpr bool kBlocks = false;
#else
constexpr std::size_t tile_rows(RecurrentCell cell) { return cell == RecurrentCell::gru ? 4 : 6; }
constexpr std::size_t part_gates(RecurrentCell cell) {
  return cell == RecurrentCell::lstm ? 2 : gate_count(cell);
}
constexpr int kMostSums = 12;
// Several tiles share stretches of a panel that the first-level cache holds.
constexpr bool kBlocks = true;
#endif
constexpr std::size_t kBlockFloats = 4096;
// Rows whose sums are in memory at once, where a panel is read in blocks.
constexpr std::size_t kGroupRows = 24;

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Depths whose sums are kept apart, so that enough additions are in flight.
constexpr int steps_in_flight(std::size_t sums) { return sums >= 8 ? 1 : sums >= 4 ? 2 : 4; }

// More rows than one leave time to ask for weights ahead; one row is as fast as they come.
constexpr std::size_t kPrefetchFloats = 1024, kLineFloats = 16;

// Units [at, at + count) of one row.
struct Units {
  std::size_t at, count;
};

// Depths of a panel, and what is brought into cache meanwhile: so many floats on for each depth.
struct Stretch {
  std::size_t begin = 0, end = 0;
  const float* weights = nullptr;  // at `begin`
  std::size_t part_floats = 0;     // from one part of the gates to the next
  const float* ahead = nullptr;
  std::size_t ahead_step = kLineFloats;
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

// What an LSTM remembers; its output gate is left in place of that gate's sum.
SDX_INLINE void remember_row(const RecurrentStep& step, std::size_t row, const Units& units,
                             VecF* sums) {
  const auto fresh = [&](std::size_t gate) __attribute__((always_inline)) {
    return read(units, step.fresh[row] + gate * step.hidden);
  };
  const VecF input = sigmoid(sums[0] + fresh(0));
  sums[1] = sigmoid(sums[1] + fresh(1));
  const VecF forget = sigmoid(sums[2] + fresh(2));
  const VecF candidate = tanh(sums[3] + fresh(3));
  write(units, step.memory[row], forget * read(units, step.memory[row]) + input * candidate);
}

SDX_INLINE void recall_row(const RecurrentStep& step, std::size_t row, const Units& units,
                           VecF output) {
  write(units, step.next[row], output * tanh(read(units, step.memory[row])));
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

// Rows whose sums lie `row_vectors` apart. Each row is a long chain of operations: those of an LSTM
// are taken in two turns, so that several rows are under way at once.
template <RecurrentCell kCell>
SDX_INLINE void finish_rows(const RecurrentStep& step, std::size_t first, std::size_t rows,
                            const Units& units, VecF* sums, std::size_t row_vectors) {
  if constexpr (kCell == RecurrentCell::lstm) {
    for (std::size_t i = 0; i < rows; ++i)
      remember_row(step, first + i, units, sums + i * row_vectors);
    for (std::size_t i = 0; i < rows; ++i)
      recall_row(step, first + i, units, sums[i * row_vectors + 1]);
  } else {
    for (std::size_t i = 0; i < rows; ++i)
      finish_row<kCell>(step, first + i, units, sums + i * row_vectors);
  }
}

// Products of kRows rows with kParts parts of kWidth vectors each. The depths of a step go to sums
// of their own.
template <int kRows, int kParts, int kWidth, int kSteps>
SDX_INLINE void sum_depths(const Stretch& stretch, const float* const (&rows)[kRows],
                           VecF (&totals)[kRows][kParts * kWidth]) {
  constexpr int kVectors = kParts * kWidth;
  constexpr int kVectorsOfLine = kLineFloats > kF32 ? static_cast<int>(kLineFloats / kF32) : 1;
  const float *weights = stretch.weights, *ahead = stretch.ahead;
  const std::size_t part_floats = stretch.part_floats, ahead_step = stretch.ahead_step;
  const auto weight = [&](int v) __attribute__((always_inline)) {
    return weights + v / kWidth * part_floats + v % kWidth * kF32;
  };
  VecF sums[kSteps][kRows][kVectors] = {};
  const auto add_depth = [&](VecF(&into)[kRows][kVectors], std::size_t d)
      __attribute__((always_inline)) {
    if constexpr (kRows > 1) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        if (v % kWidth % kVectorsOfLine == 0) __builtin_prefetch(weight(v) + kPrefetchFloats);
      __builtin_prefetch(ahead, 0, 2);
      ahead += ahead_step;
    }
    // The smaller set of operands is held in registers, the other one passes by.
    if constexpr (kRows < kVectors) {
      VecF h[kRows];
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) h[i] = splat(rows[i][d]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const VecF w = load(weight(v));
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) into[i][v] += h[i] * w;
      }
    } else {
      VecF w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) w[v] = load(weight(v));
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const VecF h = splat(rows[i][d]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) into[i][v] += h * w[v];
      }
    }
    weights += kWidth * kF32;
  };
  std::size_t d = stretch.begin;
  for (; d + kSteps <= stretch.end; d += kSteps) {
#pragma GCC unroll 4
    for (int s = 0; s < kSteps; ++s) add_depth(sums[s], d + s);
  }
  if constexpr (kSteps > 1)
    for (; d < stretch.end; ++d) add_depth(sums[0], d);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
      for (int s = 1; s < kSteps; ++s) sums[0][i][v] += sums[s][i][v];
      totals[i][v] = sums[0][i][v];
    }
}

// What the inputs add comes from far away; by the end of the product it is here.
template <RecurrentCell kCell>
SDX_INLINE void fetch_fresh(const RecurrentStep& step, std::size_t row, const Units& units) {
  for (std::size_t g = 0; g < gate_count(kCell); ++g)
    __builtin_prefetch(step.fresh[row] + (first_fresh_gate(kCell) + g) * step.hidden + units.at);
}

// Rows over a whole panel, whose sums stay in registers.
template <RecurrentCell kCell, int kRows>
void run_tile(const RecurrentStep& step, std::size_t first_row, const Units& units,
              const Stretch& panel) {
  constexpr int kGates = static_cast<int>(gate_count(kCell));
  constexpr int kWidth = static_cast<int>(part_gates(kCell));
  const float* rows[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) rows[i] = step.state[first_row + i];
  for (int i = 0; i < kRows; ++i) fetch_fresh<kCell>(step, first_row + i, units);
  VecF totals[kRows][kGates];
  sum_depths<kRows, kGates / kWidth, kWidth, steps_in_flight(kRows * kGates)>(panel, rows, totals);
  finish_rows<kCell>(step, first_row, kRows, units, totals[0], kGates);
}

using TileKernel = void(const RecurrentStep&, std::size_t, const Units&, const Stretch&);

template <RecurrentCell kCell>
TileKernel* tile_of(std::size_t rows) {
  constexpr std::size_t kWhole = kMostSums / gate_count(kCell);
  constexpr std::size_t kMost = kWhole < tile_rows(kCell) ? kWhole : tile_rows(kCell);
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

// Rows over one stretch, onto the sums of those before it, which lie `row_vectors` apart.
template <int kRows, int kParts, int kWidth, int kSteps>
void add_tile(const Stretch& stretch, const float* const* states, VecF* totals,
              std::size_t row_vectors) {
  const float* rows[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) rows[i] = states[i];
  VecF sums[kRows][kParts * kWidth];
  sum_depths<kRows, kParts, kWidth, kSteps>(stretch, rows, sums);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kParts * kWidth; ++v) {
      VecF& total = totals[i * row_vectors + v];
      total = stretch.begin > 0 ? total + sums[i][v] : sums[i][v];
    }
}

using AddKernel = void(const Stretch&, const float* const*, VecF*, std::size_t);

// Sums of panels of one gate alone are made in the same order as those of two.
template <int kParts, int kWidth>
constexpr AddKernel* kAddKernels[] = {
#define SDX_ADD_TILE(rows) \
  add_tile<rows, kParts, kWidth, kWidth == 1 ? 1 : steps_in_flight(rows* kWidth)>
    SDX_ADD_TILE(1), SDX_ADD_TILE(2), SDX_ADD_TILE(3),
    SDX_ADD_TILE(4), SDX_ADD_TILE(5), SDX_ADD_TILE(6),
#undef SDX_ADD_TILE
};

// All rows over one panel, or over kPanels of them side by side, in blocks.
template <RecurrentCell kCell, int kPanels>
void run_blocks(const RecurrentStep& step, std::size_t panel, const float* next) {
  constexpr std::size_t kGates = gate_count(kCell), kWidth = part_gates(kCell);
  constexpr std::size_t kRowVectors = kPanels * kGates;
  constexpr const auto& kTiles = kAddKernels<kPanels, static_cast<int>(kWidth)>;
  const std::size_t panel_floats = step.hidden * kGates * kF32;
  const std::size_t part_floats = step.hidden * kWidth * kF32;
  const float* weights = step.weights + panel * panel_floats;
  // The same for a panel alone as for two, whose sums must not differ.
  const std::size_t blocks = divide_up((kGates == 1 ? 2 : 1) * part_floats, kBlockFloats);
  const std::size_t groups = divide_up(step.rows, kGroupRows);
  VecF totals[kGroupRows * kRowVectors];
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t first = group * step.rows / groups;
    const std::size_t rows = (group + 1) * step.rows / groups - first;
    const std::size_t tiles = divide_up(rows, tile_rows(kCell));
    const auto units_of = [&](std::size_t p) {
      const std::size_t at = (panel + p) * kF32;
      return Units{at, step.hidden - at < kF32 ? step.hidden - at : kF32};
    };
    for (std::size_t p = 0; p < kPanels; ++p)
      for (std::size_t i = 0; i < rows; ++i) fetch_fresh<kCell>(step, first + i, units_of(p));
    // The tiles fetch equal shares of what comes next.
    Stretch stretch{.part_floats = panel_floats,
                    .ahead = next,
                    .ahead_step = group == 0 ? kPanels * kWidth * kF32 / tiles : 0};
    for (std::size_t part = 0; part < kGates / kWidth; ++part)
      for (std::size_t block = 0; block < blocks; ++block) {
        stretch.begin = block * step.hidden / blocks;
        stretch.end = (block + 1) * step.hidden / blocks;
        stretch.weights = weights + part * part_floats + stretch.begin * kWidth * kF32;
        for (std::size_t t = 0; t < tiles; ++t) {
          const std::size_t row = t * rows / tiles, count = (t + 1) * rows / tiles - row;
          kTiles[count - 1](stretch, step.state + first + row,
                            totals + row * kRowVectors + part * kWidth, kRowVectors);
          stretch.ahead += (stretch.end - stretch.begin) * stretch.ahead_step;
        }
      }
    for (std::size_t p = 0; p < kPanels; ++p)
      finish_rows<kCell>(step, first, rows, units_of(p), totals + p * kGates, kRowVectors);
  }
}

template <RecurrentCell kCell>
void run_panels(const RecurrentStep& step, std::size_t panel_begin, std::size_t panel_end) {
  constexpr std::size_t kGates = gate_count(kCell), kPanelColumns = kGates * kF32;
  constexpr std::size_t kLines = kPanelColumns > kLineFloats ? kPanelColumns / kLineFloats : 1;
  // A vector of weights beside those of another panel pays for reading the states.
  constexpr std::size_t kPanels = kGates == 1 ? 2 : 1;
  const std::size_t tiles = divide_up(step.rows, tile_rows(kCell));
  const std::size_t panel_floats = step.hidden * kPanelColumns;
  const bool blocks = kBlocks && (tiles > 1 || step.rows * kGates > kMostSums);
  for (std::size_t i = panel_begin; i < panel_end;) {
    const std::size_t count = blocks && i + kPanels <= panel_end ? kPanels : 1;
    const std::size_t panel = step.descending ? panel_end - count - (i - panel_begin) : i;
    const float* weights = step.weights + panel * panel_floats;
    i += count;
    // Tiles that share a panel fetch what they can of the next one, should it lie far away.
    const float* next = weights;
    if (i < panel_end)
      next = step.descending ? weights - count * panel_floats : weights + count * panel_floats;
    if constexpr (kBlocks)
      if (blocks) {
        if (count == kPanels)
          run_blocks<kCell, kPanels>(step, panel, next);
        else
          run_blocks<kCell, 1>(step, panel, next);
        continue;
      }
    const std::size_t at = panel * kF32;
    const Units units{at, step.hidden - at < kF32 ? step.hidden - at : kF32};
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t row = t * step.rows / tiles;
      tile_of<kCell>((t + 1) * step.rows / tiles - row)(
          step, row, units,
          {0, step.hidden, weights, step.hidden * part_gates(kCell) * kF32,
           next + t % kLines * kLineFloats * step.hidden});
    }
  }
}

}  // namespace

RecurrentLayout recurrent_layout(RecurrentCell cell, std::size_t hidden) {
  return {(hidden + kF32 - 1) / kF32, hidden * gate_count(cell) * kF32};
}

void recurrent_pack(RecurrentCell cell, std::size_t hidden, const float* weights, float* packed,
                    std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t gates = gate_count(cell), width = part_gates(cell) * kF32;
  packed += panel_begin * hidden * gates * kF32;
  const std::size_t end = panel_end * kF32 < hidden ? panel_end * kF32 : hidden;
  for (std::size_t at = panel_begin * kF32; at < end; at += kF32)
    for (std::size_t g = 0; g < gates; ++g) {
      const float* rows = weights + (g * hidden + at) * hidden;
      float* to = packed + (at - panel_begin * kF32) * hidden * gates +
                  g / part_gates(cell) * hidden * width + g % part_gates(cell) * kF32;
      const std::size_t count = hidden - at < kF32 ? hidden - at : kF32;
      std::size_t d = 0;
      if (count == kF32)
        for (; d + kF32 <= hidden; d += kF32)
          transpose_square(rows + d, hidden, to + d * width, width);
      for (; d < hidden; ++d)
        for (std::size_t i = 0; i < kF32; ++i)
          to[d * width + i] = i < count ? rows[i * hidden + d] : 0.0f;
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
