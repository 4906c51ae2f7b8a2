// Moving elements without looking at them: copies between strided layouts, for every element type.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/frame.h"
#include "ir/op.h"
#include "kernels/transpose.h"

namespace sdx::ops {

// An element of complex128: too wide for an integer type.
struct Item16 {
  uint64_t words[2];
  friend bool operator==(const Item16&, const Item16&) = default;
};

// Calls f.template operator()<T>() for a T that an element of `dtype` can be moved as.
template <class F>
decltype(auto) dispatch_items(DType dtype, F&& f) {
  if (dtype == DType::string) return f.template operator()<std::string>();
  if (item_size(dtype) == sizeof(Item16)) return f.template operator()<Item16>();
  return dispatch_size(item_size(dtype), f);
}

// Nanoseconds that moving one item takes, for split_work.
template <class T>
constexpr double move_cost() {
  return std::is_trivially_copyable_v<T> ? 0.06 * sizeof(T) + 0.02 : 20.0;
}

template <class T>
void copy_run(const T* from, T* to, int64_t count) {
  if constexpr (std::is_trivially_copyable_v<T>) {
    if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  } else {
    std::copy_n(from, count, to);
  }
}

// The transpose of a matrix whose rows lie from_stride apart, its rows to_stride apart.
template <class T>
void transpose_block(int64_t rows, int64_t cols, const T* from, int64_t from_stride, T* to,
                     int64_t to_stride) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    kernels::transpose_8.resolve()(rows, cols, from, from_stride, to, to_stride);
  } else if constexpr (std::is_same_v<T, uint16_t>) {
    kernels::transpose_16.resolve()(rows, cols, from, from_stride, to, to_stride);
  } else if constexpr (std::is_same_v<T, uint32_t>) {
    kernels::transpose_32.resolve()(rows, cols, from, from_stride, to, to_stride);
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    kernels::transpose_64.resolve()(rows, cols, from, from_stride, to, to_stride);
  } else {
    for (int64_t c = 0; c < cols; ++c)
      for (int64_t r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

// A block of `shape` items read at strides `from` and written at strides `to`, counted in items.
struct StridedCopy {
  Shape shape, from, to;
};

// The same copy without axes of size 1, neighbours that lie together merged.
StridedCopy simplify(const StridedCopy& copy);

// Whether a simplified copy is one contiguous run, or nothing at all.
bool is_one_run(const StridedCopy& simplified);

// Runs a simplified copy. `from` and `to` point at the block's first items and do not overlap.
using Mover = void (*)(const Frame& f, const StridedCopy& simplified, const void* from, void* to);
Mover strided_mover(DType dtype);

// A step that copies from input 0, starting `from_offset` items in, to the whole of output 0.
Step strided_step(const PrepareContext& ctx, const StridedCopy& copy, int64_t from_offset = 0);

// A step that gives output 0 the elements of input 0 in the same order.
Step copy_step(const PrepareContext& ctx);

// Where output 0 lies in input 0 if the copy is one run or rows of runs: the answer to Op::view.
std::optional<View> strided_view(const PrepareContext& ctx, const StridedCopy& copy,
                                 int64_t from_offset = 0);

}  // namespace sdx::ops
