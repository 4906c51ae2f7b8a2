// Lays buffers of floats one after the other into a step's scratch.
#pragma once

#include "base/checked.h"
#include "ir/op.h"

namespace sdx::ops {

class ScratchPlan {
 public:
  // Where `count` floats (or as many bytes) will lie, counted in floats and aligned.
  int64_t add(int64_t count) {
    const int64_t at = end_;
    end_ = round_up(checked_add(end_, count), kAlignment / sizeof(float));
    return at;
  }
  void request(PrepareContext& ctx) const {
    ctx.request_scratch(checked_mul(end_, sizeof(float)));
  }

 private:
  int64_t end_ = 0;
};

// Floats that hold `count` items of another type.
template <class T>
int64_t floats_for(int64_t count) {
  return checked_mul(count, (sizeof(T) + sizeof(float) - 1) / sizeof(float));
}

}  // namespace sdx::ops
