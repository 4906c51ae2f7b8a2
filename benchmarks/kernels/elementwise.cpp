// Functions of one and of two operands, from the first cache and from memory.
#include <algorithm>

#include "bench.h"
#include "kernels/binary.h"
#include "kernels/cast.h"
#include "kernels/compare.h"
#include "kernels/divide.h"
#include "kernels/logic.h"
#include "kernels/truncate.h"
#include "kernels/unary.h"
#include "kernels/unary_f64.h"

namespace sdx::bench {
namespace {

constexpr std::size_t kCounts[] = {4096, 4 << 20};

template <class T>
void unary(const Bench& bench,
           const kernels::Kernel<void(const T*, T*, std::size_t, T, T), kernels::kIsaCount>& kernel,
           std::size_t count) {
  auto floats = random_floats(count);
  Buffer<T> x(count), y(count);
  std::copy_n(floats.data(), count, x.data());
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernel.variants) {
    bench.time(kernel.name, isa, std::to_string(count), {n, 2 * sizeof(T) * n},
               [&, run = run] { run(x.data(), y.data(), count, T{0.5}, T{0.5}); });
  }
}

void binary(const Bench& bench,
            const kernels::Kernel<kernels::BinaryF32, kernels::kIsaCount>& kernel,
            std::size_t count) {
  auto a = random_floats(count);
  auto b = random_floats(count);
  Buffer<float> y(count);
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernel.variants) {
    bench.time(kernel.name, isa, std::to_string(count), {n, 12 * n},
               [&, run = run] { run(a.data(), 1, b.data(), 1, y.data(), count); });
  }
}

void multiply_and_add(const Bench& bench, std::size_t count) {
  auto a = random_floats(count), b = random_floats(count), c = random_floats(count);
  Buffer<float> y(count);
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernels::multiply_add.variants)
    bench.time("multiply_add", isa, std::to_string(count), {2 * n, 16 * n},
               [&, run = run] { run(a.data(), 1, b.data(), 1, c.data(), 1, y.data(), count); });
}

template <class From, class To>
void truncate(
    const Bench& bench,
    const kernels::Kernel<void(const From*, To*, std::size_t), kernels::kIsaCount>& kernel,
    std::size_t count) {
  Buffer<From> x(count);
  for (std::size_t i = 0; i < count; ++i) x.data()[i] = static_cast<From>(i % 100) - 50;
  Buffer<To> y(count);
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, std::to_string(count), {n, n * (sizeof(From) + sizeof(To))},
               [&, run = run] { run(x.data(), y.data(), count); });
}

template <class From, class To>
void cast(const Bench& bench, kernels::Number from, kernels::Number to, const char* name,
          std::size_t count) {
  Buffer<From> x(count);
  Buffer<To> y(count);
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernels::cast_numbers.variants)
    bench.time("cast_numbers", isa, name + (" " + std::to_string(count)),
               {n, n * (sizeof(From) + sizeof(To))},
               [&, run = run] { run(from, to, x.data(), y.data(), count); });
}

template <class T>
void compare(const Bench& bench,
             const kernels::Kernel<kernels::Compare<T>, kernels::kIsaCount>& kernel,
             std::size_t count) {
  Buffer<T> a(count), b(count);
  Buffer<uint8_t> y(count);
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, std::to_string(count), {n, n * (2 * sizeof(T) + 1)},
               [&, run = run] {
                 run(kernels::Relation::greater, a.data(), 1, b.data(), 1, y.data(), count);
               });
}

template <class T>
void combine(
    const Bench& bench,
    const kernels::Kernel<void(const T*, std::size_t, const T*, std::size_t, T*, std::size_t),
                          kernels::kIsaCount>& kernel,
    std::size_t count) {
  Buffer<T> a(count), b(count), y(count);
  for (std::size_t i = 0; i < count; ++i) {
    a.data()[i] = static_cast<T>(i * 7 % 101);
    b.data()[i] = static_cast<T>(i % 13);
  }
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, std::to_string(count), {n, n * 3 * sizeof(T)},
               [&, run = run] { run(a.data(), 1, b.data(), 1, y.data(), count); });
}

template <class T>
void select(const Bench& bench,
            const kernels::Kernel<kernels::Select<T>, kernels::kIsaCount>& kernel,
            std::size_t count) {
  Buffer<uint8_t> condition(count);
  for (std::size_t i = 0; i < count; ++i) condition.data()[i] = i % 3 == 0;
  Buffer<T> x(count), y(count), result(count);
  const auto n = static_cast<double>(count);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(
        kernel.name, isa, std::to_string(count), {n, n * (3 * sizeof(T) + 1)},
        [&, run = run] { run(condition.data(), x.data(), 1, y.data(), 1, result.data(), count); });
}

}  // namespace

void bench_elementwise(const Bench& bench) {
  using namespace kernels;
  for (const std::size_t count : kCounts) {
    for (const auto* kernel : {&unary_relu,         &unary_leaky_relu,  &unary_thresholded_relu,
                               &unary_clip,         &unary_scale_shift, &unary_abs,
                               &unary_neg,          &unary_sign,        &unary_floor,
                               &unary_ceil,         &unary_round,       &unary_sqrt,
                               &unary_reciprocal,   &unary_square,      &unary_exp,
                               &unary_log,          &unary_sin,         &unary_cos,
                               &unary_asin,         &unary_acos,        &unary_atan,
                               &unary_tanh,         &unary_erf,         &unary_sigmoid,
                               &unary_gelu,         &unary_gelu_tanh,   &unary_swish,
                               &unary_hard_sigmoid, &unary_hard_swish,  &unary_elu,
                               &unary_celu,         &unary_selu,        &unary_softplus,
                               &unary_softsign,     &unary_mish})
      unary(bench, *kernel, count);
    for (const auto* kernel :
         {&unary_f64_exp, &unary_f64_log, &unary_f64_tanh, &unary_f64_erf, &unary_f64_sigmoid})
      unary(bench, *kernel, count);
    for (const auto* kernel : {&binary_add, &binary_sub, &binary_mul, &binary_div, &binary_max,
                               &binary_min, &binary_prelu, &binary_pow})
      binary(bench, *kernel, count);
    multiply_and_add(bench, count);
    truncate(bench, truncate_f32_to_i32, count);
    truncate(bench, truncate_f32_to_i64, count);
    truncate(bench, truncate_f32_to_byte, count);
    truncate(bench, truncate_f64_to_i32, count);
    truncate(bench, truncate_f64_to_i64, count);
    truncate(bench, truncate_f64_to_byte, count);
    truncate(bench, f64_to_f16, count);
    compare(bench, compare_f32, count);
    compare(bench, compare_i32, count);
    compare(bench, compare_i64, count);
    for (const auto* kernel : {&logic_and, &logic_or, &logic_xor})
      combine<uint8_t>(bench, *kernel, count);
    truncate(bench, logic_not, count);
    for (const auto* kernel : {&divide_i32, &truncated_remainder_i32, &floored_remainder_i32})
      combine<int32_t>(bench, *kernel, count);
    select(bench, select_32, count);
    select(bench, select_64, count);
    cast<uint8_t, float>(bench, Number::boolean, Number::float32, "bool to f32", count);
    cast<float, uint8_t>(bench, Number::float32, Number::boolean, "f32 to bool", count);
    cast<int64_t, float>(bench, Number::int64, Number::float32, "i64 to f32", count);
    cast<int64_t, int32_t>(bench, Number::int64, Number::int32, "i64 to i32", count);
    cast<float, double>(bench, Number::float32, Number::float64, "f32 to f64", count);
  }
}

}  // namespace sdx::bench
