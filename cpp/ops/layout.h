// Between channels-first and channels-last images of floats.
#pragma once

#include "base/frame.h"

namespace sdx::ops {

// from [images][channels][pixels] to [images][pixels][channels]; they do not overlap.
void to_channels_last(const Frame& f, int64_t images, int64_t channels, int64_t pixels,
                      const float* from, float* to);
// from [images][pixels][channels] to [images][channels][pixels].
void to_channels_first(const Frame& f, int64_t images, int64_t channels, int64_t pixels,
                       const float* from, float* to);

}  // namespace sdx::ops
