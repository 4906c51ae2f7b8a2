#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "plan/arena.h"

using sdx::plan::Arena;

TEST_CASE("freed blocks are merged and used again") {
  Arena arena;
  const int64_t a = arena.allocate(100), b = arena.allocate(100), c = arena.allocate(100);
  CHECK(arena.size() == 3 * 128);
  arena.release(a, 100);
  arena.release(b, 100);
  CHECK(arena.allocate(256) == a);
  arena.release(c, 100);
  CHECK(arena.allocate(500) == c);  // grows the last block
}

TEST_CASE("blocks alive together never overlap") {
  struct Block {
    int64_t offset, bytes;
  };
  std::mt19937 random(7);
  Arena arena;
  std::vector<Block> alive;
  for (int round = 0; round < 2000; ++round) {
    if (alive.empty() || random() % 3) {
      const int64_t bytes = 1 + static_cast<int64_t>(random() % 5000);
      const int64_t offset = arena.allocate(bytes);
      for (const Block& other : alive)
        REQUIRE((offset + bytes <= other.offset || other.offset + other.bytes <= offset));
      REQUIRE(offset + bytes <= arena.size());
      alive.push_back({offset, bytes});
    } else {
      const std::size_t i = random() % alive.size();
      arena.release(alive[i].offset, alive[i].bytes);
      alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}
