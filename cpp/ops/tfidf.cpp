// TfIdfVectorizer.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "base/checked.h"
#include "base/error.h"
#include "ir/op.h"
#include "ops/number_index.h"

namespace sdx::ops {
namespace {

// Numbers the words of the pool.
template <class Word>
class Vocabulary {
 public:
  int64_t add(const Word& word) {
    return ids_.emplace(word, static_cast<int64_t>(ids_.size())).first->second;
  }
  // Negative if the pool has no such word.
  int64_t find(const Word& word) const {
    const auto found = ids_.find(word);
    return found == ids_.end() ? -1 : found->second;
  }

 private:
  std::unordered_map<Word, int64_t> ids_;
};

template <>
class Vocabulary<int64_t> {
 public:
  int64_t add(int64_t word) {
    const int64_t id = ids_.add(static_cast<uint64_t>(word), count_);
    count_ += id == count_;
    return id;
  }
  int64_t find(int64_t word) const { return ids_.find(static_cast<uint64_t>(word)); }

 private:
  NumberIndex ids_;
  int64_t count_ = 0;
};

// A tree of n-grams, one word a level. Nodes are numbered, 0 is the root; words of the pool are
// numbers from 0.
class GramTree {
 public:
  static constexpr int64_t kNone = -1;

  // Adds the word below `node`; gives the node it leads to.
  int64_t add(int64_t node, int64_t word) {
    int64_t child = kNone;
    if (node == 0) {
      if (word >= static_cast<int64_t>(first_.size())) first_.resize(word + 1, kNone);
      if (first_[word] == kNone) first_[word] = next();
      child = first_[word];
    } else {
      child = children_.add(key(node, word), next());
    }
    if (child == next()) grams_.push_back(kNone);
    return child;
  }
  // The word is one of the pool's, or negative.
  int64_t find(int64_t node, int64_t word) const {
    if (word < 0) return kNone;
    if (node != 0) return children_.find(key(node, word));
    return word < static_cast<int64_t>(first_.size()) ? first_[word] : kNone;
  }
  // Which n-gram of the pool ends here, or kNone.
  int64_t gram(int64_t node) const { return grams_[node]; }
  void set_gram(int64_t node, int64_t gram) { grams_[node] = gram; }

 private:
  int64_t next() const { return static_cast<int64_t>(grams_.size()); }
  static uint64_t key(int64_t node, int64_t word) {
    return static_cast<uint64_t>(node) << 32 | static_cast<uint32_t>(word);
  }

  std::vector<int64_t> first_;  // below the root, by word
  NumberIndex children_;        // below the others
  std::vector<int64_t> grams_{kNone};
};

class TfIdfVectorizer final : public Op {
 public:
  explicit TfIdfVectorizer(const OpInit& init)
      : shortest_(init.attrs.require<int64_t>("min_gram_length")),
        longest_(init.attrs.require<int64_t>("max_gram_length")),
        most_skipped_(init.attrs.require<int64_t>("max_skip_count")),
        weights_(init.attrs.floats("weights")),
        columns_(init.attrs.require<std::vector<int64_t>>("ngram_indexes")) {
    const std::string& mode = init.attrs.require<std::string>("mode");
    check(mode == "TF" || mode == "IDF" || mode == "TFIDF", "mode '", mode, "' is not known");
    counts_ = mode != "IDF";
    if (mode == "TF") weights_.clear();
    check(shortest_ >= 1 && longest_ >= shortest_, "gram lengths ", shortest_, " to ", longest_,
          " are no range");
    check(most_skipped_ >= 0 && most_skipped_ < kMaxColumns, "max_skip_count is ", most_skipped_);
    for (const int64_t column : columns_) {
      check(column >= 0 && column < kMaxColumns, "ngram_indexes has the entry ", column);
      width_ = std::max(width_, column + 1);
    }
    check(width_ > 0, "ngram_indexes is empty");
    check(weights_.empty() || weights_.size() == columns_.size(), "there are ", weights_.size(),
          " weights for ", columns_.size(), " n-grams");
    const auto numbers = init.attrs.ints("pool_int64s");
    const auto strings = init.attrs.strings("pool_strings");
    check(numbers.empty() != strings.empty(), "exactly one pool is expected");
    of_strings_ = numbers.empty();
    std::vector<int64_t> pool;
    for (const int64_t word : numbers) pool.push_back(number_ids_.add(word));
    for (const std::string& word : strings) pool.push_back(string_ids_.add(word));
    fill_tree(pool, init.attrs.require<std::vector<int64_t>>("ngram_counts"));
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    const bool fits =
        of_strings_ ? dtype == DType::string : dtype == DType::int64 || dtype == DType::int32;
    check(fits, "the pool does not fit element type ", dtype);
    if (!ctx.has_rank(0)) return ctx.set_output(0, DType::float32);
    const Dims& dims = ctx.dims(0);
    check(dims.size() == 1 || dims.size() == 2, "expected shape [C] or [N, C], got ", dims);
    if (dims.size() == 1) return ctx.set_output(0, DType::float32, {width_});
    ctx.set_output(0, DType::float32, {dims[0], width_});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    const int64_t rows = shape.size() == 1 ? 1 : shape[0], length = shape.back();
    ctx.request_scratch(checked_mul(checked_mul(rows, length), sizeof(int64_t)));
    return dispatch(
        TypeList<std::string, int64_t, int32_t>{}, ctx.dtype(0), [&]<class Word>() -> Step {
          return [this, rows, length](Frame& f) {
            const double cost = 20.0 * (length + 1) * (most_skipped_ + 1) + width_;
            f.parallel_for(split_work(rows, cost), [&](Range r) {
              for (int64_t row = r.begin; row < r.end; ++row)
                vectorize(f.in<Word>(0) + row * length, length, f.scratch<int64_t>() + row * length,
                          f.out<float>(0) + row * width_);
            });
          };
        });
  }

 private:
  static constexpr int64_t kMaxColumns = int64_t{1} << 31;

  // The pool lists the n-grams by length; starts[n - 1] is where those of n items begin.
  void fill_tree(const std::vector<int64_t>& pool, const std::vector<int64_t>& starts) {
    const auto total = static_cast<int64_t>(pool.size());
    std::size_t gram = 0;
    for (std::size_t i = 0; i < starts.size(); ++i) {
      const auto size = static_cast<int64_t>(i) + 1;
      const int64_t begin = starts[i], end = i + 1 < starts.size() ? starts[i + 1] : total;
      check(begin >= 0 && begin <= end && end <= total, "ngram_counts has ", begin, " and ", end,
            " for a pool of ", total);
      check((end - begin) % size == 0, "the ", size, "-grams take ", end - begin, " items");
      for (int64_t at = begin; at < end; at += size, ++gram) {
        check(gram < columns_.size(), "ngram_indexes has ", columns_.size(),
              " entries, the pool more n-grams");
        if (size < shortest_ || size > longest_) continue;
        int64_t node = 0;
        for (int64_t k = 0; k < size; ++k) node = tree_.add(node, pool[at + k]);
        tree_.set_gram(node, static_cast<int64_t>(gram));
      }
    }
  }

  int64_t id_of(const std::string& word) const { return string_ids_.find(word); }
  int64_t id_of(int64_t word) const { return number_ids_.find(word); }

  template <class Word>
  void vectorize(const Word* words, int64_t length, int64_t* ids, float* y) const {
    std::fill(y, y + width_, 0.0f);
    for (int64_t i = 0; i < length; ++i) ids[i] = id_of(words[i]);
    for (int64_t step = 1; step <= most_skipped_ + 1 && (step == 1 || step < length); ++step) {
      // Single words have no gaps: they count once.
      const int64_t shortest = step == 1 ? shortest_ : std::max<int64_t>(shortest_, 2);
      for (int64_t start = 0; start < length; ++start) {
        int64_t node = 0, at = start;
        for (int64_t size = 1; size <= longest_ && at < length; ++size, at += step) {
          node = tree_.find(node, ids[at]);
          if (node == GramTree::kNone) break;
          const int64_t gram = tree_.gram(node);
          if (size < shortest || gram == GramTree::kNone) continue;
          const float weight = weights_.empty() ? 1.0f : weights_[gram];
          float& sum = y[columns_[gram]];
          sum = counts_ ? sum + weight : weight;
        }
      }
    }
  }

  int64_t shortest_, longest_, most_skipped_;
  std::vector<float> weights_;    // of n-grams; none: all 1
  std::vector<int64_t> columns_;  // of n-grams
  bool counts_ = true;            // how often, or only whether an n-gram occurs
  bool of_strings_ = false;
  int64_t width_ = 0;
  GramTree tree_;
  Vocabulary<int64_t> number_ids_;
  Vocabulary<std::string> string_ids_;
};

}  // namespace

[[gnu::cold]] void register_tfidf(OpRegistry& ops) {
  ops.add<TfIdfVectorizer>("TfIdfVectorizer", {.since = 9});
}

}  // namespace sdx::ops
