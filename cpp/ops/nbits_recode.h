// Weights of 2 or 8 bits, in long blocks or in groups that a list deals out, said again in what the
// kernels read: 4 bits in short blocks along the depth.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/tensor.h"

namespace sdx::ops {

// Weights as MatMulNBits has them: [n, blocks, block * bits / 8] codes with a scale for each block.
struct NBitsWeights {
  int64_t k = 0, n = 0, bits = 4, block = 0;

  int64_t blocks() const { return k / block + (k % block != 0); }
  int64_t zero_bytes() const { return (blocks() * bits + 7) / 8; }  // of one column
};

// 8 bits become two runs of the depth, of the high and the low halves: x meets both. Where `order`
// is not empty, depth i of the kernel's weights is order[i] of the operator's.
struct Recoding {
  int64_t depth = 0;  // of one run, rounded up to whole blocks
  int64_t runs = 1;
  int64_t block = 0;
  std::vector<int32_t> order;

  int64_t kernel_depth(int64_t k) const { return (runs - 1) * depth + k; }
  // Whether x can be read as it lies.
  bool keeps_input() const { return runs == 1 && order.empty(); }
};

// How such weights can be said again; nothing where the groups are of other sizes than blocks.
std::optional<Recoding> recoding_of(const NBitsWeights& weights, const Tensor* groups);

struct RecodedWeights {
  std::vector<uint8_t> codes;
  std::vector<float> scales, zeros;
};

// Zeros are given in codes or in floats, or are 2^(bits - 1).
RecodedWeights recode(const NBitsWeights& weights, const Recoding& recoding, const uint8_t* codes,
                      const float* scales, const uint8_t* zeros, const float* float_zeros);

}  // namespace sdx::ops
