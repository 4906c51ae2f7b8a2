// Errors and what the library says of itself.
#include <new>

#include "base/interrupt.h"
#include "capi/handles.h"

namespace sdx::capi {
namespace {

thread_local std::string last_error;
// Where there is no memory for words, these stand already.
thread_local const char* fixed_error = nullptr;

sdx_status note(sdx_status status, const char* text) noexcept {
  fixed_error = nullptr;
  try {
    last_error = text;
  } catch (...) {
    fixed_error = "out of memory";
  }
  return status;
}

sdx_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_model:
      return SDX_INVALID_MODEL;
    case ErrorKind::invalid_argument:
      return SDX_INVALID_ARGUMENT;
    case ErrorKind::unsupported:
      return SDX_UNSUPPORTED;
    case ErrorKind::out_of_memory:
      return SDX_OUT_OF_MEMORY;
    case ErrorKind::internal:
      break;
  }
  return SDX_INTERNAL;
}

}  // namespace

sdx_status caught() noexcept {
  try {
    throw;
  } catch (const Interrupted& end) {
    const bool late = end.reason() == Interrupted::Reason::timeout;
    return note(late ? SDX_TIMEOUT : SDX_CANCELLED, end.what());
  } catch (const Error& error) {
    return note(status_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    fixed_error = "out of memory";
    return SDX_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    return note(SDX_INTERNAL, error.what());
  } catch (...) {
    return note(SDX_INTERNAL, "unknown exception");
  }
}

void check_given(const void* pointer, const char* name) {
  check_argument(pointer != nullptr, name, " is NULL");
}

}  // namespace sdx::capi

using namespace sdx::capi;

const char* sdx_last_error(void) noexcept { return fixed_error ? fixed_error : last_error.c_str(); }

const char* sdx_status_text(sdx_status status) noexcept {
  constexpr const char* kTexts[] = {"ok",          "invalid model", "invalid argument",
                                    "unsupported", "out of memory", "internal error",
                                    "cancelled",   "timeout"};
  return status >= SDX_OK && status <= SDX_TIMEOUT ? kTexts[status] : "unknown status";
}

const char* sdx_version(void) noexcept { return sdx::version(); }
const char* sdx_instruction_set(void) noexcept { return sdx::instruction_set(); }
