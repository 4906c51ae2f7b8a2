// Elementwise operators of two operands with broadcasting: one class over a table of functions.
// A header because passes fuse them into the stores of other operators.
#pragma once

#include "ir/op.h"
#include "kernels/binary.h"
#include "ops/broadcast.h"

namespace sdx::ops {

using BinaryKernel = kernels::Kernel<kernels::BinaryF32, kernels::kIsaCount>;

// The shapes a step walks, the second operand's already aligned.
struct BinaryShapes {
  const Shape& result;
  const Shape& a;
  const Shape& b;
};

struct BinaryFunction {
  const char* name = nullptr;
  int since = 1;
  double cost = 0.3;                     // nanoseconds an element of float32
  const BinaryKernel* kernel = nullptr;  // float32; where null, the loop
  BinaryLoop<float, float, float>* f32 = nullptr;  // null: no floats
  BinaryLoop<double, double, double>* f64 = nullptr;
  Step (*integer)(DType dtype, const BinaryShapes& shapes) = nullptr;  // null: no integers
  // The function in shape arithmetic: of numbers, and of symbols; null where it has no part in it.
  int64_t (*number)(int64_t a, int64_t b) = nullptr;
  Dim (*symbolic)(const Dim& a, const Dim& b) = nullptr;
};

// The function that an operator computes on pairs.
const BinaryFunction& binary_function(const OpInit& init);

// A step for floats of any width, through the kernel or the loop of the function.
Step binary_float_step(const BinaryFunction& function, DType dtype, const BinaryShapes& shapes);

// A step for any number type the function takes.
Step binary_step(const BinaryFunction& function, DType dtype, const BinaryShapes& shapes);

// Shape arithmetic for output 0 of inputs 0 and 1, where their elements are known.
void set_binary_contents(InferContext& ctx, const BinaryFunction& function, DType dtype);

class Binary final : public Op {
 public:
  explicit Binary(const OpInit& init);

  void infer(InferContext& ctx) const override;
  Step prepare(PrepareContext& ctx) const override;

  const BinaryFunction& function() const { return *function_; }

 private:
  const BinaryFunction* function_;
  LegacyBroadcast legacy_;
  bool unidirectional_;
};

}  // namespace sdx::ops
