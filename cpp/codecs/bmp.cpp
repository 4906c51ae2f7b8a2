// Windows bitmaps, read here: rows of plain or run-length coded pixels behind a header.
#include <algorithm>
#include <array>
#include <vector>

#include "base/checked.h"
#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

uint32_t little(Bytes file, uint64_t at, int bytes) {
  require(fits(at, static_cast<uint64_t>(bytes), file.size()), "the file ends in its header");
  uint32_t number = 0;
  for (int i = bytes - 1; i >= 0; --i) number = number << 8 | file[at + static_cast<uint64_t>(i)];
  return number;
}

enum Compression : uint32_t { kPlain = 0, kRuns8 = 1, kRuns4 = 2, kMasks = 3 };

struct Header {
  int64_t width = 0, height = 0;
  bool top_down = false;
  uint32_t bits = 0, compression = kPlain;
  uint64_t pixels = 0;  // where they begin
  // Of a pixel without palette: where a channel's bits begin, and how many they are.
  struct Channel {
    int shift = 0, bits = 8;
  };
  std::array<Channel, 3> channels;  // red, green, blue
  std::vector<std::array<uint8_t, 3>> palette;
};

Header::Channel channel_of(uint32_t mask) {
  Header::Channel channel{0, 0};
  if (mask == 0) return channel;
  channel.shift = __builtin_ctz(mask);
  channel.bits = __builtin_popcount(mask);
  require(mask >> channel.shift == (uint64_t{1} << channel.bits) - 1 && channel.bits <= 8,
          "a channel has the mask ", mask);
  return channel;
}

Header read_header(Bytes file) {
  Header header;
  header.pixels = little(file, 10, 4);
  const uint32_t size = little(file, 14, 4);
  require(size == 12 || (size >= 40 && size <= 124), "a header of ", size, " bytes");
  const bool old = size == 12;
  header.width = static_cast<int32_t>(little(file, 18, old ? 2 : 4));
  header.height = static_cast<int32_t>(little(file, old ? 20 : 22, old ? 2 : 4));
  header.top_down = header.height < 0;
  if (header.top_down) header.height = -header.height;
  header.bits = little(file, old ? 24 : 28, 2);
  check_size(header.width, header.height);
  if (!old) header.compression = little(file, 30, 4);
  uint64_t after = 14 + size;

  const uint32_t bits = header.bits;
  const bool runs = header.compression == kRuns8 || header.compression == kRuns4;
  require(header.compression <= kMasks, "compression ", header.compression, " is not known");
  require((!runs || bits == (header.compression == kRuns8 ? 8 : 4)) &&
              (header.compression != kMasks || bits == 16 || bits == 24 || bits == 32),
          "compression ", header.compression, " of ", bits, " bits a pixel");
  if (bits <= 8) {
    require(bits == 1 || bits == 2 || bits == 4 || bits == 8, bits, " bits a pixel");
    uint32_t colors = old ? 0 : little(file, 46, 4);
    const uint32_t most = uint32_t{1} << bits;
    if (colors == 0) colors = most;
    const int step = old ? 3 : 4;
    for (uint32_t i = 0; i < std::min(colors, most); ++i) {
      const uint32_t color = little(file, after + i * static_cast<uint64_t>(step), 3);
      header.palette.push_back({static_cast<uint8_t>(color >> 16), static_cast<uint8_t>(color >> 8),
                                static_cast<uint8_t>(color)});
    }
    header.palette.resize(256);  // what is beyond the palette is black
    return header;
  }
  require(bits == 16 || bits == 24 || bits == 32, bits, " bits a pixel");
  const uint32_t wide[] = {0xff0000, 0xff00, 0xff}, narrow[] = {0x7c00, 0x3e0, 0x1f};
  std::array<uint32_t, 3> masks;
  std::copy_n(bits == 16 ? narrow : wide, 3, masks.begin());
  if (header.compression == kMasks)  // behind a header of 40 bytes, within a longer one
    for (uint64_t i = 0; i < 3; ++i) masks[i] = little(file, 54 + 4 * i, 4);
  if (masks == std::array<uint32_t, 3>{}) std::copy_n(wide, 3, masks.begin());
  for (std::size_t i = 0; i < 3; ++i) header.channels[i] = channel_of(masks[i]);
  return header;
}

// The indices of a run-length coded image, rows in the file's order; what is skipped is 0.
void expand_runs(const Header& header, Bytes file, uint8_t* indices) {
  const int64_t width = header.width, count = width * header.height;
  const bool halves = header.compression == kRuns4;
  uint64_t at = header.pixels;
  int64_t x = 0, row = 0;
  const auto next = [&] {
    require(at < file.size(), "the file ends after ", row, " of ", header.height, " rows");
    return file[at++];
  };
  std::fill_n(indices, count, uint8_t{0});
  // What goes beyond the right edge is dropped.
  const auto put = [&](int value) {
    if (x < width) indices[row * width + x++] = static_cast<uint8_t>(value);
  };
  while (row < header.height) {
    raise_if_stopped();
    const int length = next(), code = next();
    if (length > 0) {
      for (int i = 0; i < length; ++i) put(!halves ? code : i % 2 == 0 ? code >> 4 : code & 15);
    } else if (code == 0) {
      x = 0, ++row;
    } else if (code == 1) {
      return;
    } else if (code == 2) {
      x = std::min<int64_t>(x + next(), width);
      row += next();
    } else {
      const uint64_t begin = at;
      for (int i = 0, pair = 0; i < code; ++i) {
        if (!halves || i % 2 == 0) pair = next();
        put(!halves ? pair : i % 2 == 0 ? pair >> 4 : pair & 15);
      }
      if ((at - begin) % 2 != 0) next();
    }
  }
}

}  // namespace

Tensor decode_bmp(Bytes file, Layout layout) {
  const Header header = read_header(file);
  const int64_t width = header.width, height = header.height, bits = header.bits;
  const bool runs = header.compression == kRuns8 || header.compression == kRuns4;
  const int64_t stride = runs ? width : (width * bits + 31) / 32 * 4;
  if (!runs)
    require(fits(header.pixels, static_cast<uint64_t>(stride * height), file.size()),
            "the file ends too early: ", height, " rows of ", stride, " bytes begin at ",
            header.pixels, " of ", file.size());
  Scratch indices(runs ? width * height : 0);
  if (runs) expand_runs(header, file, indices.data());
  Scratch pixels(width * 3);
  Canvas canvas(layout, width, height);
  for (int64_t y = 0; y < height; ++y) {
    const int64_t place = y * stride;
    const uint8_t* from = runs ? indices.data() + place : file.data() + header.pixels + place;
    uint8_t* to = pixels.data();
    for (int64_t x = 0; x < width; ++x, to += 3) {
      if (bits <= 8) {
        const int per_byte = runs ? 1 : static_cast<int>(8 / bits);
        const int shift = runs ? 0 : static_cast<int>(8 - bits * (x % per_byte + 1));
        const int index = (from[x / per_byte] >> shift) & (runs ? 255 : (1 << bits) - 1);
        std::copy_n(header.palette[static_cast<std::size_t>(index)].begin(), 3, to);
        continue;
      }
      uint32_t pixel = 0;
      for (int64_t i = bits / 8 - 1; i >= 0; --i) pixel = pixel << 8 | from[x * bits / 8 + i];
      for (std::size_t i = 0; i < 3; ++i) {
        const auto [shift, count] = header.channels[i];
        const uint32_t most = (uint32_t{1} << count) - 1;
        to[i] = most ? static_cast<uint8_t>((pixel >> shift & most) * 255 / most) : 0;
      }
    }
    canvas.put_rgb(header.top_down ? y : height - 1 - y, pixels.data());
  }
  return canvas.take();
}

}  // namespace sdx::codecs
