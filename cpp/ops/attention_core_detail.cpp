// Blocks of query rows against all keys: scores, softmax, values, in scratch that stays in cache.
#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "ops/attention_core.h"

namespace sdx::ops {
namespace {

constexpr int64_t kChunks = 32;              // each has scratch of its own
constexpr int64_t kScoreFloats = 128 << 10;  // of one block, about
constexpr int64_t kLeastRows = 8, kMostRows = 128;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

}  // namespace

// Rows of one block: queries [first, first + rows) of a head or, stacked, one query of `rows`
// heads.
struct AttentionCore::Block {
  int64_t batch, head, first, rows;
  int64_t key_begin, key_end;  // the keys that some row may see

  int64_t keys() const { return key_end - key_begin; }
};

AttentionCore::AttentionCore(const AttentionShape& shape) : s_(shape) {
  stacked_ = s_.queries == 1 && s_.group() > 1;
  if (stacked_) {
    block_rows_ = s_.group();
  } else {
    const int64_t fitting = kScoreFloats / std::max<int64_t>(s_.keys, 1);
    block_rows_ =
        std::min(std::max<int64_t>(s_.queries, 1), std::clamp(fitting, kLeastRows, kMostRows));
    row_blocks_ = (s_.queries + block_rows_ - 1) / block_rows_;
  }
  const int64_t items = s_.batch * (stacked_ ? s_.kv_heads : s_.heads * row_blocks_);
  const double cost = gemm_cost(block_rows_, s_.keys, s_.head_size + s_.value_size) +
                      static_cast<double>(block_rows_ * s_.keys) / 2;
  split_ = split_work(items, cost);
  split_.chunks = std::min(split_.chunks, kChunks);
  score_floats_ = round_up(checked_mul(block_rows_, s_.keys), 16);
  kernels::GemmArgs args{};
  args.m = size(block_rows_);
  args.n = size(s_.keys);
  args.k = size(s_.head_size);
  args.transposed_b = true;
  std::size_t product = gemm_.dynamic_scratch(args);
  args.n = size(s_.value_size);
  args.k = size(s_.keys);
  args.transposed_b = false;
  product = std::max(product, gemm_.dynamic_scratch(args));
  const int64_t mask_floats = round_up(s_.keys, 16);
  chunk_floats_ =
      checked_add(score_floats_ + mask_floats, round_up(static_cast<int64_t>(product), 16));
}

void AttentionCore::run(const Frame& f, const AttentionData& data, float* scratch) const {
  if (s_.batch * s_.heads * s_.queries == 0) return;
  f.parallel_for({split_.chunks, split_.chunks}, [&](Range chunk) {
    const Range items = split_.chunk(chunk.begin);
    for (int64_t i = items.begin; i < items.end; ++i) {
      Block block{};
      if (stacked_) {
        block = {i / s_.kv_heads, i % s_.kv_heads * s_.group(), 0, s_.group(), 0, 0};
      } else {
        const int64_t head = i / row_blocks_, part = i % row_blocks_;
        block.batch = head / s_.heads;
        block.head = head % s_.heads;
        block.first = s_.queries * part / row_blocks_;
        block.rows = s_.queries * (part + 1) / row_blocks_ - block.first;
      }
      const KeyRange& range = data.ranges[block.batch];
      block.key_begin = std::max<int64_t>(range.begin, 0);
      block.key_end = std::min(range.end, s_.keys);
      const int64_t first = range.position + block.first;
      const int64_t last = stacked_ ? first : first + block.rows - 1;
      if (s_.causal) block.key_end = std::min(block.key_end, last + 1);
      if (s_.right_window >= 0) block.key_end = std::min(block.key_end, last + s_.right_window + 1);
      if (s_.left_window >= 0) block.key_begin = std::max(block.key_begin, first - s_.left_window);
      if (s_.mask != MaskKind::none) block.key_end = std::min(block.key_end, s_.mask_keys);
      if (s_.scores != ScoreOutput::none) {
        block.key_begin = 0;
        block.key_end = s_.keys;
      }
      block.key_begin = std::min(block.key_begin, s_.keys);
      block.key_end = std::max(block.key_end, block.key_begin);
      run_block(data, block, scratch + chunk.begin * chunk_floats_);
    }
  });
}

void AttentionCore::run_block(const AttentionData& data, const Block& block, float* scratch) const {
  float* scores = scratch;
  float* mask_row = scratch + score_floats_;
  float* product = mask_row + round_up(s_.keys, 16);
  const int64_t kv_head = block.head / s_.group();
  const auto offset = [&](const HeadLayout& at, int64_t head, int64_t row) {
    return block.batch * at.batch + head * at.head + row * at.row;
  };
  const int64_t keys = block.keys();
  const kernels::GemmRange all{0, size(block.rows), 0,
                               size(gemm_.panels(std::max(keys, s_.value_size)))};
  if (keys > 0)
    gemm_.dynamic({.m = size(block.rows),
                   .n = size(keys),
                   .k = size(s_.head_size),
                   .a = data.q + offset(s_.q, block.head, block.first),
                   .lda = size(stacked_ ? s_.q.head : s_.q.row),
                   .b = data.k + offset(s_.k, kv_head, block.key_begin),
                   .ldb = size(s_.k.row),
                   .transposed_b = true,
                   .c = scores,
                   .ldc = size(keys)},
                  all, product);
  for (int64_t row = 0; row < block.rows; ++row)
    finish_row(data, block, row, scores + row * keys, mask_row);
  gemm_.dynamic({.m = size(block.rows),
                 .n = size(s_.value_size),
                 .k = size(keys),
                 .a = scores,
                 .lda = size(keys),
                 .b = data.v + offset(s_.v, kv_head, block.key_begin),
                 .ldb = size(s_.v.row),
                 .c = data.y + offset(s_.y, block.head, block.first),
                 .ldc = size(stacked_ ? s_.y.head : s_.y.row)},
                all, product);
}

// The additive mask of a row from the block's first key on, or null.
const float* AttentionCore::mask_row_of(const AttentionData& data, const Block& block, int64_t row,
                                        float* mask_row) const {
  const int64_t head = block.head + (stacked_ ? row : 0);
  const int64_t query = block.first + (stacked_ ? 0 : row);
  const auto offset = [&](const HeadLayout& at) {
    return block.batch * at.batch + head * at.head + query * at.row + block.key_begin;
  };
  const float* bias = s_.bias ? data.bias + offset(s_.bias_layout) : nullptr;
  if (s_.mask == MaskKind::none) return bias;
  const int64_t count = std::clamp<int64_t>(s_.mask_keys - block.key_begin, 0, block.keys());
  if (s_.mask == MaskKind::additive) {
    const float* mask = static_cast<const float*>(data.mask) + offset(s_.mask_layout);
    if (!bias && count == block.keys()) return mask;
    for (int64_t j = 0; j < count; ++j) mask_row[j] = mask[j] + (bias ? bias[j] : 0);
  } else {
    const bool* mask = static_cast<const bool*>(data.mask) + offset(s_.mask_layout);
    for (int64_t j = 0; j < count; ++j) mask_row[j] = mask[j] ? (bias ? bias[j] : 0) : -kInfinity;
  }
  std::fill(mask_row + count, mask_row + block.keys(), -kInfinity);
  return mask_row;
}

void AttentionCore::finish_row(const AttentionData& data, const Block& block, int64_t row,
                               float* scores, float* mask_row) const {
  const int64_t keys = block.keys();
  const int64_t head = block.head + (stacked_ ? row : 0);
  const int64_t query = block.first + (stacked_ ? 0 : row);
  const KeyRange& range = data.ranges[block.batch];
  const int64_t position = range.position + query;
  int64_t begin = std::max<int64_t>(range.begin, 0), end = std::min(range.end, s_.keys);
  if (s_.causal) end = std::min(end, position + 1);
  if (s_.right_window >= 0) end = std::min(end, position + s_.right_window + 1);
  if (s_.left_window >= 0) begin = std::max(begin, position - s_.left_window);
  begin = std::clamp<int64_t>(begin - block.key_begin, 0, keys);
  end = std::clamp<int64_t>(end - block.key_begin, begin, keys);

  float* out = s_.scores == ScoreOutput::none
                   ? nullptr
                   : data.scores + ((block.batch * s_.heads + head) * s_.queries + query) * keys;
  float scale = s_.scale;
  if (s_.scores == ScoreOutput::raw) scale_shift_(scores, out, size(keys), scale, 0);
  if (s_.softcap != 0) {
    scale_shift_(scores, scores, size(keys), scale / s_.softcap, 0);
    tanh_(scores, scores, size(keys), 0, 0);
    scale_shift_(scores, scores, size(keys), s_.softcap, 0);
    scale = 1;
  }
  if (s_.scores == ScoreOutput::capped) scale_shift_(scores, out, size(keys), scale, 0);
  const float* mask = mask_row_of(data, block, row, mask_row);
  if (s_.scores == ScoreOutput::biased)
    for (int64_t j = 0; j < keys; ++j)
      out[j] = j < begin || j >= end ? -kInfinity : scale * scores[j] + (mask ? mask[j] : 0);
  std::fill_n(scores, begin, 0.0f);
  if (data.sinks) {
    kernels::OnlineSoftmax state{data.sinks[head], 1};
    online_(scores + begin, mask ? mask + begin : nullptr, scores + begin, size(end - begin), scale,
            &state);
    scale_shift_(scores + begin, scores + begin, size(end - begin), 1 / state.sum, 0);
    std::fill(scores + end, scores + keys, 0.0f);
  } else {
    softmax_(scores + begin, mask ? mask + begin : nullptr, scores + begin, size(keys - begin),
             size(end - begin), scale);
  }
  if (s_.scores == ScoreOutput::probabilities) std::copy_n(scores, keys, out);
}

void append_rows(const Frame& f, int64_t batch, int64_t heads, int64_t past_rows, int64_t rows,
                 int64_t width, const float* past, const float* fresh, const HeadLayout& layout,
                 float* to) {
  const int64_t all = past_rows + rows;
  f.parallel_for(split_work(batch * heads, 0.3 * static_cast<double>(all * width) + 10),
                 [&](Range r) {
                   for (int64_t i = r.begin; i < r.end; ++i) {
                     float* out = to + i * all * width;
                     if (past_rows > 0)
                       std::copy_n(past + i * past_rows * width, past_rows * width, out);
                     const float* in = fresh + i / heads * layout.batch + i % heads * layout.head;
                     for (int64_t row = 0; row < rows; ++row)
                       std::copy_n(in + row * layout.row, width, out + (past_rows + row) * width);
                   }
                 });
}

}  // namespace sdx::ops
