// sardonyx::Elementwise: several elementwise float32 operators as one pass over tiles that stay in
// the nearest cache.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <sstream>

#include "ops/binary.h"
#include "ops/unary.h"

namespace sdx::ops {
namespace {

constexpr int kMaxInputs = 16;
constexpr int kMaxSteps = 64;
constexpr int64_t kMostItems = 1024;    // results in a tile
constexpr int64_t kBufferItems = 8192;  // on the stack, for all that a tile needs

// One operator. Operands count inputs first, then the results of earlier steps.
struct Instruction {
  kernels::UnaryF32* unary = nullptr;
  kernels::BinaryF32* binary = nullptr;
  kernels::MultiplyAddF32* multiply_add = nullptr;  // a * b + c; without any: part of such a one
  int a = 0, b = 0, c = 0;
  int buffer = -1;  // where the result goes; -1: the output
  float alpha = 0, beta = 0;
};

// An input that is neither one number nor as large as the result.
struct Repeated {
  int input = 0;
  Broadcast walk;
  int64_t period = 0;  // results after which its elements come again, up to `extent`
  int64_t extent = 0;

  Repeated(int i, const Shape& result, const Shape& shape) : input(i), walk(result, {&shape}) {
    period = extent = walk.run;
    for (std::size_t d = walk.rows.size(); d-- > 0;) {
      extent = period * walk.rows[d];
      if (walk.strides[0][d] == 0) return;
      period = extent;
    }
  }
};

// An input as one tile sees it.
struct Operand {
  const float* data = nullptr;
  std::size_t step = 0;
};

// The elements of a repeated input for a tile: where they lie if they lie in a row, else copied to
// `buffer`, which may hold them from the tile before.
class RepeatedTile {
 public:
  Operand get(const Repeated& repeated, const float* from, int64_t first, int64_t n,
              float* buffer) {
    const Broadcast& walk = repeated.walk;
    const std::size_t step = walk.step[0];
    if (first % walk.run + n <= walk.run) {
      walk.for_each_run({first, first + n},
                        [&](int64_t, int64_t, const Broadcast::Offsets& at) { from += at[0]; });
      return {from, step};
    }
    const int64_t extent = first / repeated.extent, phase = first % repeated.period;
    const bool inside = first % repeated.extent + n <= repeated.extent;
    if (!inside || extent != extent_ || phase != phase_ || n > held_) {
      copy(walk, from, first, n, buffer);
      extent_ = extent;
      phase_ = phase;
      held_ = inside ? n : 0;
    }
    return {buffer, 1};
  }

 private:
  static void copy(const Broadcast& walk, const float* from, int64_t first, int64_t n,
                   float* buffer) {
    if (first % walk.run == 0 && n % walk.run == 0)
      return walk.gather(0, from, first / walk.run, n / walk.run, buffer);
    walk.for_each_run(
        {first, first + n}, [&](int64_t at, int64_t count, const Broadcast::Offsets& offsets) {
          float* to = buffer + (at - first);
          if (walk.step[0])
            std::memcpy(to, from + offsets[0], static_cast<std::size_t>(count) * sizeof(float));
          else
            std::fill_n(to, count, from[offsets[0]]);
        });
  }

  int64_t extent_ = -1, phase_ = 0, held_ = 0;
};

class ElementwiseChain final : public Op {
 public:
  explicit ElementwiseChain(const OpInit& init) : inputs_(init.input_count) {
    check(inputs_ >= 1 && inputs_ <= kMaxInputs, "a chain of ", inputs_, " inputs");
    const auto steps = init.attrs.strings("steps");
    const auto parameters = init.attrs.floats("parameters");
    check(!steps.empty() && steps.size() <= kMaxSteps, "a chain of ", steps.size(), " steps");
    check(parameters.empty() || parameters.size() == 2 * steps.size(), parameters.size(),
          " parameters for ", steps.size(), " steps");
    for (std::size_t i = 0; i < steps.size(); ++i) {
      program_.push_back(read(steps[i], inputs_ + static_cast<int>(i)));
      if (parameters.empty()) continue;
      program_.back().alpha = parameters[2 * i];
      program_.back().beta = parameters[2 * i + 1];
    }
    join_products();
    assign_buffers();
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < inputs_; ++i)
      check(ctx.dtype(i) == DType::float32, "expected float32, got ", ctx.dtype(i));
    infer_broadcast(ctx, DType::float32);
  }

  bool writes_rows(const PrepareContext&, int, int64_t) const override { return true; }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& result = ctx.output_shape(0);
    const int64_t count = element_count(result);
    std::array<std::size_t, kMaxInputs> steps{};  // of inputs read where they lie
    std::vector<Repeated> repeated;
    for (int i = 0; i < inputs_; ++i) {
      const Broadcast walk(result, {&ctx.shape(i)});
      steps[i] = walk.is_full(0);
      if (!walk.is_full(0) && !walk.is_scalar(0)) repeated.emplace_back(i, result, ctx.shape(i));
    }
    if (count == 0) return [](Frame&) {};
    // Tiles begin where the inputs that repeat do, as far as that can be had.
    const Rows apart = ctx.output_rows();
    const int64_t buffers =
        std::max<int64_t>(buffers_ + static_cast<int64_t>(repeated.size()) + apart.apart(), 1);
    const int64_t room = std::min(kMostItems, kBufferItems / buffers) & ~int64_t{15};
    int64_t tile = room;
    for (const Repeated& input : repeated)
      if (input.period <= tile) tile -= tile % input.period;
    for (const Repeated& input : repeated)
      if (input.walk.step[0] == 0) tile = tile_in_run(repeated, input.walk.run, tile);
    const int64_t tiles = (count + tile - 1) / tile;
    const Split split = split_work(tiles, cost_ * static_cast<double>(tile));
    return [=, inputs = inputs_, own_buffers = buffers_, program = program_,
            repeated = std::move(repeated)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        alignas(64) float memory[kBufferItems];
        std::array<RepeatedTile, kMaxInputs> held;
        std::array<Operand, kMaxInputs + kMaxSteps> operands;
        for (int64_t first = r.begin * tile; first < std::min(r.end * tile, count); first += tile) {
          const int64_t n = std::min(tile, count - first);
          for (int i = 0; i < inputs; ++i)
            operands[i] = {f.in<float>(i) + (steps[i] ? first : 0), steps[i]};
          for (std::size_t k = 0; k < repeated.size(); ++k) {
            const int i = repeated[k].input;
            operands[i] = held[k].get(repeated[k], f.in<float>(i), first, n,
                                      memory + (own_buffers + static_cast<int64_t>(k)) * room);
          }
          float* const held_back = memory + (buffers - 1) * room;
          float* const out = f.out<float>(0);
          run(program, operands.data(), inputs, memory, room,
              apart.apart() ? held_back : out + first, static_cast<std::size_t>(n));
          if (apart.apart()) scatter(held_back, first, n, apart, out);
        }
      });
    };
  }

 private:
  // A tile that lies inside runs of `run` results for which an input has one number: that is read
  // where it lies. `most` where there is none, or where other inputs would come to be copied.
  static int64_t tile_in_run(const std::vector<Repeated>& repeated, int64_t run, int64_t most) {
    constexpr int64_t kLeast = 128, kTries = 64;
    const int64_t fewest = (run + most - 1) / most;
    for (int64_t parts = fewest; parts < fewest + kTries && run / parts >= kLeast; ++parts) {
      const int64_t tile = run / parts;
      const auto fits = [&](const Repeated& input) {
        return input.period > most || tile % input.period == 0;
      };
      if (run % parts == 0 && std::all_of(repeated.begin(), repeated.end(), fits)) return tile;
    }
    return most;
  }

  // Deals results from `first` on out to rows.
  static void scatter(const float* from, int64_t first, int64_t n, const Rows& rows, float* to) {
    for (int64_t i = 0; i < n;) {
      const int64_t row = (first + i) / rows.length, column = (first + i) % rows.length;
      const int64_t count = std::min(rows.length - column, n - i);
      std::memcpy(to + row * rows.step + column, from + i,
                  static_cast<std::size_t>(count) * sizeof(float));
      i += count;
    }
  }

  static void run(const std::vector<Instruction>& program, Operand* operands, int inputs,
                  float* memory, int64_t room, float* out, std::size_t n) {
    Operand* result = operands + inputs;
    for (const Instruction& step : program) {
      float* to = step.buffer < 0 ? out : memory + step.buffer * room;
      const Operand &a = operands[step.a], &b = operands[step.b], &c = operands[step.c];
      if (step.multiply_add)
        step.multiply_add(a.data, a.step, b.data, b.step, c.data, c.step, to, n);
      else if (step.unary && a.step)
        step.unary(a.data, to, n, step.alpha, step.beta);
      else if (step.unary)
        fill(step, *a.data, to, n);
      else if (step.binary)
        step.binary(a.data, a.step, b.data, b.step, to, n);
      *result++ = {to, 1};
    }
  }

  static void fill(const Instruction& step, float value, float* to, std::size_t n) {
    step.unary(&value, &value, 1, step.alpha, step.beta);
    std::fill_n(to, n, value);
  }

  // "Mul 0 2": an operator and its operands, of which `known` exist by then.
  Instruction read(const std::string& text, int known) {
    std::istringstream words(text);
    std::string name;
    Instruction step;
    int operand_count = 0;
    words >> name;
    for (int operand = 0; words >> operand; ++operand_count) {
      check(operand >= 0 && operand < known && operand_count < 2, "step '", text,
            "' has operands that do not exist");
      (operand_count ? step.b : step.a) = operand;
    }
    check(words.eof() && operand_count > 0, "step '", text, "' is no operator and its operands");
    Attributes attrs;
    if (name == "FastGelu") attrs.set("approximate", std::string("tanh"));
    const std::string type = name == "FastGelu" ? "Gelu" : name;
    const OpInit init{attrs, 26, "", type, operand_count, 1};
    if (operand_count == 2) {
      const BinaryFunction& function = binary_function(init);
      step.binary = function.kernel ? function.kernel->resolve() : function.f32;
      cost_ += function.cost;
    } else if (name == "Clip") {
      step.unary = kernels::unary_clip.resolve();
      cost_ += 0.1;
    } else {
      const UnaryFunction& function = unary_function(init);
      step.unary = function.kernel ? function.kernel->resolve() : function.f32;
      cost_ += function.cost;
    }
    return step;
  }

  // A product that is part of a sum.
  static bool is_joined(const Instruction& step) {
    return !step.unary && !step.binary && !step.multiply_add;
  }

  template <class F>
  static void for_each_operand(const Instruction& step, F&& f) {
    if (!is_joined(step)) f(step.a);
    if (step.binary || step.multiply_add) f(step.b);
    if (step.multiply_add) f(step.c);
  }

  // A product that a sum alone reads becomes part of it.
  void join_products() {
    const auto multiply = kernels::binary_mul.resolve(), add = kernels::binary_add.resolve();
    std::vector<int> uses(static_cast<std::size_t>(inputs_) + program_.size());
    for (const Instruction& step : program_) for_each_operand(step, [&](int i) { ++uses[i]; });
    for (Instruction& sum : program_) {
      if (sum.binary != add) continue;
      for (const auto& [product, term] : {std::pair{sum.a, sum.b}, std::pair{sum.b, sum.a}}) {
        if (product < inputs_ || uses[product] != 1) continue;
        Instruction& factors = program_[product - inputs_];
        if (factors.binary != multiply) continue;
        sum.multiply_add = kernels::multiply_add.resolve();
        sum.binary = factors.binary = nullptr;
        sum.a = factors.a;
        sum.b = factors.b;
        sum.c = term;
        break;
      }
    }
  }

  // A result takes the buffer of an operand that nothing reads later, or a new one.
  void assign_buffers() {
    const int steps = static_cast<int>(program_.size());
    std::vector<int> last_use(static_cast<std::size_t>(steps), -1);
    for (int i = 0; i < steps; ++i)
      for_each_operand(program_[i], [&](int operand) {
        if (operand >= inputs_) last_use[static_cast<std::size_t>(operand - inputs_)] = i;
      });
    std::vector<int> free;
    for (int i = 0; i < steps; ++i) {
      for (int k = 0; k < i; ++k)
        if (last_use[k] == i) free.push_back(program_[k].buffer);
      if (i + 1 == steps) return;
      if (is_joined(program_[i])) continue;
      if (free.empty()) free.push_back(buffers_++);
      program_[i].buffer = free.back();
      free.pop_back();
      // A result that nothing reads gives its buffer back at once.
      if (last_use[i] < 0) free.push_back(program_[i].buffer);
    }
  }

  int inputs_;
  std::vector<Instruction> program_;
  int buffers_ = 0;
  double cost_ = 0.1;  // nanoseconds a result
};

}  // namespace

[[gnu::cold]] void register_elementwise_chain(OpRegistry& ops) {
  ops.add<ElementwiseChain>("Elementwise", {.in_place = (1 << kMaxInputs) - 1, .elementwise = true},
                            "sardonyx");
}

}  // namespace sdx::ops
