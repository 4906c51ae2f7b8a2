// Elementwise functions of two numbers: arithmetic, remainders, powers, extremes.
#include "ops/binary.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <type_traits>

namespace sdx::ops {
namespace {

// What integers wrap in: unsigned, and wide enough not to be promoted to a signed type.
template <class T>
using Wrapping = std::common_type_t<std::make_unsigned_t<T>, unsigned>;

struct AddNumbers {
  template <class T>
  constexpr T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a + b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};

struct SubtractNumbers {
  template <class T>
  constexpr T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a - b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
  }
};

struct MultiplyNumbers {
  template <class T>
  constexpr T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a * b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  }
};

// Integers divide towards zero; by zero they give 0, and the one quotient that overflows wraps.
struct DivideNumbers {
  template <class T>
  constexpr T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return a / b;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>)
        if (b == -1) return SubtractNumbers{}(T(0), a);
      return static_cast<T>(a / b);
    }
  }
};

// The remainder with the sign of the dividend; of integers by zero it is 0.
struct TruncatedRemainder {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>)
        if (b == -1) return 0;
      return static_cast<T>(a % b);
    }
  }
};

// The remainder with the sign of the divisor.
struct FlooredRemainder {
  template <class T>
  T operator()(T a, T b) const {
    const T rest = TruncatedRemainder{}(a, b);
    if (rest != 0) return (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
    if constexpr (std::is_floating_point_v<T>) return std::copysign(rest, b);
    return rest;
  }
};

// Integers wrap; where an exponent is negative the result is the truncated fraction, and 0 to a
// negative power is 0.
struct Power {
  template <class T>
  T operator()(T base, T exponent) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::pow(base, exponent);
    } else {
      if constexpr (std::is_signed_v<T>) {
        if (exponent < 0) {
          if (base == 1) return 1;
          if (base == -1) return exponent % 2 ? -1 : 1;
          return 0;
        }
      }
      Wrapping<T> result = 1, square = static_cast<Wrapping<T>>(base);
      for (; exponent > 0; exponent = static_cast<T>(exponent >> 1)) {
        if (exponent & 1) result *= square;
        square *= square;
      }
      return static_cast<T>(result);
    }
  }
};

struct Greatest {
  template <class T>
  constexpr T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

struct Least {
  template <class T>
  constexpr T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

struct Leak {
  template <class T>
  constexpr T operator()(T a, T slope) const {
    return a < 0 ? MultiplyNumbers{}(a, slope) : a;
  }
};

// Whether signed integers give the bits that unsigned ones do.
template <class F>
inline constexpr bool ignores_signs =
    std::is_same_v<F, AddNumbers> || std::is_same_v<F, SubtractNumbers> ||
    std::is_same_v<F, MultiplyNumbers>;

template <class F>
Step integer_step(DType dtype, const BinaryShapes& shapes) {
  const auto step = [&]<class T>() -> Step {
    return broadcast_step<T, T>(shapes, &binary_loop<F, T, T>, 0.8);
  };
  if constexpr (ignores_signs<F>)
    return dispatch_size(item_size(dtype), step);
  else
    return dispatch(IntegerTypes{}, dtype, step);
}

// A function whose float32 form is a kernel.
template <class F>
constexpr BinaryFunction by_kernel(const char* name, int since, const BinaryKernel& kernel, F) {
  BinaryFunction function;
  function.name = name;
  function.since = since;
  function.kernel = &kernel;
  function.f64 = &binary_loop<F, double, double>;
  function.integer = &integer_step<F>;
  return function;
}

// A function that the C library computes, item by item.
template <class F>
constexpr BinaryFunction by_library(const char* name, int since, F) {
  BinaryFunction function;
  function.name = name;
  function.since = since;
  function.cost = 8;
  function.f32 = &binary_loop<F, float, float>;
  function.f64 = &binary_loop<F, double, double>;
  function.integer = &integer_step<F>;
  return function;
}

template <class F>
constexpr BinaryFunction with_symbols(BinaryFunction function, F,
                                      std::optional<Dim> (*symbolic)(const Dim&, const Dim&)) {
  function.number = [](int64_t a, int64_t b) { return F{}(a, b); };
  function.symbolic = symbolic;
  return function;
}

// A function whose int32 form is a kernel.
constexpr BinaryFunction with_i32(BinaryFunction function, const DivisionKernel& kernel) {
  function.i32 = &kernel;
  return function;
}

using MaybeDim = std::optional<Dim>;

// Sizes are not negative, so that rounding down and rounding towards zero agree.
MaybeDim divide_dims(const Dim& a, const Dim& b) {
  if (!b.is_known() || b.value() <= 0) return std::nullopt;
  return floor_div(a, b);
}

MaybeDim remainder_of_dims(const Dim& a, const Dim& b) {
  if (!b.is_known() || b.value() <= 0) return std::nullopt;
  return a - floor_div(a, b) * b;
}

const BinaryFunction kFunctions[] = {
    with_symbols(by_kernel("Add", 1, kernels::binary_add, AddNumbers{}), AddNumbers{},
                 [](const Dim& a, const Dim& b) -> MaybeDim { return a + b; }),
    with_symbols(by_kernel("Sub", 1, kernels::binary_sub, SubtractNumbers{}), SubtractNumbers{},
                 [](const Dim& a, const Dim& b) -> MaybeDim { return a - b; }),
    with_symbols(by_kernel("Mul", 1, kernels::binary_mul, MultiplyNumbers{}), MultiplyNumbers{},
                 [](const Dim& a, const Dim& b) -> MaybeDim { return a * b; }),
    with_symbols(
        with_i32(by_kernel("Div", 1, kernels::binary_div, DivideNumbers{}), kernels::divide_i32),
        DivideNumbers{}, &divide_dims),
    with_symbols(by_kernel("Max", 1, kernels::binary_max, Greatest{}), Greatest{},
                 [](const Dim& a, const Dim& b) -> MaybeDim { return max(a, b); }),
    with_symbols(by_kernel("Min", 1, kernels::binary_min, Least{}), Least{},
                 [](const Dim& a, const Dim& b) -> MaybeDim { return min(a, b); }),
    with_symbols(
        with_i32(by_library("Mod", 10, FlooredRemainder{}), kernels::floored_remainder_i32),
        FlooredRemainder{}, &remainder_of_dims),
    by_kernel("PRelu", 1, kernels::binary_prelu, Leak{}),
    by_kernel("Pow", 1, kernels::binary_pow, Power{}),
};

// What Mod with fmod=1 computes.
const BinaryFunction kTruncatedMod =
    with_i32(by_library("Mod", 10, TruncatedRemainder{}), kernels::truncated_remainder_i32);

}  // namespace

const BinaryFunction& binary_function(const OpInit& init) {
  if (init.type == "Mod" && init.attrs.get("fmod", 0) != 0) return kTruncatedMod;
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [&](const BinaryFunction& f) { return f.name == init.type; });
  if (found == std::end(kFunctions))
    fail(ErrorKind::internal, "no function of two numbers is called ", init.type);
  return *found;
}

[[gnu::cold]] void register_binary(OpRegistry& ops) {
  for (const BinaryFunction& function : kFunctions)
    ops.add<Binary>(function.name,
                    {.since = function.since, .in_place = 0b11, .elementwise = true});
}

}  // namespace sdx::ops
