// JPEG, by libjpeg or libjpeg-turbo. The defaults are the standard's: exact integer transforms and
// chroma interpolated linearly.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
// They need what is above.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "base/interrupt.h"
#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

// More scans than an encoder makes: each goes over the whole image.
constexpr int kMostScans = 500;

// libjpeg reports errors by a function that must not return: it jumps back into `run`, over frames
// that are C's but for the one of `run`'s argument, which holds nothing to destroy.
class Decompressor {
 public:
  explicit Decompressor(Bytes file) {
    info.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) { longjmp(of(info).place_, 1); };
    errors_.output_message = [](j_common_ptr) {};
    errors_.emit_message = [](j_common_ptr, int) {};
    info.client_data = this;
    run([&] { jpeg_create_decompress(&info); });
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    // No more bytes: what asks for them stops, and its caller sees that it has.
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      jpeg_source_mgr& source = *info->src;
      const auto skipped =
          std::min(static_cast<std::size_t>(std::max(count, 0L)), source.bytes_in_buffer);
      source.next_input_byte += skipped;
      source.bytes_in_buffer -= skipped;
    };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.next_input_byte = file.data();
    source_.bytes_in_buffer = file.size();
    info.src = &source_;
    progress_.progress_monitor = [](j_common_ptr info) {
      Decompressor& self = of(info);
      self.stopped_ = Interrupt::due();
      self.endless_ = self.info.input_scan_number > kMostScans;
      if (self.stopped_ || self.endless_) longjmp(self.place_, 1);
    };
    info.progress = &progress_;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  template <class F>
  void run(const F& f) {
    if (setjmp(place_) == 0) return f();
    if (stopped_) raise_if_stopped();
    require(!endless_, "the image has more than ", kMostScans, " scans");
    char message[JMSG_LENGTH_MAX];
    errors_.format_message(reinterpret_cast<j_common_ptr>(&info), message);
    if (errors_.msg_code == JERR_OUT_OF_MEMORY) fail(ErrorKind::out_of_memory, message);
    refuse(message);
  }

  jpeg_decompress_struct info = {};

 private:
  static Decompressor& of(j_common_ptr info) {
    return *static_cast<Decompressor*>(info->client_data);
  }

  jpeg_error_mgr errors_ = {};
  jpeg_source_mgr source_ = {};
  jpeg_progress_mgr progress_ = {};
  jmp_buf place_;
  bool stopped_ = false, endless_ = false;
};

// Coefficients of all of the image, which a file of several scans keeps until the last one.
int64_t coefficient_bytes(const jpeg_decompress_struct& info) {
  int64_t blocks = 0;
  for (int i = 0; i < info.num_components; ++i)
    blocks += int64_t{info.comp_info[i].width_in_blocks} * info.comp_info[i].height_in_blocks;
  return blocks * DCTSIZE2 * static_cast<int64_t>(sizeof(JCOEF));
}

}  // namespace

Tensor decode_jpeg(Bytes file, Layout layout) {
  Decompressor jpeg(file);
  jpeg_decompress_struct& info = jpeg.info;
  int done = 0;
  jpeg.run([&] { done = jpeg_read_header(&info, TRUE); });
  require(done == JPEG_HEADER_OK, "the file ends in its header");
  check_size(info.image_width, info.image_height);
  const int channels = info.num_components;
  require(channels == 1 || channels == 3 || channels == 4, "the image has ", channels,
          " components");
  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  const auto claim = claim_memory(jpeg_has_multiple_scans(&info) ? coefficient_bytes(info) : 0);
  Canvas canvas(layout, info.image_width, info.image_height);
  Scratch row(canvas.width() * channels);
  jpeg.run([&] { done = jpeg_start_decompress(&info); });
  require(done, "the file ends too early");
  for (int64_t y = 0; y < canvas.height(); ++y) {
    JSAMPROW rows[] = {row.data()};
    jpeg.run([&] { done = static_cast<int>(jpeg_read_scanlines(&info, rows, 1)); });
    require(done == 1, "the file ends too early: after ", y, " of ", canvas.height(), " rows");
    if (channels == 1) canvas.put_gray(y, row.data());
    if (channels == 3) canvas.put_rgb(y, row.data());
    if (channels == 4) {  // as everybody's since Photoshop, inverted
      std::transform(row.data(), row.data() + row.size(), row.data(),
                     [](uint8_t ink) { return static_cast<uint8_t>(255 - ink); });
      canvas.put_cmyk(y, row.data());
    }
  }
  return canvas.take();
}

}  // namespace sdx::codecs
