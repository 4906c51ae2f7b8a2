// Operators of com.microsoft that steer decoders: NGramRepeatBlock, BifurcationDetector,
// DynamicTimeWarping.
#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

const char* const kContrib = "com.microsoft";

// Tokens that would complete an n-gram which was there before score -infinity.
class NGramRepeatBlock final : public Op {
 public:
  explicit NGramRepeatBlock(const OpInit& init) : n_(init.attrs.require<int64_t>("ngram_size")) {
    check(n_ > 0, "ngram_size is ", n_);
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::int64, "tokens are ", ctx.dtype(0), ", not int64");
    check(ctx.dtype(1) == DType::float32, "scores are ", ctx.dtype(1), ", not float32");
    for (const int i : {0, 1}) check_rank(ctx, i, 2);
    ctx.set_output(0, ctx.input(1));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t batch = ctx.shape(1)[0], words = ctx.shape(1)[1], length = ctx.shape(0)[1];
    check(ctx.shape(0)[0] == batch, "tokens of shape ", ctx.shape(0), " for scores of shape ",
          ctx.shape(1));
    return [=, n = n_](Frame& f) {
      for (int64_t b = 0; b < batch; ++b) {
        const int64_t* tokens = f.in<int64_t>(0) + b * length;
        float* y = f.out<float>(0) + b * words;
        if (y != f.in<float>(1) + b * words) std::copy_n(f.in<float>(1) + b * words, words, y);
        const int64_t* last = tokens + length - (n - 1);
        for (int64_t i = 0; i + n <= length; ++i) {
          if (!std::equal(last, tokens + length, tokens + i)) continue;
          const int64_t token = tokens[i + n - 1];
          check_argument(token >= 0 && token < words, "token ", token, " is outside [0, ", words,
                         ")");
          y[token] = -std::numeric_limits<float>::infinity();
        }
      }
    };
  }

 private:
  int64_t n_;
};

// (source, current, previous match, predicted?): appends what was predicted up to the first token
// that is not the source's, and finds where the source goes on from the new end.
class BifurcationDetector final : public Op {
 public:
  explicit BifurcationDetector(const OpInit& init)
      : least_(init.attrs.get("min_ngram_size", 1)), most_(init.attrs.get("max_ngram_size", 3)) {
    check(least_ > 0 && most_ >= least_, "n-grams of ", least_, " to ", most_, " tokens");
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < ctx.input_count(); ++i)
      if (ctx.has_input(i)) check(ctx.dtype(i) == DType::int64, "input ", i, " is ", ctx.dtype(i));
    check_given(ctx, 0, 3);
    for (const int i : {0, 1, 3}) check_rank(ctx, i, 1);
    ctx.set_output(0, DType::int64, {Dim::unknown()});
    if (ctx.wants_output(1)) ctx.set_output(1, DType::int64, {});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t source_count = ctx.count(0), current_count = ctx.count(1);
    check(ctx.count(2) == 1, "prev_suffix_match_idx has shape ", ctx.shape(2));
    const int64_t predicted_count = ctx.has_input(3) ? ctx.count(3) : 0;
    return [=, this](Frame& f) {
      const int64_t *source = f.in<int64_t>(0), *current = f.in<int64_t>(1);
      const int64_t *predicted = f.in<int64_t>(3), from = *f.in<int64_t>(2);
      std::vector<int64_t> tokens(current, current + current_count);
      if (predicted) {
        check_argument(from >= 0 && from <= source_count, "a previous match at ", from, " of ",
                       source_count, " tokens");
        check_argument(predicted_count == source_count + 1 - from, predicted_count,
                       " predicted tokens, expected ", source_count + 1 - from);
        int64_t same = 0;
        while (from + same < source_count && predicted[same] == source[from + same]) ++same;
        tokens.insert(tokens.end(), predicted, predicted + same + 1);
      }
      const int64_t match = suffix_match({source, source + source_count}, tokens);
      if (f.wants_output(1)) f.set_output(1, Datum(Tensor::scalar(match)));
      f.set_output(0, Datum(Tensor::of(tokens)));
    };
  }

 private:
  // Behind the only place in `source` where the last tokens are found, by as few as tell; -1
  // where there is none.
  int64_t suffix_match(std::span<const int64_t> source, const std::vector<int64_t>& tokens) const {
    const auto count = static_cast<int64_t>(tokens.size());
    for (int64_t n = least_; n <= std::min(most_, count); ++n) {
      const auto first = std::search(source.begin(), source.end(), tokens.end() - n, tokens.end());
      if (first == source.end()) return -1;
      const int64_t behind = first - source.begin() + n;
      if (behind >= static_cast<int64_t>(source.size())) return behind;
      if (std::search(first + 1, source.end(), tokens.end() - n, tokens.end()) == source.end())
        return behind;
    }
    return -1;
  }

  int64_t least_, most_;
};

// The cheapest path through a matrix of costs from its first to its last element.
class DynamicTimeWarping final : public Op {
 public:
  explicit DynamicTimeWarping(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::float32, "costs are ", ctx.dtype(0), ", not float32");
    if (ctx.has_rank(0)) {
      const Dims& dims = ctx.dims(0);
      check(dims.size() == 2 || (dims.size() == 3 && dims[0].value_or(1) == 1), "costs of shape ",
            dims, ", expected a matrix");
    }
    ctx.set_output(0, DType::int32, {Dim(2), Dim::unknown()});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    const int64_t rows = shape[shape.size() - 2], columns = shape.back();
    check(rows > 0 && columns > 0, "costs of shape ", shape);
    const int64_t width = columns + 1;
    const int64_t costs = round_up(checked_mul(2 * width, sizeof(float)), 64);
    ctx.request_scratch(checked_add(costs, checked_mul(rows + 1, width)));
    return [=](Frame& f) {
      // Costs of two rows of the table and, of all, where each came from.
      auto* sums = f.scratch<float>();
      auto* steps = reinterpret_cast<uint8_t*>(f.scratch()) + costs;
      enum : uint8_t { kBoth, kRow, kColumn };
      constexpr float kFar = std::numeric_limits<float>::infinity();
      std::fill_n(sums, 2 * width, kFar);
      sums[0] = 0;
      std::fill_n(steps, width, static_cast<uint8_t>(kColumn));
      for (int64_t r = 1; r <= rows; ++r) {
        const float* above = sums + (r + 1) % 2 * width;
        float* row = sums + r % 2 * width;
        row[0] = kFar;
        steps[r * width] = kRow;
        for (int64_t c = 1; c <= columns; ++c) {
          const float both = above[c - 1], down = above[c], right = row[c - 1];
          const uint8_t step = both < down && both < right   ? kBoth
                               : down < both && down < right ? kRow
                                                             : kColumn;
          steps[r * width + c] = step;
          row[c] = f.in<float>(0)[(r - 1) * columns + c - 1] + (step == kBoth  ? both
                                                                : step == kRow ? down
                                                                               : right);
        }
      }
      std::vector<int32_t> path[2];
      for (int64_t r = rows, c = columns; r > 0 || c > 0;) {
        path[0].push_back(static_cast<int32_t>(r - 1));
        path[1].push_back(static_cast<int32_t>(c - 1));
        const uint8_t step = steps[r * width + c];
        if (step != kColumn) --r;
        if (step != kRow) --c;
      }
      const auto length = static_cast<int64_t>(path[0].size());
      Tensor result = Tensor::allocate(DType::int32, {2, length});
      for (const int i : {0, 1})
        std::reverse_copy(path[i].begin(), path[i].end(), result.data<int32_t>() + i * length);
      f.set_output(0, std::move(result));
    };
  }
};

}  // namespace

[[gnu::cold]] void register_decoding(OpRegistry& ops) {
  ops.add<NGramRepeatBlock>("NGramRepeatBlock", {.since = 1}, kContrib);
  ops.add<BifurcationDetector>("BifurcationDetector", {.since = 1}, kContrib);
  ops.add<DynamicTimeWarping>("DynamicTimeWarping", {.since = 1}, kContrib);
}

}  // namespace sdx::ops
