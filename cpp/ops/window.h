// The sliding windows of convolutions and pools: attributes, padding, output sizes.
#pragma once

#include <string_view>
#include <vector>

#include "ir/attributes.h"
#include "ir/op.h"
#include "kernels/window.h"

namespace sdx::ops {

enum class AutoPad { notset, same_upper, same_lower, valid };

// Window attributes as the node gives them; those left out have defaults by the number of axes.
struct WindowAttributes {
  explicit WindowAttributes(const Attributes& attrs);

  // Throws where a list does not fit `axes` spatial axes or holds an impossible number.
  void check_axes(int64_t axes) const;

  AutoPad auto_pad = AutoPad::notset;
  bool ceil_mode = false;
  std::vector<int64_t> kernel_shape, strides, dilations, pads;

  int64_t stride(std::size_t axis) const { return strides.empty() ? 1 : strides[axis]; }
  int64_t dilation(std::size_t axis) const { return dilations.empty() ? 1 : dilations[axis]; }
  // Inputs that one window spans.
  int64_t extent(std::size_t axis, int64_t taps) const;
  int64_t pad_begin(std::size_t axis) const { return pads.empty() ? 0 : pads[axis]; }
  int64_t pad_end(std::size_t axis) const {
    return pads.empty() ? 0 : pads[pads.size() / 2 + axis];
  }
  // Taps along each axis: of weights [.., .., taps], where their rank is known, or of kernel_shape.
  // Throws where the two contradict.
  Dims taps(std::size_t axes, const Dims* weights) const;
  // How many windows fit along an axis; a symbol stays one.
  Dim output(std::size_t axis, const Dim& input, const Dim& taps) const;
};

// One axis with every size a number.
struct AxisWindow {
  int64_t input = 1, output = 1, taps = 1, stride = 1, dilation = 1;
  int64_t pad_begin = 0, pad_end = 0;
};

AxisWindow resolve_axis(const WindowAttributes& attrs, std::size_t axis, int64_t input,
                        int64_t taps);

// Up to three axes, the last ones of `axes`, as the kernels read them: neighbours along the last
// lie pixel_step floats apart. Throws `unsupported` for more.
kernels::Window kernel_window(const std::vector<AxisWindow>& axes, int64_t pixel_step);

// Operations of weights [.., .., taps], one slice of which along the first axis meets each of
// `count` elements.
double window_flops(const Shape& weights, int64_t count);

// Whether the attributes ask for channels-last tensors: `layout`, "NCHW" or "NHWC".
bool is_channels_last(const Attributes& attrs);

}  // namespace sdx::ops
