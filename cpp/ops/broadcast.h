// Elementwise work over operands of different shapes: NumPy broadcasting with symbols, and operands
// walked in as few and as long runs as their shapes allow.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "ir/op.h"

namespace sdx::ops {

inline constexpr int kMaxOperands = 3;

// NumPy broadcasting of dimensions that may be symbols; throws where known ones cannot broadcast.
Dims broadcast_dims(const Dims& a, const Dims& b);

// Types output 0: `dtype` elements of the broadcast of all inputs, of unknown rank if one is.
void infer_broadcast(InferContext& ctx, DType dtype);

// Before opset 7 only the second operand broadcast, and only where `broadcast` was set: its first
// axis then lies on `axis` of the first operand.
class LegacyBroadcast {
 public:
  LegacyBroadcast() = default;
  explicit LegacyBroadcast(const OpInit& init);
  // The second operand's shape, so padded that it broadcasts as NumPy does it.
  Dims align(const Dims& a, Dims b) const;
  Shape align(const Shape& a, const Shape& b) const;

 private:
  template <class Sizes>
  Sizes pad(std::size_t rank, Sizes b) const;

  bool set_ = false;
  int64_t axis_ = 0;
  bool has_axis_ = false;
};

// The same for two inputs, the second aligned.
void infer_pair(InferContext& ctx, DType dtype, const LegacyBroadcast& legacy);

// Results in runs, along each of which an operand moves by one element or stands still. Axes on
// which all operands agree are merged, so that equal shapes are one run.
struct Broadcast {
  using Offsets = std::array<int64_t, kMaxOperands>;

  // Operands lie together unless `rows` says otherwise.
  Broadcast(const Shape& result, std::initializer_list<const Shape*> operands,
            std::initializer_list<Rows> rows = {});

  int64_t count = 0;                             // of all results
  int64_t run = 1;                               // results in a run
  std::array<std::size_t, kMaxOperands> step{};  // of operands along a run: 0 or 1
  Shape rows;                                    // the axes outside a run, outermost first
  std::array<Shape, kMaxOperands> strides;       // of operands along them

  bool is_one_run() const { return rows.empty(); }
  // Whether operand k has an element for each result, in the same order.
  bool is_full(int k) const;
  bool is_scalar(int k) const;

  // Calls f(first, n, offsets) for each run, or part of one, in `range` of the results: n results
  // from `first` on, and where the operands of the first of them are.
  template <class F>
  void for_each_run(Range range, F&& f) const;

  // Operand k, which lies at `from`, for the results of `row_count` runs from run `first_row` on,
  // as they would be without broadcasting.
  template <class T>
  void gather(int k, const T* from, int64_t first_row, int64_t row_count, T* to) const;
};

template <class F>
void Broadcast::for_each_run(Range range, F&& f) const {
  if (range.begin >= range.end) return;
  const std::size_t axes = rows.size();
  Shape index(axes);
  Offsets base{};
  int64_t row = range.begin / run;
  for (std::size_t d = axes; d-- > 0;) {
    index[d] = row % rows[d];
    row /= rows[d];
    for (int k = 0; k < kMaxOperands; ++k) base[k] += index[d] * strides[k][d];
  }
  int64_t column = range.begin % run;
  for (int64_t i = range.begin; i < range.end;) {
    const int64_t n = std::min(run - column, range.end - i);
    Offsets offsets = base;
    if (column > 0) {
      for (int k = 0; k < kMaxOperands; ++k) offsets[k] += column * static_cast<int64_t>(step[k]);
    }
    f(i, n, offsets);
    i += n;
    column = 0;
    for (std::size_t d = axes; d-- > 0;) {
      const bool wraps = ++index[d] == rows[d];
      const int64_t moved = wraps ? 1 - rows[d] : 1;
      for (int k = 0; k < kMaxOperands; ++k) base[k] += moved * strides[k][d];
      if (!wraps) break;
      index[d] = 0;
    }
  }
}

template <class T>
void Broadcast::gather(int k, const T* from, int64_t first_row, int64_t row_count, T* to) const {
  const std::size_t axes = rows.size();
  const Shape& stride = strides[k];
  Shape index(axes);
  int64_t offset = 0;
  for (std::size_t d = axes; d-- > 0;) {
    index[d] = first_row % rows[d];
    first_row /= rows[d];
    offset += index[d] * stride[d];
  }
  const int64_t pitch = axes ? stride.back() : 0;
  while (row_count > 0) {
    // As many runs as the innermost of the outer axes still has.
    const int64_t some = axes ? std::min(row_count, rows.back() - index.back()) : row_count;
    const T* source = from + offset;
    for (int64_t row = 0; row < some; ++row, source += pitch, to += run) {
      if (step[k]) {
        for (int64_t i = 0; i < run; ++i) to[i] = source[i];
      } else {
        const T value = *source;
        for (int64_t i = 0; i < run; ++i) to[i] = value;
      }
    }
    row_count -= some;
    if (row_count == 0) return;
    offset -= index.back() * pitch;
    index.back() = 0;
    for (std::size_t d = axes - 1; d-- > 0;) {
      offset += stride[d];
      if (++index[d] < rows[d]) break;
      offset -= rows[d] * stride[d];
      index[d] = 0;
    }
  }
}

// y[i] = f(a[i * a_step], b[i * b_step]); y may be a or b.
template <class T, class Y>
using BinaryLoop = void(const T* a, std::size_t a_step, const T* b, std::size_t b_step, Y* y,
                        std::size_t n);

// A loop over pairs whose types only it knows: what walks them is the same for all.
class PairLoop {
 public:
  // `loop` is called as a BinaryLoop<T, Y>.
  template <class T, class Y, class Loop>
  static PairLoop of(const Loop& loop) {
    static_assert(std::is_trivially_copyable_v<Loop> && sizeof(Loop) <= sizeof(held_));
    PairLoop pair;
    std::memcpy(pair.held_, &loop, sizeof(loop));
    pair.call_ = [](const void* held, const void* a, std::size_t a_step, const void* b,
                    std::size_t b_step, void* y, std::size_t n) {
      (*static_cast<const Loop*>(held))(static_cast<const T*>(a), a_step, static_cast<const T*>(b),
                                        b_step, static_cast<Y*>(y), n);
    };
    pair.operand_bytes_ = sizeof(T);
    pair.result_bytes_ = sizeof(Y);
    pair.moves_items_ = std::is_trivially_copyable_v<T>;
    return pair;
  }

  void operator()(const std::byte* a, std::size_t a_step, const std::byte* b, std::size_t b_step,
                  std::byte* y, std::size_t n) const {
    call_(held_, a, a_step, b, b_step, y, n);
  }
  int64_t operand_bytes() const { return operand_bytes_; }
  int64_t result_bytes() const { return result_bytes_; }
  // Whether operands may be copied as bytes.
  bool moves_items() const { return moves_items_; }

 private:
  PairLoop() = default;

  void (*call_)(const void* held, const void* a, std::size_t a_step, const void* b,
                std::size_t b_step, void* y, std::size_t n) = nullptr;
  alignas(void*) std::byte held_[3 * sizeof(void*)] = {};
  int64_t operand_bytes_ = 0, result_bytes_ = 0;
  bool moves_items_ = false;
};

// Results a chunk of work begins at a multiple of, so that no two chunks share a cache line.
inline constexpr int64_t kElementGrain = 64;

// Whether some of the last axes make up a row of `length` elements, so that Broadcast can walk
// rows.
bool has_rows(const Shape& shape, int64_t length);

// What a step of two operands walks; before opset 7 the second one's shape is an aligned one.
struct BinaryShapes {
  const Shape& result;
  const Shape& a;
  const Shape& b;
  Rows result_rows = {}, a_rows = {}, b_rows = {};
};

// Runs shorter than this are not worth a call each: their operands are copied to where they make
// longer ones.
inline constexpr int64_t kShortRun = 32;

// Output 0 from inputs 0 and 1 by a loop; `cost` is nanoseconds a result.
Step broadcast_step(const BinaryShapes& shapes, const PairLoop& loop, double cost);

template <class T, class Y, class Loop>
Step broadcast_step(const BinaryShapes& shapes, const Loop& loop, double cost) {
  return broadcast_step(shapes, PairLoop::of<T, Y>(loop), cost);
}

// The loop of a function of two numbers, with the common steps written out.
template <class F, class T, class Y>
void binary_loop(const T* a, std::size_t a_step, const T* b, std::size_t b_step, Y* y,
                 std::size_t n) {
  constexpr F f{};
  if (a_step && b_step) {
    for (std::size_t i = 0; i < n; ++i) y[i] = f(a[i], b[i]);
  } else if (a_step) {
    const T second = *b;
    for (std::size_t i = 0; i < n; ++i) y[i] = f(a[i], second);
  } else if (b_step) {
    const T first = *a;
    for (std::size_t i = 0; i < n; ++i) y[i] = f(first, b[i]);
  } else if (n > 0) {
    std::fill_n(y, n, Y(f(*a, *b)));
  }
}

}  // namespace sdx::ops
