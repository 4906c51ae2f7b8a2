// The GIL and the end of Python: no thread may be left in C++ when it comes. Before Python 3.14 a
// thread that asks for the GIL then is unwound, through frames whose objects are still in use.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

namespace sdx::bindings {

// Around a call from Python: the end of Python waits until the call holds no GIL and asks for none.
// From then on the threads that could outlive Python, its daemon threads, stay here for ever.
class Call {
 public:
  Call();
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Of a call that takes long with the GIL: where it may stay.
  static void look();
};

// Lets other threads of Python run while this lives, within a Call.
class WithoutGil {
 public:
  WithoutGil();
  ~WithoutGil() noexcept(false);
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// The GIL again, in the midst of a run; on any thread.
class WithGil {
 public:
  WithGil();
  ~WithGil();
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  std::optional<pybind11::gil_scoped_acquire> acquire_;
};

// Deletes what holds Python objects, on any thread. Once Python ends that is left to the system.
struct DeleteWithGil {
  template <class T>
  void operator()(T* gone) const {
    if (python_ends()) return;
    const WithGil gil;
    delete gone;
  }

 private:
  static bool python_ends();
};

// Makes the end of Python wait; called as the module is made.
void wait_for_calls_at_exit();

}  // namespace sdx::bindings
