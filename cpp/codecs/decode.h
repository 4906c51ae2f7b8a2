// Decodes images of the formats that this build has codecs for.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/tensor.h"

namespace sdx::codecs {

// The bytes are no image, a damaged one, or one of a kind that its codec does not know.
class Undecodable final : public Error {
 public:
  explicit Undecodable(const std::string& what) : Error(ErrorKind::invalid_argument, what) {}
};

// "BMP, PNM, PNG": what this build decodes; "" without codecs.
std::string formats();

// The pixels of a file as uint8 [height, width, channels]; `pixel_format` is "RGB", "BGR" or
// "Grayscale". Throws Undecodable, `unsupported` where this build lacks the codec or the image has
// too many pixels, and `out_of_memory` before it takes more than the run may.
Tensor decode(std::span<const std::byte> encoded, std::string_view pixel_format);

}  // namespace sdx::codecs
