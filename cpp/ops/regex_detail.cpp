// A parser into a tree, a compiler into instructions, and a simulation of all paths at once.
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "ops/regex.h"
#include "ops/utf8.h"

namespace sdx::ops {
namespace {

constexpr uint32_t kLastCode = 0x10ffff;
constexpr int kMaxDepth = 200;
constexpr int kMaxRepeat = 1000;
constexpr std::size_t kMaxProgram = 100000;
constexpr int kUnlimited = -1;

using Set = Regex::Set;
using Op = Regex::Op;

struct Item {
  enum class Kind { set, assertion, sequence, alternatives, repeat } kind;
  Set set{};
  Op assertion{};
  std::vector<std::unique_ptr<Item>> parts{};
  int least = 0, most = 0;  // of a repeat; most may be kUnlimited
};
using ItemPtr = std::unique_ptr<Item>;

ItemPtr make(Item::Kind kind) { return std::make_unique<Item>(Item{.kind = kind}); }

const std::vector<std::pair<uint32_t, uint32_t>>* class_of(std::string_view name) {
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
  static const std::pair<std::string_view, Ranges> kClasses[] = {
      {"d", {{'0', '9'}}},
      {"s", {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}},
      {"w", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
      {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
      {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
      {"ascii", {{0, 0x7f}}},
      {"blank", {{'\t', '\t'}, {' ', ' '}}},
      {"cntrl", {{0, 0x1f}, {0x7f, 0x7f}}},
      {"digit", {{'0', '9'}}},
      {"graph", {{'!', '~'}}},
      {"lower", {{'a', 'z'}}},
      {"print", {{' ', '~'}}},
      {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
      {"space", {{'\t', '\r'}, {' ', ' '}}},
      {"upper", {{'A', 'Z'}}},
      {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
      {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
  };
  for (const auto& [known, ranges] : kClasses)
    if (known == name) return &ranges;
  return nullptr;
}

// Adds the ranges of a class, or those between them; they are sorted.
void add_class(Set& set, const std::vector<std::pair<uint32_t, uint32_t>>& ranges, bool negated) {
  if (!negated) {
    set.ranges.insert(set.ranges.end(), ranges.begin(), ranges.end());
    return;
  }
  uint32_t next = 0;
  for (const auto& [first, last] : ranges) {
    if (first > next) set.ranges.emplace_back(next, first - 1);
    next = last + 1;
  }
  set.ranges.emplace_back(next, kLastCode);
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern) {}

  ItemPtr parse() {
    ItemPtr item = alternatives();
    check(at_ == pattern_.size(), "pattern has a ) too many");
    return item;
  }

 private:
  struct Flags {
    bool any_case = false, many_lines = false, dot_all = false;
  };

  bool done() const { return at_ == pattern_.size(); }
  bool looking_at(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }
  uint32_t next() {
    check(!done(), "pattern ends too early");
    return read_code_point(pattern_, at_);
  }

  ItemPtr alternatives() {
    check(++depth_ <= kMaxDepth, "pattern nests deeper than ", kMaxDepth);
    const Flags outer = flags_;
    ItemPtr item = make(Item::Kind::alternatives);
    do {
      item->parts.push_back(sequence());
    } while (take("|"));
    flags_ = outer;
    --depth_;
    return item;
  }

  ItemPtr sequence() {
    ItemPtr item = make(Item::Kind::sequence);
    while (!done() && !looking_at("|") && !looking_at(")")) {
      if (take("\\Q")) {
        ItemPtr last;
        while (!done() && !take("\\E")) {
          if (last) item->parts.push_back(std::move(last));
          last = literal(next());
        }
        if (last) item->parts.push_back(repeated(std::move(last)));
        continue;
      }
      if (ItemPtr part = atom()) item->parts.push_back(repeated(std::move(part)));
    }
    return item;
  }

  // Null for what only sets flags.
  ItemPtr atom() {
    if (take("(")) return group();
    if (take("[")) return set_item(bracket());
    if (take(".")) {
      Set set;
      if (!flags_.dot_all) set.ranges.emplace_back('\n', '\n');
      set.negated = true;
      return set_item(std::move(set));
    }
    if (take("^")) return assertion(flags_.many_lines ? Op::line_begin : Op::text_begin);
    if (take("$")) return assertion(flags_.many_lines ? Op::line_end : Op::text_end);
    if (take("\\")) return escape();
    for (const char* repeat : {"*", "+", "?"})
      check(!looking_at(repeat), "pattern repeats nothing with ", repeat);
    return literal(next());
  }

  ItemPtr group() {
    if (take("?")) {
      if (take("P<") || take("<")) {
        check(!looking_at("=") && !looking_at("!"), "pattern looks behind, which RE2 does not");
        while (next() != '>') continue;
      } else if (!take(":")) {
        const Flags outer = flags_;
        if (set_flags()) return nullptr;
        ItemPtr item = close(alternatives());
        flags_ = outer;
        return item;
      }
    }
    return close(alternatives());
  }

  ItemPtr close(ItemPtr item) {
    check(take(")"), "pattern lacks a )");
    return item;
  }

  // Reads "i-s)" or "i-s:"; true for the first, where flags hold until the group around ends.
  bool set_flags() {
    bool value = true;
    while (true) {
      const uint32_t flag = next();
      if (flag == ')') return true;
      if (flag == ':') return false;
      if (flag == '-')
        value = false;
      else if (flag == 'i')
        flags_.any_case = value;
      else if (flag == 'm')
        flags_.many_lines = value;
      else if (flag == 's')
        flags_.dot_all = value;
      else
        check(flag == 'U', "pattern has an unknown group (?");  // laziness changes no full match
    }
  }

  ItemPtr repeated(ItemPtr item) {
    int least = 0, most = 0;
    if (take("*")) {
      most = kUnlimited;
    } else if (take("+")) {
      least = 1;
      most = kUnlimited;
    } else if (take("?")) {
      most = 1;
    } else if (!counts(least, most)) {
      return item;
    }
    take("?");
    for (const char* again : {"*", "+", "?"})
      check(!looking_at(again), "pattern repeats a repetition with ", again);
    int again_least = 0, again_most = 0;
    check(!counts(again_least, again_most), "pattern repeats a repetition with {");
    ItemPtr repeat = make(Item::Kind::repeat);
    repeat->least = least;
    repeat->most = most;
    repeat->parts.push_back(std::move(item));
    return repeat;
  }

  // Reads "{2}", "{2,}" or "{2,3}"; anything else after a brace is text.
  bool counts(int& least, int& most) {
    const std::size_t begin = at_;
    if (!take("{")) return false;
    const std::optional<int> low = number();
    bool good = low.has_value();
    std::optional<int> high = low;
    if (good && take(",")) {
      high = number();
      if (!high) high = kUnlimited;
    }
    good = good && take("}");
    if (!good) {
      at_ = begin;
      return false;
    }
    least = *low;
    most = *high;
    check(least <= kMaxRepeat && most <= kMaxRepeat, "pattern repeats more than ", kMaxRepeat,
          " times");
    check(most == kUnlimited || least <= most, "pattern repeats ", least, " to ", most, " times");
    return true;
  }

  std::optional<int> number() {
    std::optional<int> value;
    while (!done() && pattern_[at_] >= '0' && pattern_[at_] <= '9') {
      value = std::min(value.value_or(0) * 10 + (pattern_[at_] - '0'), kMaxRepeat + 1);
      ++at_;
    }
    return value;
  }

  // The set after an opening bracket.
  Set bracket() {
    Set set;
    set.negated = take("^");
    for (bool first = true; first || !looking_at("]"); first = false) {
      check(!done(), "pattern lacks a ]");
      if (looking_at("[:")) {
        const std::size_t end = pattern_.find(":]", at_);
        check(end != std::string_view::npos, "pattern lacks a :]");
        std::string_view name = pattern_.substr(at_ + 2, end - at_ - 2);
        const bool negated = name.starts_with("^");
        if (negated) name.remove_prefix(1);
        const auto* ranges = class_of(name);
        check(ranges && name.size() > 1, "pattern has an unknown class [:", name, ":]");
        add_class(set, *ranges, negated);
        at_ = end + 2;
        continue;
      }
      if (take_class(set)) continue;
      const uint32_t low = set_code();
      uint32_t high = low;
      if (looking_at("-") && !looking_at("-]")) {
        take("-");
        high = set_code();
        check(low <= high, "pattern has a range from ", low, " to ", high);
      }
      set.ranges.emplace_back(low, high);
    }
    take("]");
    return set;
  }

  uint32_t set_code() {
    if (!take("\\")) return next();
    return take("b") ? uint32_t{8} : escaped_code();
  }

  // Reads "\d" and the like.
  bool take_class(Set& set) {
    if (!looking_at("\\") || at_ + 1 == pattern_.size()) return false;
    const char name = pattern_[at_ + 1];
    if (name == 'p' || name == 'P')
      fail(ErrorKind::unsupported, "patterns with Unicode properties are not supported");
    const char lower = static_cast<char>(name | 0x20);
    if (lower != 'd' && lower != 's' && lower != 'w') return false;
    add_class(set, *class_of(std::string_view(&lower, 1)), name != lower);
    at_ += 2;
    return true;
  }

  ItemPtr escape() {
    --at_;
    Set set;
    if (take_class(set)) return set_item(std::move(set));
    ++at_;
    if (take("b")) return assertion(Op::word_edge);
    if (take("B")) return assertion(Op::no_word_edge);
    if (take("A")) return assertion(Op::text_begin);
    if (take("z")) return assertion(Op::text_end);
    return literal(escaped_code());
  }

  // The code point behind a backslash.
  uint32_t escaped_code() {
    const uint32_t code = next();
    switch (code) {
      case 'a':
        return 7;
      case 'f':
        return 12;
      case 'n':
        return 10;
      case 'r':
        return 13;
      case 't':
        return 9;
      case 'v':
        return 11;
      case 'x':
        return take("{") ? digits(16, 8, true) : digits(16, 2, false);
      case '0':
        return octal(0);
      default:
        break;
    }
    if (code >= '1' && code <= '7' && !done() && pattern_[at_] >= '0' && pattern_[at_] <= '7')
      return octal(code - '0');
    const bool letter = (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') ||
                        (code >= 'a' && code <= 'z');
    check(!letter, "pattern has an unknown escape \\", static_cast<char>(code));
    return code;
  }

  uint32_t octal(uint32_t value) {
    for (int i = 0; i < 2 && !done() && pattern_[at_] >= '0' && pattern_[at_] <= '7'; ++i)
      value = value * 8 + static_cast<uint32_t>(pattern_[at_++] - '0');
    return value;
  }

  uint32_t digits(uint32_t base, int most, bool braced) {
    uint32_t value = 0;
    int count = 0;
    for (; count < most && !done(); ++count, ++at_) {
      const char c = pattern_[at_];
      const char low = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9')
        value = value * base + static_cast<uint32_t>(c - '0');
      else if (low >= 'a' && low <= 'f')
        value = value * base + static_cast<uint32_t>(low - 'a' + 10);
      else
        break;
      check(value <= kLastCode, "pattern has a code point beyond the last");
    }
    check(count > 0 && (!braced || take("}")), "pattern has a broken \\x");
    return value;
  }

  ItemPtr literal(uint32_t code) {
    Set set;
    set.ranges.emplace_back(code, code);
    return set_item(std::move(set));
  }
  ItemPtr set_item(Set set) const {
    ItemPtr item = make(Item::Kind::set);
    set.any_case = flags_.any_case;
    item->set = std::move(set);
    return item;
  }
  static ItemPtr assertion(Op op) {
    ItemPtr item = make(Item::Kind::assertion);
    item->assertion = op;
    return item;
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Flags flags_;
};

class Compiler {
 public:
  Compiler(std::vector<Regex::Instruction>& program, std::vector<Set>& sets)
      : program_(program), sets_(sets) {}

  void compile(const Item& item) {
    // Repetitions of nothing emit nothing, but take their time.
    if (++visits_ > 10 * kMaxProgram) fail(ErrorKind::unsupported, "the pattern is too large");
    switch (item.kind) {
      case Item::Kind::set:
        emit(Op::set, static_cast<uint32_t>(sets_.size()));
        sets_.push_back(item.set);
        break;
      case Item::Kind::assertion:
        emit(item.assertion, 0);
        break;
      case Item::Kind::sequence:
        for (const ItemPtr& part : item.parts) compile(*part);
        break;
      case Item::Kind::alternatives:
        alternatives(item);
        break;
      case Item::Kind::repeat:
        repeat(*item.parts[0], item.least, item.most);
        break;
    }
  }

  uint32_t emit(Op op, uint32_t argument) {
    if (program_.size() >= kMaxProgram) fail(ErrorKind::unsupported, "the pattern is too large");
    program_.push_back({op, argument});
    return static_cast<uint32_t>(program_.size()) - 1;
  }

 private:
  uint32_t here() const { return static_cast<uint32_t>(program_.size()); }

  void alternatives(const Item& item) {
    std::vector<uint32_t> jumps;
    for (std::size_t i = 0; i < item.parts.size(); ++i) {
      const bool last = i + 1 == item.parts.size();
      const uint32_t split = last ? 0 : emit(Op::split, 0);
      compile(*item.parts[i]);
      if (last) break;
      jumps.push_back(emit(Op::jump, 0));
      program_[split].argument = here();
    }
    for (const uint32_t jump : jumps) program_[jump].argument = here();
  }

  void repeat(const Item& item, int least, int most) {
    for (int i = 0; i < least; ++i) compile(item);
    if (most == kUnlimited) {
      const uint32_t split = emit(Op::split, 0);
      compile(item);
      emit(Op::jump, split);
      program_[split].argument = here();
      return;
    }
    std::vector<uint32_t> exits;
    for (int i = least; i < most; ++i) {
      exits.push_back(emit(Op::split, 0));
      compile(item);
    }
    for (const uint32_t exit : exits) program_[exit].argument = here();
  }

  std::vector<Regex::Instruction>& program_;
  std::vector<Set>& sets_;
  std::size_t visits_ = 0;
};

bool is_word(uint32_t code) {
  return code < 0x80 && ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') ||
                         code == '_' || (code >= 'a' && code <= 'z'));
}

}  // namespace

bool Regex::Set::contains(uint32_t code) const {
  const auto within = [&](uint32_t c) {
    for (const auto& [first, last] : ranges)
      if (c >= first && c <= last) return true;
    return false;
  };
  const bool found =
      within(code) || (any_case && (within(to_lower(code)) || within(to_upper(code))));
  return found != negated;
}

Regex::Regex(std::string_view pattern) {
  const ItemPtr item = Parser(pattern).parse();
  Compiler compiler(program_, sets_);
  compiler.compile(*item);
  compiler.emit(Op::match, 0);
}

std::optional<std::size_t> Regex::longest(std::string_view text, std::size_t from,
                                          Watch& watch) const {
  constexpr uint32_t kNothing = 0xffffffff;  // before the first and behind the last code point
  std::vector<uint32_t> current, following, stack;
  std::vector<std::size_t> seen(program_.size(), 0);
  std::size_t round = 0;
  std::optional<std::size_t> end;
  std::size_t position = from;
  uint32_t before = kNothing;
  for (std::size_t at = from; at-- > 0;) {  // the code point that ends at `from`
    if ((static_cast<uint8_t>(text[at]) & 0xc0) == 0x80 && at > 0 && from - at < 4) continue;
    before = read_code_point(text, at);
    break;
  }

  // Follows all instructions that read nothing between code points `before` and `after`.
  const auto follow = [&](uint32_t start, uint32_t after, std::vector<uint32_t>& states) {
    stack.assign(1, start);
    while (!stack.empty()) {
      const uint32_t at = stack.back();
      stack.pop_back();
      if (seen[at] == round) continue;
      seen[at] = round;
      const auto [op, argument] = program_[at];
      bool holds = true;
      switch (op) {
        case Op::set:
          states.push_back(at);
          continue;
        case Op::match:
          end = position;
          continue;
        case Op::jump:
          stack.push_back(argument);
          continue;
        case Op::split:
          stack.push_back(argument);
          break;
        case Op::text_begin:
          holds = before == kNothing;
          break;
        case Op::text_end:
          holds = after == kNothing;
          break;
        case Op::line_begin:
          holds = before == kNothing || before == '\n';
          break;
        case Op::line_end:
          holds = after == kNothing || after == '\n';
          break;
        case Op::word_edge:
          holds = is_word(before) != is_word(after);
          break;
        case Op::no_word_edge:
          holds = is_word(before) == is_word(after);
          break;
      }
      if (holds) stack.push_back(at + 1);
    }
  };

  watch.over(static_cast<int64_t>(program_.size()));  // what `seen` took
  const auto peek = [&](std::size_t at) {
    return at < text.size() ? read_code_point(text, at) : kNothing;
  };
  ++round;
  follow(0, peek(from), current);
  constexpr int64_t kStateWork = 10;  // nanoseconds
  while (position < text.size() && !current.empty()) {
    if (watch.over(kStateWork * static_cast<int64_t>(current.size()))) break;
    const uint32_t code = read_code_point(text, position);
    before = code;
    ++round;
    following.clear();
    const uint32_t after = peek(position);
    for (const uint32_t state : current)
      if (sets_[program_[state].argument].contains(code)) follow(state + 1, after, following);
    std::swap(current, following);
  }
  return end;
}

}  // namespace sdx::ops
