// Convolution of planes: rows of all channels are copied between zeros, by phases of the stride;
// every weight then meets vectors of neighbouring cells. A transposed convolution is one of stride
// 1 for each pixel of a cell, whose results are put in turns.
#include "kernels/conv_planes.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/transpose.h"
#include "kernels/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {

Transpose32 transpose_32;

namespace {

// Sums in registers: outputs times vectors of cells.
constexpr std::size_t kSums = kF32 >= 16 ? 24 : 12;
// Outputs of a block that are summed together.
constexpr std::size_t kTogether = kF32 >= 16 ? 8 : 4;
constexpr std::size_t kLineFloats = 16;
constexpr std::size_t kFewBlocks = 2;  // of outputs
// Of a frame: they stay in the first-level cache.
constexpr std::size_t kStretchFloats = 4096;
constexpr std::size_t kResultStep = kMostPlaneSums;  // from one row of results to the next

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Inputs of a call: planes of places, by channel and phase.
struct PlaneFrame {
  const float* at;         // place 0 of phase 0 of the first channel
  std::size_t pitch;       // floats from one row of places to the next
  std::size_t phase_step;  // from one phase to the next
  std::size_t channel_step;
};

// Sums of one block of outputs, with the taps of one pixel of a cell.
struct PlaneSums {
  std::size_t channels, channel_step;
  const std::size_t* offsets;  // of the taps, in a channel of the frame
  std::size_t taps;
  std::size_t block;  // outputs of packed weights
  const Epilogue* epilogue;
};

template <std::size_t kOutputs, std::size_t kVectors>
SDX_INLINE void sum_vectors(const PlaneSums& s, const float* x, const float* weights,
                            const float* bias, float* to, std::size_t to_step, std::size_t count) {
  VecF sums[kOutputs][kVectors];
#pragma GCC unroll 8
  for (std::size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) sums[o][v] = splat(bias[o]);
  for (std::size_t c = 0; c < s.channels; ++c, x += s.channel_step)
    for (std::size_t t = 0; t < s.taps; ++t, weights += s.block) {
      const float* from = x + s.offsets[t];
      VecF inputs[kVectors];
#pragma GCC unroll 16
      for (std::size_t v = 0; v < kVectors; ++v) inputs[v] = load(from + v * kF32);
#pragma GCC unroll 8
      for (std::size_t o = 0; o < kOutputs; ++o) {
        const VecF weight = splat(weights[o]);
#pragma GCC unroll 16
        for (std::size_t v = 0; v < kVectors; ++v) sums[o][v] += weight * inputs[v];
      }
    }
  if (is_simple(s.epilogue->activation)) {
#pragma GCC unroll 8
    for (std::size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 16
      for (std::size_t v = 0; v < kVectors; ++v)
        sums[o][v] = activate_simple(sums[o][v], *s.epilogue);
  }
#pragma GCC unroll 8
  for (std::size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) {
      float* p = to + o * to_step + v * kF32;
      // Only the last vector may have lanes past the end.
      if (v + 1 < kVectors || count >= kVectors * kF32)
        store(p, sums[o][v]);
      else
        store_head(p, sums[o][v], smaller(kF32, count - v * kF32));
    }
}

// `count` cells from x on; reads up to a vector of places past the last.
template <std::size_t kOutputs>
void sum_run(const PlaneSums& s, const float* x, const float* weights, const float* bias, float* to,
             std::size_t to_step, std::size_t count) {
  constexpr std::size_t kMost = kSums / kOutputs < 8 ? kSums / kOutputs : 8;
  std::size_t at = 0;
  for (; at + (kMost - 1) * kF32 < count; at += kMost * kF32)
    sum_vectors<kOutputs, kMost>(s, x + at, weights, bias, to + at, to_step, count - at);
  if constexpr (kMost > 4)
    for (; at + 3 * kF32 < count; at += 4 * kF32)
      sum_vectors<kOutputs, 4>(s, x + at, weights, bias, to + at, to_step, count - at);
  if constexpr (kMost > 2)
    for (; at + kF32 < count; at += 2 * kF32)
      sum_vectors<kOutputs, 2>(s, x + at, weights, bias, to + at, to_step, count - at);
  for (; at < count; at += kF32)
    sum_vectors<kOutputs, 1>(s, x + at, weights, bias, to + at, to_step, count - at);
}

void sum_block(const PlaneSums& s, const float* x, const float* weights, const float* bias,
               float* to, std::size_t to_step, std::size_t count) {
  switch (s.block) {
    case 1:
      return sum_run<1>(s, x, weights, bias, to, to_step, count);
    case 2:
      return sum_run<2>(s, x, weights, bias, to, to_step, count);
    case 4:
      return sum_run<4>(s, x, weights, bias, to, to_step, count);
    case 6:
      return sum_run<6>(s, x, weights, bias, to, to_step, count);
    default:
      for (std::size_t o = 0; o < kPlaneBlock; o += kTogether)
        sum_run<kTogether>(s, x, weights + o, bias + o, to + o * to_step, to_step, count);
  }
}

SDX_INLINE void fill_zeros(float* p, std::size_t n) {
  for_each_vector(
      n, [&](std::size_t i, auto lanes)
             __attribute__((always_inline)) { lanes.store_to(p + i, VecF{}, lanes); });
}

SDX_INLINE void copy_floats(const float* from, float* to, std::size_t n) {
  for_each_vector(
      n, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
        lanes.store_to(to + i, lanes.load_from(from + i, lanes), lanes);
      });
}

// Copies a row of the image into `count` places of each phase, from pixel `first` on, with zeros
// where it is padding.
void fill_places(const float* row, const PlaneAxis& across, std::ptrdiff_t first, float* to,
                 std::size_t phase_step, std::size_t count) {
  const auto phases = static_cast<std::ptrdiff_t>(across.x_phases);
  const auto size = static_cast<std::ptrdiff_t>(across.x_size);
  const auto places = static_cast<std::ptrdiff_t>(count);
  // Places [begin, end) of all phases are inside.
  std::ptrdiff_t begin = first < 0 ? (phases - 1 - first) / phases : 0;
  std::ptrdiff_t end = size > first ? (size - first) / phases : 0;
  if (begin > places) begin = places;
  if (end > places) end = places;
  if (end < begin) end = begin;
  const auto fill = [&](std::ptrdiff_t low, std::ptrdiff_t high) {
    for (std::ptrdiff_t p = 0; p < phases; ++p)
      for (std::ptrdiff_t i = low; i < high; ++i) {
        const std::ptrdiff_t at = first + i * phases + p;
        to[static_cast<std::size_t>(p) * phase_step + static_cast<std::size_t>(i)] =
            at >= 0 && at < size ? row[at] : 0;
      }
  };
  fill(0, begin);
  fill(end, places);
  if (begin == end) return;
  const float* from = row + first + begin * phases;
  if (phases == 1)
    copy_floats(from, to + begin, static_cast<std::size_t>(end - begin));
  else
    transpose_32(static_cast<std::size_t>(end - begin), across.x_phases,
                 reinterpret_cast<const uint32_t*>(from), across.x_phases,
                 reinterpret_cast<uint32_t*>(to + begin), phase_step);
}

// Where all places of a call are pixels, the frame is the image itself; else `room` is filled.
PlaneFrame make_frame(const ConvPlanesArgs& args, const PlaneAxis& down, const PlaneAxis& across,
                      const PlaneCells& cells, bool by_rows, float* room) {
  const std::size_t rows = cells.row_end - cells.row_begin + down.reach;
  const std::size_t columns = cells.column_end - cells.column_begin + across.reach;
  const std::size_t plane = down.x_size * across.x_size;
  const std::ptrdiff_t top =
      static_cast<std::ptrdiff_t>(cells.row_begin * down.x_phases) + down.first;
  const std::ptrdiff_t left =
      static_cast<std::ptrdiff_t>(cells.column_begin * across.x_phases) + across.first;
  PlaneFrame frame;
  // Planes of an image may share few sets of the cache, which many outputs would suffer from.
  if (down.x_phases * across.x_phases == 1 && top >= 0 && left >= 0 &&
      args.outputs <= kFewBlocks * kPlaneBlock) {
    const std::size_t start =
        static_cast<std::size_t>(top) * across.x_size + static_cast<std::size_t>(left);
    const bool inside = static_cast<std::size_t>(left) + columns <= across.x_size &&
                        start + (rows - 1) * across.x_size + columns + kF32 <= plane;
    if (inside && (by_rows || columns == across.x_size)) {
      frame.at = args.x + start;
      frame.pitch = across.x_size;
      frame.phase_step = 0;
      frame.channel_step = plane;
      return frame;
    }
  }
  frame.at = room;
  frame.pitch = columns;
  frame.phase_step = rows * columns;
  frame.channel_step = frame.phase_step * down.x_phases * across.x_phases;
  // Whole lines of the cache, an odd number of them, where there is room.
  const std::size_t lines = (frame.channel_step + kLineFloats - 1) / kLineFloats | 1;
  if (lines * kLineFloats * args.channels <= kPlaneFrame) frame.channel_step = lines * kLineFloats;
  for (std::size_t c = 0; c < args.channels; ++c)
    for (std::size_t phase = 0; phase < down.x_phases; ++phase) {
      float* to = room + c * frame.channel_step + phase * across.x_phases * frame.phase_step;
      for (std::size_t i = 0; i < rows; ++i, to += columns) {
        const std::ptrdiff_t row = top + static_cast<std::ptrdiff_t>(i * down.x_phases + phase);
        if (row >= 0 && row < static_cast<std::ptrdiff_t>(down.x_size)) {
          fill_places(args.x + c * plane + static_cast<std::size_t>(row) * across.x_size, across,
                      left, to, frame.phase_step, columns);
          continue;
        }
        for (std::size_t p = 0; p < across.x_phases; ++p)
          fill_zeros(to + p * frame.phase_step, columns);
      }
    }
  fill_zeros(room + args.channels * frame.channel_step, kF32);
  return frame;
}

// Offsets of the taps that fall on one pixel of a cell.
template <bool kTransposed>
std::size_t list_taps(const PlaneAxis& down, const PlaneAxis& across, const PlaneFrame& frame,
                      std::size_t row_phase, std::size_t column_phase, std::size_t* offsets) {
  std::size_t count = 0;
  for (std::size_t h = 0; h < down.taps; ++h)
    for (std::size_t w = 0; w < across.taps; ++w) {
      const PlaneAxis::Tap &a = down.tap[h], &b = across.tap[w];
      if (kTransposed && (a.phase != row_phase || b.phase != column_phase)) continue;
      const std::size_t phase = kTransposed ? 0 : a.phase * across.x_phases + b.phase;
      offsets[count++] = phase * frame.phase_step + a.place * frame.pitch + b.place;
    }
  return count;
}

// Floats of a and b in turns: `count` of either. Reads up to a vector past the last.
SDX_INLINE void store_pairs(const float* a, const float* b, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; i += kF32, to += 2 * kF32) {
    const VecF x = load(a + i), y = load(b + i);
    const VecF low = AllLanes::zip<false>(x, y), high = AllLanes::zip<true>(x, y);
    const std::size_t left = 2 * (count - i);
    if (left >= 2 * kF32) {
      store(to, low);
      store(to + kF32, high);
    } else if (left > kF32) {
      store(to, low);
      store_head(to + kF32, high, left - kF32);
    } else {
      store_head(to, low, left);
    }
  }
}

// Puts the pixels of a row of cells in turns: `count` of them from `to` on.
void store_cells(const float* results, std::size_t phases, float* to, std::size_t count) {
  if (phases == 1) return copy_floats(results, to, count);
  const std::size_t whole = count / phases;
  if (phases == 2)
    store_pairs(results, results + kResultStep, to, whole);
  else
    transpose_32(phases, whole, reinterpret_cast<const uint32_t*>(results), kResultStep,
                 reinterpret_cast<uint32_t*>(to), phases);
  for (std::size_t i = whole * phases; i < count; ++i)
    to[i] = results[i % phases * kResultStep + whole];
}

// Whether vectors of single rows fill registers and waste few lanes; else they run on from row to
// row.
SDX_INLINE bool fills_rows(std::size_t columns) {
  return columns > 2 * kF32 && 7 * ((columns + kF32 - 1) / kF32 * kF32) <= 8 * columns;
}

// Outputs of blocks that count no others.
SDX_INLINE std::size_t whole_blocks(std::size_t outputs) {
  const std::size_t last = outputs % kPlaneBlock;
  return plane_block(last) == last ? outputs : outputs - last;
}

// The first `outputs` of a row of cells, whole blocks: a stretch of the row, of which each column
// is `each` floats of the frame, stays in the first-level cache while all blocks meet it.
void sum_stretches(const ConvPlanesArgs& args, PlaneSums& sums, std::size_t outputs, const float* x,
                   std::size_t each, float* y, std::size_t plane, std::size_t columns) {
  constexpr std::size_t kStep = kSums / kTogether * kF32;
  const std::size_t steps = kStretchFloats / (each * kStep);
  const std::size_t stretch = outputs <= kPlaneBlock ? columns : kStep * (steps ? steps : 1);
  for (std::size_t at = 0; at < columns; at += stretch) {
    const float* weights = args.packed;
    for (std::size_t o = 0; o < outputs; o += kPlaneBlock) {
      sums.block = smaller(kPlaneBlock, outputs - o);
      float bias[kPlaneBlock] = {};
      for (std::size_t i = 0; i < sums.block && args.epilogue.column_bias; ++i)
        bias[i] = args.epilogue.column_bias[o + i];
      sum_block(sums, x + at, weights, bias, y + o * plane + at, plane,
                smaller(stretch, columns - at));
      weights += sums.block * args.channels * sums.taps;
    }
  }
}

template <bool kTransposed>
SDX_INLINE void convolve(const ConvPlanesArgs& args, const PlaneCells& cells) {
  const PlaneAxis down = plane_axis(args.window.axis[1], kTransposed);
  const PlaneAxis across = plane_axis(args.window.axis[2], kTransposed);
  const std::size_t rows = cells.row_end - cells.row_begin;
  const std::size_t columns = cells.column_end - cells.column_begin;
  if (rows * columns == 0) return;
  const std::size_t plane = down.y_size * across.y_size;
  const bool by_rows = !kTransposed && (rows == 1 || fills_rows(columns));
  alignas(kVecBytes) float room[kPlaneFrame + kF32];
  alignas(kVecBytes) float results[kPlaneBlock * kMostCellPixels * kResultStep + kF32];
  const PlaneFrame frame = make_frame(args, down, across, cells, by_rows, room);
  Epilogue rest = args.epilogue;
  rest.column_bias = nullptr;
  PlaneSums sums;
  sums.channels = args.channels;
  sums.channel_step = frame.channel_step;
  sums.epilogue = &rest;
  std::size_t offsets[kMostPlaneTaps];
  sums.offsets = offsets;
  const float* weights = args.packed;
  // Pixels of y along the width, from the first cell on.
  const std::size_t first_pixel = cells.column_begin * across.y_phases;
  const std::size_t pixels =
      smaller(cells.column_end * across.y_phases, across.y_size) - first_pixel;
  if (!kTransposed) sums.taps = list_taps<false>(down, across, frame, 0, 0, offsets);
  std::size_t o = 0;
  if (!kTransposed && by_rows) {
    o = whole_blocks(args.outputs);
    const std::size_t each = (down.reach + 1) * down.x_phases * across.x_phases * args.channels;
    for (std::size_t r = 0; r < rows; ++r) {
      float* y = args.y + (cells.row_begin + r) * across.y_size + first_pixel;
      sum_stretches(args, sums, o, frame.at + r * frame.pitch, each, y, plane, columns);
      finish_rows(rest, 0, o, y, plane, columns);
    }
    weights += o * args.channels * sums.taps;
  }
  for (; o < args.outputs; o += kPlaneBlock) {
    const std::size_t outputs = smaller(kPlaneBlock, args.outputs - o);
    sums.block = plane_block(outputs);
    float bias[kPlaneBlock] = {};
    for (std::size_t i = 0; i < outputs && args.epilogue.column_bias; ++i)
      bias[i] = args.epilogue.column_bias[o + i];
    for (std::size_t i = 0; i < down.y_phases; ++i) {
      for (std::size_t j = 0; j < across.y_phases; ++j) {
        if (kTransposed) sums.taps = list_taps<true>(down, across, frame, i, j, offsets);
        sum_block(sums, frame.at, weights, bias, results + across.pixel[j] * kResultStep,
                  across.y_phases * kResultStep, (rows - 1) * frame.pitch + columns);
        weights += sums.block * args.channels * sums.taps;
      }
      for (std::size_t r = 0; r < rows; ++r) {
        const std::size_t row = (cells.row_begin + r) * down.y_phases + down.pixel[i];
        if (row >= down.y_size) break;
        float* y = args.y + o * plane + row * across.y_size + first_pixel;
        for (std::size_t k = 0; k < outputs; ++k)
          store_cells(results + k * across.y_phases * kResultStep + r * frame.pitch,
                      across.y_phases, y + k * plane, pixels);
        finish_rows(rest, 0, outputs, y, plane, pixels);
      }
    }
  }
}

}  // namespace

void conv_planes(const ConvPlanesArgs& args, const PlaneCells& cells) {
  convolve<false>(args, cells);
}

void conv_transpose_planes(const ConvPlanesArgs& args, const PlaneCells& cells) {
  convolve<true>(args, cells);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_planes, ConvPlanes)
SDX_DEFINE_KERNEL(conv_transpose_planes, ConvPlanes)
}  // namespace sdx::kernels
