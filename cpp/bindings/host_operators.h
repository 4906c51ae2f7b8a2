// Operators that Python brings: its functions, and those of libraries it has loaded.
#pragma once

#include "api/host_operators.h"
#include "bindings/convert.h"

namespace sdx::bindings {

// Loads a library; of each of its operators (domain, name, what host_operators takes).
py::list library_operators(const std::string& path);

// Of tuples (domain, name, function, infer or None, pure), and of operators of libraries.
HostOperators host_operators(const py::list& described);

// While it lives, the error of an operator's function is kept for this thread.
class OperatorErrors {
 public:
  OperatorErrors();
  ~OperatorErrors();
  OperatorErrors(const OperatorErrors&) = delete;
  OperatorErrors& operator=(const OperatorErrors&) = delete;

  // Call it where the run has thrown `error`, with the GIL: throws that error with the function's
  // as its cause, or what is no error but an interrupt as it is. Returns where no function failed.
  void raise(const std::exception& error);

  static void keep(std::exception_ptr raised);

 private:
  std::exception_ptr raised_;
  OperatorErrors* outer_;
};

}  // namespace sdx::bindings
