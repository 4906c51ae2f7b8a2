#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/int4.h"
#include "ops/nbits_recode.h"

namespace sdx::ops {
namespace {

int code_at(const uint8_t* codes, int64_t i, int64_t bits) {
  const int64_t per_byte = 8 / bits;
  return codes[i / per_byte] >> (i % per_byte * bits) & ((1 << bits) - 1);
}

}  // namespace

std::optional<Recoding> recoding_of(const NBitsWeights& w, const Tensor* groups) {
  Recoding r;
  r.depth = w.blocks() * w.block;
  r.runs = w.bits == 8 ? 2 : 1;
  r.block = std::min(w.block, static_cast<int64_t>(kernels::kInt4MaxBlock));
  if (!groups) return r;
  const std::vector<int64_t> group = groups->to_int64s();
  check(static_cast<int64_t>(group.size()) >= w.k, "g_idx has ", group.size(), " elements, not ",
        w.k);
  std::vector<int64_t> sizes(static_cast<std::size_t>(w.blocks()), 0);
  for (int64_t i = 0; i < w.k; ++i) {
    check(group[i] >= 0 && group[i] < w.blocks(), "g_idx holds ", group[i], ", there are ",
          w.blocks(), " groups");
    ++sizes[group[i]];
  }
  for (int64_t b = 0; b < w.blocks(); ++b)
    if (sizes[b] != std::min(w.block, w.k - b * w.block)) return std::nullopt;
  r.order.resize(static_cast<std::size_t>(w.k));
  std::iota(r.order.begin(), r.order.end(), 0);
  std::stable_sort(r.order.begin(), r.order.end(),
                   [&](int32_t a, int32_t b) { return group[a] < group[b]; });
  if (std::is_sorted(r.order.begin(), r.order.end())) r.order.clear();
  return r;
}

RecodedWeights recode(const NBitsWeights& w, const Recoding& r, const uint8_t* codes,
                      const float* scales, const uint8_t* zeros, const float* float_zeros) {
  const int64_t row_bytes = w.blocks() * (w.block * w.bits / 8), split = w.block / r.block;
  // Blocks of one run, and of a whole row: the last run ends with the depth.
  const int64_t blocks = r.depth / r.block;
  const int64_t row_blocks = (r.kernel_depth(w.k) + r.block - 1) / r.block;
  const int64_t row_codes = row_blocks * r.block;
  RecodedWeights result;
  result.codes.assign(static_cast<std::size_t>(w.n * row_codes / 2), 0);
  result.scales.resize(static_cast<std::size_t>(w.n * row_blocks));
  result.zeros.resize(result.scales.size());
  for (int64_t n = 0; n < w.n; ++n) {
    const uint8_t* from = codes + n * row_bytes;
    uint8_t* to = result.codes.data() + n * row_codes / 2;
    const auto put = [&](int64_t i, int code) {
      to[i / 2] = static_cast<uint8_t>(to[i / 2] | code << (i % 2 * 4));
    };
    for (int64_t i = 0; i < w.k; ++i) {
      const int code = code_at(from, r.order.empty() ? i : r.order[i], w.bits);
      if (r.runs == 2) put(r.depth + i, code & 15);
      put(i, r.runs == 2 ? code >> 4 : code);
    }
    float* row_scales = result.scales.data() + n * row_blocks;
    float* row_zeros = result.zeros.data() + n * row_blocks;
    for (int64_t b = 0; b < std::min(blocks, row_blocks); ++b) {
      const int64_t at = b / split;
      float zero = static_cast<float>(1 << (w.bits - 1));
      if (float_zeros) zero = float_zeros[n * w.blocks() + at];
      if (zeros) zero = static_cast<float>(code_at(zeros + n * w.zero_bytes(), at, w.bits));
      row_scales[b] = scales[n * w.blocks() + at];
      row_zeros[b] = zero;
      if (r.runs == 1) continue;
      // s (q - z) = 16 s (high - (z - 8) / 16) + s (low - 8)
      if (blocks + b < row_blocks) {
        row_scales[blocks + b] = row_scales[b];
        row_zeros[blocks + b] = 8;
      }
      row_scales[b] *= 16;
      row_zeros[b] = (zero - 8) / 16;
    }
  }
  return result;
}

}  // namespace sdx::ops
