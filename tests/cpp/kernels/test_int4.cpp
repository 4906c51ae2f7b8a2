// Products with 4-bit weights against their definition in double.
#include <algorithm>
#include <cmath>

#include "kernels/int4.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

enum class Zeros { none, nibbles, floats };

// A weight matrix in the operator's layout, packed, and read back by index.
struct Matrix {
  Matrix(std::size_t k_size, std::size_t n_size, std::size_t block_size, Zeros zeros)
      : k(k_size),
        n(n_size),
        block(block_size),
        blocks(int4_blocks(k, block)),
        kind(zeros),
        b(Values(1).integers<uint8_t>(n * blocks * block / 2, 0, 255)),
        scales(Values(2).floats(n * blocks, 0.01f, 0.1f)),
        zero_points(Values(3).integers<uint8_t>(n * ((blocks + 1) / 2), 0, 255)),
        float_zero_points(Values(4).floats(n * blocks, 0, 15)),
        packed(int4_packed_bytes(k, n, block)),
        packed_scales(int4_scale_count(k, n, block)),
        offsets(int4_scale_count(k, n, block)) {
    Int4PackArgs args{.b = b.data(),
                      .scales = scales.data(),
                      .k = k,
                      .n = n,
                      .block = block,
                      .packed = packed.data(),
                      .packed_scales = packed_scales.data(),
                      .packed_offsets = kind == Zeros::none ? nullptr : offsets.data()};
    if (kind == Zeros::nibbles) args.zero_points = zero_points.data();
    if (kind == Zeros::floats) args.float_zero_points = float_zero_points.data();
    for_each_variant(int4_pack, [&](Int4Pack* pack) { pack(args); });
  }

  Int4Weights weights() const {
    return {
        packed.data(), packed_scales.data(), kind == Zeros::none ? nullptr : offsets.data(), k, n,
        block};
  }
  double at(std::size_t depth, std::size_t column) const {
    const std::size_t of_block = column * blocks + depth / block, in_block = depth % block;
    const int q = b[of_block * (block / 2) + in_block / 2] >> (in_block % 2 * 4) & 15;
    double zero = 8;
    if (kind == Zeros::nibbles)
      zero =
          zero_points[column * ((blocks + 1) / 2) + depth / block / 2] >> (depth / block % 2 * 4) &
          15;
    if (kind == Zeros::floats) zero = float_zero_points[of_block];
    return (q - zero) * scales[of_block];
  }

  std::size_t k, n, block, blocks;
  Zeros kind;
  Fenced<uint8_t> b;
  Fenced<float> scales;
  Fenced<uint8_t> zero_points;
  Fenced<float> float_zero_points;
  Fenced<uint8_t> packed;
  Fenced<float> packed_scales, offsets;
};

// y against rows of x, the tolerance being relative to the sum of the magnitudes.
void check_product(const Matrix& m, const std::vector<double>& x, const Fenced<float>& y,
                   const float* bias, std::size_t rows, std::size_t begin, double relative) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = begin; c < m.n; ++c) {
      double want = bias ? bias[c] : 0, magnitude = std::fabs(want);
      for (std::size_t k = 0; k < m.k; ++k) {
        want += x[r * m.k + k] * m.at(k, c);
        magnitude += std::fabs(x[r * m.k + k]) * 15 * m.scales[c * m.blocks + k / m.block];
      }
      const float got = y[r * (m.n + 1) + c];
      CHECK_MESSAGE(close(got, want, 0, relative * magnitude), got, " for ", want);
    }
}

struct Shape {
  std::size_t rows, k, n, block;
};

void check_shape(const Shape& s, Zeros zeros) {
  const Matrix m(s.k, s.n, s.block, zeros);
  const std::size_t stride = s.k + 2;
  const Fenced<float> x = Values(5).floats((s.rows - 1) * stride + s.k),
                      bias = Values(6).floats(s.n);
  std::vector<double> exact(s.rows * s.k), coarse(s.rows * s.k);
  for (std::size_t i = 0; i < exact.size(); ++i) exact[i] = x[i / s.k * stride + i % s.k];
  const auto args_for = [&](Fenced<float>* y, bool biased) {
    return Int4GemmArgs{.weights = m.weights(),
                        .x = x.data(),
                        .x_stride = stride,
                        .rows = s.rows,
                        .bias = biased ? bias.data() : nullptr,
                        .y = y->data(),
                        .y_stride = s.n + 1,
                        .panel_begin = 0,
                        .panel_end = int4_panels(s.n)};
  };
  CAPTURE(s.rows);
  CAPTURE(s.k);
  CAPTURE(s.n);
  CAPTURE(s.block);
  for (const bool biased : {false, true}) {
    for_each_variant(int4_gemm_f32, [&](Int4Gemm* run) {
      Fenced<float> y(s.rows * (s.n + 1) - 1, kNan);
      Int4GemmArgs args = args_for(&y, biased);
      const std::size_t middle = args.panel_end / 2;
      args.panel_begin = middle;
      run(args);
      args.panel_begin = 0;
      args.panel_end = middle;
      run(args);
      check_product(m, exact, y, args.bias, s.rows, 0, 1e-6);
    });

    Fenced<int8_t> values(s.rows * m.blocks * s.block);
    Fenced<float> scales(s.rows * m.blocks), sums(s.rows * m.blocks);
    const Int4Quantized quantized{values.data(), scales.data(), sums.data()};
    for_each_variant(int4_quantize_rows, [&](Int4QuantizeRows* run) {
      run(x.data(), stride, s.rows, s.k, s.block, quantized);
      for (std::size_t i = 0; i < exact.size(); ++i) {
        const std::size_t r = i / s.k, k = i % s.k, at = r * m.blocks + k / s.block;
        coarse[i] = static_cast<double>(values[at * s.block + k % s.block]) * scales[at];
        CHECK(std::fabs(coarse[i] - exact[i]) <= 0.501 * scales[at]);
      }
    });
    for_each_variant(int4_gemm_s8, [&](Int4GemmS8* run) {
      Fenced<float> y(s.rows * (s.n + 1) - 1, kNan);
      Int4GemmArgs args = args_for(&y, biased);
      args.x = nullptr;
      run(args, quantized);
      check_product(m, coarse, y, args.bias, s.rows, 0, 1e-6);
    });
  }

  for_each_variant(int4_dequantize, [&](Int4Dequantize* run) {
    const std::size_t begin = s.k >= 16 ? 8 : 0, columns = int4_panels(s.n) * kInt4PanelCols;
    Fenced<float> out((s.k - begin) * columns);
    run({.weights = m.weights(),
         .panel_begin = 0,
         .panel_end = int4_panels(s.n),
         .k_begin = begin,
         .k_end = s.k,
         .out = out.data(),
         .out_stride = columns});
    for (std::size_t k = begin; k < s.k; ++k)
      for (std::size_t c = 0; c < columns; ++c) {
        const double want = c < s.n ? m.at(k, c) : 0;
        CHECK(close(out[(k - begin) * columns + c], want, 3e-7, 1e-7));
      }
  });
}

}  // namespace

TEST_CASE("int4 products, quantised rows and dequantised panels") {
  for (const Zeros zeros : {Zeros::none, Zeros::nibbles, Zeros::floats})
    for (const Shape& s : {Shape{1, 32, 16, 32}, Shape{1, 1, 1, 16}, Shape{2, 33, 17, 16},
                           Shape{3, 64, 40, 32}, Shape{4, 100, 31, 32}, Shape{5, 128, 48, 64},
                           Shape{7, 129, 5, 128}, Shape{1, 511, 33, 256}})
      check_shape(s, zeros);
}

TEST_CASE("int4 products over more blocks than are taken at a time") {
  check_shape({2, 16 * 1100, 20, 16}, Zeros::nibbles);
}

TEST_CASE("int4_quantize_rows of zeros is zeros") {
  for_each_variant(int4_quantize_rows, [](Int4QuantizeRows* run) {
    const Fenced<float> x(32);
    Fenced<int8_t> values(32, 9);
    Fenced<float> scale(1, 9.0f), sum(1, 9.0f);
    run(x.data(), 32, 1, 32, 32, {values.data(), scale.data(), sum.data()});
    for (const int8_t v : values) CHECK(v == 0);
    CHECK(scale[0] == 0);
    CHECK(sum[0] == 0);
  });
}

}  // namespace sdx::kernels
