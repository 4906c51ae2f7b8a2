#include "passes/attributes.h"

namespace sdx::passes {

const Node* replace_with(Graph& graph, Node* node, std::string_view attribute, int64_t value) {
  Attributes attrs = node->attrs();
  attrs.set(std::string(attribute), value);
  const Node* made = graph.insert_before(node, {.op_type = node->op_type(),
                                                .inputs = node->inputs(),
                                                .attrs = std::move(attrs),
                                                .domain = node->domain(),
                                                .name = node->name(),
                                                .opset = node->opset()});
  graph.replace_uses(node->output(0), made->output(0));
  graph.erase(node);
  return made;
}

}  // namespace sdx::passes
