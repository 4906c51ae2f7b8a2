#include "bindings/gil.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

namespace sdx::bindings {
namespace {

namespace py = pybind11;

// For calls that hold the GIL for long, as functions in Python may.
constexpr std::chrono::seconds kLongestWait(2);

// Threads in calls that hold the GIL or ask for it. Either they see that Python ends, or its end
// sees them.
std::atomic<int> holders{0};
std::atomic<bool> ends{false};

struct Thread {
  int calls = 0;         // that it is in, one within another
  int holds = 0;         // what it has added to `holders`
  bool outlives = true;  // Python, unless one has asked
};
thread_local Thread thread;

void hold() {
  ++thread.holds;
  holders.fetch_add(1);
}

void let_go() {
  --thread.holds;
  holders.fetch_sub(1);
}

[[noreturn]] void stay_forever() {
  if (PyGILState_Check()) PyEval_SaveThread();
  holders.fetch_sub(thread.holds);
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

// Threads without a call work for one that has one.
bool must_stay() { return ends.load() && thread.calls > 0 && thread.outlives; }

// With the GIL: Python waits for threads that are no daemons, which functions that it calls at its
// end may start.
void stay_if_daemon() {
  if (!must_stay()) return;
  try {
    const py::object current = py::module_::import("threading").attr("current_thread")();
    thread.outlives = current.attr("daemon").cast<bool>();
  } catch (const std::exception&) {
    // It is no thread that Python waits for.
  }
  if (thread.outlives) stay_forever();
}

void wait_for_calls() {
  thread.outlives = false;  // it is this thread that ends Python
  ends = true;
  PyThreadState* const state = PyEval_SaveThread();
  const auto start = std::chrono::steady_clock::now();
  while (holders.load() > thread.holds && std::chrono::steady_clock::now() - start < kLongestWait)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  PyEval_RestoreThread(state);
}

}  // namespace

Call::Call() {
  hold();
  ++thread.calls;
  stay_if_daemon();
}

Call::~Call() {
  --thread.calls;
  let_go();
}

void Call::look() { stay_if_daemon(); }

WithoutGil::WithoutGil() : state_(PyEval_SaveThread()) { let_go(); }

WithoutGil::~WithoutGil() noexcept(false) {
  hold();
  if (must_stay()) stay_forever();
  // An unwinding that comes nevertheless is no exception of ours but one that has no type.
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {
    stay_forever();
  }
}

WithGil::WithGil() {
  hold();
  if (must_stay()) stay_forever();
  try {
    acquire_.emplace();
  } catch (const std::exception&) {
    let_go();
    throw;
  } catch (...) {
    stay_forever();
  }
}

WithGil::~WithGil() {
  acquire_.reset();
  let_go();
}

bool DeleteWithGil::python_ends() { return ends.load() || !Py_IsInitialized(); }

void wait_for_calls_at_exit() {
  py::module_::import("atexit").attr("register")(py::cpp_function(&wait_for_calls));
  pthread_atfork(nullptr, nullptr, [] { holders = thread.holds; });
}

}  // namespace sdx::bindings
