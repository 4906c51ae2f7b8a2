#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/large_memory.h"
#include "base/tensor.h"

namespace sdx {
namespace {

bool aligned(const void* memory) { return reinterpret_cast<uintptr_t>(memory) % kAlignment == 0; }

TEST_CASE("weight memory hands out pieces that keep their bytes") {
  constexpr std::size_t kSizes[] = {1,       100,     1 << 19, 1 << 20, 3 << 20,  20 << 20, 64,
                                    9 << 20, 9 << 20, 7,       2 << 20, 15 << 20, 0,        4096};
  std::vector<std::shared_ptr<void>> pieces;
  {
    WeightMemory memory;
    for (const std::size_t size : kSizes) {
      pieces.push_back(memory.allocate(size));
      CHECK(aligned(pieces.back().get()));
      std::memset(pieces.back().get(), static_cast<int>(pieces.size()), size);
    }
  }
  for (std::size_t i = 0; i < pieces.size(); i += 2) pieces[i].reset();
  for (std::size_t i = 1; i < pieces.size(); i += 2) {
    const auto* bytes = static_cast<const uint8_t*>(pieces[i].get());
    bool kept = true;
    for (std::size_t j = 0; j < kSizes[i]; ++j) kept &= bytes[j] == i + 1;
    CHECK_MESSAGE(kept, "piece ", i);
  }
}

TEST_CASE("large memory is aligned at any size and refuses what no machine has") {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{4} << 20, (std::size_t{5} << 20) + 1}) {
    const auto memory = allocate_large(size);
    CHECK(aligned(memory.get()));
    std::memset(memory.get(), 1, size);
  }
  CHECK_THROWS_AS(allocate_large(SIZE_MAX), Error);
  CHECK_THROWS_AS(allocate_large(std::size_t{1} << 62), Error);
  WeightMemory memory;
  CHECK_THROWS_AS(memory.allocate(SIZE_MAX), Error);
}

}  // namespace
}  // namespace sdx
