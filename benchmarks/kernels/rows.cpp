// Softmax, normalisations and inner products over rows.
#include "bench.h"
#include "kernels/dots.h"
#include "kernels/norm.h"
#include "kernels/softmax.h"

namespace sdx::bench {
namespace {

struct Rows {
  std::size_t rows, cols;
  std::string text() const { return std::to_string(rows) + "x" + std::to_string(cols); }
  double count() const { return static_cast<double>(rows * cols); }
};

constexpr Rows kShapes[] = {{1536, 128}, {128, 768}, {16, 4096}};

}  // namespace

void bench_rows(const Bench& bench) {
  for (const Rows& shape : kShapes) {
    auto x = random_floats(shape.rows * shape.cols);
    auto scale = random_floats(shape.cols);
    Buffer<float> y(shape.rows * shape.cols);
    const Work work{shape.count(), 8 * shape.count()};
    for (const auto* kernel : {&kernels::softmax_rows, &kernels::log_softmax_rows}) {
      for (const auto& [isa, run] : kernel->variants) {
        bench.time(kernel->name, isa, shape.text(), work,
                   [&, run = run] { run(x.data(), y.data(), shape.rows, shape.cols); });
      }
    }
    Buffer<float> sums(shape.rows);
    for (const auto& [isa, run] : kernels::softmax_weights.variants)
      bench.time(kernels::softmax_weights.name, isa, shape.text(), work, [&, run = run] {
        run({.x = y.data(),
             .stride = shape.cols,
             .rows = shape.rows,
             .cols = shape.cols,
             .sums = sums.data()});
      });
    for (const auto& [isa, run] : kernels::dot_rows.variants)
      bench.time(kernels::dot_rows.name, isa, shape.text(), {2 * shape.count(), 4 * shape.count()},
                 [&, run = run] {
                   run({.m = 1,
                        .n = shape.rows,
                        .depth = shape.cols,
                        .a = scale.data(),
                        .b = x.data(),
                        .ldb = shape.cols,
                        .c = sums.data(),
                        .ldc = shape.rows});
                 });
    for (const auto* kernel : {&kernels::dot_columns, &kernels::square_distances})
      for (const auto& [isa, run] : kernel->variants)
        bench.time(kernel->name, isa, shape.text(), {2 * shape.count(), 4 * shape.count()},
                   [&, run = run] {
                     run({.m = 1,
                          .n = shape.cols,
                          .depth = shape.rows,
                          .a = sums.data(),
                          .b = x.data(),
                          .ldb = shape.cols,
                          .c = y.data(),
                          .ldc = shape.cols});
                   });
    kernels::NormRowsArgs args;
    args.x = x.data();
    args.scale = args.bias = scale.data();
    args.y = y.data();
    args.rows = shape.rows;
    args.cols = shape.cols;
    args.epsilon = 1e-5f;
    for (const auto* kernel : {&kernels::layer_norm_rows, &kernels::rms_norm_rows}) {
      for (const auto& [isa, run] : kernel->variants)
        bench.time(kernel->name, isa, shape.text(), work, [&, run = run] { run(args); });
    }
    for (const auto& [isa, run] : kernels::lp_norm_rows.variants)
      bench.time(kernels::lp_norm_rows.name, isa, shape.text(), work,
                 [&, run = run] { run(x.data(), y.data(), shape.rows, shape.cols, true); });
    for (const auto& [isa, run] : kernels::local_response.variants)
      bench.time(kernels::local_response.name, isa, shape.text(), work, [&, run = run] {
        for (std::size_t r = 0; r + 3 <= shape.rows; ++r)
          run({.x = x.data() + (r + 1) * shape.cols,
               .first = x.data() + r * shape.cols,
               .y = y.data() + r * shape.cols,
               .n = shape.cols,
               .neighbours = 3,
               .stride = shape.cols,
               .alpha = 1e-4f,
               .power = 0.75f,
               .bias = 1});
      });
  }
}

}  // namespace sdx::bench
