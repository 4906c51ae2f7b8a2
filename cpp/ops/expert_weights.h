// The weights of many experts, one matrix each, and products with the rows routed to them.
#pragma once

#include "kernels/int4.h"
#include "ops/gemm_plan.h"
#include "ops/scratch.h"

namespace sdx::ops {

// One projection of every expert: weights [experts, n, k], as floats or in codes of `bits` bits
// along k, with a scale for a row or for blocks of it.
struct ExpertWeights {
  int weights = -1, scales = -1, zeros = -1, bias = -1;  // inputs; -1: none
  int slot = 0;       // the first of three in which `pack` puts what it makes
  int bits = 32;      // 32: floats
  int64_t block = 0;  // 0: whole rows
  int64_t experts = 0, n = 0, k = 0;

  bool is_float() const { return bits == 32; }
  int64_t blocks() const { return block > 0 ? (k + block - 1) / block : 1; }
  // Bytes of the zero points of an expert: packed along the blocks of a row or, without blocks,
  // along rows.
  int64_t zero_bytes() const;

  // Takes the sizes from the weights' shape.
  void read_shape(const Shape& shape);
  // Throws where shapes do not fit one another.
  void check_shapes(const PrepareContext& ctx) const;
  // Makes constants ready, where that is of use.
  void pack(PackContext& ctx) const;
};

// The product of one projection, for up to `rows` rows an expert.
class ExpertProduct {
 public:
  ExpertProduct(const ExpertWeights& weights, const PrepareContext& ctx, ScratchPlan& plan,
                int64_t rows);

  // The rows of x (k floats each) that lie in [offsets[e], offsets[e + 1]) meet expert e; y is n
  // floats a row. `active` lists the experts that have rows.
  void run(const Frame& f, std::span<const int32_t> active, const int32_t* offsets, const float* x,
           float* y) const;

 private:
  struct Rows {
    int64_t expert, count;
    const float* x;
    float* y;
  };
  void run_unit(const Frame& f, const Rows& rows, int64_t unit, float* scratch) const;
  void dequantize(const Frame& f, int64_t expert, int64_t column, int64_t columns,
                  float* out) const;
  kernels::Int4Weights int4_weights(int64_t expert) const;

  ExpertWeights w_;
  const float* packed_ = nullptr;
  const uint8_t* packed_codes_ = nullptr;
  const float *packed_scales_ = nullptr, *packed_offsets_ = nullptr;
  GemmKernels gemm_;
  kernels::Int4Gemm* few_rows_ = kernels::int4_gemm_f32.resolve();
  kernels::Int4Dequantize* dequantize_int4_ = kernels::int4_dequantize.resolve();
  int64_t units_ = 0;
  int64_t lanes_ = 1, lane_floats_ = 0, floats_ = 0, scratch_at_ = 0;
};

}  // namespace sdx::ops
