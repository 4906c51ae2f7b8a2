// One session used from many threads at once: what thread sanitizers watch.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "api/branching_model.h"
#include "base/interrupt.h"

using namespace sdx;
using namespace sdx::test;

namespace {

constexpr int kThreads = 8;
constexpr int kRounds = 25;

Options with_threads(int threads) {
  Options options;
  options.threads = threads;
  return options;
}

// Calls work(t) in threads t = 0, 1, ... at once.
template <class Work>
void at_once(const Work& work) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back([&work, t] { work(t); });
  for (std::thread& thread : threads) thread.join();
}

// Of a thread's round: some too small to be split among threads, some not.
int64_t rows_of(int thread, int round) { return 1 + (thread * 7 + round) % 5 * 20'000; }

}  // namespace

TEST_CASE("threads run, trim and measure one session, and get the bits of one thread") {
  for (const int threads : {1, 3}) {
    Session reference = load_branching_model(with_threads(1));
    Options options = with_threads(threads);
    options.trim_after = 0.001;
    Session session = load_branching_model(options);
    std::vector<std::vector<Datum>> expected;
    for (int i = 0; i < 5; ++i) expected.push_back(run_rows(reference, 1 + i * 20'000));
    std::atomic<int> wrong{0};
    at_once([&](int t) {
      for (int round = 0; round < kRounds; ++round) {
        const int64_t rows = rows_of(t, round);
        wrong += !equal(run_rows(session, rows), expected[static_cast<std::size_t>(rows / 20'000)]);
        if (t == 0) session.trim();
        if (t == 1) wrong += session.memory().total() < 0;
        if (t == 2 && round % 8 == 0) {
          const Feed feed{"x", Tensor::filled<float>(Shape{2, 3}, 1.0f)};
          wrong += session.profile(std::span(&feed, 1)).empty();
        }
        if (t == 3 && round % 8 == 0) wrong += session.plan_summary({}).steps == 0;
      }
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("runs are cancelled, time out and meet their limits beside runs that go on") {
  Options options = with_threads(2);
  options.memory_limit = 64 << 20;
  Session session = load_branching_model(options);
  const std::vector<Datum> expected = run_rows(session, 20'001);
  std::atomic<int> wrong{0};
  at_once([&](int t) {
    for (int round = 0; round < kRounds; ++round) {
      std::atomic<bool> cancel{t == 0 && round % 2 == 0};
      std::thread canceller;
      RunControl control;
      if (t == 0) control.cancel = &cancel;
      if (t == 0 && !cancel) canceller = std::thread([&cancel] { cancel = true; });
      if (t == 1) control.timeout = 1e-6;
      if (t == 2) control.memory_limit = 1 << 10;
      try {
        // What ends in time may do so.
        wrong += !equal(run_rows(session, 20'001, control), expected);
      } catch (const Interrupted&) {
        wrong += t > 1;
      } catch (const Error& error) {
        wrong += t < 2 || error.kind() != ErrorKind::out_of_memory;
      }
      if (canceller.joinable()) canceller.join();
    }
  });
  CHECK(wrong == 0);
  CHECK(equal(run_rows(session, 20'001), expected));
}

TEST_CASE("sessions come and go while others of the same pool run") {
  Options options;
  options.pool = make_pool(3);
  auto shared = std::make_shared<Session>(load_branching_model(options));
  const std::vector<Datum> expected = run_rows(*shared, 20'001);
  std::atomic<int> wrong{0};
  std::vector<std::shared_ptr<Session>> owners(kThreads, shared);
  shared.reset();
  at_once([&](int t) {
    std::shared_ptr<Session>& mine = owners[static_cast<std::size_t>(t)];
    for (int round = 0; round <= t; ++round) {
      wrong += !equal(run_rows(*mine, 20'001), expected);
      Options level = options;
      level.level = round % 3;
      Session other = load_branching_model(level);
      run_rows(other, 1 + t);
    }
    mine.reset();  // the last one takes the session with it
  });
  CHECK(wrong == 0);
}
