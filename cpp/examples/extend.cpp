// Runs a model that uses operators of a library, on numbers given.
//
//   extend MODEL.onnx LIBRARY.so NUMBER...
#include <cstdlib>
#include <iostream>
#include <sardonyx/sardonyx.hpp>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: extend MODEL.onnx LIBRARY.so NUMBER...\n";
    return 2;
  }
  try {
    sdx::Session model(argv[1], sdx::Options().load_operators(argv[2]));
    std::vector<float> numbers;
    for (int i = 3; i < argc; ++i) numbers.push_back(std::strtof(argv[i], nullptr));
    const auto count = static_cast<int64_t>(numbers.size());
    const sdx::Tensor result = model(sdx::Tensor::from<float>({1, count}, std::move(numbers)));
    for (const float item : result.items<float>()) std::cout << item << ' ';
    std::cout << '\n';
  } catch (const sdx::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
