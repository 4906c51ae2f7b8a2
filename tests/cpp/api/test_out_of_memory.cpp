// Every allocation of loading and running may fail: an error, and the session goes on.
#include <doctest/doctest.h>

#include <functional>
#include <new>

#include "allocations.h"
#include "api/branching_model.h"
#include "base/error.h"

using namespace sdx;
using namespace sdx::test;

namespace {

Session load(const std::string& bytes, int level) {
  Options options;
  options.threads = 1;
  options.level = level;
  return Session::load_bytes(std::as_bytes(std::span(bytes)), options);
}

// Lets the first allocation of `work` fail, then the second and so on until it needs no more;
// returns how often. `afterwards` follows each.
int64_t fail_each(
    bool lasting, const std::function<void()>& work,
    const std::function<void()>& afterwards = [] {}) {
  int64_t at = 1;
  for (bool failed = true; failed; ++at) {
    {
      const test::FailingAllocation failing(at, lasting);
      try {
        work();
      } catch (const std::bad_alloc&) {
      } catch (const Error& error) {
        CHECK_MESSAGE(error.kind() == ErrorKind::out_of_memory, error.what());
      }
      failed = failing.failed();
    }
    afterwards();
    REQUIRE(at < 100000);
  }
  return at;
}

}  // namespace

TEST_CASE("loading survives the failure of any allocation") {
  const std::string bytes = branching_model();
  for (const int level : {0, 2})
    for (const bool lasting : {false, true})
      CHECK(fail_each(lasting, [&] { load(bytes, level); }) > 100);
}

TEST_CASE("running survives the failure of any allocation, and the session with it") {
  const std::string bytes = branching_model();
  for (const int level : {0, 2}) {
    Session session = load(bytes, level);
    const std::vector<Datum> expected = run_rows(session, 4);
    int64_t rows = 5;
    for (const bool lasting : {false, true}) {
      // A new shape is planned anew each time, a known one is not.
      CHECK(fail_each(
                lasting, [&] { run_rows(session, ++rows); },
                [&] { CHECK(equal(run_rows(session, 4), expected)); }) > 20);
      fail_each(
          lasting, [&] { run_rows(session, 4); },
          [&] { CHECK(equal(run_rows(session, 4), expected)); });
    }
  }
}
