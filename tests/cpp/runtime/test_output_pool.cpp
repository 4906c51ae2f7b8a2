#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>

#include "base/tensor.h"
#include "runtime/output_pool.h"

using namespace sdx;
using runtime::OutputPool;

namespace {

constexpr std::size_t kBytes = 100'000;

}  // namespace

TEST_CASE("a result's memory serves again once its last owner is gone, and not before") {
  const auto pool = std::make_shared<OutputPool>();
  pool->keep_at_most(10 * kBytes);
  auto first = pool->allocate(kBytes);
  const void* const address = first.get();
  CHECK(reinterpret_cast<uintptr_t>(address) % kAlignment == 0);
  const auto held = first;
  first.reset();
  CHECK(pool->allocate(kBytes).get() != address);
  std::memset(held.get(), 1, kBytes);
  auto second = pool->allocate(kBytes);
  CHECK(second.get() != address);
}

TEST_CASE("results that grow a little find their old memory") {
  const auto pool = std::make_shared<OutputPool>();
  pool->keep_at_most(10 * kBytes);
  std::set<const void*> addresses;
  for (std::size_t bytes = kBytes; bytes < kBytes + 8'000; bytes += 512)
    addresses.insert(pool->allocate(bytes).get());
  CHECK(addresses.size() <= 2);
  // Memory that would mostly lie idle is not handed out.
  const auto small = pool->allocate(kBytes / 4);
  CHECK(!addresses.contains(small.get()));
}

TEST_CASE("a pool keeps no more than it may") {
  const auto pool = std::make_shared<OutputPool>();
  const std::size_t capacity = OutputPool::capacity_for(kBytes);
  pool->keep_at_most(2 * capacity);
  std::vector<std::shared_ptr<void>> blocks;
  std::vector<const void*> addresses;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(pool->allocate(kBytes));
    addresses.push_back(blocks.back().get());
  }
  blocks.clear();
  const auto a = pool->allocate(kBytes), b = pool->allocate(kBytes);
  CHECK(std::set<const void*>{a.get(), b.get()} ==
        std::set<const void*>{addresses[2], addresses[3]});
  CHECK(OutputPool::capacity_for(100) == 0);
  CHECK(OutputPool::capacity_for(SIZE_MAX) == 0);
}

TEST_CASE("results outlive their pool, and may end in any thread") {
  auto pool = std::make_shared<OutputPool>();
  pool->keep_at_most(100 * kBytes);
  auto last = pool->allocate(kBytes);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([pool, t] {
      for (int i = 0; i < 200; ++i) {
        const auto block = pool->allocate(kBytes + static_cast<std::size_t>(i) * 64);
        std::memset(block.get(), t, 64);
        const auto* bytes = static_cast<const uint8_t*>(block.get());
        REQUIRE(bytes[63] == t);
      }
    });
  for (std::thread& thread : threads) thread.join();
  pool.reset();
  std::memset(last.get(), 7, kBytes);
  last.reset();
}
