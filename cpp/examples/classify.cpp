// Says what an image shows: a grey PGM file of any size, and a classifier whose input is
// float32[batch, 1, height, width] with levels from 0 to 1.
//
//   classify MODEL.onnx IMAGE.pgm
#include <algorithm>
#include <fstream>
#include <iostream>
#include <numeric>
#include <sardonyx/sardonyx.hpp>

namespace {

struct Image {
  std::size_t width = 0, height = 0;
  std::vector<float> levels;  // 0 to 1, row by row
};

// A number of the header, comments before it skipped.
std::size_t read_number(std::istream& file) {
  while ((file >> std::ws).peek() == '#') file.ignore(1 << 20, '\n');
  std::size_t number = 0;
  file >> number;
  return number;
}

Image read_pgm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic(2, ' ');
  file.read(magic.data(), 2);
  Image image;
  image.width = read_number(file);
  image.height = read_number(file);
  const std::size_t brightest = read_number(file);
  const std::size_t most = 1 << 14;
  if (!file || magic != "P5" || brightest == 0 || brightest > 255 || image.width == 0 ||
      image.height == 0 || image.width > most || image.height > most)
    throw std::runtime_error(path + " is no binary PGM file of 8 bits");
  file.get();
  std::vector<char> bytes(image.width * image.height);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    throw std::runtime_error(path + " ends too early");
  for (const char byte : bytes)
    image.levels.push_back(static_cast<float>(static_cast<unsigned char>(byte)) /
                           static_cast<float>(brightest));
  return image;
}

// The mean of the pixels that each new one covers, at least one.
std::vector<float> resize(const Image& image, std::size_t height, std::size_t width) {
  std::vector<float> resized;
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t top = y * image.height / height, left = x * image.width / width;
      const std::size_t bottom = std::max(top + 1, (y + 1) * image.height / height);
      const std::size_t right = std::max(left + 1, (x + 1) * image.width / width);
      float sum = 0;
      for (std::size_t row = top; row < bottom; ++row)
        for (std::size_t column = left; column < right; ++column)
          sum += image.levels[row * image.width + column];
      resized.push_back(sum / static_cast<float>((bottom - top) * (right - left)));
    }
  }
  return resized;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: classify MODEL.onnx IMAGE.pgm\n";
    return 2;
  }
  sdx::Session model(argv[1]);
  const sdx::Info input = model.inputs().at(0);
  if (input.shape.size() != 4 || input.shape[2] < 1 || input.shape[3] < 1)
    throw std::runtime_error("the model wants " + input.type + " and no image");
  const auto pixels = resize(read_pgm(argv[2]), static_cast<std::size_t>(input.shape[2]),
                             static_cast<std::size_t>(input.shape[3]));

  const sdx::Tensor scores =
      model(sdx::Tensor::from({1, 1, input.shape[2], input.shape[3]}, pixels));

  const auto score = scores.items<float>();
  std::vector<std::size_t> classes(score.size());
  std::iota(classes.begin(), classes.end(), 0u);
  std::sort(classes.begin(), classes.end(),
            [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
  for (std::size_t i = 0; i < std::min<std::size_t>(3, classes.size()); ++i)
    std::cout << "class " << classes[i] << "  " << score[classes[i]] << '\n';
  return 0;
} catch (const std::exception& error) {
  std::cerr << "classify: " << error.what() << '\n';
  return 1;
}
