// What conv_planes needs to know of a window: tiles, phases, and the order of weights.
#include "kernels/conv_planes.h"

namespace sdx::kernels {
namespace {

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t kSparePlaces = 32;
constexpr std::size_t kFewestColumns = 64;  // of a tile that holds no whole row

bool fits(const WindowAxis& axis, bool transposed) {
  return axis.taps >= 1 && axis.taps <= kMostAxisTaps && axis.dilation <= kPlaneFrame &&
         axis.stride <= (transposed ? kMostCellPixels : kMostPlaneStride);
}

}  // namespace

PlaneAxis plane_axis(const WindowAxis& axis, bool transposed) noexcept {
  PlaneAxis result;
  result.taps = axis.taps;
  const auto stride = static_cast<std::ptrdiff_t>(axis.stride);
  std::ptrdiff_t low = 0, high = 0;
  std::ptrdiff_t places[kMostAxisTaps];
  for (std::size_t p = 0; p < axis.stride; ++p) {
    const std::ptrdiff_t pixel = (static_cast<std::ptrdiff_t>(p) - axis.pad) % stride;
    result.pixel[p] = transposed ? static_cast<std::size_t>(pixel < 0 ? pixel + stride : pixel) : 0;
  }
  for (std::size_t t = 0; t < axis.taps; ++t) {
    const std::size_t shift = t * axis.dilation;
    result.tap[t].phase = shift % axis.stride;
    const auto pixel = static_cast<std::ptrdiff_t>(result.pixel[result.tap[t].phase]);
    places[t] = transposed ? (pixel + axis.pad - static_cast<std::ptrdiff_t>(shift)) / stride
                           : static_cast<std::ptrdiff_t>(shift / axis.stride);
    if (t == 0 || places[t] < low) low = places[t];
    if (t == 0 || places[t] > high) high = places[t];
  }
  for (std::size_t t = 0; t < axis.taps; ++t)
    result.tap[t].place = static_cast<std::size_t>(places[t] - low);
  result.reach = static_cast<std::size_t>(high - low);
  result.x_size = transposed ? axis.output : axis.input;
  result.y_size = transposed ? axis.input : axis.output;
  result.x_phases = transposed ? 1 : axis.stride;
  result.y_phases = transposed ? axis.stride : 1;
  result.cells = (result.y_size + result.y_phases - 1) / result.y_phases;
  result.first = transposed ? low : low * stride - axis.pad;
  return result;
}

PlaneTile conv_planes_tile(const Window& window, bool transposed, std::size_t channels) noexcept {
  const WindowAxis* axis = window.axis;
  if (axis[0].taps != 1 || axis[0].input != 1 || axis[0].output != 1 || axis[0].pad != 0) return {};
  if (!fits(axis[1], transposed) || !fits(axis[2], transposed) || channels > kPlaneFrame ||
      axis[1].taps * axis[2].taps > kMostPlaneTaps)
    return {};
  const PlaneAxis down = plane_axis(axis[1], transposed), across = plane_axis(axis[2], transposed);
  const std::size_t each = channels * down.x_phases * across.x_phases;
  if (down.reach >= kPlaneFrame || across.reach >= kMostPlaneSums / 2 || each > kPlaneFrame)
    return {};
  // Places, some of them left for the lines that keep planes apart.
  const std::size_t room = kPlaneFrame / each, spare = room > 4 * kSparePlaces ? kSparePlaces : 0;
  const std::size_t row = (room - spare) / (down.reach + 1);
  if (row <= across.reach) return {};
  PlaneTile tile;
  tile.columns = smaller(across.cells, smaller(row, kMostPlaneSums) - across.reach);
  if (tile.columns < smaller(across.cells, kFewestColumns)) return {};
  const std::size_t places = tile.columns + across.reach;
  tile.rows =
      smaller(down.cells, smaller((room - spare) / places - down.reach, kMostPlaneSums / places));
  return tile;
}

void pack_planes(const PackPlanes& args, float* packed) noexcept {
  const PlaneAxis down = plane_axis(args.window.axis[1], args.transposed);
  const PlaneAxis across = plane_axis(args.window.axis[2], args.transposed);
  const bool cells = args.transposed;
  for (std::size_t o = 0; o < args.outputs; o += kPlaneBlock) {
    const std::size_t count = smaller(kPlaneBlock, args.outputs - o), block = plane_block(count);
    for (std::size_t phase = 0; phase < down.y_phases * across.y_phases; ++phase)
      for (std::size_t c = 0; c < args.channels; ++c)
        for (std::size_t h = 0; h < down.taps; ++h)
          for (std::size_t w = 0; w < across.taps; ++w) {
            if (cells && (down.tap[h].phase != phase / across.y_phases ||
                          across.tap[w].phase != phase % across.y_phases))
              continue;
            const float* from =
                args.weights + o * args.output_step + c * args.channel_step + h * across.taps + w;
            for (std::size_t i = 0; i < block; ++i)
              *packed++ = i < count ? from[i * args.output_step] : 0;
          }
  }
}

}  // namespace sdx::kernels
