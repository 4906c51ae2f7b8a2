// Which windows depthwise_planes takes.
#include "kernels/depthwise_planes.h"

namespace sdx::kernels {

bool fits_planes(const Window& window) noexcept {
  const WindowAxis* axis = window.axis;
  if (axis[0].taps != 1 || axis[0].input != 1 || axis[0].output != 1 || axis[0].pad != 0)
    return false;
  for (int i = 1; i < 3; ++i)
    if (axis[i].taps > kPlaneTaps || axis[i].dilation > kPlaneFloats ||
        axis[i].stride > kPlaneFloats || axis[i].output > kPlaneFloats)
      return false;
  if (axis[2].stride > 2 || axis[1].taps * axis[2].taps > kPlaneTaps) return false;
  const std::size_t rows =
      (kPlaneRows - 1) * axis[1].stride + (axis[1].taps - 1) * axis[1].dilation + 1;
  return rows <= kPlaneFloats && plane_row_floats(axis[2]) <= kPlaneFloats / rows;
}

}  // namespace sdx::kernels
