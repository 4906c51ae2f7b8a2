// StringNormalizer, StringConcat, StringSplit, RegexFullMatch.
#include <algorithm>
#include <string>
#include <unordered_set>

#include "base/checked.h"
#include "base/error.h"
#include "ops/broadcast.h"
#include "ops/checkpoint.h"
#include "ops/counted_vector.h"
#include "ops/regex.h"
#include "ops/utf8.h"

namespace sdx::ops {
namespace {

// Nanoseconds that a short text takes, for checkpoints.
constexpr int64_t kTextWork = 100;

class StringNormalizer final : public Op {
 public:
  explicit StringNormalizer(const OpInit& init)
      : exact_(init.attrs.get("is_case_sensitive", 0) != 0) {
    const std::string action = init.attrs.get("case_change_action", "NONE");
    check(action == "NONE" || action == "LOWER" || action == "UPPER", "case_change_action '",
          action, "' is not known");
    case_ = action == "LOWER" ? Case::lower : action == "UPPER" ? Case::upper : Case::keep;
    for (const std::string& word : init.attrs.strings("stopwords"))
      stopwords_.insert(exact_ ? word : to_lower(word));
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::string, "expected strings, got ", ctx.dtype(0));
    if (!ctx.has_rank(0)) return ctx.set_output(0, DType::string);
    Dims dims = ctx.dims(0);
    const bool is_row = dims.size() == 2 && (!dims[0].is_known() || dims[0].value() == 1);
    check(dims.size() == 1 || is_row, "expected shape [C] or [1, C], got ", dims);
    dims.back() = Dim::unknown();
    if (is_row) dims[0] = 1;
    ctx.set_output(0, DType::string, std::move(dims));
  }

  Step prepare(PrepareContext&) const override {
    return [this](Frame& f) {
      const Tensor input = f.input_tensor(0);
      CountedVector<std::string> kept;
      Checkpoint checkpoint;
      for (const std::string& word : input.items<std::string>()) {
        checkpoint(kTextWork + static_cast<int64_t>(word.size()));
        if (stopwords_.count(exact_ ? word : to_lower(word)) > 0) continue;
        kept.push_back(case_ == Case::keep    ? word
                       : case_ == Case::lower ? to_lower(word)
                                              : to_upper(word));
      }
      if (kept.empty()) kept.emplace_back();
      Shape shape = input.shape();
      shape.back() = static_cast<int64_t>(kept.size());
      f.set_output(0, Tensor::of<std::string>(std::span<const std::string>(kept), shape));
    };
  }

 private:
  enum class Case { keep, lower, upper };

  bool exact_;
  Case case_;
  std::unordered_set<std::string> stopwords_;
};

class StringConcat final : public Op {
 public:
  explicit StringConcat(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 2; ++i)
      check(ctx.dtype(i) == DType::string, "expected strings, got ", ctx.dtype(i));
    infer_broadcast(ctx, DType::string);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.output_shape(0);
    return [shape, a_strides = broadcast_strides(ctx.shape(0), shape),
            b_strides = broadcast_strides(ctx.shape(1), shape),
            count = element_count(shape)](Frame& f) {
      const auto* a = f.in<std::string>(0);
      const auto* b = f.in<std::string>(1);
      auto* y = f.out<std::string>(0);
      Checkpoint checkpoint;
      for (int64_t i = 0; i < count; ++i) {
        checkpoint(kTextWork);
        int64_t rest = i, a_at = 0, b_at = 0;
        for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis]) {
          a_at += rest % shape[axis] * a_strides[axis];
          b_at += rest % shape[axis] * b_strides[axis];
        }
        y[i] = a[a_at] + b[b_at];
      }
    };
  }
};

class StringSplit final : public Op {
 public:
  explicit StringSplit(const OpInit& init)
      : delimiter_(init.attrs.get("delimiter", "")),
        most_(init.attrs.has("maxsplit") ? init.attrs.require<int64_t>("maxsplit") : -1) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::string, "expected strings, got ", ctx.dtype(0));
    Type parts = ctx.input(0), counts = parts;
    if (parts.shape) parts.shape->push_back(Dim::unknown());
    counts.dtype = DType::int64;
    ctx.set_output(0, std::move(parts));
    ctx.set_output(1, std::move(counts));
  }

  Step prepare(PrepareContext&) const override {
    return [this](Frame& f) {
      const Tensor input = f.input_tensor(0);
      Parts parts;  // of all texts, one after the other
      CountedVector<std::size_t> counts;
      std::size_t longest = 0;
      Checkpoint checkpoint;
      for (const std::string& text : input.items<std::string>()) {
        checkpoint(kTextWork);
        const std::size_t before = parts.size();
        if (delimiter_.empty())
          split_at_space(text, parts, checkpoint);
        else
          split_at_delimiter(text, parts, checkpoint);
        counts.push_back(parts.size() - before);
        longest = std::max(longest, counts.back());
      }
      Shape shape = input.shape();
      shape.push_back(static_cast<int64_t>(longest));
      Tensor padded = Tensor::allocate(DType::string, shape);
      Tensor part_counts = Tensor::allocate(DType::int64, input.shape());
      const std::string_view* part = parts.data();
      for (std::size_t i = 0; i < counts.size(); ++i) {
        checkpoint(kTextWork);
        std::string* to = padded.data<std::string>() + i * longest;
        for (std::size_t k = 0; k < counts[i]; ++k) {
          checkpoint(kTextWork);
          *to++ = *part++;
        }
        part_counts.data<int64_t>()[i] = static_cast<int64_t>(counts[i]);
      }
      f.set_output(0, std::move(padded));
      f.set_output(1, std::move(part_counts));
    };
  }

 private:
  using Parts = CountedVector<std::string_view>;

  bool may_split(std::size_t splits) const {
    return most_ < 0 || static_cast<int64_t>(splits) < most_;
  }

  void split_at_delimiter(std::string_view text, Parts& parts, Checkpoint& checkpoint) const {
    for (std::size_t splits = 0; may_split(splits); ++splits) {
      const std::size_t at = text.find(delimiter_);
      if (at == std::string_view::npos) break;
      parts.push_back(text.substr(0, at));
      checkpoint(kTextWork + static_cast<int64_t>(at));
      text.remove_prefix(at + delimiter_.size());
    }
    parts.push_back(text);
  }

  // Runs of white space separate words; at both ends they are dropped.
  void split_at_space(std::string_view text, Parts& parts, Checkpoint& checkpoint) const {
    std::size_t at = 0;
    for (std::size_t splits = 0;; ++splits) {
      std::size_t begin = at;
      while (at < text.size() && is_space(read_code_point(text, at))) begin = at;
      if (begin == text.size()) return;
      if (!may_split(splits)) return parts.push_back(text.substr(begin));
      at = begin;
      std::size_t end = at;
      while (at < text.size() && !is_space(read_code_point(text, at))) end = at;
      parts.push_back(text.substr(begin, end - begin));
      checkpoint(kTextWork + static_cast<int64_t>(end - begin));
    }
  }

  std::string delimiter_;
  int64_t most_;  // splits of one string; -1: no limit
};

class RegexFullMatch final : public Op {
 public:
  explicit RegexFullMatch(const OpInit& init)
      : regex_(init.attrs.require<std::string>("pattern")) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::string, "expected strings, got ", ctx.dtype(0));
    Type type = ctx.input(0);
    type.dtype = DType::boolean;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    return [this, count = ctx.count(0)](Frame& f) {
      const auto* x = f.in<std::string>(0);
      bool* y = f.out<bool>(0);
      f.parallel_for(split_work(count, 1000), [&](Range r) {
        Watch watch(f);
        for (int64_t i = r.begin; i < r.end; ++i) y[i] = regex_.matches(x[i], watch);
      });
    };
  }

 private:
  Regex regex_;
};

}  // namespace

[[gnu::cold]] void register_text(OpRegistry& ops) {
  ops.add<StringNormalizer>("StringNormalizer", {.since = 10});
  ops.add<StringConcat>("StringConcat", {.since = 20});
  ops.add<StringSplit>("StringSplit", {.since = 20});
  ops.add<RegexFullMatch>("RegexFullMatch", {.since = 20});
}

}  // namespace sdx::ops
