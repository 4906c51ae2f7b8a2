#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/frame.h"
#include "base/thread_pool.h"

using namespace sdx;

constexpr auto kSingle = ThreadPool::Pieces::single;

TEST_CASE("every chunk runs once, whatever the number of threads") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    const ThreadPool::Session session(&pool);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> hits(37);
      for (const auto pieces : {ThreadPool::Pieces::single, ThreadPool::Pieces::halves}) {
        pool.run(37, pieces, [&](int64_t begin, int64_t end) {
          if (pieces == ThreadPool::Pieces::single) CHECK(end == begin + 1);
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
        });
      }
      for (const auto& hit : hits) REQUIRE(hit.load() == 2);
    }
  }
}

TEST_CASE("workers start with the first work that can be shared") {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  const auto nothing = [](int64_t, int64_t) {};
  const auto before = threads();
  ThreadPool pool(3);
  CHECK(pool.threads() == 3);
  pool.run(1, kSingle, nothing);
  CHECK(threads() == before);
  pool.run(2, kSingle, nothing);
  CHECK(threads() == before + 2);
}

TEST_CASE("the first exception reaches the caller and the pool stays usable") {
  ThreadPool pool(3);
  const auto fail_at_four = [](int64_t i, int64_t) {
    if (i == 4) throw std::runtime_error("four");
  };
  CHECK_THROWS_AS(pool.run(10, kSingle, fail_at_four), std::runtime_error);
  std::atomic<int> count{0};
  pool.run(10, kSingle, [&](int64_t, int64_t) { ++count; });
  CHECK(count == 10);
}

TEST_CASE("nested and concurrent calls run") {
  ThreadPool pool(2);
  std::atomic<int> count{0};
  pool.run(4, kSingle,
           [&](int64_t, int64_t) { pool.run(3, kSingle, [&](int64_t, int64_t) { ++count; }); });
  CHECK(count == 12);
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int i = 0; i < 100; ++i) pool.run(5, kSingle, [&](int64_t, int64_t) { ++count; });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(count == 12 + 4 * 100 * 5);
}

TEST_CASE("work is cut by its size alone") {
  CHECK(split_work(1000, 1.0).chunks == 1);  // a microsecond: nobody is woken
  for (const int64_t items : {1, 7, 1000, 100003}) {
    for (const int64_t grain : {1, 6, 64}) {
      const Split split = split_work(items, 1000.0, grain);
      int64_t next = 0;
      for (int64_t i = 0; i < split.chunks; ++i) {
        const Range range = split.chunk(i);
        CHECK(range.begin == next);
        CHECK(range.begin % grain == 0);
        next = range.end;
      }
      CHECK(next == items);
    }
  }
}
