// What the opaque handles of the C interface are, and the wall that no exception passes.
#pragma once

#include <sardonyx/sardonyx.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/session.h"
#include "base/error.h"

struct sdx_options {
  sdx::Options options;
};

struct sdx_info {
  sdx::ValueInfo info;
  sdx_kind kind = SDX_KIND_NONE;
  std::vector<int64_t> dims;  // -1 where open
};

struct sdx_session {
  sdx::Session session;
  std::vector<sdx_info> inputs, outputs;
  std::vector<const char*> metadata_keys;

  explicit sdx_session(sdx::Session loaded);
};

struct sdx_value {
  sdx::Datum datum;
};

struct sdx_run {
  std::atomic<bool> cancelled{false};
  std::atomic<double> timeout{-1};  // in seconds; negative: none
  std::atomic<int64_t> memory_limit{0};
};

struct sdx_pool {
  std::shared_ptr<sdx::ThreadPool> pool;
};

struct sdx_profile {
  std::vector<sdx::StepProfile> steps;
};

namespace sdx::capi {

// Notes the error in flight for sdx_last_error. Call only inside a catch block.
sdx_status caught() noexcept;

template <class F>
sdx_status guarded(F&& f) noexcept {
  try {
    std::forward<F>(f)();
    return SDX_OK;
  } catch (...) {
    return caught();
  }
}

// Fails with "NAME is NULL".
void check_given(const void* pointer, const char* name);

template <class Handle, class... Parts>
void hand_out(Handle** out, Parts&&... parts) {
  check_given(out, "out");
  *out = new Handle{std::forward<Parts>(parts)...};
}

// Inputs by name, or in the model's order where there are no names. The values must outlive it.
std::vector<Feed> feeds_from(const sdx_session& session, const char* const* names,
                             const sdx_value* const* inputs, size_t count);

// Writes what fits of `from`: the caller may know fewer fields, or more.
template <class T>
void fill(T* to, size_t size, const T& from) {
  std::memset(to, 0, size);
  std::memcpy(to, &from, std::min(size, sizeof(from)));
}

Shape shape_from(const int64_t* shape, size_t rank);
// A number that is an element type.
DType dtype_from(sdx_dtype dtype);

}  // namespace sdx::capi
