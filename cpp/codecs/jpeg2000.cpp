// JPEG 2000, files and bare code streams, by OpenJPEG.
#include <openjpeg.h>

#include <algorithm>

#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

// The handles of the library are all `void*`.
using Stream = std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)>;
using Codec = std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)>;
using Image = std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)>;

struct Source {
  Bytes file;
  std::size_t at = 0;
};

Stream open(Source& source) {
  constexpr std::size_t kBuffer = 1 << 16;
  Stream stream(opj_stream_create(kBuffer, OPJ_TRUE), opj_stream_destroy);
  if (!stream) fail(ErrorKind::out_of_memory, "out of memory");
  opj_stream_set_read_function(stream.get(), [](void* to, OPJ_SIZE_T count, void* user) {
    Source& source = *static_cast<Source*>(user);
    const std::size_t taken = std::min<std::size_t>(count, source.file.size() - source.at);
    std::copy_n(source.file.data() + source.at, taken, static_cast<uint8_t*>(to));
    source.at += taken;
    return taken > 0 ? OPJ_SIZE_T{taken} : static_cast<OPJ_SIZE_T>(-1);
  });
  opj_stream_set_skip_function(stream.get(), [](OPJ_OFF_T count, void* user) {
    Source& source = *static_cast<Source*>(user);
    if (count < 0) return OPJ_OFF_T{-1};
    const auto skipped = std::min(static_cast<std::size_t>(count), source.file.size() - source.at);
    source.at += skipped;
    return skipped > 0 ? static_cast<OPJ_OFF_T>(skipped) : OPJ_OFF_T{-1};
  });
  opj_stream_set_seek_function(stream.get(), [](OPJ_OFF_T at, void* user) -> OPJ_BOOL {
    Source& source = *static_cast<Source*>(user);
    if (at < 0 || static_cast<std::size_t>(at) > source.file.size()) return OPJ_FALSE;
    source.at = static_cast<std::size_t>(at);
    return OPJ_TRUE;
  });
  opj_stream_set_user_data(stream.get(), &source, nullptr);
  opj_stream_set_user_data_length(stream.get(), source.file.size());
  return stream;
}

// All components are of the image's size and have at most 16 bits.
void check_components(const opj_image_t& image, int64_t width, int64_t height) {
  const auto count = image.numcomps;
  require(count >= 1 && count <= 4, "the image has ", count, " components");
  require(image.color_space != OPJ_CLRSPC_CMYK && image.color_space != OPJ_CLRSPC_EYCC &&
              image.color_space != OPJ_CLRSPC_UNKNOWN,
          "colour space ", image.color_space);
  for (OPJ_UINT32 i = 0; i < count; ++i) {
    const opj_image_comp_t& part = image.comps[i];
    require(part.w == width && part.h == height, "component ", i, " has ", part.w, " x ", part.h,
            " samples of ", width, " x ", height);
    require(part.prec >= 1 && part.prec <= 16, "component ", i, " has ", part.prec, " bits");
  }
}

// A sample in 8 bits. Grey of more is white from 255 of 65535 on, as in Pillow, which keeps its
// levels as they are.
uint8_t sample_at(const opj_image_comp_t& part, int64_t i, bool gray) {
  const int prec = static_cast<int>(part.prec);
  const int64_t level = int64_t{part.data[i]} + (part.sgnd ? 1 << (prec - 1) : 0);
  int64_t scaled = prec <= 8 ? level << (8 - prec) : (level + (1 << (prec - 9))) >> (prec - 8);
  if (gray && prec > 8) scaled = level << (16 - prec);
  return static_cast<uint8_t>(std::clamp<int64_t>(scaled, 0, 255));
}

// ITU-R 601-2 of all levels.
void rgb_from_ycc(uint8_t* pixel) {
  const int y = pixel[0] << 16, cb = pixel[1] - 128, cr = pixel[2] - 128;
  const auto level = [](int sum) {
    return static_cast<uint8_t>(std::clamp((sum + (1 << 15)) >> 16, 0, 255));
  };
  pixel[0] = level(y + 91881 * cr);
  pixel[1] = level(y - 22554 * cb - 46802 * cr);
  pixel[2] = level(y + 116130 * cb);
}

}  // namespace

Tensor decode_jpeg2000(Bytes file, Layout layout) {
  Source source{file};
  const auto stream = open(source);
  const bool bare = file[0] == 0xff;
  const Codec codec(opj_create_decompress(bare ? OPJ_CODEC_J2K : OPJ_CODEC_JP2), opj_destroy_codec);
  if (!codec) fail(ErrorKind::out_of_memory, "out of memory");
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  opj_image_t* read = nullptr;
  bool ok = opj_setup_decoder(codec.get(), &parameters) &&
            opj_read_header(stream.get(), codec.get(), &read);
  const Image image(read, opj_image_destroy);
  require(ok && read, "the file is damaged or ends too early");
  require(read->x1 > read->x0 && read->y1 > read->y0, "the image is empty");
  const int64_t width = int64_t{read->x1} - read->x0, height = int64_t{read->y1} - read->y0;
  check_size(width, height);
  check_components(*read, width, height);

  Canvas canvas(layout, width, height);
  // Coefficients and samples of 4 bytes each.
  const auto claim = claim_memory(width * height * read->numcomps * 8);
  raise_if_stopped();
  ok = opj_decode(codec.get(), stream.get(), read) && opj_end_decompress(codec.get(), stream.get());
  require(ok, "the file is damaged or ends too early");
  check_components(*read, width, height);  // a palette has made them more
  for (OPJ_UINT32 i = 0; i < read->numcomps; ++i)
    require(read->comps[i].data, "component ", i, " is missing");
  const bool gray = read->numcomps < 3, ycc = read->color_space == OPJ_CLRSPC_SYCC;
  Scratch row(width * 3);
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* to = row.data();
    for (int64_t x = 0; x < width; ++x, to += gray ? 1 : 3) {
      for (int k = 0; k < (gray ? 1 : 3); ++k)
        to[k] = sample_at(read->comps[k], y * width + x, read->numcomps == 1);
      if (!gray && ycc) rgb_from_ycc(to);
    }
    gray ? canvas.put_gray(y, row.data()) : canvas.put_rgb(y, row.data());
  }
  return canvas.take();
}

}  // namespace sdx::codecs
