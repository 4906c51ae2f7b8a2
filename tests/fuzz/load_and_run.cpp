// libFuzzer: any bytes are a model that loads and runs, or an Error.
#include <cstring>

#include "api/session.h"
#include "base/error.h"

namespace {

constexpr int64_t kMostElements = 1 << 16;
constexpr int64_t kMostBytes = 256 << 20;
constexpr double kSeconds = 1;

// Zeros for a tensor input; unknown dimensions are 2. Nothing for other inputs.
sdx::Datum zeros_for(const sdx::ValueInfo& input) {
  if (input.kind != "tensor") return {};
  sdx::Shape shape;
  for (const std::string& dim : input.shape) {
    const bool number = dim.find_first_not_of("0123456789") == dim.npos && dim.size() < 10;
    shape.push_back(number ? std::stoll(dim) : 2);
  }
  if (sdx::element_count(shape) > kMostElements) return {};
  sdx::Tensor tensor = sdx::Tensor::allocate(input.dtype, shape);
  if (input.dtype != sdx::DType::string) std::memset(tensor.raw(), 0, tensor.bytes());
  return tensor;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    sdx::Session session =
        sdx::Session::load_bytes({reinterpret_cast<const std::byte*>(data), size},
                                 {.threads = 1, .memory_limit = kMostBytes});
    std::vector<sdx::Feed> feeds;
    for (const sdx::ValueInfo& input : session.inputs())
      feeds.push_back({input.name, zeros_for(input)});
    session.run(feeds, {}, {}, {.timeout = kSeconds});
  } catch (const sdx::Error& error) {
    if (error.kind() == sdx::ErrorKind::internal) __builtin_trap();
  }
  return 0;
}
