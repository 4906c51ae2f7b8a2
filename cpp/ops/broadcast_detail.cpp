// Broadcasting of shapes, the merging of axes, and steps over pairs.
#include <string>
#include <utility>

#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

Dim broadcast_dim(const Dim& a, const Dim& b) {
  const bool a_is_one = a.is_known() && a.value() == 1;
  const bool b_is_one = b.is_known() && b.value() == 1;
  if (a_is_one) return b;
  if (b_is_one || a == b) return a;
  check(!a.is_known() || !b.is_known(), "dimensions ", a, " and ", b, " do not broadcast");
  // A number other than 1 leaves the unknown side no choice; two unknowns do not decide.
  if (a.is_known()) return a;
  if (b.is_known()) return b;
  // Shorter than the whole, the capped side would have to be 1 to broadcast: the whole it is.
  if (is_capped(b, a)) return a;
  if (is_capped(a, b)) return b;
  return Dim::unknown();
}

}  // namespace

Dims broadcast_dims(const Dims& a, const Dims& b) {
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  const std::size_t shift = longer.size() - shorter.size();
  Dims result = longer;
  for (std::size_t i = 0; i < shorter.size(); ++i)
    result[shift + i] = broadcast_dim(longer[shift + i], shorter[i]);
  return result;
}

void infer_broadcast(InferContext& ctx, DType dtype) {
  Dims dims;
  for (int i = 0; i < ctx.input_count(); ++i) {
    if (!ctx.has_rank(i)) return ctx.set_output(0, dtype);
    dims = broadcast_dims(dims, ctx.dims(i));
  }
  ctx.set_output(0, dtype, std::move(dims));
}

LegacyBroadcast::LegacyBroadcast(const OpInit& init) {
  if (init.opset >= 7) return;
  set_ = init.attrs.get("broadcast", 0) != 0;
  has_axis_ = init.attrs.has("axis");
  axis_ = init.attrs.get("axis", 0);
  if (init.type == "PRelu") {  // a slope a channel, or one for all
    set_ = has_axis_ = true;
    axis_ = 1;
  }
}

template <class Sizes>
Sizes LegacyBroadcast::pad(std::size_t rank, Sizes b) const {
  if (!set_ || !has_axis_ || b.size() >= rank) return b;
  const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(rank));
  check(static_cast<std::size_t>(axis) + b.size() <= rank, "axis ", axis,
        " puts an operand of rank ", b.size(), " beyond rank ", rank);
  while (static_cast<std::size_t>(axis) + b.size() < rank) b.push_back(1);
  return b;
}

Dims LegacyBroadcast::align(const Dims& a, Dims b) const { return pad(a.size(), std::move(b)); }

Shape LegacyBroadcast::align(const Shape& a, const Shape& b) const { return pad(a.size(), b); }

void infer_pair(InferContext& ctx, DType dtype, const LegacyBroadcast& legacy) {
  if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, dtype);
  const Dims& a = ctx.dims(0);
  ctx.set_output(0, dtype, broadcast_dims(a, legacy.align(a, ctx.dims(1))));
}

bool has_rows(const Shape& shape, int64_t length) {
  int64_t run = 1;
  for (std::size_t d = shape.size(); d-- > 0 && run < length;) run *= shape[d];
  return run == length;
}

Broadcast::Broadcast(const Shape& result, std::initializer_list<const Shape*> operands,
                     std::initializer_list<Rows> operand_rows)
    : count(element_count(result)) {
  std::array<Shape, kMaxOperands> walked;
  int operand_count = 0;
  for (const Shape* operand : operands)
    walked[operand_count++] = broadcast_strides(*operand, result);
  for (int k = operand_count; k < kMaxOperands; ++k) walked[k] = Shape(result.size());
  int operand = 0;
  for (const Rows& apart : operand_rows) {
    for (int64_t& stride : walked[operand])
      if (apart.apart() && stride >= apart.length) stride = stride / apart.length * apart.step;
    ++operand;
  }

  // From the innermost axis outwards; an axis joins the one inside it where every operand walks
  // both as one.
  Shape sizes;
  std::array<Shape, kMaxOperands> merged;
  for (std::size_t d = result.size(); d-- > 0;) {
    if (result[d] == 1) continue;
    // Steps within a run are 0 or 1: of elements that lie apart, each is a run.
    const auto apart = [d](const Shape& strides_of) { return strides_of[d] > 1; };
    if (sizes.empty() && std::any_of(walked.begin(), walked.end(), apart)) {
      sizes.push_back(1);
      for (int k = 0; k < kMaxOperands; ++k) merged[k].push_back(walked[k][d] > 0 ? 1 : 0);
    }
    bool joins = !sizes.empty();
    for (int k = 0; joins && k < kMaxOperands; ++k)
      joins = walked[k][d] == merged[k].back() * sizes.back();
    if (joins) {
      sizes.back() *= result[d];
      continue;
    }
    sizes.push_back(result[d]);
    for (int k = 0; k < kMaxOperands; ++k) merged[k].push_back(walked[k][d]);
  }
  if (sizes.empty()) return;
  run = sizes[0];
  for (int k = 0; k < kMaxOperands; ++k) step[k] = static_cast<std::size_t>(merged[k][0]);
  for (std::size_t d = sizes.size(); d-- > 1;) {
    rows.push_back(sizes[d]);
    for (int k = 0; k < kMaxOperands; ++k) strides[k].push_back(merged[k][d]);
  }
}

namespace {

constexpr int64_t kTile = 512;

// Results in short runs: a tile of each operand is gathered first.
Step short_run_step(Broadcast walk, const PairLoop& loop, double cost) {
  const int64_t row_count = walk.count / walk.run;
  const double row_cost = (cost + 1) * static_cast<double>(walk.run) + 2;
  return [loop, split = split_work(row_count, row_cost, kElementGrain),
          walk = std::move(walk)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      alignas(uint64_t) std::byte a_tile[kTile * sizeof(uint64_t)];
      alignas(uint64_t) std::byte b_tile[kTile * sizeof(uint64_t)];
      const auto operand = [&](int k, int64_t row, int64_t n, std::byte* tile) {
        const std::byte* from = f.in<std::byte>(k);
        if (walk.is_scalar(k)) return from;
        if (walk.is_full(k)) return from + row * walk.run * loop.operand_bytes();
        dispatch_size(static_cast<std::size_t>(loop.operand_bytes()), [&]<class T>() {
          walk.gather(k, reinterpret_cast<const T*>(from), row, n, reinterpret_cast<T*>(tile));
        });
        return static_cast<const std::byte*>(tile);
      };
      const std::size_t a_step = !walk.is_scalar(0), b_step = !walk.is_scalar(1);
      const int64_t tile_rows = kTile / walk.run;
      for (int64_t row = r.begin; row < r.end; row += tile_rows) {
        const int64_t n = std::min(tile_rows, r.end - row);
        loop(operand(0, row, n, a_tile), a_step, operand(1, row, n, b_tile), b_step,
             f.out<std::byte>(0) + row * walk.run * loop.result_bytes(),
             static_cast<std::size_t>(n * walk.run));
      }
    });
  };
}

// Results in rows that lie apart.
Step rows_apart_step(const BinaryShapes& shapes, const PairLoop& loop, double cost) {
  Broadcast walk(shapes.result, {&shapes.a, &shapes.b, &shapes.result},
                 {shapes.a_rows, shapes.b_rows, shapes.result_rows});
  return [loop, split = split_work(walk.count, cost, kElementGrain),
          walk = std::move(walk)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      walk.for_each_run(r, [&](int64_t, int64_t n, const Broadcast::Offsets& at) {
        loop(f.in<std::byte>(0) + at[0] * loop.operand_bytes(), walk.step[0],
             f.in<std::byte>(1) + at[1] * loop.operand_bytes(), walk.step[1],
             f.out<std::byte>(0) + at[2] * loop.result_bytes(), static_cast<std::size_t>(n));
      });
    });
  };
}

}  // namespace

Step broadcast_step(const BinaryShapes& shapes, const PairLoop& loop, double cost) {
  if (shapes.result_rows.apart()) return rows_apart_step(shapes, loop, cost);
  Broadcast walk(shapes.result, {&shapes.a, &shapes.b}, {shapes.a_rows, shapes.b_rows});
  const Split split = split_work(walk.count, cost, kElementGrain);
  if (walk.is_one_run()) {
    return [loop, split, step = walk.step](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        const int64_t a = r.begin * static_cast<int64_t>(step[0]);
        const int64_t b = r.begin * static_cast<int64_t>(step[1]);
        loop(f.in<std::byte>(0) + a * loop.operand_bytes(), step[0],
             f.in<std::byte>(1) + b * loop.operand_bytes(), step[1],
             f.out<std::byte>(0) + r.begin * loop.result_bytes(),
             static_cast<std::size_t>(r.size()));
      });
    };
  }
  if (loop.moves_items() && walk.run < kShortRun && walk.count > 0)
    return short_run_step(std::move(walk), loop, cost);
  return [loop, split, walk = std::move(walk)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      walk.for_each_run(r, [&](int64_t first, int64_t n, const Broadcast::Offsets& at) {
        loop(f.in<std::byte>(0) + at[0] * loop.operand_bytes(), walk.step[0],
             f.in<std::byte>(1) + at[1] * loop.operand_bytes(), walk.step[1],
             f.out<std::byte>(0) + first * loop.result_bytes(), static_cast<std::size_t>(n));
      });
    });
  };
}

bool Broadcast::is_full(int k) const {
  if (step[k] != 1) return false;
  int64_t expected = run;
  for (std::size_t d = rows.size(); d-- > 0;) {
    if (strides[k][d] != expected) return false;
    expected *= rows[d];
  }
  return true;
}

bool Broadcast::is_scalar(int k) const {
  return step[k] == 0 &&
         std::all_of(strides[k].begin(), strides[k].end(), [](int64_t s) { return s == 0; });
}

}  // namespace sdx::ops
