// Which windows conv_narrow takes.
#include "kernels/conv_narrow.h"

namespace sdx::kernels {

bool fits_narrow(const Window& window, std::size_t channels) noexcept {
  const WindowAxis* axis = window.axis;
  if (axis[0].taps != 1 || axis[0].input != 1 || axis[0].output != 1 || axis[0].pad != 0)
    return false;
  if (axis[2].stride != 1 || axis[2].taps > kNarrowFloats || axis[2].dilation > kNarrowFloats ||
      axis[1].taps > kNarrowRows || axis[1].dilation > kNarrowFloats || channels > kNarrowFloats)
    return false;
  const std::size_t rows = (axis[1].taps - 1) * axis[1].dilation + 1;
  const std::size_t columns = kNarrowTile + (axis[2].taps - 1) * axis[2].dilation;
  return rows <= kNarrowFloats && rows * columns <= kNarrowFloats / channels;
}

}  // namespace sdx::kernels
