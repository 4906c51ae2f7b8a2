// Steps of recurrent layers.
#include "kernels/recurrent.h"

#include "bench.h"

namespace sdx::bench {
namespace {

using kernels::RecurrentCell;

struct Case {
  const char* name;
  RecurrentCell cell;
  std::size_t gates;
};

constexpr Case kCases[] = {{"lstm", RecurrentCell::lstm, 4}, {"gru", RecurrentCell::gru, 3}};
constexpr std::size_t kHidden[] = {128, 256, 512}, kRows[] = {1, 8, 16};

// Rows of states lie an odd number of cache lines apart, as the operators lay them.
std::size_t state_stride(std::size_t hidden) { return ((hidden + 15) / 16 | 1) * 16; }

std::vector<float*> rows_of(Buffer<float>& buffer, std::size_t rows, std::size_t stride) {
  std::vector<float*> pointers(rows);
  for (std::size_t i = 0; i < rows; ++i) pointers[i] = buffer.data() + i * stride;
  return pointers;
}

void packs(const Bench& bench, const Case& c, std::size_t hidden) {
  const std::size_t count = c.gates * hidden * hidden;
  auto weights = random_floats(count);
  for (const auto& [isa, run] : kernels::recurrent_pack.variants) {
    const auto layout = kernels::recurrent_layout.resolve(isa)(c.cell, hidden);
    Buffer<float> packed(layout.panels * layout.panel_floats);
    bench.time("recurrent_pack", isa, std::string(c.name) + " " + std::to_string(hidden),
               {0, 8 * static_cast<double>(count)}, [&, run = run] {
                 run(c.cell, hidden, weights.data(), packed.data(), 0, layout.panels);
               });
  }
}

}  // namespace

void bench_recurrent(const Bench& bench) {
  for (const Case& c : kCases) packs(bench, c, 256);
  for (const Case& c : kCases)
    for (const std::size_t hidden : kHidden)
      for (const std::size_t rows : kRows)
        for (const auto& [isa, run] : kernels::recurrent_run.variants) {
          const auto layout = kernels::recurrent_layout.resolve(isa)(c.cell, hidden);
          auto weights = random_floats(layout.panels * layout.panel_floats);
          auto states = random_floats(3 * rows * state_stride(hidden));
          auto fresh = random_floats(rows * c.gates * hidden);
          auto pointers = rows_of(states, 3 * rows, state_stride(hidden));
          auto fresh_rows = rows_of(fresh, rows, c.gates * hidden);
          kernels::RecurrentStep step{.hidden = hidden,
                                      .rows = rows,
                                      .weights = weights.data(),
                                      .state = pointers.data(),
                                      .fresh = fresh_rows.data(),
                                      .next = pointers.data() + rows,
                                      .memory = pointers.data() + 2 * rows};
          const double products = static_cast<double>(rows * c.gates * hidden * hidden);
          const Work work{2 * products, 4 * products / static_cast<double>(rows)};
          const std::string shape =
              std::string(c.name) + " " + std::to_string(rows) + "x" + std::to_string(hidden);
          bench.time("recurrent_run", isa, shape, work, [&, run = run] {
            run(c.cell, step, 0, layout.panels);
            step.descending = !step.descending;
          });
        }
}

}  // namespace sdx::bench
