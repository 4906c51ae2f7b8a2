// How the weights of convolutions are packed, at load or in a run.
#include <algorithm>

#include "base/checked.h"
#include "kernels/conv_few.h"
#include "kernels/conv_narrow.h"
#include "kernels/transpose.h"
#include "ops/conv_step.h"
#include "ops/gemm_plan.h"

namespace sdx::ops {
namespace {

// A run that is over ends between pieces of so many floats.
constexpr int64_t kPieceFloats = 1 << 18;
constexpr double kNsOfFloat = 0.5;

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

struct Weights {
  const float* from;
  float* to;
};

// Some taps of channel j of all groups, for ConvMethod::depthwise.
void pack_taps(const ConvSizes& s, int64_t j, Weights w, Range taps) {
  const int64_t group = s.group_channels();
  const float* from = w.from + j * s.taps + taps.begin;
  float* to = w.to + (taps.begin * group + j) * s.outputs;
  kernels::transpose_32.resolve()(size(s.outputs), size(taps.size()),
                                  reinterpret_cast<const uint32_t*>(from), size(group * s.taps),
                                  reinterpret_cast<uint32_t*>(to), size(group * s.outputs));
}

// Some panels of a group, or a part of their depth, for ConvMethod::indirect.
void pack_panels(const GemmKernels& gemm, const ConvSizes& s, int64_t group, Weights w,
                 Range panels, Range depth) {
  const int64_t k = s.group_channels() * s.taps;
  kernels::conv_pack.resolve()({.channels = size(s.group_channels()),
                                .outputs = size(s.group_outputs()),
                                .taps = size(s.taps),
                                .weights = w.from + group * s.group_outputs() * k,
                                .packed = w.to + group * gemm.packed_floats(k, s.group_outputs()),
                                .depth_begin = size(depth.begin),
                                .depth_end = size(depth.end)},
                               size(panels.begin), size(panels.end));
}

}  // namespace

int64_t packed_conv_floats(ConvMethod method, const ConvSizes& s) {
  const GemmKernels gemm;
  if (method == ConvMethod::depthwise)
    return checked_mul(s.outputs, checked_mul(s.group_channels(), s.taps));
  if (method == ConvMethod::few)
    return checked_mul(s.outputs * s.taps,
                       static_cast<int64_t>(kernels::few_tap_step(size(s.channels))));
  if (method == ConvMethod::narrow)
    return checked_mul(static_cast<int64_t>(kernels::narrow_outputs(size(s.outputs))),
                       checked_mul(s.channels, s.taps));
  if (const std::size_t side = winograd_side(method))
    return checked_mul(static_cast<int64_t>(kernels::winograd_planes(side)),
                       gemm.packed_floats(s.channels, s.outputs));
  return checked_mul(s.groups, gemm.packed_floats(s.group_channels() * s.taps, s.group_outputs()));
}

void pack_conv(ConvMethod method, const ConvSizes& s, const float* weights, float* packed) {
  const GemmKernels gemm;
  const std::size_t panels = size(gemm.panels(s.group_outputs()));
  if (method == ConvMethod::depthwise) {
    for (int64_t j = 0; j < s.group_channels(); ++j)
      pack_taps(s, j, {weights, packed}, {0, s.taps});
    return;
  }
  if (method == ConvMethod::few) {
    const auto step = static_cast<int64_t>(kernels::few_tap_step(size(s.channels)));
    std::fill_n(packed, s.outputs * s.taps * step, 0.0f);
    for (int64_t i = 0; i < s.outputs; ++i)
      kernels::transpose_32.resolve()(
          size(s.channels), size(s.taps),
          reinterpret_cast<const uint32_t*>(weights + i * s.channels * s.taps), size(s.taps),
          reinterpret_cast<uint32_t*>(packed + i * s.taps * step), size(step));
    return;
  }
  if (method == ConvMethod::narrow) {
    const auto outputs = static_cast<int64_t>(kernels::narrow_outputs(size(s.outputs)));
    const int64_t depth = s.channels * s.taps;
    std::fill_n(packed, outputs * depth, 0.0f);
    for (int64_t i = 0; i < depth; ++i)
      for (int64_t o = 0; o < s.outputs; ++o) packed[i * outputs + o] = weights[o * depth + i];
    return;
  }
  if (const std::size_t side = winograd_side(method)) {
    kernels::winograd_pack.resolve()({side, size(s.channels), size(s.outputs), weights, packed}, 0,
                                     panels);
    return;
  }
  for (int64_t g = 0; g < s.groups; ++g)
    pack_panels(gemm, s, g, {weights, packed}, {0, gemm.panels(s.group_outputs())},
                {0, s.group_channels() * s.taps});
}

void pack_conv(const Frame& f, ConvMethod method, const ConvSizes& s, const float* weights,
               float* packed) {
  const GemmKernels gemm;
  const bool depthwise = method == ConvMethod::depthwise;
  const int64_t depth = depthwise ? s.taps : s.group_channels() * s.taps;
  const int64_t rows = depthwise ? s.group_channels() : s.groups * gemm.panels(s.group_outputs());
  const int64_t columns =
      depthwise ? s.outputs
                : std::min(s.group_outputs(), static_cast<int64_t>(gemm.tiling.columns));
  const int64_t pieces = checked_mul(columns, depth) / kPieceFloats + 1;
  const double cost =
      kNsOfFloat * static_cast<double>(columns) * static_cast<double>(depth) / pieces + 5;
  f.parallel_for(split_work(checked_mul(rows, pieces), cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t row = i / pieces, piece = i % pieces;
      const Range part{depth * piece / pieces, depth * (piece + 1) / pieces};
      if (depthwise) {
        pack_taps(s, row, {weights, packed}, part);
        continue;
      }
      const int64_t panels = gemm.panels(s.group_outputs()), panel = row % panels;
      pack_panels(gemm, s, row / panels, {weights, packed}, {panel, panel + 1}, part);
    }
  });
}

}  // namespace sdx::ops
