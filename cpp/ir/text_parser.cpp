// Reads graphs as text_printer.cpp prints them. White space and line breaks are free; '#' starts a
// comment to the end of its line; node names (@ "name") and types may be left out.
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "ir/infer.h"
#include "ir/text.h"

namespace sdx {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const OpRegistry& registry) : text_(text), registry_(registry) {}

  std::unique_ptr<Graph> parse() {
    auto graph = parse_graph();
    skip();
    expect(at_ == text_.size(), "the end of the text");
    return graph;
  }

 private:
  // --- tokens

  void expect(bool ok, const char* wanted) {
    if (ok) return;
    std::size_t line = 1, column = 1;
    for (std::size_t i = 0; i < at_ && i < text_.size(); ++i) {
      ++column;
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      }
    }
    fail(ErrorKind::invalid_argument, "line ", line, ", column ", column, ": expected ", wanted);
  }

  void skip() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
        ++at_;
      } else if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        break;
      }
    }
  }

  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool take(std::string_view token) {
    skip();
    if (!text_.substr(at_).starts_with(token)) return false;
    // A word must end where the token ends.
    const std::size_t end = at_ + token.size();
    if (is_word(token.back()) && end < text_.size() && is_word(text_[end])) return false;
    at_ = end;
    return true;
  }

  void require(std::string_view token) {
    const bool found = take(token);
    expect(found, std::string("'" + std::string(token) + "'").c_str());
  }

  static bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  }
  static bool is_name(char c) { return is_word(c) || c == '/' || c == ':'; }

  std::string word() {
    skip();
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    expect(at_ > start, "a word");
    return std::string(text_.substr(start, at_ - start));
  }

  std::string string() {
    require("\"");
    std::string result;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        ++at_;
        if (text_[at_] == 'x' && at_ + 2 < text_.size()) {
          result += static_cast<char>(std::strtol(std::string(text_.substr(at_ + 1, 2)).c_str(), nullptr, 16));
          at_ += 3;
          continue;
        }
      }
      result += text_[at_++];
    }
    expect(at_ < text_.size(), "'\"'");
    ++at_;
    return result;
  }

  std::string value_name() {
    require("%");
    if (at_ < text_.size() && text_[at_] == '"') return string();
    const std::size_t start = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    // A type may follow: "%x: float32[2]".
    while (at_ > start && text_[at_ - 1] == ':') --at_;
    expect(at_ > start, "a value's name");
    return std::string(text_.substr(start, at_ - start));
  }

  // The characters of a number, "nan" and "inf" included.
  std::string number_text() {
    skip();
    const std::size_t start = at_;
    while (at_ < text_.size() && (is_word(text_[at_]) || text_[at_] == '+' || text_[at_] == '-')) ++at_;
    expect(at_ > start, "a number");
    return std::string(text_.substr(start, at_ - start));
  }

  int64_t integer() {
    const std::string text = number_text();
    char* end = nullptr;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    expect(*end == '\0', "an integer");
    return value;
  }

  double number() {
    const std::string text = number_text();
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    expect(*end == '\0', "a number");
    return value;
  }

  Type type() {
    skip();
    const std::size_t start = at_;
    int open = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (open == 0 && (c == ',' || c == ')' || c == '=' || c == '}' || c == '\n')) break;
      open += (c == '(' || c == '[') - (c == ')' || c == ']');
      ++at_;
      if (open == 0 && c == ']') break;
    }
    std::string_view text = text_.substr(start, at_ - start);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return Type::parse(text);
  }

  // --- tensors and attributes

  template <class F>
  void items(F&& item) {
    require("[");
    if (take("]")) return;
    do item();
    while (take(","));
    require("]");
  }

  Tensor elements(const Type& type) {
    const auto shape = type.known_shape();
    expect(shape.has_value(), "a known shape before elements");
    Tensor tensor = Tensor::allocate(type.dtype, *shape);
    const bool bytes = take("bytes");
    if (take("fill")) {
      require("(");
      const std::size_t start = at_;
      for (int64_t i = 0; i < tensor.count(); ++i) {
        at_ = start;
        element(tensor, i);
      }
      if (tensor.count() == 0) number_text();
      require(")");
      return tensor;
    }
    int64_t i = 0;
    items([&] {
      expect(i < tensor.count() * (bytes ? static_cast<int64_t>(item_size(type.dtype)) : 1),
             "fewer elements");
      if (bytes)
        static_cast<uint8_t*>(tensor.raw())[i++] = static_cast<uint8_t>(integer());
      else
        element(tensor, i++);
    });
    expect(bytes || i == tensor.count(), "more elements");
    return tensor;
  }

  void element(Tensor& tensor, int64_t i) {
    if (tensor.dtype() == DType::string) {
      tensor.data<std::string>()[i] = string();
    } else if (is_float(tensor.dtype())) {
      const double value = number();
      dispatch(FloatTypes{}, tensor.dtype(), [&]<class T>() {
        tensor.data<T>()[i] = static_cast<T>(static_cast<ComputeType<T>>(value));
      });
    } else {
      const int64_t value = integer();
      dispatch_size(item_size(tensor.dtype()),
                    [&]<class T>() { static_cast<T*>(tensor.raw())[i] = static_cast<T>(value); });
    }
  }

  Tensor tensor() {
    const Type wanted = type();
    return elements(wanted);
  }

  AttributeValue attribute() {
    if (peek() == '"') return string();
    if (take("tensors")) {
      std::vector<Tensor> list;
      items([&] { list.push_back(tensor()); });
      return list;
    }
    if (take("tensor")) return tensor();
    if (take("type")) return Type::parse(string());
    if (take("ints")) {
      std::vector<int64_t> list;
      items([&] { list.push_back(integer()); });
      return list;
    }
    if (take("floats")) {
      std::vector<float> list;
      items([&] { list.push_back(static_cast<float>(number())); });
      return list;
    }
    if (take("strings")) {
      std::vector<std::string> list;
      items([&] { list.push_back(string()); });
      return list;
    }
    if (take("graphs")) {
      std::vector<std::shared_ptr<Graph>> list;
      items([&] { list.push_back(parse_graph()); });
      return list;
    }
    skip();
    if (text_.substr(at_).starts_with("graph")) return std::shared_ptr<Graph>(parse_graph());
    const std::size_t start = at_;
    const std::string text = number_text();
    at_ = start;
    if (text.find_first_of(".en") == std::string::npos) return integer();
    return static_cast<float>(number());
  }

  // --- graphs

  struct Scope {
    std::unique_ptr<Graph> graph;
    std::unordered_map<std::string, Value*> values;
  };

  Value* find(Scope& scope, const std::string& name) {
    const auto found = scope.values.find(name);
    expect(found != scope.values.end(), "a value defined above");
    return found->second;
  }

  void define(Scope& scope, Value* value) {
    const bool fresh = scope.values.emplace(value->name(), value).second;
    expect(fresh, "a name not used before");
  }

  std::unique_ptr<Graph> parse_graph() {
    constexpr int kMaxDepth = 64;
    expect(++depth_ < kMaxDepth, "fewer nested graphs");
    Scope scope{std::make_unique<Graph>(registry_), {}};
    require("graph");
    if (peek() == '"') scope.graph->name = string();
    if (take("opset")) {
      require("{");
      while (!take("}")) {
        const std::string domain = string();
        require(":");
        scope.graph->opsets[domain] = static_cast<int>(integer());
        take(",");
      }
    }
    require("(");
    while (!take(")")) {
      const std::string name = value_name();
      define(scope, scope.graph->add_input(name, take(":") ? type() : Type{}));
      take(",");
    }
    require("->");
    require("(");
    std::vector<std::pair<std::string, std::string>> outputs;
    while (!take(")")) {
      const std::string name = value_name();
      outputs.emplace_back(name, take("as") ? string() : name);
      take(",");
    }
    require("{");
    while (!take("}")) statement(scope);
    for (const auto& [name, shown] : outputs) scope.graph->add_output(find(scope, name), shown);
    --depth_;
    return std::move(scope.graph);
  }

  void statement(Scope& scope) {
    std::vector<std::pair<std::string, Type>> outputs;  // "" for one left out
    do {
      if (take("_")) {
        outputs.emplace_back();
        continue;
      }
      const std::string name = value_name();
      outputs.emplace_back(name, take(":") ? type() : Type{});
    } while (take(","));
    require("=");
    if (take("constant")) {
      expect(outputs.size() == 1, "one constant");
      define(scope, scope.graph->add_constant(outputs[0].first, elements(outputs[0].second)));
      return;
    }
    NodeSpec spec;
    spec.op_type = word();
    if (take("::")) {
      spec.domain = spec.op_type;
      spec.op_type = word();
    }
    require("(");
    bool captures = false;
    while (!take(")")) {
      captures |= take(";");
      if (take("_")) {
        spec.inputs.push_back(nullptr);
      } else if (peek() == '%') {
        spec.inputs.push_back(find(scope, value_name()));
        spec.capture_count += captures;
      } else {
        expect(captures && peek() == ')', "a value");
      }
      take(",");
    }
    if (take("{")) {
      while (!take("}")) {
        std::string name = word();
        require("=");
        spec.attrs.set(std::move(name), attribute());
        take(",");
      }
    }
    if (take("@")) spec.name = string();
    std::vector<Value*> values;
    for (auto& [name, declared] : outputs) {
      values.push_back(name.empty() ? nullptr : scope.graph->add_value(name, declared));
      if (values.back()) define(scope, values.back());
    }
    infer_node(*scope.graph->add_with_outputs(std::move(spec), values));
  }

  std::string_view text_;
  const OpRegistry& registry_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::unique_ptr<Graph> parse_graph(std::string_view text, const OpRegistry& registry) {
  return Parser(text, registry).parse();
}

}  // namespace sdx
