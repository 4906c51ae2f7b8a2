// com.microsoft Tokenizer: strings cut into characters, between separators, or into what matches an
// expression.
#include <algorithm>
#include <string>

#include "base/error.h"
#include "ir/op.h"
#include "ops/counted_vector.h"
#include "ops/regex.h"
#include "ops/utf8.h"

namespace sdx::ops {
namespace {

using Tokens = CountedVector<std::string_view>;

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) read_code_point(text, at);
  return count;
}

struct Span {
  std::size_t begin, end;
};

// The first match that begins at `from` or later, the longest of those that begin there.
std::optional<Span> find(const Regex& regex, std::string_view text, std::size_t from,
                         Watch& watch) {
  constexpr int64_t kCallWork = 50;  // nanoseconds
  while (from <= text.size() && !watch.over(kCallWork)) {
    if (const auto end = regex.longest(text, from, watch)) return Span{from, *end};
    if (from == text.size()) break;
    read_code_point(text, from);
  }
  return std::nullopt;
}

class Tokenizer final : public Op {
 public:
  explicit Tokenizer(const OpInit& init)
      : mark_(init.attrs.get("mark", 0) != 0),
        least_(init.attrs.get("mincharnum", 1)),
        padding_(init.attrs.get("pad_value", "")) {
    check(least_ > 0, "mincharnum is ", least_);
    const std::vector<std::string> separators = init.attrs.strings("separators");
    const std::string expression = init.attrs.get("tokenexp", "");
    check(separators.empty() != expression.empty(), "expected either separators or tokenexp");
    if ((separators.size() == 1 && separators[0].empty()) || expression == ".") {
      check(least_ < 2, "mincharnum is ", least_, " for characters");
      return;
    }
    between_ = !separators.empty();
    if (!between_) regexes_.emplace_back(expression);
    for (const std::string& separator : separators) {
      check(!separator.empty(), "a separator is empty");
      regexes_.emplace_back(separator);
    }
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::string, "expected strings, got ", ctx.dtype(0));
    Type type = ctx.input(0);
    if (type.shape) {
      check(type.shape->size() == 1 || type.shape->size() == 2,
            "expected shape [C] or [N, C], got ", *type.shape);
      type.shape->push_back(Dim::unknown());
    }
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext&) const override {
    return [this](Frame& f) {
      const Tensor input = f.input_tensor(0);
      Tokens tokens;  // of all texts, one after another
      CountedVector<std::size_t> ends;
      std::size_t most = 0;
      Watch watch(f);
      for (const std::string& text : input.items<std::string>()) {
        const std::size_t before = tokens.size();
        add_tokens(text, tokens, watch);
        ends.push_back(tokens.size());
        most = std::max(most, tokens.size() - before);
        if (watch.over(kTextWork)) return;
      }
      const std::size_t marks = mark_ && most > 0 ? 2 : 0;
      Shape shape = input.shape();
      shape.push_back(static_cast<int64_t>(most + marks));
      Tensor result = Tensor::allocate(DType::string, shape);
      auto* y = result.data<std::string>();
      std::size_t begin = 0;
      for (const std::size_t end : ends) {
        if (watch.over(kTextWork * static_cast<int64_t>(1 + most))) return;
        if (marks) *y++ = "\x02";
        y = std::copy(tokens.begin() + begin, tokens.begin() + end, y);
        if (marks) *y++ = "\x03";
        y = std::fill_n(y, most - (end - begin), padding_);
        begin = end;
      }
      f.set_output(0, std::move(result));
    };
  }

 private:
  static constexpr int64_t kTextWork = 50;  // nanoseconds that a short text takes

  void add(Tokens& to, std::string_view token) const {
    if (character_count(token) >= least_) to.push_back(token);
  }

  void add_tokens(std::string_view text, Tokens& to, Watch& watch) const {
    if (regexes_.empty()) {
      for (std::size_t at = 0; at < text.size() && !watch.over(kTextWork);) {
        const std::size_t begin = at;
        read_code_point(text, at);
        to.push_back(text.substr(begin, at - begin));
      }
      return;
    }
    if (!between_) {
      for (std::size_t at = 0; at < text.size();) {
        const auto match = find(regexes_[0], text, at, watch);
        if (!match) break;
        add(to, text.substr(match->begin, match->end - match->begin));
        at = after(text, *match);
      }
      return;
    }
    Tokens whole(1, text);
    for (std::size_t i = 0; i + 1 < regexes_.size(); ++i) {
      Tokens parts;
      for (const std::string_view part : whole) cut(part, regexes_[i], parts, watch);
      whole = std::move(parts);
    }
    for (const std::string_view part : whole) cut(part, regexes_.back(), to, watch);
  }

  void cut(std::string_view text, const Regex& separator, Tokens& parts, Watch& watch) const {
    std::size_t begin = 0, at = 0;
    while (at <= text.size()) {
      const auto match = find(separator, text, at, watch);
      if (!match) break;
      if (match->begin > begin) add(parts, text.substr(begin, match->begin - begin));
      begin = match->end;
      at = after(text, *match);
    }
    add(parts, text.substr(begin));
  }

  // Where to look on: one character on where nothing was matched.
  static std::size_t after(std::string_view text, const Span& match) {
    std::size_t at = match.end;
    if (match.end > match.begin) return at;
    if (at == text.size()) return at + 1;
    read_code_point(text, at);
    return at;
  }

  bool mark_, between_ = false;
  int64_t least_;
  std::string padding_;
  std::vector<Regex> regexes_;
};

}  // namespace

[[gnu::cold]] void register_tokenizer(OpRegistry& ops) {
  ops.add<Tokenizer>("Tokenizer", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
