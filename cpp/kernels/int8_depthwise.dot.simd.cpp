// The 8-bit depthwise convolution. Four taps of a strip of channels are interleaved, byte by byte,
// so that each channel's four bytes meet its four weights in one dot product.
#include "kernels/int8.h"
#include "kernels/simd/dot.h"
#include "kernels/simd/int8_epilogue.h"

namespace sdx::kernels {
namespace SDX_ISA {

#if defined(__AVX512VNNI__)
constexpr std::size_t kStrip = 32;  // as fast as 64 for interleaving, and wastes less on tails
#else
constexpr std::size_t kStrip = kVecBytes;
#endif
typedef uint8_t Strip __attribute__((vector_size(kStrip)));
typedef int32_t StripSums __attribute__((vector_size(kStrip)));

#if defined(__AVX2__)
#if defined(__AVX512F__) && !defined(__AVX512VNNI__)
#define SDX_ZIP(name, operation)                                                         \
  SDX_INLINE Strip name(Strip a, Strip b) {                                              \
    return reinterpret_cast<Strip>(                                                      \
        _mm512_##operation(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b))); \
  }
#else
#define SDX_ZIP(name, operation)                                                         \
  SDX_INLINE Strip name(Strip a, Strip b) {                                              \
    return reinterpret_cast<Strip>(                                                      \
        _mm256_##operation(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b))); \
  }
#endif
SDX_ZIP(zip_low8, unpacklo_epi8)
SDX_ZIP(zip_high8, unpackhi_epi8)
SDX_ZIP(zip_low16, unpacklo_epi16)
SDX_ZIP(zip_high16, unpackhi_epi16)
#undef SDX_ZIP
#else
typedef uint16_t StripPairs __attribute__((vector_size(kStrip)));
SDX_INLINE Strip zip_low8(Strip a, Strip b) {
  return __builtin_shuffle(a, b, Strip{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
}
SDX_INLINE Strip zip_high8(Strip a, Strip b) {
  return __builtin_shuffle(a, b,
                           Strip{8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
}
SDX_INLINE Strip zip_low16(Strip a, Strip b) {
  return reinterpret_cast<Strip>(__builtin_shuffle(reinterpret_cast<StripPairs>(a),
                                                   reinterpret_cast<StripPairs>(b),
                                                   StripPairs{0, 8, 1, 9, 2, 10, 3, 11}));
}
SDX_INLINE Strip zip_high16(Strip a, Strip b) {
  return reinterpret_cast<Strip>(__builtin_shuffle(reinterpret_cast<StripPairs>(a),
                                                   reinterpret_cast<StripPairs>(b),
                                                   StripPairs{4, 12, 5, 13, 6, 14, 7, 15}));
}
#endif

SDX_INLINE StripSums dot_strip(StripSums sums, Strip left, Strip right) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<StripSums>(_mm256_dpbusd_epi32(reinterpret_cast<__m256i>(sums),
                                                         reinterpret_cast<__m256i>(left),
                                                         reinterpret_cast<__m256i>(right)));
#else
  return dot(sums, dot_left(reinterpret_cast<VecI>(left)),
             dot_right(reinterpret_cast<VecI>(right)));
#endif
}

// Four taps interleaved: in part q, the 16-byte lane l holds channels 16 l + 4 q and the next
// three, four bytes each.
struct Quad {
  Strip part[4];
};

SDX_INLINE Quad interleave(Strip a, Strip b, Strip c, Strip d) {
  const Strip ab_low = zip_low8(a, b), ab_high = zip_high8(a, b);
  const Strip cd_low = zip_low8(c, d), cd_high = zip_high8(c, d);
  return {{zip_low16(ab_low, cd_low), zip_high16(ab_low, cd_low), zip_low16(ab_high, cd_high),
           zip_high16(ab_high, cd_high)}};
}

#if !defined(__AVX512BW__)
// The first n < kStrip bytes. Put together in registers: a load just after narrower stores would
// wait for them.
__attribute__((noinline)) Strip load_part(const uint8_t* p, std::size_t n) {
  typedef uint64_t Words __attribute__((vector_size(kStrip)));
  Words words{};
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kStrip / 8; ++i) {
    const std::size_t left = n > 8 * i ? n - 8 * i : 0;
    uint64_t word = 0;
    if (left >= 8)
      __builtin_memcpy(&word, p + 8 * i, 8);
    else
      for (std::size_t k = 0; k < left; ++k) word |= uint64_t{p[8 * i + k]} << (8 * k);
    words[i] = word;
  }
  return reinterpret_cast<Strip>(words);
}
#endif

// The first n bytes of a strip; nothing beyond them is read.
SDX_INLINE Strip load_strip(const void* p, std::size_t n) {
  Strip strip;
  if (n >= kStrip) {
    __builtin_memcpy(&strip, p, kStrip);
    return strip;
  }
#if defined(__AVX512VNNI__)
  return reinterpret_cast<Strip>(_mm256_maskz_loadu_epi8((__mmask32{1} << n) - 1, p));
#elif defined(__AVX512BW__)
  return reinterpret_cast<Strip>(_mm512_maskz_loadu_epi8((__mmask64{1} << n) - 1, p));
#else
  return load_part(static_cast<const uint8_t*>(p), n);
#endif
}

// The weights of taps [4 group, 4 group + 4), those past the last being 0.
SDX_INLINE Quad load_weights(const Int8DepthwiseArgs& args, std::size_t group, std::size_t channel,
                             std::size_t n) {
  Strip taps[4] = {};
  for (std::size_t t = 0; t < 4 && group * 4 + t < args.a.taps; ++t)
    taps[t] = load_strip(args.weights + (group * 4 + t) * args.a.channels + channel, n);
  return interleave(taps[0], taps[1], taps[2], taps[3]);
}

constexpr std::size_t kPreparedGroups = 16;  // of taps, whose weights are interleaved beforehand
constexpr std::size_t kPixels = 8;           // whose sums are taken before any is finished

// One pixel's sums of kStrips whole strips of channels from `channel` on, or of n channels of one.
template <std::size_t kStrips, bool kTurn, class Weights>
SDX_INLINE void sum_strips(const void* const* pixels, std::size_t taps, std::size_t channel,
                           std::size_t n, Weights weights, int32_t* out) {
  Strip turn;
  __builtin_memset(&turn, 0x80, kStrip);
  StripSums sums[kStrips][4] = {};
  const auto add_group = [&](std::size_t g, auto tap) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (std::size_t s = 0; s < kStrips; ++s) {
      const Quad bytes = interleave(tap(0, s), tap(1, s), tap(2, s), tap(3, s));
      const Quad& w = weights(s, g);
#pragma GCC unroll 4
      for (std::size_t q = 0; q < 4; ++q)
        sums[s][q] = dot_strip(sums[s][q], bytes.part[q], w.part[q]);
    }
  };
  const auto load_tap = [&](std::size_t t, std::size_t s) __attribute__((always_inline)) {
    const Strip bytes =
        load_strip(static_cast<const uint8_t*>(pixels[t]) + channel + s * kStrip, n);
    return kTurn ? bytes ^ turn : bytes;
  };
  std::size_t t = 0;
  for (; t + 4 <= taps; t += 4)
    add_group(
        t / 4, [&](std::size_t i, std::size_t s)
                   __attribute__((always_inline)) { return load_tap(t + i, s); });
  if (t < taps)  // the taps past the last have no weights
    add_group(
        t / 4, [&](std::size_t i, std::size_t s) __attribute__((always_inline)) {
          return t + i < taps ? load_tap(t + i, s) : Strip{};
        });
#pragma GCC unroll 4
  for (std::size_t s = 0; s < kStrips; ++s)
#pragma GCC unroll 4
    for (std::size_t q = 0; q < 4; ++q) {
      alignas(kStrip) int32_t lanes[kStrip / 4];
      __builtin_memcpy(lanes, &sums[s][q], kStrip);
#pragma GCC unroll 4
      for (std::size_t l = 0; l < kStrip / 16; ++l)
        __builtin_memcpy(out + s * kStrip + 16 * l + 4 * q, lanes + 4 * l, 16);
    }
}

// Strips taken at a time, for which there are registers.
constexpr std::size_t kTogether = kStrip == 32 && kVecBytes == 64 ? 2 : 1;

template <bool kTurn>
SDX_INLINE void depthwise(const Int8DepthwiseArgs& args, int32_t a_shift) {
  const std::size_t taps = args.a.taps, groups = (taps + 3) / 4;
  Quad prepared[kInt8PanelCols / kStrip][kPreparedGroups];
  alignas(64) int32_t sums[kPixels][kInt8PanelCols];
  Int8Panel panel;
  for (std::size_t first = args.channel_begin; first < args.channel_end; first += kInt8PanelCols) {
    const std::size_t left = args.channel_end - first;
    const std::size_t columns = left < kInt8PanelCols ? left : kInt8PanelCols;
    begin_panel(args.epilogue, first, columns, a_shift, &panel);
    if (groups <= kPreparedGroups)
      for (std::size_t c = 0; c < columns; c += kStrip)
        for (std::size_t g = 0; g < groups; ++g)
          prepared[c / kStrip][g] = load_weights(args, g, first + c, columns - c);
    for (std::size_t row = 0; row < args.rows; row += kPixels) {
      const std::size_t rows = args.rows - row < kPixels ? args.rows - row : kPixels;
      for (std::size_t r = 0; r < rows; ++r) {
        const void* const* pixels = args.a.pixels + (row + r) * taps;
        for (std::size_t c = 0; c < columns;) {
          const std::size_t channel = first + c, n = columns - c;
          const auto ready = [&](std::size_t s, std::size_t g) __attribute__((always_inline))
                                 ->const Quad& {
            return prepared[c / kStrip + s][g];
          };
          const auto made = [&](std::size_t, std::size_t g) {
            return load_weights(args, g, channel, n);
          };
          int32_t* out = sums[r] + c;
          if (groups > kPreparedGroups)
            sum_strips<1, kTurn>(pixels, taps, channel, n, made, out);
          else if (n >= kTogether * kStrip)
            sum_strips<kTogether, kTurn>(pixels, taps, channel, kStrip, ready, out);
          else if (n >= kStrip)
            sum_strips<1, kTurn>(pixels, taps, channel, kStrip, ready, out);
          else
            sum_strips<1, kTurn>(pixels, taps, channel, n, ready, out);
          c += groups <= kPreparedGroups && n >= kTogether * kStrip ? kTogether * kStrip : kStrip;
        }
      }
      finish_rows(sums, args.epilogue, panel, row, rows, taps);
    }
  }
}

void int8_depthwise(const Int8DepthwiseArgs& args) {
  if (args.a.is_signed == kDotLeftSigned)
    depthwise<false>(args, 0);
  else
    depthwise<true>(args, kDotLeftSigned ? -128 : 128);
}

}  // namespace SDX_ISA

SDX_DEFINE_DOT_KERNEL(int8_depthwise, Int8Depthwise)

}  // namespace sdx::kernels
