// Prints graphs:
//
//   graph "name" opset {"": 17} (%x: float32[batch, 3]) -> (%y as "probs") {
//     %w: float32[2] = constant [1, 2]
//     %y: float32[batch, 3] = Softmax(%x) {axis = -1} @ "node name"
//     %a: int64[], _ = com.microsoft::Op(%x, _, %w; %captured) {body = graph "" ... {...}}
//   }
//
// A name that is not made of letters, digits, '_', '.', '/' and ':' is quoted: %"a b". "_" stands for
// a value left out; captures come after ';'. Large constants print as `constant fill(0.5)` where all
// elements are equal, else with their elements.
#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>

#include "ir/text.h"

namespace sdx {
namespace {

bool is_plain(const std::string& name) {
  if (name.empty()) return false;
  for (const char c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '/' && c != ':')
      return false;
  return true;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\x";
      out += kHex[(c >> 4) & 15];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

class Printer {
 public:
  std::string print(const Graph& graph) {
    print_graph(graph, 0);
    out_ << '\n';
    return out_.str();
  }

 private:
  void indent(int depth) { out_ << std::string(static_cast<std::size_t>(depth) * 2, ' '); }

  void print_value(const Value* value) {
    if (!value)
      out_ << '_';
    else if (is_plain(value->name()))
      out_ << '%' << value->name();
    else
      out_ << '%' << quoted(value->name());
  }

  void print_typed(const Value* value) {
    print_value(value);
    if (value && value->type().is_known()) out_ << ": " << value->type();
  }

  void print_number(double value) {
    if (std::isnan(value))
      out_ << "nan";
    else if (std::isinf(value))
      out_ << (value < 0 ? "-inf" : "inf");
    else
      out_ << value;
  }

  void print_elements(const Tensor& tensor) {
    if (tensor.dtype() == DType::string) {
      out_ << '[';
      for (int64_t i = 0; i < tensor.count(); ++i)
        out_ << (i ? ", " : "") << quoted(tensor.data<std::string>()[i]);
      out_ << ']';
    } else if (is_integer(tensor.dtype()) || tensor.dtype() == DType::boolean) {
      print_list(tensor.to_int64s());
    } else if (is_float(tensor.dtype())) {
      out_ << std::setprecision(tensor.dtype() == DType::float64 ? 17 : 9);
      print_list(tensor.to_doubles());
    } else {
      out_ << "bytes [";
      const auto* bytes = static_cast<const uint8_t*>(tensor.raw());
      for (std::size_t i = 0; i < tensor.bytes(); ++i) out_ << (i ? ", " : "") << int{bytes[i]};
      out_ << ']';
    }
  }

  template <class T>
  void print_item(const T& item) {
    if constexpr (std::is_floating_point_v<T>)
      print_number(static_cast<double>(item));
    else if constexpr (std::is_same_v<T, std::string>)
      out_ << quoted(item);
    else
      out_ << item;
  }

  template <class T>
  void print_list(const std::vector<T>& items) {
    bool equal = items.size() > 8;
    for (const T& item : items) equal = equal && item == items[0];
    if (equal) {
      out_ << "fill(";
      print_item(items[0]);
      out_ << ')';
      return;
    }
    out_ << '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i) out_ << ", ";
      print_item(items[i]);
    }
    out_ << ']';
  }

  void print_tensor(const Tensor& tensor) {
    out_ << Type::tensor(tensor.dtype(), to_dims(tensor.shape())) << ' ';
    print_elements(tensor);
  }

  void print_attribute(const AttributeValue& value, int depth) {
    std::visit(
        [&]<class T>(const T& held) {
          if constexpr (std::is_same_v<T, float>) {
            // A decimal point tells a float from an integer.
            std::ostringstream text;
            text << std::setprecision(9) << held;
            std::string digits = text.str();
            if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
            out_ << digits;
          } else if constexpr (std::is_same_v<T, Tensor>) {
            out_ << "tensor ";
            print_tensor(held);
          } else if constexpr (std::is_same_v<T, Type>) {
            out_ << "type " << quoted(held.to_string());
          } else if constexpr (std::is_same_v<T, std::shared_ptr<Graph>>) {
            print_graph(*held, depth);
          } else if constexpr (std::is_same_v<T, std::vector<float>>) {
            out_ << std::setprecision(9) << "floats [";
            for (std::size_t i = 0; i < held.size(); ++i) {
              if (i) out_ << ", ";
              print_number(static_cast<double>(held[i]));
            }
            out_ << ']';
          } else if constexpr (std::is_same_v<T, std::vector<int64_t>> ||
                               std::is_same_v<T, std::vector<std::string>>) {
            out_ << (std::is_same_v<T, std::vector<int64_t>> ? "ints [" : "strings [");
            for (std::size_t i = 0; i < held.size(); ++i) {
              if (i) out_ << ", ";
              print_item(held[i]);
            }
            out_ << ']';
          } else if constexpr (std::is_same_v<T, std::vector<Tensor>>) {
            out_ << "tensors [";
            for (std::size_t i = 0; i < held.size(); ++i) {
              if (i) out_ << ", ";
              print_tensor(held[i]);
            }
            out_ << ']';
          } else if constexpr (std::is_same_v<T, std::vector<std::shared_ptr<Graph>>>) {
            out_ << "graphs [";
            for (std::size_t i = 0; i < held.size(); ++i) {
              if (i) out_ << ", ";
              print_graph(*held[i], depth);
            }
            out_ << ']';
          } else {
            print_item(held);
          }
        },
        value);
  }

  void print_node(const Node& node, int depth) {
    indent(depth);
    for (std::size_t i = 0; i < node.outputs().size(); ++i) {
      if (i) out_ << ", ";
      print_typed(node.output(i));
    }
    out_ << " = " << (node.domain().empty() ? "" : node.domain() + "::") << node.op_type() << '(';
    const std::size_t formal = node.inputs().size() - static_cast<std::size_t>(node.capture_count());
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      if (i) out_ << (i == formal ? "; " : ", ");
      if (i == 0 && formal == 0) out_ << "; ";
      print_value(node.input(i));
    }
    out_ << ')';
    if (!node.attrs().all().empty()) {
      out_ << " {";
      bool first = true;
      for (const auto& [name, value] : node.attrs().all()) {
        out_ << (first ? "" : ", ") << name << " = ";
        first = false;
        print_attribute(value, depth + 1);
      }
      out_ << '}';
    }
    out_ << " @ " << quoted(node.name()) << '\n';
  }

  void print_graph(const Graph& graph, int depth) {
    out_ << "graph " << quoted(graph.name) << " opset {";
    bool first = true;
    for (const auto& [domain, version] : graph.opsets) {
      out_ << (first ? "" : ", ") << quoted(domain) << ": " << version;
      first = false;
    }
    out_ << "} (";
    for (std::size_t i = 0; i < graph.inputs().size(); ++i) {
      if (i) out_ << ", ";
      print_typed(graph.inputs()[i]);
    }
    out_ << ") -> (";
    for (std::size_t i = 0; i < graph.outputs().size(); ++i) {
      if (i) out_ << ", ";
      print_value(graph.outputs()[i]);
      if (graph.outputs()[i]->name() != graph.output_names()[i])
        out_ << " as " << quoted(graph.output_names()[i]);
    }
    out_ << ") {\n";
    for (const Value* value : graph.values()) {
      if (value->producer() || value->is_graph_input()) continue;
      indent(depth + 1);
      print_typed(value);
      out_ << " = ";
      if (value->constant() && (value->constant()->raw() || value->constant()->count() == 0)) {
        out_ << "constant ";
        print_elements(*value->constant());
      } else {
        out_ << "packed";  // only its packed form is left
      }
      out_ << '\n';
    }
    for (const Node* node : graph.nodes()) print_node(*node, depth + 1);
    indent(depth);
    out_ << '}';
  }

  std::ostringstream out_;
};

}  // namespace

std::string to_text(const Graph& graph) { return Printer().print(graph); }

}  // namespace sdx
