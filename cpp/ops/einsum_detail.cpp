#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "ops/einsum.h"

namespace sdx::ops {
namespace {

// A term with every ellipsis as one dot, checked for what every term must satisfy.
std::string read_term(std::string_view text) {
  std::string term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      check(text.substr(i, 3) == "..." && term.find('.') == std::string::npos, "term '", text,
            "' has dots that are no single ellipsis");
      i += 2;
    } else {
      check(std::isalpha(static_cast<unsigned char>(text[i])) != 0, "'", text[i],
            "' is no label of an axis");
    }
    term += text[i];
  }
  return term;
}

std::size_t letters(const std::string& term) {
  return term.size() - static_cast<std::size_t>(std::count(term.begin(), term.end(), '.'));
}

Labels expand_term(const std::string& term, int64_t ellipsis) {
  Labels labels;
  for (const char c : term) {
    if (c != '.') {
      labels.push_back(c);
    } else {
      for (int64_t i = ellipsis; i > 0; --i) labels.push_back(static_cast<Label>(-i));
    }
  }
  return labels;
}

// What an equation without an arrow gives: the ellipsis, then letters that occur once, sorted.
std::string implicit_output(const std::vector<std::string>& inputs) {
  std::string all;
  for (const std::string& term : inputs) all += term;
  std::string output = all.find('.') != std::string::npos ? "." : "";
  std::sort(all.begin(), all.end());
  for (const char c : all)
    if (c != '.' && std::count(all.begin(), all.end(), c) == 1) output += c;
  return output;
}

}  // namespace

bool Equation::has_ellipsis() const {
  const auto has = [](const std::string& term) { return term.find('.') != std::string::npos; };
  return std::any_of(inputs.begin(), inputs.end(), has);
}

Labels Equation::input_labels(std::size_t i, int64_t rank) const {
  const std::string& term = inputs[i];
  const auto named = static_cast<int64_t>(letters(term));
  const bool open = term.find('.') != std::string::npos;
  check(open ? named <= rank : named == rank, "term ", i, " names ", named,
        " axes of an input of rank ", rank);
  return expand_term(term, rank - named);
}

Labels Equation::output_labels(int64_t ellipsis) const { return expand_term(output, ellipsis); }

Equation parse_equation(std::string_view text, int inputs) {
  std::string plain;
  for (const char c : text)
    if (c != ' ') plain += c;
  check(plain.size() <= 10000, "an equation of ", plain.size(), " characters");
  const std::size_t arrow = plain.find("->");
  const std::string_view left = std::string_view(plain).substr(0, arrow);
  Equation equation;
  for (std::size_t begin = 0; begin <= left.size();) {
    const std::size_t end = std::min(left.find(',', begin), left.size());
    equation.inputs.push_back(read_term(left.substr(begin, end - begin)));
    begin = end + 1;
  }
  check(static_cast<int>(equation.inputs.size()) == inputs, "the equation has ",
        equation.inputs.size(), " terms for ", inputs, " inputs");
  if (arrow == std::string::npos) {
    equation.output = implicit_output(equation.inputs);
    return equation;
  }
  equation.output = read_term(std::string_view(plain).substr(arrow + 2));
  for (const char c : equation.output) {
    check(std::count(equation.output.begin(), equation.output.end(), c) == 1, "label '", c,
          "' is twice in the output");
    const auto names = [c](const std::string& term) { return term.find(c) != std::string::npos; };
    check(std::any_of(equation.inputs.begin(), equation.inputs.end(), names), "label '", c,
          "' of the output is in no input");
  }
  return equation;
}

}  // namespace sdx::ops
