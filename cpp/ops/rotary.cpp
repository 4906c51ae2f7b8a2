// RotaryEmbedding of ai.onnx (X, cos, sin, positions?) and com.microsoft (X, positions, cos, sin).
#include "ops/rotary.h"

#include "base/checked.h"
#include "base/error.h"
#include "ops/attention_core.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// Where a row finds its angles.
enum class Positions { listed, from_offset, in_caches };

class RotaryEmbedding final : public Op {
 public:
  explicit RotaryEmbedding(const OpInit& init)
      : positions_(init.domain == "com.microsoft" ? 1 : 3),
        cos_(init.domain == "com.microsoft" ? 2 : 1),
        heads_(init.attrs.get("num_heads", 0)),
        rotated_(init.attrs.get("rotary_embedding_dim", 0)),
        interleaved_(init.attrs.get("interleaved", 0) != 0) {
    check(heads_ >= 0 && rotated_ >= 0 && rotated_ % 2 == 0, "num_heads is ", heads_,
          ", rotary_embedding_dim ", rotated_);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    if (!is_float(dtype) || dtype == DType::float64)
      fail(ErrorKind::unsupported, "rotation of ", dtype, " is not supported");
    check(ctx.dtype(cos_) == dtype && ctx.dtype(cos_ + 1) == dtype, "element types differ: ", dtype,
          ", ", ctx.dtype(cos_), " and ", ctx.dtype(cos_ + 1));
    if (ctx.has_input(positions_))
      check(ctx.dtype(positions_) == DType::int64, "expected int64, got ", ctx.dtype(positions_));
    if (ctx.has_rank(0))
      check(ctx.rank(0) == 3 || ctx.rank(0) == 4, "expected rank 3 or 4, got ", ctx.rank(0));
    ctx.set_output(0, Type(ctx.input(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const Shape& cache = ctx.shape(cos_);
    check(!cache.empty() && ctx.shape(cos_ + 1) == cache, "cosines of shape ", cache,
          ", sines of shape ", ctx.shape(cos_ + 1));
    const int64_t half = cache.back();
    const int64_t batch = x[0], rows = x.size() == 4 ? x[2] : x[1];
    int64_t heads = x.size() == 4 ? x[1] : heads_;
    if (heads == 0 && half > 0) heads = x[2] / (2 * half);
    check(heads > 0 && (x.size() == 4 || x[2] % heads == 0), "a hidden size of ", x.back(), " in ",
          heads, " heads");
    const int64_t width = x.size() == 4 ? x[3] : x[2] / heads;
    const Rotation rotation{width, rotated_ ? rotated_ : width, interleaved_};
    check(rotation.rotated == 2 * half && rotation.rotated <= width, "angles of ", half,
          " pairs for a rotation of ", rotation.rotated, " in heads of ", width);
    Positions kind = Positions::in_caches;
    if (ctx.has_input(positions_)) {
      const Shape& ids = ctx.shape(positions_);
      kind = ids.size() == 2 ? Positions::listed : Positions::from_offset;
      check(cache.size() == 2, "angles of shape ", cache, ", expected rank 2");
      check(kind == Positions::listed ? ids[0] == batch && ids[1] == rows
                                      : ctx.count(positions_) == 1,
            "positions of shape ", ids, " for ", batch, " batches of ", rows);
    } else {
      check(cache.size() == 3 && cache[0] == batch && cache[1] == rows, "angles of shape ", cache,
            " for ", batch, " batches of ", rows);
    }
    const HeadLayout layout =
        x.size() == 4 ? heads_first(heads, rows, width) : rows_first(heads, rows, width);
    const int64_t most = cache.size() == 2 ? cache[0] : batch * rows;
    return in_float32(ctx, [=, cos = cos_, positions = positions_](Frame& f) {
      const int64_t* ids = f.in<int64_t>(positions);
      const double cost = 0.6 * static_cast<double>(heads * width) + 5;
      f.parallel_for(split_work(batch * rows, cost), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          int64_t at = i;
          if (kind == Positions::listed) at = ids[i];
          if (kind == Positions::from_offset) at = ids[0] + i % rows;
          check_argument(at >= 0 && at < most, "position ", at, " is outside [0, ", most, ")");
          for (int64_t h = 0; h < heads; ++h) {
            const int64_t offset =
                i / rows * layout.batch + h * layout.head + i % rows * layout.row;
            rotate(rotation, f.in<float>(0) + offset, f.in<float>(cos) + at * half,
                   f.in<float>(cos + 1) + at * half, f.out<float>(0) + offset);
          }
        }
      });
    });
  }

 private:
  int positions_, cos_;  // inputs; the sines follow the cosines
  int64_t heads_, rotated_;
  bool interleaved_;
};

}  // namespace

[[gnu::cold]] void register_rotary(OpRegistry& ops) {
  ops.add<RotaryEmbedding>("RotaryEmbedding", {.since = 23});
  ops.add<RotaryEmbedding>("RotaryEmbedding", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
