// Comparisons and choices, in loops without branches, which the compiler makes vectors of.
#include "kernels/compare.h"

#include "kernels/simd/pairs.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

template <class T>
SDX_INLINE void compare(Relation relation, const T* a, std::size_t a_step, const T* b,
                        std::size_t b_step, uint8_t* y, std::size_t n) {
  const auto run = [=](auto holds) __attribute__((always_inline)) {
    for_each_pair(
        a, a_step, b, b_step,
        n, [=](std::size_t i, T first, T second) __attribute__((always_inline)) {
          y[i] = static_cast<uint8_t>(holds(first, second));
        });
  };
  switch (relation) {
    case Relation::equal:
      return run([](T p, T q) __attribute__((always_inline)) { return p == q; });
    case Relation::not_equal:
      return run([](T p, T q) __attribute__((always_inline)) { return p != q; });
    case Relation::greater:
      return run([](T p, T q) __attribute__((always_inline)) { return p > q; });
    case Relation::greater_or_equal:
      return run([](T p, T q) __attribute__((always_inline)) { return p >= q; });
  }
}

template <class T>
SDX_INLINE void select(const uint8_t* condition, const T* x, std::size_t x_step, const T* y,
                       std::size_t y_step, T* result, std::size_t n) {
  for_each_pair(
      x, x_step, y, y_step, n, [=](std::size_t i, T p, T q) __attribute__((always_inline)) {
        result[i] = condition[i] != 0 ? p : q;
      });
}

}  // namespace

void compare_f32(Relation relation, const float* a, std::size_t a_step, const float* b,
                 std::size_t b_step, uint8_t* y, std::size_t n) {
  compare(relation, a, a_step, b, b_step, y, n);
}
void compare_i32(Relation relation, const int32_t* a, std::size_t a_step, const int32_t* b,
                 std::size_t b_step, uint8_t* y, std::size_t n) {
  compare(relation, a, a_step, b, b_step, y, n);
}
void compare_i64(Relation relation, const int64_t* a, std::size_t a_step, const int64_t* b,
                 std::size_t b_step, uint8_t* y, std::size_t n) {
  compare(relation, a, a_step, b, b_step, y, n);
}

void select_32(const uint8_t* condition, const uint32_t* x, std::size_t x_step, const uint32_t* y,
               std::size_t y_step, uint32_t* result, std::size_t n) {
  select(condition, x, x_step, y, y_step, result, n);
}
void select_64(const uint8_t* condition, const uint64_t* x, std::size_t x_step, const uint64_t* y,
               std::size_t y_step, uint64_t* result, std::size_t n) {
  select(condition, x, x_step, y, y_step, result, n);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(compare_f32, CompareF32)
SDX_DEFINE_KERNEL(compare_i32, CompareI32)
SDX_DEFINE_KERNEL(compare_i64, CompareI64)
SDX_DEFINE_KERNEL(select_32, Select32)
SDX_DEFINE_KERNEL(select_64, Select64)

}  // namespace sdx::kernels
