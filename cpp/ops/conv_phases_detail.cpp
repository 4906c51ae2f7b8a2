#include <algorithm>

#include "base/checked.h"
#include "ops/conv_phases.h"

namespace sdx::ops {
namespace {

constexpr int64_t kMostPhases = 64;
// Fewer channels make products that are not deep enough, fewer outputs leave vectors empty.
constexpr int64_t kLeastChannels = 16;
// Longer sums would take too long in one piece.
constexpr int64_t kManyTerms = 1 << 20;
// Of the image, and of products, that one panel of weights passes over at a time.
constexpr int64_t kPieceFloats = 65536, kPieceTerms = 1 << 24;

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

}  // namespace

// The outputs of a phase, and how they are cut: rows of the output by stretches of the width.
struct PhasedConv::Piece {
  kernels::Window window;  // as if all outputs of the phase were its outputs
  int64_t first[3];        // outputs of the whole that the phase begins with
  int64_t rows, row_block, row_blocks, stretch, stretches;
  int64_t count() const { return row_blocks * stretches; }
};

AxisWindow PhasedConv::axis(std::size_t d) const {
  const std::size_t missing = 3 - sizes.axes.size();
  return d < missing ? AxisWindow{.input = 1, .output = 1, .taps = 1} : sizes.axes[d - missing];
}

int64_t PhasedConv::phases() const {
  int64_t count = 1;
  for (const AxisWindow& axis : sizes.axes) count = checked_mul(count, axis.stride);
  return count;
}

PhasedConv::Phase PhasedConv::phase(int64_t index) const {
  Phase result;
  for (std::size_t d = 3; d-- > 0;) {
    const AxisWindow axis = this->axis(d);
    result.shift[d] = index % axis.stride;
    result.taps[d] = (axis.taps - 1 - result.shift[d]) / axis.stride + 1;
    index /= axis.stride;
  }
  return result;
}

int64_t PhasedConv::phase_floats(const Phase& phase) const {
  return gemm_.packed_floats(checked_mul(sizes.group_channels(), phase.tap_count()),
                             sizes.group_outputs());
}

bool PhasedConv::pays() const {
  if (sizes.axes.size() > 3 || sizes.group_channels() < kLeastChannels) return false;
  const int64_t columns = static_cast<int64_t>(gemm_.tiling.columns), m = sizes.group_outputs();
  if (4 * m < 3 * columns * gemm_.panels(m)) return false;
  for (const AxisWindow& axis : sizes.axes)
    if (axis.dilation != 1 || axis.taps < axis.stride) return false;
  return phases() <= kMostPhases && checked_mul(sizes.group_channels(), sizes.taps) <= kManyTerms;
}

int64_t PhasedConv::packed_floats() const {
  int64_t floats = 0;
  for (int64_t p = 0; p < phases(); ++p) floats = checked_add(floats, phase_floats(phase(p)));
  return checked_mul(sizes.groups, floats);
}

void PhasedConv::pack(const float* weights, float* packed) const {
  const int64_t k = sizes.group_channels(), m = sizes.group_outputs();
  std::vector<float> turned;
  for (int64_t g = 0; g < sizes.groups; ++g)
    for (int64_t p = 0; p < phases(); ++p) {
      const Phase phase = this->phase(p);
      const int64_t taps = phase.tap_count();
      // [outputs][channels][taps], the last tap first.
      turned.resize(size(m * k * taps));
      for (int64_t t = 0; t < taps; ++t) {
        int64_t rest = t, from = 0, step = 1;
        for (std::size_t d = 3; d-- > 0; rest /= phase.taps[d]) {
          const AxisWindow axis = this->axis(d);
          from += (phase.shift[d] + rest % phase.taps[d] * axis.stride) * step;
          step *= axis.taps;
        }
        for (int64_t o = 0; o < m; ++o)
          for (int64_t c = 0; c < k; ++c)
            turned[size((o * k + c + 1) * taps - 1 - t)] =
                weights[((g * k + c) * m + o) * sizes.taps + from];
      }
      conv_pack_({size(k), size(m), size(taps), turned.data(), packed}, 0, size(gemm_.panels(m)));
      packed += phase_floats(phase);
    }
}

PhasedConv::Piece PhasedConv::piece(const Phase& phase, int64_t x_step) const {
  Piece piece;
  int64_t step = x_step;
  for (std::size_t d = 3; d-- > 0;) {
    // The operator's input is `output`, its output `input`: this is the transpose of a convolution.
    const AxisWindow axis = this->axis(d);
    const int64_t off = (phase.shift[d] - axis.pad_begin) % axis.stride;
    const int64_t first = off < 0 ? off + axis.stride : off;
    const int64_t outputs = first < axis.input ? (axis.input - 1 - first) / axis.stride + 1 : 0;
    // What the first output meets at its last tap, which is the first one here.
    const int64_t met = (first + axis.pad_begin - phase.shift[d]) / axis.stride;
    piece.first[d] = first;
    piece.window.axis[d] = {.input = size(axis.output),
                            .output = size(outputs),
                            .taps = size(phase.taps[d]),
                            .pad = phase.taps[d] - 1 - met,
                            .input_step = size(step)};
    step = checked_mul(step, axis.output);
  }
  const kernels::WindowAxis* axes = piece.window.axis;
  const auto width = static_cast<int64_t>(axes[2].output);
  const int64_t k = sizes.group_channels(), terms = k * phase.tap_count();
  piece.rows = static_cast<int64_t>(axes[0].output * axes[1].output);
  piece.stretch = std::clamp<int64_t>(std::min(kPieceFloats / k, kPieceTerms / terms), 1,
                                      std::max<int64_t>(width, 1));
  piece.stretches = (width + piece.stretch - 1) / piece.stretch;
  const int64_t row_floats = static_cast<int64_t>(axes[2].input) * k;
  const int64_t fitting = std::min(kPieceFloats / std::max<int64_t>(row_floats, 1),
                                   kPieceTerms / terms / std::max<int64_t>(width, 1));
  piece.row_block = piece.stretches > 1 ? 1 : std::max<int64_t>(fitting, 1);
  piece.row_blocks = (piece.rows + piece.row_block - 1) / piece.row_block;
  return piece;
}

void PhasedConv::run(const Frame& f, const float* x, int64_t x_step, const float* packed, float* y,
                     int64_t y_step, const kernels::Epilogue& epilogue) const {
  const int64_t k = sizes.group_channels(), m = sizes.group_outputs(), panels = gemm_.panels(m);
  const AxisWindow height = axis(1), width = axis(2);
  for (int64_t g = 0; g < sizes.groups; ++g)
    for (int64_t p = 0; p < phases() && !f.cancelled(); ++p) {
      const Phase phase = this->phase(p);
      const Piece piece = this->piece(phase, x_step);
      const kernels::WindowAxis* axes = piece.window.axis;
      const auto outputs = static_cast<int64_t>(axes[2].output);
      const auto downs = static_cast<int64_t>(axes[1].output);
      const double cost =
          gemm_cost(piece.row_block * piece.stretch, static_cast<int64_t>(gemm_.tiling.columns),
                    k * phase.tap_count());
      // Panels pass over a piece of the image while it is in cache.
      f.parallel_for(split_work(piece.count() * panels, cost), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t panel = i % panels, at = i / panels;
          const int64_t left = at % piece.stretches * piece.stretch;
          const int64_t right = std::min(left + piece.stretch, outputs);
          const int64_t top = at / piece.stretches * piece.row_block;
          for (int64_t row = top; row < std::min(top + piece.row_block, piece.rows); ++row) {
            const int64_t deep = row / downs, down = row % downs;
            const int64_t plane = piece.first[0] + deep * axis(0).stride;
            const int64_t line = piece.first[1] + down * height.stride;
            kernels::ConvArgs args{
                .window = piece.window,
                .channels = size(k),
                .outputs = size(m),
                .x = x + g * k,
                .packed = packed,
                .y = y + g * m +
                     ((plane * height.input + line) * width.input + piece.first[2]) * y_step,
                .y_step = size(width.stride * y_step),
                .epilogue = epilogue};
            args.window.axis[0].pad -= deep;
            args.window.axis[1].pad -= down;
            args.window.axis[0].output = args.window.axis[1].output = 1;
            if (args.epilogue.column_bias) args.epilogue.column_bias += g * m;
            conv_(args, {size(left), size(right), size(panel), size(panel + 1)});
          }
        }
      });
      packed += phase_floats(phase);
    }
}

}  // namespace sdx::ops
