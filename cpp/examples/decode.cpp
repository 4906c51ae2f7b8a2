// Decodes an image by a model with ImageDecoder, whose input is the bytes of a file and whose
// output is uint8[height, width, 3], and writes it as PPM. Frames of a camera, "FRAME", width,
// height and a byte of grey for each pixel, are decoded here; what else it may be is left to the
// library, which knows the formats that it was built with (SDX_IMAGE_CODECS).
//
//   decode MODEL.onnx IMAGE > IMAGE.ppm
#include <fstream>
#include <iostream>
#include <iterator>
#include <sardonyx/sardonyx.hpp>
#include <sstream>

namespace {

// Called by the threads that run the session. What it throws ends the run with an error that names
// the node; where it makes no pixels the model sees an empty image, as where the file is damaged.
void decode_frame(sdx::Image& image) {
  const sdx::Span<const uint8_t> bytes = image.bytes();
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::string magic;
  int64_t width = 0, height = 0;
  if (!(text >> magic) || magic != "FRAME") return image.decode();
  text >> width >> height;
  const int64_t most = 1 << 14;
  if (text.get() != '\n' || width < 1 || height < 1 || width > most || height > most)
    throw std::runtime_error("the frame has no size");
  const auto begin = static_cast<std::size_t>(text.tellg());
  if (bytes.size() - begin != static_cast<std::size_t>(width * height))
    throw std::runtime_error("the frame is cut");
  // Taken from the memory that the run may use.
  const sdx::Span<uint8_t> pixels = image.allocate(height, width);
  const auto channels = static_cast<std::size_t>(image.channels());
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = bytes[begin + i / channels];
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: decode MODEL.onnx IMAGE\n";
    return 2;
  }
  sdx::Session model(argv[1], sdx::Options().image_decoder(decode_frame));
  std::ifstream file(argv[2], std::ios::binary);
  if (!file) throw std::runtime_error(std::string("cannot read ") + argv[2]);
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto count = static_cast<int64_t>(bytes.size());
  const sdx::Tensor image = model(sdx::Tensor::from<uint8_t>({count}, std::move(bytes)));
  const sdx::Shape shape = image.shape();
  if (image.size() == 0) throw std::runtime_error("this is no image, or a damaged one");
  std::cout << "P6\n" << shape.at(1) << ' ' << shape.at(0) << "\n255\n";
  std::cout.write(static_cast<const char*>(image.raw()), static_cast<long>(image.bytes()));
  return 0;
} catch (const std::exception& error) {
  std::cerr << "decode: " << error.what() << '\n';
  return 1;
}
