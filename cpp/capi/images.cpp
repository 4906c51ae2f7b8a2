// Decoders of images that programs bring.
#include <exception>
#include <span>
#include <string_view>

#include "api/operator_library.h"
#include "base/interrupt.h"
#include "capi/handles.h"

using namespace sdx;
using namespace sdx::capi;

// One call of a decoder.
struct sdx_image {
  std::span<const std::byte> encoded;
  std::string_view pixel_format;
  Tensor pixels = {};
  std::exception_ptr error = {};  // the last that happened or was told of
};

namespace {

// Nothing is thrown into the decoder: what fails counts if the decoder fails then.
template <class F>
sdx_status guarded(sdx_image* image, F&& f) noexcept {
  return capi::guarded([&] {
    check_given(image, "image");
    try {
      f();
    } catch (...) {
      image->error = std::current_exception();
      throw;
    }
  });
}

Tensor decode_by(sdx_image_decoder decode, void* context, sdx_image image) {
  const sdx_status status = decode(context, &image);
  if (Interrupt* const interrupt = Interrupt::current()) interrupt->raise_if_stopped();
  if (status == SDX_OK) return std::move(image.pixels);
  if (image.error) std::rethrow_exception(image.error);
  fail(kind_of(status), "the image decoder failed and does not say why");
}

}  // namespace

sdx_status sdx_options_set_image_decoder(sdx_options* options, sdx_image_decoder decode,
                                         void* context) noexcept {
  return guarded([&] {
    check_given(options, "options");
    options->options.image_codec = nullptr;
    if (decode)
      options->options.image_codec = [decode, context](std::span<const std::byte> encoded,
                                                       std::string_view pixel_format) {
        return decode_by(decode, context, {encoded, pixel_format});
      };
  });
}

const uint8_t* sdx_image_bytes(const sdx_image* image) noexcept {
  return image ? reinterpret_cast<const uint8_t*>(image->encoded.data()) : nullptr;
}
size_t sdx_image_size(const sdx_image* image) noexcept { return image ? image->encoded.size() : 0; }

sdx_pixel_format sdx_image_pixel_format(const sdx_image* image) noexcept {
  if (!image || image->pixel_format == "RGB") return SDX_PIXELS_RGB;
  return image->pixel_format == "BGR" ? SDX_PIXELS_BGR : SDX_PIXELS_GRAYSCALE;
}

sdx_status sdx_image_allocate(sdx_image* image, int64_t height, int64_t width,
                              uint8_t** pixels) noexcept {
  return guarded(image, [&] {
    check_given(pixels, "pixels");
    const int64_t shape[] = {height, width,
                             sdx_image_pixel_format(image) == SDX_PIXELS_GRAYSCALE ? 1 : 3};
    image->pixels = {};  // so that two of them are never there at once
    image->pixels = Tensor::allocate(DType::uint8, shape_from(shape, 3));
    *pixels = image->pixels.data<uint8_t>();
  });
}

sdx_status sdx_image_decode(sdx_image* image) noexcept {
  return guarded(image, [&] {
    image->pixels = {};
    image->pixels = decode_image(image->encoded, image->pixel_format);
  });
}

sdx_status sdx_image_fail(sdx_image* image, sdx_status status, const char* message) noexcept {
  if (status == SDX_OK) status = SDX_INTERNAL;
  guarded(image, [&] { fail(kind_of(status), message ? message : ""); });
  return status;
}

int32_t sdx_image_cancelled(const sdx_image*) noexcept { return Interrupt::due(); }

const char* sdx_image_formats(void) noexcept {
  static const std::string text = image_formats();
  return text.c_str();
}
