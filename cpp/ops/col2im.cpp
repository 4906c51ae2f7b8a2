// Col2Im.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/complex_types.h"

namespace sdx::ops {
namespace {

// Blocks slid over an image: sizes along every axis of it.
struct Sliding {
  Shape image, block, steps;       // steps: how many positions a block takes
  Shape strides, dilations, pads;  // pads: in front
};

class Col2Im final : public Op {
 public:
  explicit Col2Im(const OpInit& init)
      : strides_(init.attrs.ints("strides")),
        dilations_(init.attrs.ints("dilations")),
        pads_(init.attrs.ints("pads")) {
    for (const auto* list : {&strides_, &dilations_})
      for (const int64_t item : *list) check(item >= 1 && item < (1 << 30), "a stride of ", item);
    for (const int64_t pad : pads_) check(pad >= 0 && pad < (1 << 30), "a pad of ", pad);
  }

  void infer(InferContext& ctx) const override {
    check_rank(ctx, 0, 3);
    const auto image = shape_from_input(ctx, 1), block = shape_from_input(ctx, 2);
    if (!image || !block) return ctx.set_output(0, ctx.dtype(0));
    check_dims(*image);
    check_dims(*block);
    check(image->size() == block->size(), "an image of ", image->size(), " axes and blocks of ",
          block->size());
    Dim batch = Dim::unknown(), channels = Dim::unknown();
    if (ctx.has_rank(0)) {
      batch = ctx.dims(0)[0];
      const Dim size = product(*block);
      check(!(size == Dim(0)), "blocks of no elements: ", *block);
      channels = floor_div(ctx.dims(0)[1], size);
    }
    Dims dims{batch, channels};
    dims.insert(dims.end(), image->begin(), image->end());
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
    if (!to_shape(*block) && !ctx.at_load()) ctx.defer();
  }

  Step prepare(PrepareContext& ctx) const override {
    const Sliding sliding = slide(ctx);
    const int64_t block = element_count(sliding.block), steps = element_count(sliding.steps);
    const Shape& x = ctx.shape(0);
    check(block > 0 && x[1] % block == 0, "blocks of ", block, " elements do not divide ", x[1]);
    check(x[2] == steps, "blocks take ", steps, " positions, not ", x[2]);
    const int64_t planes = x[0] * (x[1] / block), plane = element_count(sliding.image);
    return dispatch(RealComplexAndStringTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        const double cost = 4.0 * static_cast<double>(block * steps);
        f.parallel_for(split_work(planes, cost), [&](Range r) {
          Watch watch(f);
          for (int64_t p = r.begin; p < r.end; ++p)
            add_blocks(sliding, f.in<T>(0) + p * block * steps, f.out<T>(0) + p * plane, plane,
                       watch);
        });
      };
    });
  }

 private:
  Sliding slide(const PrepareContext& ctx) const {
    Sliding s;
    const std::vector<int64_t> block = known_integers(ctx, 2);
    s.image = Shape(ctx.output_shape(0).begin() + 2, ctx.output_shape(0).end());
    const std::size_t axes = s.image.size();
    const auto list = [&](const std::vector<int64_t>& given, std::size_t count, int64_t usual) {
      check(given.empty() || given.size() == count, "expected ", count, " numbers for ", axes,
            " axes, got ", given.size());
      return given.empty() ? Shape(count, usual) : Shape(std::span<const int64_t>(given));
    };
    s.block = Shape(std::span<const int64_t>(block));
    s.strides = list(strides_, axes, 1);
    s.dilations = list(dilations_, axes, 1);
    s.pads = list(pads_, 2 * axes, 0);
    for (std::size_t i = 0; i < axes; ++i) {
      const int64_t reach = checked_mul(s.dilations[i], s.block[i] - 1) + 1;
      const int64_t span = s.image[i] + s.pads[i] + s.pads[i + axes] - reach;
      s.steps.push_back(span < 0 ? 0 : span / s.strides[i] + 1);
    }
    return s;
  }

  // The sum of strings is one after the other, as where ScatterElements adds them.
  template <class T>
  static void add_blocks(const Sliding& s, const T* x, T* y, int64_t plane, Watch& watch) {
    constexpr int64_t kElementWork = 20;  // nanoseconds
    const int64_t block = element_count(s.block), steps = element_count(s.steps);
    std::fill_n(y, plane, T());
    for (int64_t b = 0; b < block; ++b)
      for (int64_t step = 0; step < steps && !watch.over(kElementWork); ++step, ++x) {
        int64_t in_block = b, in_steps = step, offset = 0, stride = 1;
        bool inside = true;
        for (std::size_t d = s.image.size(); d-- > 0;) {
          const int64_t at = in_block % s.block[d] * s.dilations[d] +
                             in_steps % s.steps[d] * s.strides[d] - s.pads[d];
          in_block /= s.block[d];
          in_steps /= s.steps[d];
          inside = inside && at >= 0 && at < s.image[d];
          offset += at * stride;
          stride *= s.image[d];
        }
        if (inside)
          y[offset] = static_cast<T>(static_cast<ComputeType<T>>(y[offset]) +
                                     static_cast<ComputeType<T>>(*x));
      }
  }

  std::vector<int64_t> strides_, dilations_, pads_;
};

}  // namespace

[[gnu::cold]] void register_col2im(OpRegistry& ops) { ops.add<Col2Im>("Col2Im", {.since = 18}); }

}  // namespace sdx::ops
