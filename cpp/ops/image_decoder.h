// Where ImageDecoder gets its codec from: the core links none.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "base/tensor.h"

namespace sdx {
class Graph;
}

namespace sdx::ops {

// Decodes a file of an image to pixels of uint8, [height, width, channels]. `pixel_format` is
// "RGB", "BGR" or "Grayscale"; an empty tensor says that it cannot be decoded. Errors are thrown.
using ImageCodec =
    std::function<Tensor(std::span<const std::byte> encoded, std::string_view pixel_format)>;

// Gives the codec to the graph's ImageDecoder nodes, those of subgraphs among them.
void set_image_codec(const Graph& graph, const ImageCodec& codec);

}  // namespace sdx::ops
