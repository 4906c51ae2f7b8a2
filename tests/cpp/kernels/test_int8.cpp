// 8-bit products against exact integer loops: every tier, signedness, shape and epilogue.
#include <algorithm>
#include <cmath>

#include "kernels/int8.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

// Bytes over the whole range, extremes often: 0 and 255, or -128 and 127.
Fenced<uint8_t> bytes(std::size_t n, unsigned seed) {
  Fenced<uint8_t> values = Values(seed).integers<uint8_t>(n, 0, 255);
  const uint8_t extremes[] = {0x00, 0xff, 0x80, 0x7f};
  for (std::size_t i = 0; i < n; i += 3) values[i] = extremes[(i / 3) % 4];
  return values;
}

int32_t read(uint8_t byte, bool is_signed) {
  return is_signed ? int32_t{static_cast<int8_t>(byte)} : int32_t{byte};
}

// An epilogue with everything in it, its arrays, and what it ought to make of a sum.
struct Finish {
  Finish(Int8Out kind, std::size_t rows, std::size_t columns, bool full, bool accumulate)
      : a_zero_points(Values(1).integers<int32_t>(rows, -9, 200)),
        b_zero_points(Values(2).integers<int32_t>(columns, -9, 9)),
        row_sums(rows),
        bias_s32(Values(3).integers<int32_t>(columns, -5000, 5000)),
        bias_f32(Values(4).floats(columns)),
        row_scale(Values(5).floats(rows, 0.1f, 1)),
        scale(Values(6).floats(columns, 1e-4f, 3e-3f)) {
    e.kind = kind;
    e.a_zero_point = 5;
    e.scale = scale.data();
    e.zero_point = kind == Int8Out::s8 ? -3 : 100;
    e.lo = kind == Int8Out::s8 ? -128 : 0;
    e.hi = kind == Int8Out::s8 ? 127 : 255;
    if (!full) return;
    e.a_zero_points = a_zero_points.data();
    e.b_zero_points = b_zero_points.data();
    e.row_sums = row_sums.data();
    e.bias_s32 = bias_s32.data();
    e.bias_f32 = bias_f32.data();
    e.row_scale = row_scale.data();
    e.accumulate = accumulate;
    e.lo += 20;  // as a fused activation has it
  }

  int32_t a_zero(std::size_t r) const {
    return e.a_zero_points ? a_zero_points[r] : e.a_zero_point;
  }
  int32_t b_zero(std::size_t c) const { return e.b_zero_points ? b_zero_points[c] : 0; }
  int32_t bias(std::size_t c) const { return e.bias_s32 ? bias_s32[c] : 0; }

  double expected(int32_t sum, std::size_t r, std::size_t c) const {
    const float s = scale[c * e.scale_step];
    switch (e.kind) {
      case Int8Out::s32:
        return sum;
      case Int8Out::f32:
        return static_cast<double>(sum) * s * (e.row_scale ? row_scale[r] : 1) +
               (e.bias_f32 ? bias_f32[c] : 0) + (e.accumulate ? 2.0 : 0.0);
      default:
        return std::clamp(
            std::nearbyint(static_cast<float>(sum) * s) + static_cast<float>(e.zero_point),
            static_cast<float>(e.lo), static_cast<float>(e.hi));
    }
  }

  Fenced<int32_t> a_zero_points, b_zero_points, row_sums, bias_s32;
  Fenced<float> bias_f32, row_scale, scale;
  Int8Epilogue e;
};

// The results of a kernel, whatever their type, with a gap at the end of every row.
struct Output {
  Output(Int8Epilogue* e, std::size_t rows, std::size_t columns)
      : stride(columns + 1),
        kind(e->kind),
        words(rows * stride - 1),
        floats(rows * stride - 1, 2.0f),
        octets(rows * stride - 1) {
    e->out_stride = stride;
    e->out = kind == Int8Out::s32   ? static_cast<void*>(words.data())
             : kind == Int8Out::f32 ? static_cast<void*>(floats.data())
                                    : static_cast<void*>(octets.data());
  }
  double at(std::size_t r, std::size_t c) const {
    const std::size_t i = r * stride + c;
    if (kind == Int8Out::s32) return words[i];
    if (kind == Int8Out::f32) return floats[i];
    return read(octets[i], kind == Int8Out::s8);
  }

  std::size_t stride;
  Int8Out kind;
  Fenced<int32_t> words;
  Fenced<float> floats;
  Fenced<uint8_t> octets;
};

void check_output(const Output& out, const Finish& finish, const std::vector<int32_t>& sums,
                  std::size_t rows, std::size_t begin, std::size_t end, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = begin; c < end; ++c) {
      const double want = finish.expected(sums[r * columns + c], r, c);
      const bool exact = out.kind != Int8Out::f32;
      CHECK_MESSAGE(close(out.at(r, c), want, exact ? 0 : 3e-7, exact ? 0 : 1e-6), out.at(r, c),
                    " for ", want, " at ", r, ", ", c);
    }
}

struct Shape {
  std::size_t rows, taps, channels, columns;
};

void check_gemm(const Shape& s, bool a_signed, bool b_signed, Int8Out kind, bool full,
                bool indirect) {
  const std::size_t depth = s.taps * s.channels;
  const Fenced<uint8_t> a = bytes(s.rows * depth, 1), b = bytes(depth * s.columns, 2);
  const std::size_t padded = s.taps * ((s.channels + 3) / 4 * 4);
  Fenced<int8_t> packed(int8_packed_bytes(padded, s.columns), 77);
  Fenced<int32_t> column_sums(int8_padded_cols(s.columns));
  Fenced<uint8_t> b_columns(depth * s.columns);
  for (std::size_t k = 0; k < depth; ++k)
    for (std::size_t c = 0; c < s.columns; ++c)
      b_columns.data()[c * depth + k] = b.data()[k * s.columns + c];
  Fenced<int8_t> packed_columns(packed.size(), 77);
  Fenced<int32_t> sums_of_columns(column_sums.size());
  for_each_variant(int8_pack, [&](Int8Pack* pack) {
    pack({.b = b_columns.data(),
          .b_is_signed = b_signed,
          .k = depth,
          .n = s.columns,
          .group = s.channels,
          .k_stride = 1,
          .n_stride = depth,
          .packed = packed_columns.data(),
          .column_sums = sums_of_columns.data()});
    pack({.b = b.data(),
          .b_is_signed = b_signed,
          .k = depth,
          .n = s.columns,
          .group = s.channels,
          .k_stride = s.columns,
          .n_stride = 1,
          .packed = packed.data(),
          .column_sums = column_sums.data()});
    CHECK(std::equal(packed.data(), packed.data() + packed.size(), packed_columns.data()));
    CHECK(std::equal(column_sums.data(), column_sums.data() + column_sums.size(),
                     sums_of_columns.data()));
  });
  // Pixels are in any order in memory: here the last comes first.
  std::vector<const void*> pixels(s.rows * s.taps);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = a.data() + (indirect ? pixels.size() - 1 - i : i) * s.channels;
  const auto a_at = [&](std::size_t r, std::size_t k) {
    const auto* p = static_cast<const uint8_t*>(pixels[r * s.taps + k / s.channels]);
    return read(p[k % s.channels], a_signed);
  };
  Int8Rows rows{.a = a.data(),
                .a_stride = depth,
                .taps = s.taps,
                .channels = s.channels,
                .is_signed = a_signed};
  if (indirect) {
    rows.a = nullptr;
    rows.pixels = pixels.data();
  }
  Finish finish(kind, s.rows, s.columns, full, true);
  finish.e.column_sums = column_sums.data();
  for_each_variant(int8_row_sums, [&](Int8RowSums* run) {
    run(rows, s.rows, finish.row_sums.data());
    for (std::size_t r = 0; r < s.rows; ++r) {
      int32_t sum = 0;
      for (std::size_t k = 0; k < depth; ++k) sum += a_at(r, k);
      CHECK(finish.row_sums[r] == sum);
    }
  });
  std::vector<int32_t> sums(s.rows * s.columns);
  for (std::size_t r = 0; r < s.rows; ++r)
    for (std::size_t c = 0; c < s.columns; ++c) {
      int32_t sum = finish.bias(c);
      for (std::size_t k = 0; k < depth; ++k) {
        const int32_t weight = read(b[k * s.columns + c], b_signed) - (b_signed ? 0 : 128);
        sum += (a_at(r, k) - finish.a_zero(r)) * (weight - finish.b_zero(c));
      }
      sums[r * s.columns + c] = sum;
    }
  for_each_variant(int8_gemm, [&](Int8Gemm* run) {
    Output out(&finish.e, s.rows, s.columns);
    Int8GemmArgs args{.a = rows,
                      .rows = s.rows,
                      .packed = packed.data(),
                      .n = s.columns,
                      .panel_begin = 0,
                      .panel_end = int8_panels(s.columns),
                      .epilogue = finish.e};
    run(args);
    check_output(out, finish, sums, s.rows, 0, s.columns, s.columns);
    if (s.columns <= kInt8PanelCols) return;
    Output last(&args.epilogue, s.rows, s.columns);
    args.panel_begin = 1;
    run(args);
    check_output(last, finish, sums, s.rows, kInt8PanelCols, s.columns, s.columns);
  });
}

}  // namespace

TEST_CASE("int8_gemm is exact for every shape about its tiles") {
  for (const std::size_t rows : {1, 2, 3, 4, 5, 6, 7, 13})
    for (const std::size_t depth : {1, 2, 3, 4, 5, 8, 31, 64})
      for (const std::size_t columns : {1, 15, 16, 17, 33, 48, 64, 65, 130})
        check_gemm({rows, 1, depth, columns}, false, true, Int8Out::s32, false, false);
}

TEST_CASE("int8_gemm: signedness, zero points and every epilogue") {
  for (const bool a_signed : {false, true})
    for (const bool b_signed : {false, true})
      for (const Int8Out kind : {Int8Out::s32, Int8Out::f32, Int8Out::u8, Int8Out::s8})
        for (const bool full : {false, true})
          for (const std::size_t columns : {7, 64, 81})
            check_gemm({7, 1, 45, columns}, a_signed, b_signed, kind, full, false);
}

TEST_CASE("int8_gemm through pixel pointers") {
  for (const std::size_t channels : {1, 3, 4, 6, 16})
    for (const std::size_t taps : {1, 9})
      for (const bool a_signed : {false, true})
        for (const bool full : {false, true})
          check_gemm({11, taps, channels, 40}, a_signed, true, Int8Out::u8, full, true);
}

TEST_CASE("int8_gemm over a depth of many blocks of rows") {
  check_gemm({40, 1, 20000, 70}, false, true, Int8Out::s32, true, false);
}

TEST_CASE("int8_depthwise: channels, taps, signedness and epilogues") {
  for (std::size_t channels = 1; channels <= 2 * kLongest; channels += channels < 20 ? 1 : 13)
    for (const std::size_t taps : {1, 4, 9, 70})
      for (const bool a_signed : {false, true})
        for (const Int8Out kind : {Int8Out::s32, Int8Out::f32, Int8Out::u8, Int8Out::s8}) {
          const std::size_t rows = 6;
          const Fenced<uint8_t> a = bytes(rows * taps * channels, 1);
          const Fenced<int8_t> weights = Values(2).integers<int8_t>(taps * channels, -128, 127);
          std::vector<const void*> pixels(rows * taps);
          for (std::size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = a.data() + (pixels.size() - 1 - i) * channels;
          Fenced<int32_t> column_sums(channels);
          for (std::size_t i = 0; i < weights.size(); ++i) column_sums[i % channels] += weights[i];
          Finish finish(kind, rows, channels, true, true);
          finish.e.b_zero_points = nullptr;
          finish.e.column_sums = column_sums.data();
          std::vector<int32_t> sums(rows * channels);
          for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < channels; ++c) {
              sums[r * channels + c] = finish.bias(c);
              for (std::size_t t = 0; t < taps; ++t) {
                const auto* p = static_cast<const uint8_t*>(pixels[r * taps + t]);
                sums[r * channels + c] +=
                    (read(p[c], a_signed) - finish.a_zero(r)) * weights[t * channels + c];
              }
            }
          for_each_variant(int8_depthwise, [&](Int8Depthwise* run) {
            Output out(&finish.e, rows, channels);
            Int8DepthwiseArgs args{.a = {.pixels = pixels.data(),
                                         .taps = taps,
                                         .channels = channels,
                                         .is_signed = a_signed},
                                   .rows = rows,
                                   .weights = weights.data(),
                                   .channel_begin = 0,
                                   .channel_end = channels / 2,
                                   .epilogue = finish.e};
            run(args);
            args.channel_begin = args.channel_end;
            args.channel_end = channels;
            run(args);
            check_output(out, finish, sums, rows, 0, channels, channels);
          });
        }
}

}  // namespace sdx::kernels
