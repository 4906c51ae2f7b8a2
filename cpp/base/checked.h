// Arithmetic on sizes that refuses to overflow.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace sdx {

inline int64_t checked_mul(int64_t a, int64_t b) {
  int64_t result;
  check(!__builtin_mul_overflow(a, b, &result), "size overflows: ", a, " x ", b);
  return result;
}

inline int64_t checked_add(int64_t a, int64_t b) {
  int64_t result;
  check(!__builtin_add_overflow(a, b, &result), "size overflows: ", a, " + ", b);
  return result;
}

// Whether [offset, offset + length) lies inside [0, size).
inline bool fits(uint64_t offset, uint64_t length, uint64_t size) {
  return length <= size && offset <= size - length;
}

inline int64_t round_up(int64_t value, int64_t multiple) {
  return checked_add(value, multiple - 1) / multiple * multiple;
}

}  // namespace sdx
