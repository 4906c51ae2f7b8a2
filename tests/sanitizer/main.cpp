// Gives each model of a file to the fuzzer's function: 8 bytes of length, little-endian, and so
// many bytes, again and again. A sanitizer that finds something ends the process; the number
// printed last is that of the model.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  uint64_t size = 0;
  for (long number = 0; file.read(reinterpret_cast<char*>(&size), sizeof size); ++number) {
    // Exactly as large as the model, so that one byte beyond is found.
    std::vector<char> data(size);
    if (!file.read(data.data(), static_cast<std::streamsize>(size))) return 2;
    std::fprintf(stderr, "%ld\n", number);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(data.data()), size);
  }
}
