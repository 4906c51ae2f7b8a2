// Window geometry: reading, checking, resolving.
#include <algorithm>

#include "base/checked.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

// Sizes beyond this cannot come from a real model, and products of two of them do not overflow.
constexpr int64_t kMostExtent = int64_t{1} << 31;

void check_list(const std::vector<int64_t>& list, const char* name, std::size_t count,
                int64_t least) {
  if (list.empty()) return;
  check(list.size() == count, name, " has ", list.size(), " entries, expected ", count);
  for (const int64_t value : list)
    check(value >= least && value < kMostExtent, name, " holds ", value);
}

}  // namespace

WindowAttributes::WindowAttributes(const Attributes& attrs)
    : ceil_mode(attrs.get("ceil_mode", 0) != 0),
      kernel_shape(attrs.ints("kernel_shape")),
      strides(attrs.ints("strides")),
      dilations(attrs.ints("dilations")),
      pads(attrs.ints("pads")) {
  const std::string mode = attrs.get("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER")
    auto_pad = AutoPad::same_upper;
  else if (mode == "SAME_LOWER")
    auto_pad = AutoPad::same_lower;
  else if (mode == "VALID")
    auto_pad = AutoPad::valid;
  else
    check(mode == "NOTSET" || mode.empty(), "auto_pad is '", mode, "'");
  if (auto_pad == AutoPad::notset) return;
  pads.clear();
  ceil_mode = false;
}

void WindowAttributes::check_axes(int64_t axes) const {
  check(axes >= 1, "expected at least one spatial axis");
  const auto count = static_cast<std::size_t>(axes);
  check_list(kernel_shape, "kernel_shape", count, 1);
  check_list(strides, "strides", count, 1);
  check_list(dilations, "dilations", count, 1);
  check_list(pads, "pads", 2 * count, 0);
}

int64_t WindowAttributes::extent(std::size_t axis, int64_t taps) const {
  check(taps >= 1, "a window of ", taps, " along axis ", axis);
  return checked_add(checked_mul(taps - 1, dilation(axis)), 1);
}

Dims WindowAttributes::taps(std::size_t axes, const Dims* weights) const {
  Dims result(axes, Dim::unknown());
  if (weights) {
    check(weights->size() == axes + 2, "weights ", *weights, " for an input of rank ", axes + 2);
    std::copy(weights->begin() + 2, weights->end(), result.begin());
  }
  for (std::size_t i = 0; i < axes && !kernel_shape.empty(); ++i) {
    const Dim given(kernel_shape[i]);
    check(!result[i].is_known() || result[i] == given, "kernel_shape is ", given, " along axis ", i,
          ", but the weights have ", result[i]);
    result[i] = given;
  }
  return result;
}

Dim WindowAttributes::output(std::size_t axis, const Dim& input, const Dim& taps) const {
  const int64_t step = stride(axis);
  if (auto_pad == AutoPad::same_upper || auto_pad == AutoPad::same_lower)
    return ceil_div(input, Dim(step));
  if (!taps.is_known() || input.is_unknown()) return Dim::unknown();
  if (input.is_known()) return resolve_axis(*this, axis, input.value(), taps.value()).output;
  const Dim room = input + Dim(pad_begin(axis) + pad_end(axis) - extent(axis, taps.value()));
  if (!ceil_mode) return floor_div(room, Dim(step)) + Dim(1);
  // No window may begin in the padding at the end.
  return min(ceil_div(room, Dim(step)), floor_div(input + Dim(pad_begin(axis) - 1), Dim(step))) +
         Dim(1);
}

AxisWindow resolve_axis(const WindowAttributes& attrs, std::size_t axis, int64_t input,
                        int64_t taps) {
  AxisWindow result{.input = input,
                    .output = 0,
                    .taps = taps,
                    .stride = attrs.stride(axis),
                    .dilation = attrs.dilation(axis),
                    .pad_begin = attrs.pad_begin(axis),
                    .pad_end = attrs.pad_end(axis)};
  const int64_t extent = attrs.extent(axis, taps);
  const int64_t step = result.stride;
  if (attrs.auto_pad == AutoPad::same_upper || attrs.auto_pad == AutoPad::same_lower) {
    result.output = checked_add(input, step - 1) / step;
    const int64_t padding =
        std::max<int64_t>(checked_add((result.output - 1) * step, extent) - input, 0);
    result.pad_begin = attrs.auto_pad == AutoPad::same_upper ? padding / 2 : padding - padding / 2;
    result.pad_end = padding - result.pad_begin;
    return result;
  }
  const int64_t room = checked_add(input, result.pad_begin + result.pad_end) - extent;
  check(room >= -step, "a window that spans ", extent, " does not fit an input of ", input,
        " padded by ", result.pad_begin, " and ", result.pad_end);
  if (room < 0) {
    // Rounded up, a window that is larger than all there is still counts once.
    result.output = attrs.ceil_mode && room > -step && input + result.pad_begin > 0;
    return result;
  }
  result.output = room / step + 1;
  if (attrs.ceil_mode && room % step != 0 && result.output * step < input + result.pad_begin)
    ++result.output;
  return result;
}

kernels::Window kernel_window(const std::vector<AxisWindow>& axes, int64_t pixel_step) {
  if (axes.size() > 3)
    fail(ErrorKind::unsupported, axes.size(), " spatial axes; at most 3 are supported");
  kernels::Window window;
  int64_t step = pixel_step;
  for (std::size_t i = axes.size(); i-- > 0;) {
    const AxisWindow& from = axes[i];
    kernels::WindowAxis& to = window.axis[3 - axes.size() + i];
    to.input = static_cast<std::size_t>(from.input);
    to.output = static_cast<std::size_t>(from.output);
    to.taps = static_cast<std::size_t>(from.taps);
    to.stride = static_cast<std::size_t>(from.stride);
    to.dilation = static_cast<std::size_t>(from.dilation);
    to.pad = static_cast<std::ptrdiff_t>(from.pad_begin);
    to.input_step = static_cast<std::size_t>(step);
    step = checked_mul(step, from.input);
    checked_add(checked_mul(from.output, from.stride), checked_mul(from.taps, from.dilation));
  }
  return window;
}

double window_flops(const Shape& weights, int64_t count) {
  const auto slices = static_cast<double>(std::max<int64_t>(1, weights[0]));
  return 2 * static_cast<double>(element_count(weights)) / slices * static_cast<double>(count);
}

bool is_channels_last(const Attributes& attrs) {
  const std::string layout = attrs.get("layout", "NCHW");
  check(layout == "NCHW" || layout == "NHWC", "layout is '", layout, "'");
  return layout == "NHWC";
}

}  // namespace sdx::ops
