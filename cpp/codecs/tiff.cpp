// TIFF, by libtiff: the first image of the file, turned as its orientation says.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

class File {
 public:
  explicit File(Bytes bytes) : bytes_(bytes) {
    const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(
        TIFFOpenOptionsAlloc(), TIFFOpenOptionsFree);
    if (!options) fail(ErrorKind::out_of_memory, "out of memory");
    // Of tags and tables; strips and tiles go to memory of ours.
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), tmsize_t{1} << 28);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), note, this);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), look_for_end, this);
    tiff = TIFFClientOpenExt(
        "image", "r", this, read, [](thandle_t, void*, tmsize_t) { return tmsize_t{0}; }, seek,
        [](thandle_t) { return 0; },
        [](thandle_t self) { return toff_t{static_cast<File*>(self)->bytes_.size()}; }, map,
        [](thandle_t, void*, toff_t) {}, options.get());
    if (!tiff) complain();
    if (!cut_) return;
    TIFFClose(tiff);
    refuse("the file ends too early");
  }
  ~File() { TIFFClose(tiff); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[noreturn]] void complain() const {
    refuse(message_[0] ? message_ : "the file is damaged or ends too early");
  }

  template <class T>
  T get(uint32_t tag, T otherwise) const {
    T found = otherwise;
    return TIFFGetFieldDefaulted(tiff, tag, &found) ? found : otherwise;
  }

  TIFF* tiff = nullptr;

 private:
  static int note(TIFF*, void* user, const char*, const char* format, va_list arguments) {
    File& self = *static_cast<File*>(user);
    if (!self.message_[0]) std::vsnprintf(self.message_, sizeof(self.message_), format, arguments);
    return 1;
  }
  // libtiff goes on without tags whose values lie beyond the end, a palette's among them.
  static int look_for_end(TIFF*, void* user, const char*, const char* format, va_list) {
    if (std::string_view(format).starts_with("IO error")) static_cast<File*>(user)->cut_ = true;
    return 1;
  }
  static tmsize_t read(thandle_t handle, void* to, tmsize_t count) {
    File& self = *static_cast<File*>(handle);
    const uint64_t left = self.bytes_.size() - std::min<uint64_t>(self.at_, self.bytes_.size());
    const uint64_t taken = std::min(left, static_cast<uint64_t>(count));
    std::copy_n(self.bytes_.data() + self.at_, taken, static_cast<uint8_t*>(to));
    self.at_ += taken;
    return static_cast<tmsize_t>(taken);
  }
  static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    File& self = *static_cast<File*>(handle);
    const uint64_t base = whence == SEEK_SET   ? 0
                          : whence == SEEK_CUR ? self.at_
                                               : self.bytes_.size();
    return self.at_ = std::min<uint64_t>(base + offset, self.bytes_.size());
  }
  static int map(thandle_t handle, void** base, toff_t* size) {
    const File& self = *static_cast<File*>(handle);
    *base = const_cast<uint8_t*>(self.bytes_.data());  // read alone: the file is open for that
    *size = self.bytes_.size();
    return 1;
  }

  Bytes bytes_;
  uint64_t at_ = 0;
  bool cut_ = false;
  char message_[256] = {};
};

struct Image {
  uint32_t width = 0, height = 0;
  uint16_t photometric = PHOTOMETRIC_MINISWHITE, bits = 1, samples = 1, orientation = 1;
  bool separate = false, premultiplied = false;
  uint16_t* palette[3] = {};

  int colors() const {  // samples that make the colour
    return photometric == PHOTOMETRIC_RGB ? 3 : photometric == PHOTOMETRIC_SEPARATED ? 4 : 1;
  }
};

// A sample in 8 bits; those of a palette as they are.
uint8_t sample_at(const Image& image, const uint8_t* row, int64_t i) {
  const bool palette = image.photometric == PHOTOMETRIC_PALETTE;
  const bool inverted = image.photometric == PHOTOMETRIC_MINISWHITE;
  if (image.bits == 16) {
    uint16_t level;
    std::memcpy(&level, row + 2 * i, 2);
    // Grey is white from 255 on, as in Pillow, which keeps its levels as they are.
    return static_cast<uint8_t>(image.colors() > 1 ? level >> 8 : std::min<int>(level, 255));
  }
  const int per_byte = 8 / image.bits, most = (1 << image.bits) - 1;
  const int shift = 8 - image.bits * static_cast<int>(i % per_byte + 1);
  const int level = row[i / per_byte] >> shift & most;
  if (palette) return static_cast<uint8_t>(level);
  return static_cast<uint8_t>((inverted ? most - level : level) * 255 / most);
}

// Calls take(x, y, count, row) with rows of the image or of its tiles.
template <class F>
void read_rows(const File& file, const Image& image, uint16_t plane, const F& take) {
  const int64_t samples = image.separate ? 1 : image.samples;
  const auto row_bytes = [&](int64_t width) { return (width * samples * image.bits + 7) / 8; };
  const auto check_bytes = [&](uint64_t told, int64_t wanted) {
    require(static_cast<int64_t>(told) == wanted, "rows of ", told, " bytes, not ", wanted);
  };
  if (!TIFFIsTiled(file.tiff)) {
    check_bytes(TIFFScanlineSize64(file.tiff), row_bytes(image.width));
    Scratch row(row_bytes(image.width));
    for (uint32_t y = 0; y < image.height; ++y) {
      raise_if_stopped();
      if (TIFFReadScanline(file.tiff, row.data(), y, plane) != 1) file.complain();
      take(0, y, image.width, row.data());
    }
    return;
  }
  const auto width = file.get<uint32_t>(TIFFTAG_TILEWIDTH, 0);
  const auto height = file.get<uint32_t>(TIFFTAG_TILELENGTH, 0);
  check_size(width, height);
  const int64_t stride = row_bytes(width);
  check_bytes(TIFFTileSize64(file.tiff), stride * height);
  Scratch tile(stride * height);
  for (uint32_t y = 0; y < image.height; y += std::min(height, image.height - y))
    for (uint32_t x = 0; x < image.width; x += std::min(width, image.width - x)) {
      raise_if_stopped();
      if (TIFFReadTile(file.tiff, tile.data(), x, y, 0, plane) < 0) file.complain();
      for (uint32_t i = 0; i < std::min(height, image.height - y); ++i)
        take(x, y + i, std::min(width, image.width - x), tile.data() + i * stride);
    }
}

Image read_header(const File& file) {
  Image image;
  image.width = file.get<uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
  image.height = file.get<uint32_t>(TIFFTAG_IMAGELENGTH, 0);
  check_size(image.width, image.height);
  TIFFGetField(file.tiff, TIFFTAG_PHOTOMETRIC, &image.photometric);
  image.bits = file.get<uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
  image.samples = file.get<uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
  image.orientation = file.get<uint16_t>(TIFFTAG_ORIENTATION, 1);
  image.separate =
      file.get<uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  uint16_t count = 0, *extra = nullptr;
  if (TIFFGetFieldDefaulted(file.tiff, TIFFTAG_EXTRASAMPLES, &count, &extra) && count > 0)
    image.premultiplied = extra[0] == EXTRASAMPLE_ASSOCALPHA;
  const auto format = file.get<uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  require(format == SAMPLEFORMAT_UINT, "samples of format ", format);
  return image;
}

// How many samples of each pixel `pixels` gets, in 8 bits: those of the colour.
int read_samples(const File& file, const Image& image, uint8_t* pixels) {
  const int kept = image.colors(), alpha = kept;
  const bool premultiplied = image.premultiplied && kept == 3 && image.samples > alpha;
  for (uint16_t plane = 0; plane < (image.separate ? kept : 1); ++plane)
    read_rows(file, image, plane, [&](int64_t x, int64_t y, int64_t count, const uint8_t* row) {
      uint8_t* to = pixels + (y * image.width + x) * kept + plane;
      for (int64_t i = 0; i < count; ++i, to += kept) {
        if (image.separate) {
          *to = sample_at(image, row, i);
          continue;
        }
        for (int k = 0; k < kept; ++k) to[k] = sample_at(image, row, i * image.samples + k);
        if (!premultiplied) continue;
        const int opacity = sample_at(image, row, i * image.samples + alpha);
        for (int k = 0; k < kept; ++k)
          to[k] = static_cast<uint8_t>(opacity ? std::min(to[k] * 255 / opacity, 255) : 0);
      }
    });
  return kept;
}

// The same of what libtiff turns into red, green and blue itself.
int read_converted(const File& file, const Image& image, uint8_t* pixels, int64_t count) {
  const auto claim = claim_memory(count * 4);
  const auto raster = std::make_unique<uint32_t[]>(static_cast<std::size_t>(count));
  if (!TIFFReadRGBAImageOriented(file.tiff, image.width, image.height, raster.get(),
                                 image.orientation, 1))
    file.complain();
  for (int64_t i = 0; i < count; ++i, pixels += 3) {
    const uint32_t pixel = raster[static_cast<std::size_t>(i)];
    pixels[0] = static_cast<uint8_t>(TIFFGetR(pixel));
    pixels[1] = static_cast<uint8_t>(TIFFGetG(pixel));
    pixels[2] = static_cast<uint8_t>(TIFFGetB(pixel));
  }
  return 3;
}

void apply_palette(const Image& image, uint8_t* pixel, uint8_t index) {
  for (int k = 0; k < 3; ++k) pixel[k] = static_cast<uint8_t>(image.palette[k][index] >> 8);
}

}  // namespace

Tensor decode_tiff(Bytes bytes, Layout layout) {
  const File file(bytes);
  Image image = read_header(file);
  const auto compression = file.get<uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (compression == COMPRESSION_OJPEG) image.photometric = PHOTOMETRIC_YCBCR;
  if (compression == COMPRESSION_JPEG && image.photometric == PHOTOMETRIC_YCBCR &&
      !image.separate) {
    TIFFSetField(file.tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    image.photometric = PHOTOMETRIC_RGB;
  }
  const bool converted = image.photometric == PHOTOMETRIC_YCBCR;
  const bool palette = image.photometric == PHOTOMETRIC_PALETTE;
  if (palette)
    require(TIFFGetField(file.tiff, TIFFTAG_COLORMAP, &image.palette[0], &image.palette[1],
                         &image.palette[2]),
            "the palette is missing");
  require(image.photometric <= PHOTOMETRIC_PALETTE || image.photometric == PHOTOMETRIC_SEPARATED ||
              converted,
          "photometric interpretation ", image.photometric);
  const uint16_t bits = image.bits;
  require(bits == 8 || (bits == 16 && !palette) ||
              (image.colors() == 1 && (bits == 1 || bits == 2 || bits == 4)),
          "samples of ", bits, " bits");
  require(image.samples >= image.colors() && image.samples <= 8, image.samples, " samples a pixel");

  const int64_t count = int64_t{image.width} * image.height;
  Scratch pixels(count * (converted || palette ? 3 : image.colors()));
  int kept = converted ? read_converted(file, image, pixels.data(), count)
                       : read_samples(file, image, pixels.data());
  if (palette) {  // from the last one, so that no index is overwritten before it is read
    for (int64_t i = count - 1; i >= 0; --i)
      apply_palette(image, pixels.data() + 3 * i, pixels.data()[i]);
    kept = 3;
  }

  // Steps through the samples for one to the right and one down in the result.
  const uint16_t turn = image.orientation;
  const bool transposed = turn >= 5 && turn <= 8;
  int64_t right = transposed ? image.width : 1, down = transposed ? 1 : image.width;
  Canvas canvas(layout, transposed ? image.height : image.width,
                transposed ? image.width : image.height);
  int64_t first = 0;
  if (turn == 2 || turn == 3 || turn == 6 || turn == 7)
    first += (canvas.width() - 1) * right, right = -right;
  if (turn == 3 || turn == 4 || turn == 7 || turn == 8)
    first += (canvas.height() - 1) * down, down = -down;
  for (int64_t y = 0; y < canvas.height(); ++y) {
    const uint8_t* row = pixels.data() + (first + y * down) * kept;
    if (kept == 1) canvas.put_gray(y, row, right);
    if (kept == 3) canvas.put_rgb(y, row, right * 3);
    if (kept == 4) canvas.put_cmyk(y, row, right * 4);
  }
  return canvas.take();
}

}  // namespace sdx::codecs
