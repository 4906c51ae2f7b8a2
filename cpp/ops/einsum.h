// The equation of an Einsum, read and checked, and taken apart into simpler operators.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdx {
class Graph;
class Node;
}  // namespace sdx

namespace sdx::ops {

// An axis: a letter, or, for axes that an ellipsis stands for, -1 for the last, -2 for the one
// before it, and so on.
using Label = int;
using Labels = std::vector<Label>;

struct Equation {
  std::vector<std::string> inputs;  // letters, and '.' for an ellipsis
  std::string output;

  bool has_ellipsis() const;
  // The labels of all axes of input i of this rank; throws where the term does not fit.
  Labels input_labels(std::size_t i, int64_t rank) const;
  // The labels of the output, where the longest ellipsis stands for `ellipsis` axes.
  Labels output_labels(int64_t ellipsis) const;
};

// Throws where `text` is no equation for that many inputs.
Equation parse_equation(std::string_view text, int inputs);

// Builds matrix products, elementwise products, sums and transposes in front of an Einsum that
// together replace it; false where its element type or its ranks do not allow that.
bool contract(Graph& graph, Node& node, const Equation& equation);

inline bool contains(const Labels& labels, Label label) {
  for (const Label each : labels)
    if (each == label) return true;
  return false;
}

}  // namespace sdx::ops
