#include <cmath>
#include <limits>

#include "base/checked.h"
#include "kernels/binary.h"
#include "ops/checkpoint.h"
#include "ops/complex_types.h"
#include "ops/resample.h"

namespace sdx::ops {
namespace {

// Integers are rounded to the nearest, ties to even, and saturate; bools are what is not 0.
template <class T, class C>
T store(C value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr auto low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
    const C rounded = std::nearbyint(value);
    if (!(rounded > static_cast<C>(low))) return low;
    return rounded >= static_cast<C>(high) ? high : static_cast<T>(rounded);
  } else {
    return static_cast<T>(value);
  }
}

template <class C>
struct Pass {
  AxisTaps taps;
  CountedVector<WeightType<C>> weight;
  int64_t outer = 1, inner = 1;
  C fill = 0;
};

// The kernels of a weighted sum, looked up once.
struct Weighted {
  kernels::BinaryF32* scale = kernels::binary_mul.resolve();
  kernels::MultiplyAddF32* add = kernels::multiply_add.resolve();
};

// One output row of `inner` items.
void sum_taps(const Weighted& weighted, const Pass<float>& pass, int64_t position, const float* x,
              float* y) {
  const auto inner = static_cast<std::size_t>(pass.inner);
  const int64_t* from = pass.taps.from.data() + position * pass.taps.width;
  const float* weight = pass.weight.data() + position * pass.taps.width;
  bool first = true;
  for (int64_t k = 0; k < pass.taps.width; ++k) {
    if (weight[k] == 0) continue;
    const float* row = x + from[k] * pass.inner;
    if (first)
      weighted.scale(row, 1, weight + k, 0, y, inner);
    else
      weighted.add(row, 1, weight + k, 0, y, 1, y, inner);
    first = false;
  }
  if (first) std::fill_n(y, pass.inner, 0.0f);
}

// The same for other types.
template <class In, class C, class Out>
void sum_taps(const Pass<C>& pass, int64_t position, const In* x, Out* y) {
  constexpr int64_t kTile = 256;
  const int64_t* from = pass.taps.from.data() + position * pass.taps.width;
  const WeightType<C>* weight = pass.weight.data() + position * pass.taps.width;
  for (int64_t begin = 0; begin < pass.inner; begin += kTile) {
    const int64_t count = std::min(kTile, pass.inner - begin);
    C sums[kTile];
    std::fill_n(sums, count, C(0));
    for (int64_t k = 0; k < pass.taps.width; ++k) {
      const WeightType<C> w = weight[k];
      if (w == 0) continue;
      const In* row = x + from[k] * pass.inner + begin;
      for (int64_t i = 0; i < count; ++i) sums[i] += w * static_cast<C>(row[i]);
    }
    for (int64_t i = 0; i < count; ++i) y[begin + i] = store<Out>(sums[i]);
  }
}

template <class In, class C, class Out>
void run_pass(const Frame& f, const Pass<C>& pass, const In* x, Out* y) {
  const AxisTaps& taps = pass.taps;
  const double cost = 2.0 + 0.6 * static_cast<double>(taps.width * pass.inner);
  const Weighted weighted;
  f.parallel_for(split_work(pass.outer * taps.out_size, cost), [&](Range r) {
    // Of this call, so that no store of a byte can change them.
    const In* const inputs = x;
    Out* const outputs = y;
    const int64_t* const places = taps.from.data();
    const WeightType<C>* const weights = pass.weight.data();
    const int64_t width = taps.width, out_size = taps.out_size, in_size = taps.in_size;
    const int64_t inner = pass.inner;
    const bool fills = !taps.filled.empty();
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t position = i % out_size;
      const In* from = inputs + i / out_size * in_size * inner;
      Out* to = outputs + i * inner;
      if (fills && taps.filled[position]) {
        std::fill_n(to, inner, store<Out>(pass.fill));
      } else if (inner > 1) {
        if constexpr (std::is_same_v<In, float> && std::is_same_v<Out, float>)
          sum_taps(weighted, pass, position, from, to);
        else
          sum_taps(pass, position, from, to);
      } else {
        const int64_t first = position * width;
        C sum = 0;
        for (int64_t k = 0; k < width; ++k)
          sum += weights[first + k] * static_cast<C>(from[places[first + k]]);
        *to = store<Out>(sum);
      }
    }
  });
}

// The last two axes at once, two taps each: rows resampled along x are kept while they serve.
void run_bilinear(const Frame& f, const Pass<float>& rows, const Pass<float>& columns,
                  const float* x, float* y) {
  constexpr int64_t kTile = 512, kRows = 16;
  const int64_t height = rows.taps.out_size, width = columns.taps.out_size;
  const int64_t in_height = rows.taps.in_size, in_width = columns.taps.in_size;
  const int64_t bands = (height + kRows - 1) / kRows;
  const double cost = 0.8 * static_cast<double>(width * std::min(kRows, height));
  const Weighted weighted;
  f.parallel_for(split_work(rows.outer * bands, cost), [&](Range r) {
    float resampled[2][kTile];
    for (int64_t item = r.begin; item < r.end; ++item) {
      const int64_t plane = item / bands, top = item % bands * kRows;
      const float* image = x + plane * in_height * in_width;
      for (int64_t left = 0; left < width; left += kTile) {
        const int64_t count = std::min(kTile, width - left);
        const int64_t* from = columns.taps.from.data() + 2 * left;
        const float* weight = columns.weight.data() + 2 * left;
        int64_t held[2] = {-1, -1};
        const auto row = [&](int64_t source, int64_t other) -> const float* {
          for (int s = 0; s < 2; ++s)
            if (held[s] == source) return resampled[s];
          const int slot = held[0] == other ? 1 : 0;
          held[slot] = source;
          const float* line = image + source * in_width;
          for (int64_t i = 0; i < count; ++i)
            resampled[slot][i] =
                weight[2 * i] * line[from[2 * i]] + weight[2 * i + 1] * line[from[2 * i + 1]];
          return resampled[slot];
        };
        for (int64_t j = top; j < std::min(height, top + kRows); ++j) {
          const int64_t above = rows.taps.from[2 * j], below = rows.taps.from[2 * j + 1];
          const float* a = row(above, below);
          const float* b = row(below, above);
          const float wa = rows.weight[2 * j], wb = rows.weight[2 * j + 1];
          float* to = y + (plane * height + j) * width + left;
          weighted.scale(a, 1, &wa, 0, to, static_cast<std::size_t>(count));
          weighted.add(b, 1, &wb, 0, to, 1, to, static_cast<std::size_t>(count));
        }
      }
    }
  });
}

// What shrinks goes first: there is less to do for the rest.
void sort_by_growth(std::vector<AxisTaps>& axes) {
  std::stable_sort(axes.begin(), axes.end(), [](const AxisTaps& a, const AxisTaps& b) {
    return static_cast<double>(a.out_size) * b.in_size <
           static_cast<double>(b.out_size) * a.in_size;
  });
}

// Whether rows and columns, the last two of `rank` axes, have two taps each; rows then come first.
bool sort_bilinear(std::vector<AxisTaps>& axes, std::size_t rank) {
  const bool bilinear = axes.size() == 2 &&
                        axes[0].axis + axes[1].axis == 2 * static_cast<int64_t>(rank) - 3 &&
                        std::abs(axes[0].axis - axes[1].axis) == 1 && axes[0].width == 2 &&
                        axes[1].width == 2 && axes[0].filled.empty() && axes[1].filled.empty();
  if (bilinear && axes[0].axis > axes[1].axis) std::swap(axes[0], axes[1]);
  return bilinear;
}

// Passes in the order of their axes, and how many elements lie between two of them at most.
template <class C>
struct Passes {
  std::vector<Pass<C>> list;
  int64_t largest = 0;
};

template <class C>
Passes<C> make_passes(Shape shape, std::vector<AxisTaps>& axes, double fill) {
  constexpr int64_t kWeightWork = 5;  // nanoseconds
  Checkpoint checkpoint;
  Passes<C> passes;
  for (AxisTaps& taps : axes) {
    Pass<C> pass;
    const AxisSplit split = split_at(shape, taps.axis);
    pass.outer = split.outer;
    pass.inner = split.inner;
    pass.fill = static_cast<C>(fill);
    pass.weight.reserve(taps.weight.size());
    for (const double weight : taps.weight) {
      checkpoint(kWeightWork);
      pass.weight.push_back(static_cast<WeightType<C>>(weight));
    }
    taps.weight = {};
    shape[taps.axis] = taps.out_size;
    pass.taps = std::move(taps);
    passes.list.push_back(std::move(pass));
    if (passes.list.size() < axes.size())
      passes.largest = std::max(passes.largest, element_count(shape));
  }
  return passes;
}

template <class C>
using RunPass = void(const Frame& f, const Pass<C>& pass, const void* x, void* y);

template <class In, class C, class Out>
void run_items(const Frame& f, const Pass<C>& pass, const void* x, void* y) {
  run_pass(f, pass, static_cast<const In*>(x), static_cast<Out*>(y));
}

// How passes over elements of one type are run, with sums of type C between them.
template <class C>
struct PassRunners {
  RunPass<C>* only = nullptr;
  RunPass<C>* first = nullptr;
  RunPass<C>* last = nullptr;
};

template <class C>
Step passes_step(PrepareContext& ctx, std::vector<AxisTaps> axes, double fill,
                 const PassRunners<C>& run) {
  Passes<C> passes = make_passes<C>(ctx.shape(0), axes, fill);
  const int buffers = static_cast<int>(std::min<std::size_t>(passes.list.size() - 1, 2));
  ctx.request_scratch(checked_mul(passes.largest, static_cast<int64_t>(buffers * sizeof(C))));
  return [passes = std::move(passes), run](Frame& f) {
    const std::byte* x = f.in<std::byte>(0);
    std::byte* y = f.out<std::byte>(0);
    C* scratch = f.scratch<C>();
    const std::vector<Pass<C>>& list = passes.list;
    const std::size_t last = list.size() - 1;
    const int64_t largest = passes.largest;
    if (last == 0) return run.only(f, list[0], x, y);
    run.first(f, list[0], x, scratch);
    for (std::size_t i = 1; i < last; ++i)
      run_pass(f, list[i], scratch + (i - 1) % 2 * largest, scratch + i % 2 * largest);
    run.last(f, list[last], scratch + (last - 1) % 2 * largest, y);
  };
}

Step bilinear_step(const PrepareContext& ctx, std::vector<AxisTaps> axes, double fill) {
  return [passes = make_passes<float>(ctx.shape(0), axes, fill)](Frame& f) {
    run_bilinear(f, passes.list[0], passes.list[1], f.in<float>(0), f.out<float>(0));
  };
}

}  // namespace

Step resample_step(PrepareContext& ctx, std::vector<AxisTaps> axes, double fill) {
  check(ctx.dtype(0) != DType::string, "strings have no weighted sum");
  sort_by_growth(axes);
  if (ctx.dtype(0) == DType::float32 && sort_bilinear(axes, ctx.shape(0).size()))
    return bilinear_step(ctx, std::move(axes), fill);
  return dispatch(RealAndComplexTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
    using C = SumType<T>;
    const PassRunners<C> run{&run_items<T, C, T>, &run_items<T, C, C>, &run_items<C, C, T>};
    return passes_step<C>(ctx, std::move(axes), fill, run);
  });
}

}  // namespace sdx::ops
