// libFuzzer: any bytes are an image or an Error, for every codec that the build has.
#include <span>

#include "base/error.h"
#include "base/memory_budget.h"
#include "codecs/decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::size_t kMostBytes = 64 << 20;
  const sdx::MemoryBudget::Scope scope(std::make_shared<sdx::MemoryBudget>(kMostBytes, "run"));
  for (const char* pixel_format : {"BGR", "Grayscale"}) {
    try {
      sdx::codecs::decode(std::as_bytes(std::span(data, size)), pixel_format);
    } catch (const sdx::Error& error) {
      if (error.kind() == sdx::ErrorKind::internal) __builtin_trap();
    }
  }
  return 0;
}
