// Operators of one's own, as a library that programs load: in Python by
// sardonyx.load_operators("libexample_operators.so"), in C++ as extend.cpp does.
#include <algorithm>
#include <sardonyx/operator.hpp>

namespace {

// y = x - lambd above lambd, x + lambd below -lambd, 0 between them.
class Softshrink {
 public:
  explicit Softshrink(const sdx::op::Node& node) : lambd_(node.attribute("lambd", 0.5f)) {
    sdx::op::require(lambd_ >= 0, "lambd is negative: " + std::to_string(lambd_));
  }

  // What comes out is like what goes in; a size may be a number or the model's "batch".
  void infer(sdx::op::Infer& infer) const {
    infer.expect_dtype(0, sdx::DType::float32);
    infer.set_output(0, infer.type(0));
  }

  // Called once for every new shape. What it returns runs, in many threads at once perhaps.
  auto prepare(sdx::op::Prepare& prepare) const {
    return [lambd = lambd_, count = prepare.count(0)](sdx::op::Run& run) {
      const float* x = run.in<float>(0);
      float* y = run.out<float>(0);
      constexpr double kNanoseconds = 0.5;  // an element takes
      run.parallel_for(count, kNanoseconds, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          y[i] = x[i] > lambd ? x[i] - lambd : x[i] < -lambd ? x[i] + lambd : 0;
      });
    };
  }

 private:
  float lambd_;
};

// The elements above zero, one after the other: how many there are only the run knows.
class Positive {
 public:
  explicit Positive(const sdx::op::Node&) {}

  void infer(sdx::op::Infer& infer) const {
    infer.expect_dtype(0, sdx::DType::float32);
    infer.set_output(0, sdx::DType::float32, {SDX_OPEN});
  }

  auto prepare(sdx::op::Prepare& prepare) const {
    return [count = prepare.count(0)](sdx::op::Run& run) {
      const float* x = run.in<float>(0);
      const auto above = [](float item) { return item > 0; };
      float* y = run.allocate<float>(0, {std::count_if(x, x + count, above)});
      if (y) std::copy_if(x, x + count, y, above);
    };
  }
};

}  // namespace

SDX_OPERATORS(sdx::op::define<Softshrink>("example", "Softshrink",
                                          sdx::op::kPure | sdx::op::kInPlace),
              sdx::op::define<Positive>("example", "Positive", sdx::op::kPure))
