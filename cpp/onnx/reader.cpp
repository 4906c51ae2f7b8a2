#include "onnx/reader.h"

#include "base/error.h"
#include "ir/infer.h"
#include "onnx/graph_builder.h"
#include "onnx/mapped_file.h"
#include "onnx/messages.h"
#include "onnx/operators.h"
#include "onnx/tensors.h"
#include "onnx/types.h"

namespace sdx::onnx {
namespace {

// Says what a file is that people mistake for a model.
void refuse_other_formats(std::string_view bytes) {
  const auto has = [&](std::string_view text, std::size_t at) {
    return bytes.size() >= at && bytes.substr(at, text.size()) == text;
  };
  check(!bytes.empty(), "the model is empty");
  check(!has("version https://git-lfs", 0),
        "this is a pointer to a file in Git LFS, not the model itself: run 'git lfs pull'");
  check(!has("ORTM", 4),
        "this is a model in the ORT format; the ONNX file it was made from is needed");
  check(!has("TFL3", 4), "this is a TensorFlow Lite model, not an ONNX one");
  check(!has("PK\x03\x04", 0), "this is a zip archive, not an ONNX model");
  check(!has("<!DOCTYPE", 0) && !has("<html", 0), "this is a web page, not an ONNX model");
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Adds the functions that the program brings, but for those that the model has itself.
void add_functions(ModelMessage& message, const ReadOptions& options) {
  const auto add = [&](FunctionMessage& given) {
    for (const FunctionMessage& known : message.functions)
      if (known.domain == given.domain && known.name == given.name &&
          known.overload == given.overload)
        return;
    message.functions.push_back(std::move(given));
  };
  for (std::size_t i = options.functions.size(); i-- > 0;) {
    ModelMessage model;
    try {
      model = parse_model(text_of(options.functions[i]));
      check(!model.functions.empty(), "there is no function in it");
    } catch (...) {
      rethrow_at("functions that the program brings");
    }
    for (FunctionMessage& given : model.functions) add(given);
  }
}

void count_operators(const std::vector<NodeMessage>& nodes, Model& model) {
  for (const NodeMessage& node : nodes) {
    ++model.operators[operator_name(node)];
    for (const AttributeMessage& attribute : node.attributes)
      for (const auto& graph : attribute.graphs) count_operators(graph->nodes, model);
  }
}

void describe(const ModelMessage& message, const Operators& operators, Model& model) {
  model.ir_version = message.ir_version;
  model.opsets = operators.imports();
  model.warnings = operators.warnings();
  for (const auto& [key, value] : message.metadata) model.metadata.emplace(key, value);
  for (const auto& [key, value] : message.metadata_props) model.custom_metadata.emplace(key, value);
  model.metadata.emplace("ir_version", std::to_string(message.ir_version));
  std::string imports;
  for (const auto& [domain, version] : message.opsets)
    imports += (imports.empty() ? "" : ", ") + (domain.empty() ? "ai.onnx" : domain) + " " +
               std::to_string(version);
  if (!imports.empty()) model.metadata.emplace("opset_import", imports);
  model.metadata.insert(model.custom_metadata.begin(), model.custom_metadata.end());
  count_operators(message.graph.nodes, model);
}

bool contradict(const Type& a, const Type& b) {
  if (!a.shape || !b.shape) return false;
  if (a.shape->size() != b.shape->size()) return true;
  for (std::size_t i = 0; i < a.shape->size(); ++i) {
    const Dim &x = (*a.shape)[i], &y = (*b.shape)[i];
    if (x.is_known() && y.is_known() && x.value() != y.value()) return true;
  }
  return false;
}

// After inference: what the file says of its outputs, and a word where it is wrong.
void describe_outputs(const GraphMessage& message, const ReadOptions& options, Model& model) {
  for (std::size_t i = 0; i < message.outputs.size(); ++i) {
    const std::string name(message.outputs[i].name);
    const Type& inferred = model.graph->outputs()[i]->type();
    Type declared = parse_type_of(name, message.outputs[i].type, options.dims);
    if (contradict(declared, inferred)) {
      model.warnings.push_back("output '" + name + "' is declared as " + declared.to_string() +
                               ", but is " + with_open_dims_unnamed(inferred).to_string());
      model.outputs.push_back({name, inferred, false});
      continue;
    }
    Type type = merge(declared, inferred);
    for (std::size_t axis = 0; type.shape && inferred.shape && axis < type.shape->size(); ++axis)
      if ((*inferred.shape)[axis].is_known()) (*type.shape)[axis] = (*inferred.shape)[axis];
    model.outputs.push_back(
        {name, std::move(type), false, parse_dim_names(message.outputs[i].type)});
  }
}

Model read(std::string_view bytes, std::shared_ptr<MappedFile> file, ExternalData external,
           const OpRegistry& registry, const ReadOptions& options) {
  refuse_other_formats(bytes);
  ModelMessage message = parse_model(bytes);
  check(message.has_graph, "there is no graph in the file: it is no ONNX model");
  add_functions(message, options);
  const Operators operators(message, registry);
  Model model;
  describe(message, operators, model);
  operators.check_all();
  TensorReader tensors(std::move(file), std::move(external));
  model.graph = GraphBuilder(message, operators, registry, tensors, options, model).build();
  infer_graph(*model.graph);
  describe_outputs(message.graph, options, model);
  model.files = tensors.files();
  return model;
}

}  // namespace

void Model::forget_files() const {
  for (const auto& file : files) file->forget(file->bytes());
}

Model read_model_file(const std::string& path, const OpRegistry& registry,
                      const ReadOptions& options) {
  const std::shared_ptr<MappedFile> file = map_file(path);
  return read(file->bytes(), file, ExternalData::beside_model(path), registry, options);
}

Model read_model(std::span<const std::byte> bytes, const std::string& directory,
                 const OpRegistry& registry, const ReadOptions& options) {
  return read(text_of(bytes), nullptr, ExternalData::in_directory(directory), registry, options);
}

}  // namespace sdx::onnx
