// Comparisons of numbers, and choices between them.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

enum class Relation : unsigned char { equal, not_equal, greater, greater_or_equal };

// y[i] is 1 where a[i * a_step] and b[i * b_step] are so related, else 0; steps are 0 or 1, n may
// be 0, and y does not overlap the operands.
template <class T>
using Compare = void(Relation relation, const T* a, std::size_t a_step, const T* b,
                     std::size_t b_step, uint8_t* y, std::size_t n);
using CompareF32 = Compare<float>;
using CompareI32 = Compare<int32_t>;
using CompareI64 = Compare<int64_t>;

extern const Kernel<CompareF32, kIsaCount> compare_f32;
extern const Kernel<CompareI32, kIsaCount> compare_i32;
extern const Kernel<CompareI64, kIsaCount> compare_i64;

// result[i] = condition[i] ? x[i * x_step] : y[i * y_step], of items of any meaning; conditions are
// bytes of which any but 0 is true, and result may be x or y.
template <class T>
using Select = void(const uint8_t* condition, const T* x, std::size_t x_step, const T* y,
                    std::size_t y_step, T* result, std::size_t n);
using Select32 = Select<uint32_t>;
using Select64 = Select<uint64_t>;

extern const Kernel<Select32, kIsaCount> select_32;
extern const Kernel<Select64, kIsaCount> select_64;

}  // namespace sdx::kernels
