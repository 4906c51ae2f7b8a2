// ImageDecoder. Its results are sized in the run.
#include "ops/image_decoder.h"

#include "ir/graph.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

class ImageDecoder final : public Op {
 public:
  explicit ImageDecoder(const OpInit& init)
      : pixel_format_(init.attrs.get("pixel_format", "RGB")),
        channels_(pixel_format_ == "Grayscale" ? 1 : 3) {
    check(channels_ == 1 || pixel_format_ == "RGB" || pixel_format_ == "BGR", "pixel_format '",
          pixel_format_, "' is none of RGB, BGR, Grayscale");
  }

  void set_codec(const ImageCodec& codec) const { codec_ = codec; }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::uint8, "expected a uint8 input, got ", ctx.dtype(0));
    check_rank(ctx, 0, 1);
    ctx.set_output(0, DType::uint8, {Dim::unknown(), Dim::unknown(), channels_});
  }

  Step prepare(PrepareContext& ctx) const override {
    if (!codec_)
      fail(ErrorKind::unsupported, "there is nothing to decode images with: in C and C++ give the ",
           "session an image decoder, or build the library with SDX_IMAGE_CODECS; in Python ",
           "pip install sardonyx[image]");
    return [this, size = static_cast<std::size_t>(ctx.count(0))](Frame& f) {
      const std::span<const std::byte> encoded(f.in<std::byte>(0), size);
      Tensor image;
      if (size > 0) image = codec_(encoded, pixel_format_);
      // What cannot be decoded is an empty matrix.
      if (image.count() == 0) image = Tensor::allocate(DType::uint8, {0, 0, channels_});
      check_argument(
          image.dtype() == DType::uint8 && image.rank() == 3 && image.shape()[2] == channels_,
          "the image codec gave ", image.dtype(), " of shape ", image.shape(), " as ",
          pixel_format_);
      f.set_output(0, std::move(image));
    };
  }

 private:
  std::string pixel_format_;
  int64_t channels_;
  mutable ImageCodec codec_;  // set before the first run
};

}  // namespace

void set_image_codec(const Graph& graph, const ImageCodec& codec) {
  for (const Node* node : graph.nodes()) {
    if (const auto* decoder = dynamic_cast<const ImageDecoder*>(&node->op()))
      decoder->set_codec(codec);
    for (const auto& [name, subgraph] : node->subgraphs()) set_image_codec(*subgraph, codec);
  }
}

[[gnu::cold]] void register_image_decoder(OpRegistry& ops) {
  ops.add<ImageDecoder>("ImageDecoder", {.since = 20, .pure = false});
}

}  // namespace sdx::ops
