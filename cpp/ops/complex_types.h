// Complex numbers and strings as element types of computations, beside real numbers.
#pragma once

#include <complex>
#include <string>
#include <type_traits>

#include "base/dtype.h"

namespace sdx {

template <>
inline constexpr DType dtype_of<std::complex<float>> = DType::complex64;
template <>
inline constexpr DType dtype_of<std::complex<double>> = DType::complex128;

}  // namespace sdx

namespace sdx::ops {

template <class... Ts, class... More>
TypeList<Ts..., More...> joined(TypeList<Ts...>, TypeList<More...>);

// bool counts as real here
using RealAndComplexTypes =
    decltype(joined(NumberAndBoolTypes{}, TypeList<std::complex<float>, std::complex<double>>{}));
using RealComplexAndStringTypes = decltype(joined(RealAndComplexTypes{}, TypeList<std::string>{}));

// What values of T are weighted and summed as: integers and bools as doubles.
template <class T>
using SumType = std::conditional_t<std::is_integral_v<T>, double, ComputeType<T>>;

// The real numbers that weigh values of C.
template <class C>
struct WeightOf {
  using type = C;
};
template <class R>
struct WeightOf<std::complex<R>> {
  using type = R;
};
template <class C>
using WeightType = typename WeightOf<C>::type;

// Whether a comes before b: complex numbers by real part, then by imaginary part, as NumPy does.
template <class T>
bool comes_before(const T& a, const T& b) {
  return a < b;
}
template <class R>
bool comes_before(const std::complex<R>& a, const std::complex<R>& b) {
  return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
}

}  // namespace sdx::ops
