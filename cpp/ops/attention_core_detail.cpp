// Blocks of query rows against all keys: scores, softmax, values, in scratch that stays in cache.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "ops/attention_core.h"

namespace sdx::ops {
namespace {

constexpr int64_t kChunks = 32;             // each has scratch of its own
constexpr int64_t kScoreFloats = 64 << 10;  // of one block, about
constexpr int64_t kLeastTiles = 2, kMostTiles = 8;
constexpr int64_t kRaggedTiles = 4;  // where rows see different keys: so many share a block
constexpr int64_t kDotRows = 8;      // up to so many rows, packing the keys does not pay
constexpr int64_t kManyHeads = 8;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// A key masked by this much has no weight beside one masked by no more than kAlive.
constexpr float kDead = -1e8f, kAlive = -1e4f;

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

// The first keys of mask[0, count) and the last that are all dead, cut off.
std::pair<int64_t, int64_t> live_span(const float* mask, int64_t count) {
  constexpr int64_t kStride = 16;
  const auto dead = [](const float* run) {
    bool live = false;
    for (int64_t i = 0; i < kStride; ++i) live |= !(run[i] <= kDead);
    return !live;
  };
  int64_t begin = 0, end = count;
  while (end >= kStride && dead(mask + end - kStride)) end -= kStride;
  while (end > 0 && mask[end - 1] <= kDead) --end;
  while (begin + kStride <= end && dead(mask + begin)) begin += kStride;
  while (begin < end && mask[begin] <= kDead) ++begin;
  const bool any = begin < end && (mask[begin] >= kAlive || mask[end - 1] >= kAlive);
  return any ? std::pair(begin, end) : std::pair<int64_t, int64_t>(0, count);
}

std::pair<int64_t, int64_t> live_span(const bool* mask, int64_t count) {
  const bool* first = std::find(mask, mask + count, true);
  if (first == mask + count) return {0, count};
  int64_t end = count;
  while (!mask[end - 1]) --end;
  return {first - mask, end};
}

}  // namespace

// Keys that a row of the mask leaves, or all where it leaves none.
struct AttentionCore::Span {
  int32_t begin, end;
};

// Rows of one block: queries [first, first + rows) of a head or, stacked, one query of `rows`
// heads.
struct AttentionCore::Block {
  int64_t batch, head, first, rows;
  int64_t key_begin, key_end;  // the keys that some row may see
  const Span* spans;

  int64_t keys() const { return key_end - key_begin; }
};

struct AttentionCore::Buffers {
  float *keys, *values, *scores, *mask_row, *factors, *product;
};

AttentionCore::AttentionCore(const AttentionShape& shape) : s_(shape) {
  stacked_ = s_.queries == 1 && s_.group() > 1;
  const bool ragged = s_.causal || s_.left_window >= 0 || s_.right_window >= 0 ||
                      (s_.mask != MaskKind::none && s_.mask_layout.row != 0);
  const auto tile = static_cast<int64_t>(gemm_.tiling.rows);
  if (stacked_) {
    block_rows_ = s_.group();
  } else {
    const int64_t fitting = kScoreFloats / std::max<int64_t>(s_.keys, 1) / tile;
    const int64_t tiles = std::clamp(fitting, kLeastTiles, ragged ? kRaggedTiles : kMostTiles);
    block_rows_ = std::clamp<int64_t>(s_.queries, 1, tiles * tile);
    row_blocks_ = (s_.queries + block_rows_ - 1) / block_rows_;
  }
  packed_ = block_rows_ > kDotRows;
  const int64_t heads = s_.batch * (stacked_ ? s_.kv_heads : s_.heads);
  const double cost = gemm_cost(block_rows_, s_.keys, s_.head_size + s_.value_size) +
                      static_cast<double>(block_rows_ * s_.keys) / 2;
  // Few chunks, since each makes the keys of its heads ready.
  const int64_t parts =
      std::clamp<int64_t>(kManyHeads / std::max<int64_t>(heads, 1), 1, kManyHeads);
  const int64_t grain = std::max<int64_t>((row_blocks_ + parts - 1) / parts, 1);
  split_ = split_work(heads * row_blocks_, cost, grain);
  if (split_.chunks > kChunks) {
    const int64_t grains = (split_.items + grain - 1) / grain;
    split_.step = (grains + kChunks - 1) / kChunks * grain;
    split_.chunks = (split_.items + split_.step - 1) / split_.step;
  }
  if (s_.mask != MaskKind::none && s_.scores == ScoreOutput::none && s_.keys < (int64_t{1} << 31)) {
    span_batches_ = s_.mask_layout.batch ? s_.batch : 1;
    span_heads_ = s_.mask_layout.head ? s_.heads : 1;
    span_queries_ = s_.mask_layout.row ? s_.queries : 1;
    span_floats_ = round_up(checked_mul(span_batches_ * span_heads_ * span_queries_, 2), 16);
  }
  if (packed_) packed_floats_ = round_up(gemm_.packed_floats(s_.head_size, s_.keys), 16);
  if (row_blocks_ > 1 && s_.v.row > s_.value_size)
    value_floats_ = round_up(checked_mul(s_.keys, s_.value_size), 16);
  const int64_t most_keys = round_up(s_.keys, static_cast<int64_t>(gemm_.tiling.columns));
  score_floats_ = round_up(checked_mul(block_rows_, most_keys), 16);
  mask_floats_ = round_up(most_keys, 16);
  kernels::GemmArgs args{};
  args.m = size(block_rows_);
  args.n = size(s_.value_size);
  args.k = size(s_.keys);
  const auto product = static_cast<int64_t>(gemm_.dynamic_scratch(args));
  chunk_floats_ = checked_add(checked_add(packed_floats_ + value_floats_, score_floats_),
                              mask_floats_ + round_up(block_rows_, 16) + round_up(product, 16));
}

const AttentionCore::Span& AttentionCore::span_of(const Span* spans, int64_t batch, int64_t head,
                                                  int64_t query) const {
  const int64_t b = span_batches_ == 1 ? 0 : batch, h = span_heads_ == 1 ? 0 : head;
  return spans[(b * span_heads_ + h) * span_queries_ + (span_queries_ == 1 ? 0 : query)];
}

void AttentionCore::find_spans(const AttentionData& data, Span* spans) const {
  for (int64_t b = 0; b < span_batches_; ++b)
    for (int64_t h = 0; h < span_heads_; ++h)
      for (int64_t q = 0; q < span_queries_; ++q) {
        const HeadLayout& at = s_.mask_layout;
        const int64_t offset = b * at.batch + h * at.head + q * at.row;
        const auto [begin, end] =
            s_.mask == MaskKind::additive
                ? live_span(static_cast<const float*>(data.mask) + offset, s_.mask_keys)
                : live_span(static_cast<const bool*>(data.mask) + offset, s_.mask_keys);
        *spans++ = {static_cast<int32_t>(begin), static_cast<int32_t>(end)};
      }
}

AttentionCore::Block AttentionCore::block_of(int64_t item, const KeyRange* ranges,
                                             const Span* spans) const {
  Block block{};
  if (stacked_) {
    block.batch = item / s_.kv_heads;
    block.head = item % s_.kv_heads * s_.group();
    block.rows = s_.group();
  } else {
    const int64_t head = item / row_blocks_;
    block.batch = head / s_.heads;
    block.head = head % s_.heads;
    block.first = item % row_blocks_ * block_rows_;
    block.rows = std::min(block_rows_, s_.queries - block.first);
  }
  block.spans = spans;
  block.key_end = s_.keys;
  if (s_.scores != ScoreOutput::none) return block;
  const KeyRange& range = ranges[block.batch];
  block.key_begin = std::max<int64_t>(range.begin, 0);
  block.key_end = std::min(range.end, s_.keys);
  const int64_t first = range.position + block.first;
  const int64_t last = stacked_ ? first : first + block.rows - 1;
  block.key_end = std::min(block.key_end,
                           causal_end(stacked_ ? block.first : block.first + block.rows - 1, last));
  if (s_.right_window >= 0) block.key_end = std::min(block.key_end, last + s_.right_window + 1);
  if (s_.left_window >= 0) block.key_begin = std::max(block.key_begin, first - s_.left_window);
  if (span_batches_ > 0) {
    int64_t begin = s_.keys, end = 0;
    for (int64_t row = 0; row < block.rows; ++row) {
      const Span& span = span_of(spans, block.batch, block.head + (stacked_ ? row : 0),
                                 block.first + (stacked_ ? 0 : row));
      begin = std::min<int64_t>(begin, span.begin);
      end = std::max<int64_t>(end, span.end);
    }
    block.key_begin = std::max(block.key_begin, begin);
    block.key_end = std::min(block.key_end, end);
  } else if (s_.mask != MaskKind::none) {
    block.key_end = std::min(block.key_end, s_.mask_keys);
  }
  block.key_begin = std::min(block.key_begin, s_.keys);
  block.key_end = std::max(block.key_end, block.key_begin);
  // Packed keys are entered where a panel begins.
  if (packed_) block.key_begin -= block.key_begin % static_cast<int64_t>(gemm_.tiling.columns);
  return block;
}

void AttentionCore::run(const Frame& f, const AttentionData& data, float* scratch) const {
  if (s_.batch * s_.heads * s_.queries == 0) return;
  auto* spans = reinterpret_cast<Span*>(scratch);
  if (span_batches_ > 0) find_spans(data, spans);
  ScratchLanes lanes(split_.chunks);
  f.parallel_for({split_.chunks, split_.chunks}, [&](Range chunk) {
    const Range items = split_.chunk(chunk.begin);
    const ScratchLanes::Lane lane(lanes);
    Buffers buffers{};
    buffers.keys = scratch + span_floats_ + lane.index() * chunk_floats_;
    buffers.values = buffers.keys + packed_floats_;
    buffers.scores = buffers.values + value_floats_;
    buffers.mask_row = buffers.scores + score_floats_;
    buffers.factors = buffers.mask_row + mask_floats_;
    buffers.product = buffers.factors + round_up(block_rows_, 16);
    int64_t ready = -1;
    for (int64_t i = items.begin; i < items.end; ++i) {
      const Block block = block_of(i, data.ranges, spans);
      const int64_t head = block.batch * s_.kv_heads + block.head / s_.group();
      if (head != ready) make_ready(data, block, buffers);
      ready = head;
      run_block(data, block, buffers);
    }
  });
}

// What all blocks of a head share: its keys packed, and its values side by side: rows that lie a
// power of two apart would drive each other out of the cache.
void AttentionCore::make_ready(const AttentionData& data, const Block& block,
                               const Buffers& buffers) const {
  if (packed_)
    gemm_.pack_b({.k = size(s_.head_size),
                  .n = size(s_.keys),
                  .b = keys_at(data, block),
                  .ldb = size(s_.k.row),
                  .transposed = true,
                  .packed = buffers.keys},
                 0, size(gemm_.panels(s_.keys)));
  if (value_floats_ == 0) return;
  const float* v = values_at(data, block);
  for (int64_t key = 0; key < s_.keys; ++key)
    std::copy_n(v + key * s_.v.row, s_.value_size, buffers.values + key * s_.value_size);
}

void AttentionCore::multiply_keys(const AttentionData& data, const Block& block,
                                  const Buffers& buffers) const {
  const int64_t keys = block.keys();
  const float* q =
      data.q + block.batch * s_.q.batch + block.head * s_.q.head + block.first * s_.q.row;
  const float* k = keys_at(data, block);
  const int64_t q_row = stacked_ ? s_.q.head : s_.q.row;
  if (!packed_)
    return dots_({.m = size(block.rows),
                  .n = size(keys),
                  .depth = size(s_.head_size),
                  .a = q,
                  .lda = size(q_row),
                  .b = k + block.key_begin * s_.k.row,
                  .ldb = size(s_.k.row),
                  .c = buffers.scores,
                  .ldc = size(keys)});
  if (keys == 0) return;
  // Panels are as wide as they were packed, so the last one is taken whole.
  const auto columns = static_cast<int64_t>(gemm_.tiling.columns);
  const int64_t end = std::min(s_.keys, round_up(block.key_end, columns));
  gemm_.packed({.m = size(block.rows),
                .n = size(end - block.key_begin),
                .k = size(s_.head_size),
                .a = q,
                .lda = size(q_row),
                .b = buffers.keys + block.key_begin * s_.head_size,
                .c = buffers.scores,
                .ldc = size(end - block.key_begin)},
               {0, size(block.rows), 0, size(gemm_.panels(end - block.key_begin))});
}

void AttentionCore::run_block(const AttentionData& data, const Block& block,
                              const Buffers& buffers) const {
  const int64_t keys = block.keys();
  const bool close = value_floats_ > 0;
  const float* v = close ? buffers.values : values_at(data, block);
  const int64_t v_row = close ? s_.value_size : s_.v.row;
  multiply_keys(data, block, buffers);
  finish_rows(data, block, buffers);
  float* y = data.y + block.batch * s_.y.batch + block.head * s_.y.head + block.first * s_.y.row;
  const int64_t y_row = stacked_ ? s_.y.head : s_.y.row;
  gemm_.dynamic({.m = size(block.rows),
                 .n = size(s_.value_size),
                 .k = size(keys),
                 .a = buffers.scores,
                 .lda = size(score_stride(block)),
                 .b = v + block.key_begin * v_row,
                 .ldb = size(v_row),
                 .c = y,
                 .ldc = size(y_row)},
                {0, size(block.rows), 0, size(gemm_.panels(s_.value_size))}, buffers.product);
  for (int64_t row = 0; row < block.rows; ++row)
    if (buffers.factors[row] != 1)
      scale_shift_(y + row * y_row, y + row * y_row, size(s_.value_size), buffers.factors[row], 0);
}

const float* AttentionCore::keys_at(const AttentionData& data, const Block& block) const {
  const int64_t head = block.head / s_.group();
  if (data.key_room > 0)
    return data.k + (block.batch * s_.kv_heads + head) * data.key_room * s_.head_size;
  return data.k + block.batch * s_.k.batch + head * s_.k.head;
}

const float* AttentionCore::values_at(const AttentionData& data, const Block& block) const {
  const int64_t head = block.head / s_.group();
  if (data.value_room > 0)
    return data.v + (block.batch * s_.kv_heads + head) * data.value_room * s_.value_size;
  return data.v + block.batch * s_.v.batch + head * s_.v.head;
}

// Floats from one row of scores to the next.
int64_t AttentionCore::score_stride(const Block& block) const {
  if (!packed_) return block.keys();
  const auto columns = static_cast<int64_t>(gemm_.tiling.columns);
  return std::min(s_.keys, round_up(block.key_end, columns)) - block.key_begin;
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

// The keys that a row may see, counted from the block's first.
Range AttentionCore::keys_of(const AttentionData& data, const Block& block, int64_t row) const {
  const int64_t query = block.first + (stacked_ ? 0 : row);
  const KeyRange& range = data.ranges[block.batch];
  const int64_t position = range.position + query;
  int64_t begin = std::max<int64_t>(range.begin, 0), end = std::min(range.end, s_.keys);
  end = std::min(end, causal_end(query, position));
  if (s_.right_window >= 0) end = std::min(end, position + s_.right_window + 1);
  if (s_.left_window >= 0) begin = std::max(begin, position - s_.left_window);
  if (span_batches_ > 0) {
    const Span& span = span_of(block.spans, block.batch, block.head + (stacked_ ? row : 0), query);
    begin = std::max<int64_t>(begin, span.begin);
    end = std::min<int64_t>(end, span.end);
  }
  begin = std::clamp<int64_t>(begin - block.key_begin, 0, block.keys());
  return {begin, std::clamp<int64_t>(end - block.key_begin, begin, block.keys())};
}

// Where the keys end that causality leaves to a query, which stands at `position`.
int64_t AttentionCore::causal_end(int64_t query, int64_t position) const {
  const bool open = !s_.causal || (s_.open_end && query == s_.queries - 1);
  return open ? s_.keys : position + 1;
}

float AttentionCore::factor_of(float sum) const {
  return sum != 0 || s_.masked_rows_are_nan ? 1 / sum : 1;
}

void AttentionCore::finish_rows(const AttentionData& data, const Block& block,
                                const Buffers& buffers) const {
  const bool plain = s_.softcap == 0 && s_.scores == ScoreOutput::none && !data.sinks && !s_.bias &&
                     s_.mask != MaskKind::boolean;
  for (int64_t row = 0; row < block.rows;) {
    // Rows that see the same keys go together.
    const Range keys = keys_of(data, block, row);
    int64_t next = row + 1;
    while (plain && !stacked_ && next < block.rows) {
      const Range other = keys_of(data, block, next);
      if (other.begin != keys.begin || other.end != keys.end) break;
      ++next;
    }
    if (!plain || (s_.mask != MaskKind::none && s_.mask_keys < block.key_end)) {
      buffers.factors[row] = finish_row(data, block, row, buffers);
      ++row;
      continue;
    }
    const int64_t stride = score_stride(block);
    float* scores = buffers.scores + row * stride;
    const float* mask = mask_row_of(data, block, row, nullptr);
    weights_({.x = scores + keys.begin,
              .stride = size(stride),
              .mask = mask ? mask + keys.begin : nullptr,
              .mask_stride = size(s_.mask_layout.row),
              .rows = size(next - row),
              .cols = size(keys.size()),
              .scale = s_.scale,
              .sums = buffers.factors + row});
    for (; row < next; ++row, scores += stride) {
      std::fill_n(scores, keys.begin, 0.0f);
      std::fill(scores + keys.end, scores + block.keys(), 0.0f);
      buffers.factors[row] = factor_of(buffers.factors[row]);
    }
  }
}

float AttentionCore::finish_row(const AttentionData& data, const Block& block, int64_t row,
                                const Buffers& buffers) const {
  float* scores = buffers.scores + row * score_stride(block);
  const int64_t keys = block.keys();
  const int64_t head = block.head + (stacked_ ? row : 0);
  const int64_t query = block.first + (stacked_ ? 0 : row);
  const auto [begin, end] = keys_of(data, block, row);
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
  const float* mask = mask_row_of(data, block, row, buffers.mask_row);
  if (s_.scores == ScoreOutput::biased)
    for (int64_t j = 0; j < keys; ++j)
      out[j] = j < begin || j >= end ? s_.outside_score : scale * scores[j] + (mask ? mask[j] : 0);
  std::fill_n(scores, begin, 0.0f);
  if (mask) mask += begin;
  if (s_.scores == ScoreOutput::probabilities && !data.sinks) {
    softmax_(scores + begin, mask, scores + begin, size(keys - begin), size(end - begin), scale);
    std::copy_n(scores, keys, out);
    return 1;
  }
  kernels::OnlineSoftmax state{-kInfinity, 0};
  if (data.sinks) state = {data.sinks[head], 1};
  online_(scores + begin, mask, scores + begin, size(end - begin), scale, &state);
  std::fill(scores + end, scores + keys, 0.0f);
  const float factor = factor_of(state.sum);
  if (s_.scores != ScoreOutput::probabilities) return factor;
  scale_shift_(scores, out, size(keys), factor, 0);
  return factor;
}

void append_rows(const Frame& f, const AppendedRows& a, const float* past, const float* fresh,
                 float* to, int64_t room) {
  const int64_t all = a.past_rows + a.rows, head_rows = room > 0 ? room : all;
  const bool in_place = room > 0;
  const double cost = 0.3 * static_cast<double>((in_place ? a.rows : all) * a.width) + 10;
  f.parallel_for(split_work(a.batch * a.heads, cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      float* out = to + i * head_rows * a.width;
      if (a.past_rows > 0 && !in_place)
        std::copy_n(past + i * a.past_rows * a.width, a.past_rows * a.width, out);
      const float* in = fresh + i / a.heads * a.layout.batch + i % a.heads * a.layout.head;
      out += a.past_rows * a.width;
      for (int64_t row = 0; row < a.rows; ++row)
        std::copy_n(in + row * a.layout.row, a.width, out + row * a.width);
    }
  });
}

int64_t shared_room(const Frame& f, int past, int output) {
  const float* to = f.out<float>(output);
  if (!to || f.in<float>(past) != to) return 0;
  const Tensor buffer = f.input_tensor(past);
  return buffer.shape()[buffer.shape().size() - 2];
}

}  // namespace sdx::ops
