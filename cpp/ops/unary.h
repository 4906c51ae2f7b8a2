// Elementwise operators of one operand, y = f(x; alpha, beta): one class over a table of functions.
// A header because passes fuse them into the stores of other operators.
#pragma once

#include <cstddef>

#include "ir/op.h"
#include "kernels/unary.h"
#include "kernels/unary_f64.h"
#include "ops/broadcast.h"

namespace sdx::ops {

template <class T>
using UnaryLoop = void(const T* x, T* y, std::size_t n, T alpha, T beta);

using UnaryKernel = kernels::Kernel<kernels::UnaryF32, kernels::kIsaCount>;
using UnaryF64Kernel = kernels::Kernel<kernels::UnaryF64, kernels::kIsaCount>;

// An attribute that becomes alpha or beta.
struct UnaryAttribute {
  const char* name = nullptr;
  float fallback = 0;
};

struct UnaryFunction {
  const char* name = nullptr;
  int since = 1;
  double cost = 0.3;                    // nanoseconds an element of float32
  const UnaryKernel* kernel = nullptr;  // float32; where null, the loop
  UnaryLoop<float>* f32 = nullptr;
  const UnaryF64Kernel* kernel_f64 = nullptr;  // float64; where null, the loop
  UnaryLoop<double>* f64 = nullptr;
  // A step for integer types; null where the function has none.
  Step (*integer)(DType dtype, int64_t count, float alpha, float beta) = nullptr;
  UnaryAttribute alpha;
  UnaryAttribute beta;
  // The function in shape arithmetic; null where it has no part in it.
  Dim (*symbolic)(const Dim& x) = nullptr;
};

// The function that an operator computes.
const UnaryFunction& unary_function(const OpInit& init);

class Unary final : public Op {
 public:
  explicit Unary(const OpInit& init);

  void infer(InferContext& ctx) const override;
  Step prepare(PrepareContext& ctx) const override;

  bool reads_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return ctx.dtype(0) == DType::float32 && length >= kShortRun && ctx.count(0) % length == 0;
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return reads_rows(ctx, 0, length);
  }

  const UnaryFunction& function() const { return *function_; }
  float alpha() const { return alpha_; }
  float beta() const { return beta_; }
  // The float32 loop of this machine.
  kernels::UnaryF32* resolve() const {
    return function_->kernel ? function_->kernel->resolve() : function_->f32;
  }

 private:
  const UnaryFunction* function_;
  float alpha_ = 0;
  float beta_ = 0;
};

}  // namespace sdx::ops
