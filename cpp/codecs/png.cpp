// PNG, by libpng.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <string>

#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

// libpng reports errors by a function that must not return: it jumps back into `run`, over frames
// that are C's but for the one of `run`'s argument, which holds nothing to destroy.
class Reader {
 public:
  explicit Reader(Bytes file) : rest_(file) {
    png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp message) {
          Reader& self = *static_cast<Reader*>(png_get_error_ptr(png));
          const std::size_t length =
              std::min(std::char_traits<char>::length(message), sizeof(self.message_) - 1);
          std::copy_n(message, length, self.message_);
          self.message_[length] = '\0';
          png_longjmp(png, 1);
        },
        [](png_structp, png_const_charp) {});
    if (png) info = png_create_info_struct(png);
    if (info) return;
    png_destroy_read_struct(&png, nullptr, nullptr);
    fail(ErrorKind::out_of_memory, "out of memory");
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  template <class F>
  void run(const F& f) {
    if (setjmp(png_jmpbuf(png)) == 0) return f();
    refuse(message_);
  }

  void read_header() {
    run([&] {
      png_set_read_fn(png, this, [](png_structp png, png_bytep to, std::size_t count) {
        Reader& self = *static_cast<Reader*>(png_get_io_ptr(png));
        if (count > self.rest_.size()) png_error(png, "the file ends too early");
        std::copy_n(self.rest_.data(), count, to);
        self.rest_ = self.rest_.subspan(count);
      });
      // The number of pixels is checked afterwards; texts and profiles are nobody's here.
      png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      png_read_info(png, info);
    });
  }

  png_structp png = nullptr;
  png_infop info = nullptr;

 private:
  Bytes rest_;
  char message_[128] = {};
};

}  // namespace

Tensor decode_png(Bytes file, Layout layout) {
  Reader reader(file);
  reader.read_header();
  png_structp png = reader.png;
  const int64_t width = png_get_image_width(png, reader.info);
  const int64_t height = png_get_image_height(png, reader.info);
  check_size(width, height);
  const int type = png_get_color_type(png, reader.info);
  // Grey of 16 bits is white from 255 on, as in Pillow, which keeps its levels as they are.
  const bool wide = type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, reader.info) == 16;
  int passes = 1;
  std::size_t row_bytes = 0;
  reader.run([&] {
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    if (!wide) png_set_strip_16(png);
    png_set_strip_alpha(png);
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, reader.info);
    row_bytes = png_get_rowbytes(png, reader.info);
  });
  const bool gray = (type & PNG_COLOR_MASK_COLOR) == 0;
  const int64_t stride = width * (wide ? 2 : gray ? 1 : 3);
  require(static_cast<int64_t>(row_bytes) == stride, "rows of ", row_bytes, " bytes");
  // The rows of an interlaced image are filled in by several passes.
  Scratch pixels(passes > 1 ? stride * height : stride);
  Canvas canvas(layout, width, height);
  for (int pass = 0; pass < passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      uint8_t* row = pixels.data() + (passes > 1 ? y * stride : 0);
      reader.run([&] { png_read_row(png, row, nullptr); });
      if (pass + 1 < passes) {
        raise_if_stopped();
        continue;
      }
      if (wide)
        for (int64_t x = 0; x < width; ++x) row[x] = row[2 * x] ? 255 : row[2 * x + 1];
      gray ? canvas.put_gray(y, row) : canvas.put_rgb(y, row);
    }
  }
  return canvas.take();
}

}  // namespace sdx::codecs
