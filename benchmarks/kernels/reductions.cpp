// Reductions over rows and columns, positions of extremes, and the parts of normalisations.
#include "bench.h"
#include "kernels/norm.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"

namespace sdx::bench {
namespace {

struct Matrix {
  std::size_t rows, cols;
  std::string text() const { return std::to_string(rows) + "x" + std::to_string(cols); }
  double count() const { return static_cast<double>(rows * cols); }
  Work reading() const { return {count(), 4 * count()}; }
  Work mapping() const { return {count(), 8 * count()}; }
};

constexpr Matrix kShapes[] = {{128, 768}, {3136, 64}, {1000, 10}};

void attention_rows(const Bench& bench, const Matrix& shape, const float* x, float* y) {
  for (const auto& [isa, run] : kernels::softmax_masked_row.variants)
    bench.time("softmax_masked_row", isa, shape.text(), shape.mapping(), [&, run = run] {
      for (std::size_t row = 0; row < shape.rows; ++row)
        run(x + row * shape.cols, nullptr, y + row * shape.cols, shape.cols, shape.cols, 0.125f);
    });
  for (const auto& [isa, run] : kernels::softmax_online_row.variants)
    bench.time("softmax_online_row", isa, shape.text(), shape.mapping(), [&, run = run] {
      kernels::OnlineSoftmax state{-2, 0};
      for (std::size_t row = 0; row < shape.rows; ++row)
        run(x + row * shape.cols, nullptr, y + row * shape.cols, shape.cols, 0.125f, &state);
    });
}

void statistics(const Bench& bench, const Matrix& shape, const float* x, float* y) {
  auto scale = random_floats(shape.cols);
  Buffer<float> variance(shape.cols);
  volatile float sink = 0;
  for (const auto& [isa, run] : kernels::moments.variants)
    bench.time("moments", isa, shape.text(), shape.reading(),
               [&, run = run] { sink = run(x, shape.rows * shape.cols).mean; });
  for (const auto& [isa, run] : kernels::moments_columns.variants)
    bench.time("moments_columns", isa, shape.text(), shape.reading(),
               [&, run = run] { run(x, shape.cols, shape.rows, shape.cols, y, variance.data()); });
  for (const auto& [isa, run] : kernels::scale_shift_rows.variants)
    bench.time("scale_shift_rows", isa, shape.text(), shape.mapping(),
               [&, run = run] { run(x, y, shape.rows, shape.cols, scale.data(), scale.data()); });
}

}  // namespace

void bench_reductions(const Bench& bench) {
  using namespace kernels;
  for (const Matrix& shape : kShapes) {
    const std::size_t rows = shape.rows, cols = shape.cols;
    auto x = random_floats(rows * cols);
    Buffer<float> y(rows * cols);
    for (const auto* kernel :
         {&reduce_sum_rows, &reduce_sum_square_rows, &reduce_l1_rows, &reduce_prod_rows,
          &reduce_max_rows, &reduce_min_rows, &reduce_log_sum_exp_rows})
      for (const auto& [isa, run] : kernel->variants)
        bench.time(kernel->name, isa, shape.text(), shape.reading(),
                   [&, run = run] { run(x.data(), y.data(), rows, cols); });
    for (const auto* kernel : {&reduce_sum_columns, &reduce_sum_square_columns, &reduce_l1_columns,
                               &reduce_prod_columns, &reduce_max_columns, &reduce_min_columns})
      for (const auto& [isa, run] : kernel->variants)
        bench.time(kernel->name, isa, shape.text(), shape.reading(),
                   [&, run = run] { run(x.data(), cols, y.data(), rows, cols); });
    Buffer<int64_t> places(rows);
    for (const auto* kernel : {&argmax_rows, &argmin_rows})
      for (const auto& [isa, run] : kernel->variants)
        bench.time(kernel->name, isa, shape.text(), shape.reading(),
                   [&, run = run] { run(x.data(), places.data(), rows, cols, ArgTie::first); });
    for (const auto* kernel : {&softmax_rows, &log_softmax_rows})
      for (const auto& [isa, run] : kernel->variants)
        bench.time(kernel->name, isa, shape.text(), shape.mapping(),
                   [&, run = run] { run(x.data(), y.data(), rows, cols); });
    attention_rows(bench, shape, x.data(), y.data());
    statistics(bench, shape, x.data(), y.data());
  }
}

}  // namespace sdx::bench
