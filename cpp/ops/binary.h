// Elementwise operators of two numbers with broadcasting: one class over a table of functions.
// A header because passes fuse them into the stores of other operators.
#pragma once

#include "ir/op.h"
#include "kernels/binary.h"
#include "kernels/divide.h"
#include "ops/broadcast.h"

namespace sdx::ops {

using BinaryKernel = kernels::Kernel<kernels::BinaryF32, kernels::kIsaCount>;
using DivisionKernel = kernels::Kernel<kernels::DivideI32, kernels::kIsaCount>;

struct BinaryFunction {
  const char* name = nullptr;
  int since = 1;
  double cost = 0.3;                     // nanoseconds an element of float32
  const BinaryKernel* kernel = nullptr;  // float32; where null, the loop
  BinaryLoop<float, float>* f32 = nullptr;
  BinaryLoop<double, double>* f64 = nullptr;
  const DivisionKernel* i32 = nullptr;  // int32; where null, as other integers
  Step (*integer)(DType dtype, const BinaryShapes& shapes) = nullptr;
  // The function in shape arithmetic: of numbers, and of symbols; null where it has no part in it.
  int64_t (*number)(int64_t a, int64_t b) = nullptr;
  std::optional<Dim> (*symbolic)(const Dim& a, const Dim& b) = nullptr;
};

// The function that an operator computes.
const BinaryFunction& binary_function(const OpInit& init);

class Binary final : public Op {
 public:
  explicit Binary(const OpInit& init);

  void infer(InferContext& ctx) const override;
  Step prepare(PrepareContext& ctx) const override;
  bool reads_rows(const PrepareContext& ctx, int input, int64_t length) const override {
    return has_rows(ctx.shape(input), length);
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return length >= kShortRun && has_rows(ctx.output_shape(0), length);
  }
  // Max and Min of one input or many, and powers of mixed types, come down to pairs of one type.
  bool expand(Graph& graph, Node& node) const override;

  const BinaryFunction& function() const { return *function_; }
  // The float32 loop of this machine.
  kernels::BinaryF32* resolve() const {
    return function_->kernel ? function_->kernel->resolve() : function_->f32;
  }

 private:
  const BinaryFunction* function_;
  LegacyBroadcast legacy_;
};

}  // namespace sdx::ops
