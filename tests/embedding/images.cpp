// What images.c does, through the C++ interface.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sardonyx/sardonyx.hpp>

namespace {

void decode_own(sdx::Image& image) {
  const sdx::Span<const uint8_t> bytes = image.bytes();
  const std::string magic(bytes.begin(), bytes.begin() + std::min<std::size_t>(bytes.size(), 3));
  if (bytes.size() < 5 || magic != "RAW") {
    if (magic[0] == '?') return;  // no image: an empty one
    if (magic[0] == '!') throw 1;
    throw std::runtime_error("this is no RAW file");
  }
  const std::size_t count = std::size_t{bytes[3]} * bytes[4];
  if (bytes.size() != 5 + 3 * count)
    throw sdx::Error(sdx::Status::invalid_argument, "the RAW file has a wrong size");
  if (image.cancelled()) return;
  const uint8_t* from = bytes.data() + 5;
  const bool reversed = image.pixel_format() == sdx::PixelFormat::bgr;
  const sdx::Span<uint8_t> pixels = image.allocate(bytes[3], bytes[4]);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = image.channels() == 1 ? from[3 * i] : from[reversed ? i + 2 - 2 * (i % 3) : i];
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string mode = argc > 2 ? argv[2] : "";
  int calls = 0;
  sdx::Options options;
  options.image_decoder(nullptr);
  if (mode == "strict")
    options.image_decoder([&calls](sdx::Image& image) {
      ++calls;
      image.decode();
    });
  if (mode == "own")
    options.image_decoder([&calls](sdx::Image& image) {
      ++calls;
      decode_own(image);
    });
  sdx::Session model(argv[1], options);
  options = sdx::Options();  // the session keeps the decoder
  sdx::Run run;
  if (argc > 3) run.memory_limit(std::stol(argv[3]));
  std::cout << "formats: " << sdx::image_formats() << '\n';
  for (std::string name; std::getline(std::cin, name);) {
    std::ifstream file(name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto* const data = reinterpret_cast<const uint8_t*>(bytes.data());
    const auto view = sdx::Tensor::view(data, {static_cast<int64_t>(bytes.size())});
    try {
      const sdx::Tensor image = model.run({view}, &run).at(0).tensor();
      const sdx::Shape shape = image.shape();
      std::cout << shape[0] << " x " << shape[1] << " x " << shape[2] << '\n';
      std::ofstream(name + ".pixels", std::ios::binary)
          .write(static_cast<const char*>(image.raw()), static_cast<long>(image.bytes()));
    } catch (const sdx::Error& error) {
      std::cout << sdx_status_text(static_cast<sdx_status>(error.status())) << ": " << error.what()
                << '\n';
    }
  }
  std::cout << "calls: " << calls << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
