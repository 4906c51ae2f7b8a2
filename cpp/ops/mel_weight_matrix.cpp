// MelWeightMatrix: triangular filters, evenly spaced on the mel scale, over the bins of a spectrum.
#include <algorithm>
#include <cmath>

#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/number_cast.h"

namespace sdx::ops {
namespace {

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

class MelWeightMatrix final : public Op {
 public:
  explicit MelWeightMatrix(const OpInit& init) {
    check(init.input_count == 5, "expected 5 inputs, got ", init.input_count);
    const int64_t code = init.attrs.get("output_datatype", 1);
    check(is_known_dtype(code), "output_datatype ", code, " is no element type");
    dtype_ = static_cast<DType>(code);
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 3; ++i) check_indices(ctx, i);
    for (const int i : {kLowest, kHighest})
      check(is_float(ctx.dtype(i)), "expected a float input, got ", ctx.dtype(i));
    for (int i = 0; i < 5; ++i)
      if (const auto& shape = ctx.input(i).shape)
        check(product(*shape).value_or(1) == 1, "expected one number in input ", i,
              ", got a tensor of shape ", *shape);
    const auto scalar = [&](int i, std::string_view what) {
      const auto given = ctx.contents(i);
      if (!given || given->size() != 1) return Dim::unknown();
      check((*given)[0].value_or(0) >= 0, what, " is ", (*given)[0]);
      return (*given)[0];
    };
    ctx.set_output(
        0, dtype_,
        {floor_div(scalar(kLength, "dft_length"), 2) + 1, scalar(kBands, "num_mel_bins")});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t bins = ctx.output_shape(0)[0], bands = ctx.output_shape(0)[1];
    const bool wide = ctx.dtype(kLength) == DType::int64,
               wide_rate = ctx.dtype(kRate) == DType::int64;
    const DType edge_types[] = {ctx.dtype(kLowest), ctx.dtype(kHighest)};
    return dispatch(NumberTypes{}, dtype_, [&]<class T>() -> Step {
      return [=](Frame& f) {
        const auto edge = [&](int i) {
          return dispatch(FloatTypes{}, edge_types[i - kLowest], [&]<class E>() {
            return static_cast<double>(static_cast<ComputeType<E>>(*f.in<E>(i)));
          });
        };
        const int64_t length = Indices(f, kLength, wide)[0], rate = Indices(f, kRate, wide_rate)[0];
        const double lowest = edge(kLowest), highest = edge(kHighest);
        check_argument(rate > 0, "sample_rate is ", rate);
        check_argument(0 <= lowest && lowest <= highest && std::isfinite(highest), "edges of ",
                       lowest, " and ", highest, " hertz");
        const double low = mel_of(lowest);
        const double step = (mel_of(highest) - low) / static_cast<double>(bands + 2);
        // The bin that the edge or centre `i` of a band falls into.
        const auto bin_of = [&](int64_t i) {
          const double hertz = hertz_of(low + step * static_cast<double>(i));
          const double bin =
              std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate));
          return static_cast<int64_t>(std::min(bin, 9e15));
        };
        T* y = f.out<T>(0);
        f.parallel_for(split_work(bins * bands, kItemWork),
                       [&](Range r) { std::fill(y + r.begin, y + r.end, number_cast<T>(0.0)); });
        Checkpoint checkpoint;
        for (int64_t band = 0; band < bands; ++band) {
          const int64_t left = bin_of(band), center = bin_of(band + 1), right = bin_of(band + 2);
          checkpoint(kItemWork * (1 + std::min(right, bins) - std::min(left, bins)));
          const auto set = [&](int64_t bin, int64_t rise, int64_t run) {
            y[bin * bands + band] =
                number_cast<T>(static_cast<double>(rise) / static_cast<double>(run));
          };
          for (int64_t bin = left; bin < std::min(center, bins); ++bin)
            set(bin, bin - left, center - left);
          if (center < bins) set(center, 1, 1);
          for (int64_t bin = center + 1; bin < std::min(right, bins); ++bin)
            set(bin, right - bin, right - center);
        }
      };
    });
  }

 private:
  static constexpr int64_t kItemWork = 4;  // nanoseconds
  static constexpr int kBands = 0, kLength = 1, kRate = 2, kLowest = 3, kHighest = 4;

  DType dtype_;
};

}  // namespace

[[gnu::cold]] void register_mel_weight_matrix(OpRegistry& ops) {
  ops.add<MelWeightMatrix>("MelWeightMatrix", {.since = 17});
}

}  // namespace sdx::ops
