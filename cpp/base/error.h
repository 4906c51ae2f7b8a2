// How everything in cpp/ reports failure.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sdx {

enum class ErrorKind {
  invalid_model,     // the file breaks the ONNX specification
  invalid_argument,  // the caller broke our API's contract
  unsupported,       // legal ONNX that we do not implement
  out_of_memory,
  internal,  // a bug here
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(kind, text.str());
}

// The model must satisfy this; the parts make the sentence the user reads.
template <class... Parts>
void check(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::invalid_model, parts...);
}

// The same for what the caller of the API passes.
template <class... Parts>
void check_argument(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::invalid_argument, parts...);
}

// Rethrows the error in flight with the place in front: "node 'a' (MatMul, opset 13): ...".
// Call only inside a catch block.
[[noreturn]] void rethrow_at(std::string_view place);

}  // namespace sdx

// What only a bug of ours can break; checked in debug builds.
#ifdef NDEBUG
#define SDX_ASSERT(condition) ((void)0)
#else
#define SDX_ASSERT(condition) \
  ((condition) ? (void)0 : ::sdx::fail(::sdx::ErrorKind::internal, "assertion failed: " #condition))
#endif
