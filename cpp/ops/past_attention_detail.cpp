// Joining caches, and turning padding into masks.
#include <algorithm>

#include "base/error.h"
#include "ops/past_attention.h"

namespace sdx::ops {
namespace {

PaddingMask padding_mask(PrepareContext& ctx, const AttentionShape& s,
                         const PastAttention::Options& options) {
  const int64_t past = options.past;
  PaddingMask result{.batch = s.batch,
                     .queries = s.queries,
                     .keys = s.keys,
                     .past = past,
                     .value = options.mask_value};
  if (!ctx.has_input(options.mask_input)) return result;
  const Shape& mask = ctx.shape(options.mask_input);
  check(ctx.dtype(options.mask_input) == DType::int32, "expected an int32 mask, got ",
        ctx.dtype(options.mask_input));
  if (mask.size() == 1 && (mask[0] == s.batch || mask[0] == 3 * s.batch + 2)) {
    result.kind = Padding::lengths;
  } else if (mask.size() == 1 && mask[0] == 2 * s.batch) {
    result.kind = Padding::bounds;
  } else if (mask == Shape({s.batch, s.keys})) {
    result.kind = Padding::by_key;
  } else if (mask == Shape({s.batch, s.queries, s.keys})) {
    result.kind = Padding::by_query;
  } else {
    check(mask.size() == 4 && mask[0] == s.batch && mask[1] == 1 && mask[2] == mask[3] &&
              mask[2] >= s.keys && past + s.queries <= mask[2],
          "a mask of shape ", mask, " for ", s.batch, " batches of ", s.queries, " queries and ",
          s.keys, " keys");
    result.kind = Padding::by_query;
    result.most = mask[2];
  }
  return result;
}

AttentionShape complete(PrepareContext& ctx, AttentionShape s, const PaddingMask& padding,
                        const PastAttention::Options& options) {
  if (padding.kind != Padding::none) {
    s.mask = MaskKind::additive;
    s.mask_keys = s.keys;
    s.mask_layout = {padding.rows() * s.keys, 0, padding.rows() > 1 ? s.keys : 0};
  }
  if (!ctx.has_input(options.bias_input)) return s;
  const Shape& shape = ctx.shape(options.bias_input);
  check(shape.size() == 4 && (shape[0] == 1 || shape[0] == s.batch) &&
            (shape[1] == 1 || shape[1] == s.heads) && shape[2] == s.queries && shape[3] == s.keys,
        "attention_bias has shape ", shape, " for ", s.batch, " batches, ", s.heads, " heads, ",
        s.queries, " queries and ", s.keys, " keys");
  s.bias = true;
  s.bias_layout = {shape[0] == 1 ? 0 : shape[1] * shape[2] * shape[3],
                   shape[1] == 1 ? 0 : shape[2] * shape[3], shape[3]};
  return s;
}

AttentionShape with_keys(AttentionShape s, const PastAttention::Options& options) {
  s.keys = checked_add(options.past, options.fresh);
  const bool joined = options.past > 0;
  s.k = joined ? heads_first(s.kv_heads, s.keys, s.head_size) : options.fresh_keys;
  s.v = joined ? heads_first(s.kv_heads, s.keys, s.value_size) : options.fresh_values;
  return s;
}

}  // namespace

void PaddingMask::fill(const int32_t* mask, float* to) const {
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t row = 0; row < rows(); ++row)
      for (int64_t j = 0; j < keys; ++j, ++to) *to = takes_part(mask, b, row, j) ? 0 : value;
}

bool PaddingMask::takes_part(const int32_t* mask, int64_t b, int64_t row, int64_t j) const {
  switch (kind) {
    case Padding::lengths:
      return j < mask[b];
    case Padding::bounds:
      return j < mask[b] && j >= mask[batch + b];
    case Padding::by_key:
      return mask[b * keys + j] > 0;
    case Padding::by_query:
      return most ? mask[(b * most + past + row) * most + j] > 0
                  : mask[(b * queries + row) * keys + j] > 0;
    case Padding::none:
      break;
  }
  return true;
}

PastAttention::PastAttention(PrepareContext& ctx, ScratchPlan& plan, AttentionShape s,
                             const Options& options)
    : options_(options),
      padding_(padding_mask(ctx, with_keys(s, options), options)),
      core_(complete(ctx, with_keys(s, options), padding_, options)) {
  const int64_t rows = checked_mul(s.batch * s.kv_heads, options.past + options.fresh);
  const bool joined = options.past > 0;
  ctx.count_flops(core_.shape().flops());
  ranges_at_ = plan.add(floats_for<KeyRange>(s.batch));
  mask_at_ = plan.add(padding_.floats());
  keys_at_ = plan.add(joined && !options.keeps_keys ? checked_mul(rows, s.head_size) : 0);
  values_at_ = plan.add(joined && !options.keeps_values ? checked_mul(rows, s.value_size) : 0);
  core_at_ = plan.add(core_.scratch_floats());
}

const float* PastAttention::join(const Frame& f, int64_t width, const float* past,
                                 const float* fresh, const HeadLayout& layout, float* kept,
                                 int64_t room, int64_t spare_at) const {
  const bool joined = options_.past > 0;
  if (!kept && !joined) return fresh;
  float* to = kept ? kept : f.scratch<float>() + spare_at;
  const AttentionShape& s = core_.shape();
  append_rows(f, {s.batch, s.kv_heads, options_.past, options_.fresh, width, layout}, past, fresh,
              to, room);
  return joined ? to : fresh;
}

void PastAttention::run(const Frame& f, AttentionData data, const Cache& cache) const {
  const AttentionShape& s = core_.shape();
  float* scratch = f.scratch<float>();
  data.k = join(f, s.head_size, cache.past_keys, data.k, options_.fresh_keys, cache.keys,
                cache.key_room, keys_at_);
  data.v = join(f, s.value_size, cache.past_values, data.v, options_.fresh_values, cache.values,
                cache.value_room, values_at_);
  if (options_.past > 0) {
    data.key_room = cache.key_room;
    data.value_room = cache.value_room;
  }
  auto* ranges = reinterpret_cast<KeyRange*>(scratch + ranges_at_);
  std::fill_n(ranges, s.batch, KeyRange{0, s.keys, options_.past});
  data.ranges = ranges;
  if (padding_.kind != Padding::none) {
    padding_.fill(f.in<int32_t>(options_.mask_input), scratch + mask_at_);
    data.mask = scratch + mask_at_;
  }
  if (s.bias) data.bias = f.in<float>(options_.bias_input);
  core_.run(f, data, scratch + core_at_);
}

}  // namespace sdx::ops
