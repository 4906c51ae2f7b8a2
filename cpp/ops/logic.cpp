// Logic on booleans and on the bits of integers.
#include "kernels/logic.h"

#include <string>
#include <type_traits>

#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

struct BitAnd {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(a & b);
  }
};
struct BitOr {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(a | b);
  }
};
struct BitXor {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(a ^ b);
  }
};

// Shifts by more bits than there are, or by a negative number of them, leave the fill alone.
template <class T>
constexpr bool shifts_out(T by) {
  return by < 0 || static_cast<std::make_unsigned_t<T>>(by) >= 8 * sizeof(T);
}
struct ShiftLeft {
  template <class T>
  T operator()(T x, T by) const {
    return shifts_out(by) ? T(0) : static_cast<T>(static_cast<uint64_t>(x) << by);
  }
};
struct ShiftRight {
  template <class T>
  T operator()(T x, T by) const {
    return shifts_out(by) ? static_cast<T>(x < 0 ? -1 : 0) : static_cast<T>(x >> by);
  }
};

class BooleanPair final : public Op {
 public:
  explicit BooleanPair(const OpInit& init) : kernel_(kernel_of(init)), legacy_(init) {}

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 2; ++i)
      check(ctx.dtype(i) == DType::boolean, "expected booleans, got ", ctx.dtype(i));
    infer_pair(ctx, DType::boolean, legacy_);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape aligned = legacy_.align(ctx.shape(0), ctx.shape(1));
    return broadcast_step<uint8_t, uint8_t>({ctx.output_shape(0), ctx.shape(0), aligned},
                                            kernel_.resolve(), 0.05);
  }

 private:
  using Kernel = kernels::Kernel<kernels::LogicPair, kernels::kIsaCount>;
  static const Kernel& kernel_of(const OpInit& init) {
    if (init.type == "And") return kernels::logic_and;
    return init.type == "Or" ? kernels::logic_or : kernels::logic_xor;
  }

  const Kernel& kernel_;
  LegacyBroadcast legacy_;
};

template <class F, class T>
Step bits_step(const PrepareContext& ctx) {
  return broadcast_step<T, T>({ctx.output_shape(0), ctx.shape(0), ctx.shape(1)},
                              &binary_loop<F, T, T>, 0.5);
}

// Where signs do not matter.
template <class F>
Step unsigned_step(const PrepareContext& ctx) {
  return dispatch_size(item_size(ctx.dtype(0)),
                       [&]<class T>() -> Step { return bits_step<F, T>(ctx); });
}

Step shift_right_step(const PrepareContext& ctx) {
  return dispatch(IntegerTypes{}, ctx.dtype(0),
                  [&]<class T>() -> Step { return bits_step<ShiftRight, T>(ctx); });
}

class BitPair final : public Op {
 public:
  explicit BitPair(const OpInit& init) : step_(step_of(init)) {}

  void infer(InferContext& ctx) const override {
    check(is_integer(ctx.dtype(0)), "expected integers, got ", ctx.dtype(0));
    check(ctx.dtype(1) == ctx.dtype(0), "element types differ: ", ctx.dtype(0), " and ",
          ctx.dtype(1));
    infer_pair(ctx, ctx.dtype(0), {});
  }

  Step prepare(PrepareContext& ctx) const override { return step_(ctx); }

 private:
  using MakeStep = Step (*)(const PrepareContext&);
  static MakeStep step_of(const OpInit& init) {
    if (init.type == "BitwiseAnd") return &unsigned_step<BitAnd>;
    if (init.type == "BitwiseOr") return &unsigned_step<BitOr>;
    if (init.type == "BitwiseXor") return &unsigned_step<BitXor>;
    const auto& direction = init.attrs.require<std::string>("direction");
    check(direction == "LEFT" || direction == "RIGHT", "direction is '", direction,
          "', neither 'LEFT' nor 'RIGHT'");
    return direction == "LEFT" ? &unsigned_step<ShiftLeft> : &shift_right_step;
  }

  MakeStep step_;
};

class Not final : public Op {
 public:
  explicit Not(const OpInit& init) : bits_(init.type == "BitwiseNot") {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(bits_ ? is_integer(dtype) : dtype == DType::boolean, "expected ",
          bits_ ? "integers" : "booleans", ", got ", dtype);
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = ctx.count(0);
    if (!bits_) return invert<uint8_t>(count, kernels::logic_not.resolve());
    return dispatch_size(item_size(ctx.dtype(0)),
                         [&]<class T>() -> Step { return invert<T>(count, &complement<T>); });
  }

 private:
  template <class T>
  static void complement(const T* x, T* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<T>(~x[i]);
  }

  template <class T>
  static Step invert(int64_t count, void (*loop)(const T* x, T* y, std::size_t n)) {
    return [split = split_work(count, 0.1, kElementGrain), loop](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        loop(f.in<T>(0) + r.begin, f.out<T>(0) + r.begin, static_cast<std::size_t>(r.size()));
      });
    };
  }

  bool bits_;
};

}  // namespace

[[gnu::cold]] void register_logic(OpRegistry& ops) {
  constexpr OpTraits kPair{.in_place = 0b11, .elementwise = true};
  for (const char* name : {"And", "Or", "Xor"}) ops.add<BooleanPair>(name, kPair);
  ops.add<BitPair>("BitShift", {.since = 11, .in_place = 0b11, .elementwise = true});
  for (const char* name : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"})
    ops.add<BitPair>(name, {.since = 18, .in_place = 0b11, .elementwise = true});
  ops.add<Not>("Not", {.in_place = 0b1, .elementwise = true});
  ops.add<Not>("BitwiseNot", {.since = 18, .in_place = 0b1, .elementwise = true});
}

}  // namespace sdx::ops
