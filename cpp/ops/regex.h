// Regular expressions in RE2's syntax, matched in time linear in the text.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/checkpoint.h"

namespace sdx::ops {

class Regex {
 public:
  // Throws `invalid_model` for what is no expression, `unsupported` for Unicode properties and for
  // expressions that take too much memory.
  explicit Regex(std::string_view pattern);

  // Whether the whole text matches. Safe to call from many threads, as is the other. Neither says
  // anything once the watch does.
  bool matches(std::string_view text, Watch& watch) const {
    return longest(text, 0, watch) == text.size();
  }
  // Where the longest match that begins at byte `from` ends; nothing where none does.
  std::optional<std::size_t> longest(std::string_view text, std::size_t from, Watch& watch) const;

  // A set of code points: ranges, sorted as they were written.
  struct Set {
    std::vector<std::pair<uint32_t, uint32_t>> ranges;
    bool negated = false;
    bool any_case = false;
    bool contains(uint32_t code) const;
  };
  enum class Op : uint8_t {
    set,         // reads one code point of sets[argument]
    split,       // goes on at the next instruction and at argument
    jump,        // goes on at argument
    text_begin,  // the others read nothing and hold or do not
    text_end,
    line_begin,
    line_end,
    word_edge,
    no_word_edge,
    match,
  };
  struct Instruction {
    Op op;
    uint32_t argument;
  };

 private:
  std::vector<Instruction> program_;
  std::vector<Set> sets_;
};

}  // namespace sdx::ops
