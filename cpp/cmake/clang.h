// What clang lacks of GCC: __builtin_shuffle, as the kernels call it. Lanes are taken one by one,
// which is fast enough for fuzzing.
#pragma once

template <class V, class Lanes>
static inline V __builtin_shuffle(V v, Lanes lanes) {
  constexpr int kCount = sizeof(V) / sizeof(v[0]);
  V result = v;
  for (int i = 0; i < kCount; ++i) result[i] = v[lanes[i] & (kCount - 1)];
  return result;
}

template <class V, class Lanes>
static inline V __builtin_shuffle(V a, V b, Lanes lanes) {
  constexpr int kCount = sizeof(V) / sizeof(a[0]);
  V result = a;
  for (int i = 0; i < kCount; ++i) {
    const int lane = lanes[i] & (2 * kCount - 1);
    result[i] = lane < kCount ? a[lane] : b[lane - kCount];
  }
  return result;
}
