// Scaled dot-product attention over float32 heads: what every attention operator comes down to.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "base/frame.h"
#include "kernels/dots.h"
#include "kernels/softmax.h"
#include "kernels/unary.h"
#include "ops/gemm_plan.h"
#include "ops/scratch.h"

namespace sdx::ops {

// Windows beyond this are as good as open; positions plus them do not overflow.
inline constexpr int64_t kWidestWindow = int64_t{1} << 40;

// Where heads lie: floats from one batch, head and row to the next; a row is contiguous.
struct HeadLayout {
  int64_t batch = 0, head = 0, row = 0;
};

// Dense [batch, heads, rows, width] and [batch, rows, heads, width].
inline HeadLayout heads_first(int64_t heads, int64_t rows, int64_t width) {
  return {heads * rows * width, rows * width, width};
}
inline HeadLayout rows_first(int64_t heads, int64_t rows, int64_t width) {
  return {heads * rows * width, width, heads * width};
}

// What the optional output of scores holds.
enum class ScoreOutput { none, raw, capped, biased, probabilities };

enum class MaskKind { none, additive, boolean };  // floats to add; true where a key takes part

struct AttentionShape {
  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0;
  int64_t head_size = 0, value_size = 0;
  float scale = 1;
  float softcap = 0;  // 0: none
  bool causal = false;
  bool open_end = false;                        // the last query meets all keys even so
  int64_t left_window = -1, right_window = -1;  // -1: open
  HeadLayout q, k, v, y;
  MaskKind mask = MaskKind::none;
  HeadLayout mask_layout;  // 0 where the mask repeats
  int64_t mask_keys = 0;   // keys beyond these are masked
  bool bias = false;       // a second, additive mask of all keys
  HeadLayout bias_layout;
  ScoreOutput scores = ScoreOutput::none;
  // What biased scores are where a query does not meet a key.
  float outside_score = -std::numeric_limits<float>::infinity();
  bool masked_rows_are_nan = false;  // else zeros, where a query has no key left

  int64_t group() const { return heads / kv_heads; }
  // Of both products; a causal query takes part with the keys up to its own only.
  double flops() const {
    const double seen = static_cast<double>(keys) -
                        (causal ? 0.5 * static_cast<double>(std::min(queries, keys) - 1) : 0);
    return 2 * static_cast<double>(batch * heads * queries) * std::max(seen, 0.0) *
           static_cast<double>(head_size + value_size);
  }
};

// Of one batch: keys [begin, end) take part; the first query stands at `position` among the keys,
// from where causality and windows count.
struct KeyRange {
  int64_t begin = 0, end = 0, position = 0;
};

struct AttentionData {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  // Rows from one head to the next of keys and values that have room behind them; 0: as laid out.
  int64_t key_room = 0, value_room = 0;
  const void* mask = nullptr;
  const float* bias = nullptr;
  const KeyRange* ranges = nullptr;  // one a batch
  const float* sinks = nullptr;      // one a head: a score that takes part without a value; or null
  float* y = nullptr;
  float* scores = nullptr;  // [batch, heads, queries, keys]
};

class AttentionCore {
 public:
  explicit AttentionCore(const AttentionShape& shape);
  const AttentionShape& shape() const { return s_; }
  int64_t scratch_floats() const {
    return span_floats_ + chunk_floats_ * ScratchLanes::count(split_.chunks);
  }
  void run(const Frame& f, const AttentionData& data, float* scratch) const;

 private:
  struct Block;
  struct Span;
  struct Buffers;

  Block block_of(int64_t item, const KeyRange* ranges, const Span* spans) const;
  void find_spans(const AttentionData& data, Span* spans) const;
  const Span& span_of(const Span* spans, int64_t batch, int64_t head, int64_t query) const;
  void make_ready(const AttentionData& data, const Block& block, const Buffers& buffers) const;
  void run_block(const AttentionData& data, const Block& block, const Buffers& buffers) const;
  void multiply_keys(const AttentionData& data, const Block& block, const Buffers& buffers) const;
  const float* keys_at(const AttentionData& data, const Block& block) const;
  const float* values_at(const AttentionData& data, const Block& block) const;
  int64_t score_stride(const Block& block) const;
  // Scores become weights, and `factors` what each row of weighted values is multiplied by.
  void finish_rows(const AttentionData& data, const Block& block, const Buffers& buffers) const;
  float finish_row(const AttentionData& data, const Block& block, int64_t row,
                   const Buffers& buffers) const;
  Range keys_of(const AttentionData& data, const Block& block, int64_t row) const;
  int64_t causal_end(int64_t query, int64_t position) const;
  float factor_of(float sum) const;
  const float* mask_row_of(const AttentionData& data, const Block& block, int64_t row,
                           float* mask_row) const;

  AttentionShape s_;
  // One query of each head of a group makes the rows of a block, so that keys are read once.
  bool stacked_ = false;
  bool packed_ = false;  // keys are packed once for all blocks of a head
  int64_t block_rows_ = 1, row_blocks_ = 1;
  int64_t span_batches_ = 0, span_heads_ = 0, span_queries_ = 0;  // 0: no mask to look through
  int64_t span_floats_ = 0, packed_floats_ = 0, value_floats_ = 0, score_floats_ = 0;
  int64_t mask_floats_ = 0, chunk_floats_ = 0;
  Split split_;
  GemmKernels gemm_;
  kernels::DotRows* dots_ = kernels::dot_rows.resolve();
  kernels::SoftmaxWeights* weights_ = kernels::softmax_weights.resolve();
  kernels::SoftmaxMaskedRow* softmax_ = kernels::softmax_masked_row.resolve();
  kernels::SoftmaxOnlineRow* online_ = kernels::softmax_online_row.resolve();
  kernels::UnaryF32* scale_shift_ = kernels::unary_scale_shift.resolve();
  kernels::UnaryF32* tanh_ = kernels::unary_tanh.resolve();
};

// Rows put behind their past.
struct AppendedRows {
  int64_t batch = 0, heads = 0, past_rows = 0, rows = 0, width = 0;
  HeadLayout layout;  // of the rows
};

// Into [batch, heads, past + rows, width]. Where `past` lies there already, the new rows alone are
// written; `room` is then how many rows apart the heads are. 0: they are dense.
void append_rows(const Frame& f, const AppendedRows& a, const float* past, const float* fresh,
                 float* to, int64_t room);

// How many rows apart heads are in the buffer that an output of a running step shares with the
// input it continues; 0 where they share none.
int64_t shared_room(const Frame& f, int past, int output);

}  // namespace sdx::ops
