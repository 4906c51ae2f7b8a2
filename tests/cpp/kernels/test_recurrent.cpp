// Recurrent steps against the cells' formulas in double.
#include <cmath>

#include "kernels/recurrent.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

using Cell = RecurrentCell;

std::size_t gates_of(Cell cell) {
  return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : cell == Cell::gru_gates ? 2 : 1;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// All arrays of a step of some rows.
struct Arrays {
  Arrays(Cell cell, std::size_t rows, std::size_t hidden)
      : weights(Values(1).floats(gates_of(cell) * hidden * hidden, -0.3f, 0.3f)),
        bias(Values(2).floats(hidden)) {
    for (unsigned i = 0; i < rows; ++i) {
      state.push_back(Values(10 + i).floats(hidden, -1, 1));
      fresh.push_back(Values(30 + i).floats(4 * hidden, -2, 2));
      memory.push_back(Values(50 + i).floats(hidden, -1, 1));
      kept.push_back(Values(70 + i).floats(hidden, -1, 1));
      next.emplace_back(hidden, 9.0f);
    }
  }
  Fenced<float> weights, bias;
  std::vector<Fenced<float>> state, fresh, memory, kept, next;
};

std::vector<float*> pointers(std::vector<Fenced<float>>& rows) {
  std::vector<float*> all;
  for (Fenced<float>& row : rows) all.push_back(row.data());
  return all;
}

struct Result {
  double next, memory;
};

Result expected(Cell cell, const Arrays& a, std::size_t row, std::size_t unit) {
  const std::size_t hidden = a.bias.size();
  const auto product = [&](std::size_t gate) {
    double sum = 0;
    for (std::size_t d = 0; d < hidden; ++d)
      sum += double{a.weights[(gate * hidden + unit) * hidden + d]} * a.state[row][d];
    return sum;
  };
  const auto fresh = [&](std::size_t gate) { return double{a.fresh[row][gate * hidden + unit]}; };
  const double memory = a.memory[row][unit], state = a.state[row][unit];
  const auto blend = [](double update, double kept, double candidate) {
    return (1 - update) * candidate + update * kept;
  };
  switch (cell) {
    case Cell::rnn_tanh:
      return {std::tanh(product(0) + fresh(0)), memory};
    case Cell::rnn_relu:
      return {std::fmax(product(0) + fresh(0), 0), memory};
    case Cell::lstm: {
      const double c = sigmoid(product(2) + fresh(2)) * memory +
                       sigmoid(product(0) + fresh(0)) * std::tanh(product(3) + fresh(3));
      return {sigmoid(product(1) + fresh(1)) * std::tanh(c), c};
    }
    case Cell::gru: {
      const double reset = sigmoid(product(1) + fresh(1));
      const double candidate = std::tanh(reset * (product(2) + a.bias[unit]) + fresh(2));
      return {blend(sigmoid(product(0) + fresh(0)), state, candidate), memory};
    }
    case Cell::gru_gates:
      return {sigmoid(product(1) + fresh(1)) * state, sigmoid(product(0) + fresh(0))};
    case Cell::gru_candidate:
      return {blend(memory, a.kept[row][unit], std::tanh(product(0) + fresh(2))), memory};
  }
  return {};
}

void check_step(Cell cell, std::size_t rows, std::size_t hidden) {
  for (std::size_t v = 0; v < kIsaCount; ++v) {
    const Isa isa = recurrent_run.variants[v].isa;
    if (isa > host_isa()) continue;
    Arrays a(cell, rows, hidden);
    const Arrays before(cell, rows, hidden);
    const RecurrentLayout layout = recurrent_layout.variants[v].run(cell, hidden);
    Fenced<float> packed(layout.panels * layout.panel_floats);
    const std::size_t middle = layout.panels / 2;
    const auto pack = recurrent_pack.variants[v].run;
    pack(cell, hidden, a.weights.data(), packed.data(), middle, layout.panels);
    pack(cell, hidden, a.weights.data(), packed.data(), 0, middle);
    const auto state = pointers(a.state), fresh = pointers(a.fresh), memory = pointers(a.memory);
    const auto kept = pointers(a.kept), next = pointers(a.next);
    RecurrentStep step{.hidden = hidden,
                       .rows = rows,
                       .weights = packed.data(),
                       .state = state.data(),
                       .fresh = fresh.data(),
                       .inner_bias = a.bias.data(),
                       .next = next.data(),
                       .memory = memory.data(),
                       .kept = kept.data()};
    // In two parts, one of them backwards.
    recurrent_run.variants[v].run(cell, step, 0, middle);
    step.descending = true;
    recurrent_run.variants[v].run(cell, step, middle, layout.panels);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < hidden; ++i) {
        const Result want = expected(cell, before, r, i);
        INFO(isa_name(isa), " cell ", int{static_cast<unsigned char>(cell)}, " rows ", rows,
             " hidden ", hidden, " row ", r, " unit ", i);
        CHECK(close(a.next[r][i], want.next, 1e-5, 1e-5));
        CHECK(close(a.memory[r][i], want.memory, 1e-5, 1e-5));
      }
  }
}

}  // namespace

TEST_CASE("recurrent steps of every cell, width and number of rows") {
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::lstm, Cell::gru, Cell::gru_gates,
                          Cell::gru_candidate}) {
    for (const std::size_t hidden : {1, 3, 4, 7, 8, 16, 17, 31, 33, 65})
      check_step(cell, 2, hidden);
    for (const std::size_t rows : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 25, 50})
      check_step(cell, rows, 19);
    check_step(cell, 7, 270);  // more depths than a block has
  }
}

}  // namespace sdx::kernels
