// Scaled dot-product attention in float64, for element types that AttentionCore does not know.
#pragma once

#include "ops/attention_core.h"

namespace sdx::ops {

// What attention computes of one batch after another, everything in float64. `s` and its layouts
// count doubles, its scale is not read; masks are additive or boolean bytes.
struct WideAttention {
  const double *q = nullptr, *k = nullptr, *v = nullptr;
  double scale = 1;
  const void* mask = nullptr;
  const KeyRange* ranges = nullptr;
  double* y = nullptr;
  double* scores = nullptr;   // [batch, heads, queries, keys], or null
  double* weights = nullptr;  // room for [batch, heads, keys]
};

void run_wide_attention(const Frame& f, const AttentionShape& s, const WideAttention& data);

}  // namespace sdx::ops
