// com.microsoft WordConvEmbedding: words as vectors, by a convolution over their characters.
#include <algorithm>
#include <cmath>

#include "ops/checks.h"

namespace sdx::ops {
namespace {

constexpr int kWords = 0, kWeights = 1, kBias = 2, kCharacters = 3;

class WordConvEmbedding final : public Op {
 public:
  explicit WordConvEmbedding(const OpInit& init) {
    const char* const names[] = {"embedding_size", "conv_window_size", "char_embedding_size"};
    for (int i = 0; i < 3; ++i) wanted_[i] = init.attrs.get(names[i], -1);
  }

  void infer(InferContext& ctx) const override {
    check_given(ctx, kWords, kCharacters + 1);
    check(ctx.dtype(kWords) == DType::int32, "characters are ", ctx.dtype(kWords), ", not int32");
    check_dtypes(ctx, DType::float32);
    check_rank(ctx, kWords, 2);
    check_rank(ctx, kWeights, 4);
    check_rank(ctx, kCharacters, 2);
    Dims dims{Dim::unknown(), Dim::unknown()};
    if (ctx.has_rank(kWords)) dims[0] = ctx.dims(kWords)[0];
    if (ctx.has_rank(kWeights)) dims[1] = ctx.dims(kWeights)[0];
    ctx.set_output(0, DType::float32, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& w = ctx.shape(kWeights);
    const int64_t words = ctx.shape(kWords)[0], length = ctx.shape(kWords)[1];
    const int64_t filters = w[0], window = w[2], width = w[3];
    const int64_t characters = ctx.shape(kCharacters)[0];
    check(w[1] == 1 && width == ctx.shape(kCharacters)[1] && ctx.count(kBias) == filters,
          "weights of shape ", w, ", a bias of shape ", ctx.shape(kBias),
          " and characters of shape ", ctx.shape(kCharacters));
    const int64_t given[] = {filters, window, width};
    for (int i = 0; i < 3; ++i)
      check(wanted_[i] < 0 || wanted_[i] == given[i], "weights of shape ", w, ", expected ",
            wanted_[i], " instead of ", given[i]);
    check(window > 0 && window <= length, "windows of ", window, " in words of ", length);
    const double cost = static_cast<double>(length * window * width * filters);
    return [=](Frame& f) {
      f.parallel_for(split_work(words, cost), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int32_t* word = f.in<int32_t>(kWords) + i * length;
          float* y = f.out<float>(0) + i * filters;
          // A word is as long as it has characters above 0, and padding where the first is none.
          int64_t size = 0;
          if (word[0] > 0)
            size = std::count_if(word, word + length, [](int32_t code) { return code > 0; });
          std::fill_n(y, filters, size > 0 ? -1.0f : 0.0f);
          if (size == 0) continue;
          const int64_t read = std::max(size, window);
          for (int64_t c = 0; c < read; ++c)
            check_argument(word[c] >= 0 && word[c] < characters, "character ", word[c],
                           " is outside [0, ", characters, ")");
          for (int64_t m = 0; m < filters; ++m) {
            for (int64_t begin = 0; begin + window <= read; ++begin) {
              double sum = static_cast<double>(f.in<float>(kBias)[m]);
              for (int64_t t = 0; t < window; ++t) {
                const float* row = f.in<float>(kCharacters) + word[begin + t] * width;
                const float* weights = f.in<float>(kWeights) + (m * window + t) * width;
                for (int64_t d = 0; d < width; ++d)
                  sum += static_cast<double>(row[d]) * static_cast<double>(weights[d]);
              }
              y[m] = std::max(y[m], static_cast<float>(std::tanh(sum)));
            }
          }
        }
      });
    };
  }

 private:
  int64_t wanted_[3];
};

}  // namespace

[[gnu::cold]] void register_word_conv(OpRegistry& ops) {
  ops.add<WordConvEmbedding>("WordConvEmbedding", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
