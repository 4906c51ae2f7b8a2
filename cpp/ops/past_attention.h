// Attention with a past and with the padding masks of com.microsoft.
#pragma once

#include "ir/op.h"
#include "ops/attention_core.h"
#include "ops/scratch.h"

namespace sdx::ops {

// What an int32 mask says of the keys.
enum class Padding {
  none,
  lengths,  // [batch]: keys of each
  bounds,   // [2 * batch]: ends, then beginnings
  by_key,   // [batch, keys]: above 0 where a key takes part
  by_query  // [batch, queries, keys]; or [batch, 1, most, most], whose rows count the past too
};

// Becomes floats to add: 0, or `value` for keys that take no part.
struct PaddingMask {
  Padding kind = Padding::none;
  int64_t batch = 0, queries = 0, keys = 0;
  int64_t most = 0;  // side of a square mask, else 0
  int64_t past = 0;
  float value = 0;

  int64_t rows() const { return kind == Padding::by_query ? queries : 1; }
  int64_t floats() const { return kind == Padding::none ? 0 : batch * rows() * keys; }
  void fill(const int32_t* mask, float* to) const;

 private:
  bool takes_part(const int32_t* mask, int64_t b, int64_t row, int64_t j) const;
};

// The core with fresh keys and values put behind a past.
class PastAttention {
 public:
  struct Options {
    int64_t past = 0, fresh = 0;  // rows
    HeadLayout fresh_keys, fresh_values;
    int mask_input = -1;  // int32
    int bias_input = -1;  // floats, [1 or batch, 1 or heads, queries, keys]
    float mask_value = 0;
    bool keeps_keys = false, keeps_values = false;  // an output takes them with their past
  };
  struct Cache {
    const float *past_keys = nullptr, *past_values = nullptr;
    float *keys = nullptr, *values = nullptr;  // outputs, or null
    // Of those that share a buffer with their past: how many rows apart heads are.
    int64_t key_room = 0, value_room = 0;
  };

  // `s` is complete but for keys, their layouts and the masks.
  PastAttention(PrepareContext& ctx, ScratchPlan& plan, AttentionShape s, const Options& options);
  // In `data` are queries, fresh keys and values, and results.
  void run(const Frame& f, AttentionData data, const Cache& cache) const;

 private:
  const float* join(const Frame& f, int64_t width, const float* past, const float* fresh,
                    const HeadLayout& layout, float* kept, int64_t room, int64_t spare_at) const;

  Options options_;
  PaddingMask padding_;
  AttentionCore core_;
  int64_t ranges_at_ = 0, mask_at_ = 0, keys_at_ = 0, values_at_ = 0, core_at_ = 0;
};

}  // namespace sdx::ops
