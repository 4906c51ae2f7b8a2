// WebP, by libwebp: of an animation the first frame.
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>

#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

struct Free {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
  void operator()(WebPIDecoder* decoder) const { WebPIDelete(decoder); }
  void operator()(WebPIterator* frame) const { WebPDemuxReleaseIterator(frame); }
};

[[noreturn]] void complain(VP8StatusCode status) {
  if (status == VP8_STATUS_OUT_OF_MEMORY) fail(ErrorKind::out_of_memory, "out of memory");
  refuse(status == VP8_STATUS_SUSPENDED || status == VP8_STATUS_NOT_ENOUGH_DATA
             ? "the file ends too early"
             : "the file is damaged");
}

}  // namespace

Tensor decode_webp(Bytes file, Layout layout) {
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPDemuxer, Free> demuxer(WebPDemux(&data));
  require(demuxer != nullptr, "the file is damaged or ends too early");
  const int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const int64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  check_size(width, height);
  WebPIterator frame;
  require(WebPDemuxGetFrame(demuxer.get(), 1, &frame), "there is no frame");
  const std::unique_ptr<WebPIterator, Free> release(&frame);
  require(frame.x_offset >= 0 && frame.y_offset >= 0 && frame.width > 0 && frame.height > 0 &&
              frame.width <= width - frame.x_offset && frame.height <= height - frame.y_offset,
          "a frame of ", frame.width, " x ", frame.height, " in ", width, " x ", height);

  Canvas canvas(layout, width, height);
  const int64_t stride = width * 3;
  Scratch pixels(stride * height);
  if (frame.width < width || frame.height < height)
    std::fill_n(pixels.data(), pixels.size(), uint8_t{0});
  // What the decoder of lossless images takes.
  const auto claim = claim_memory(int64_t{frame.width} * frame.height * 4);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail(ErrorKind::internal, "another version of libwebp");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels.data() + frame.y_offset * stride + frame.x_offset * 3;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size =
      static_cast<std::size_t>((frame.height - 1) * stride + int64_t{frame.width} * 3);
  const std::unique_ptr<WebPIDecoder, Free> decoder(WebPIDecode(nullptr, 0, &config));
  if (!decoder) fail(ErrorKind::out_of_memory, "out of memory");
  // In pieces, between which a run can end.
  constexpr std::size_t kPiece = 1 << 16;
  VP8StatusCode status = VP8_STATUS_SUSPENDED;
  for (std::size_t known = 0; status == VP8_STATUS_SUSPENDED && known < frame.fragment.size;) {
    raise_if_stopped();
    known = std::min(known + kPiece, frame.fragment.size);
    status = WebPIUpdate(decoder.get(), frame.fragment.bytes, known);
  }
  if (status != VP8_STATUS_OK) complain(status);
  for (int64_t y = 0; y < height; ++y) canvas.put_rgb(y, pixels.data() + y * stride);
  return canvas.take();
}

}  // namespace sdx::codecs
