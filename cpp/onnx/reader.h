// Reads ONNX models: bytes in, a typed graph out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "onnx/mapped_file.h"
#include "onnx/types.h"

namespace sdx::onnx {

// An input or output of the main graph as the file declares it.
struct Declared {
  std::string name;
  Type type;                 // of an output perhaps unknown
  bool has_default = false;  // an input that may be left out: see Model::defaults
  // Of a tensor's dimensions, as the file writes them; empty where it names none.
  std::vector<std::string> dim_names = {};
};

struct Model {
  std::unique_ptr<Graph> graph;
  int64_t ir_version = 0;
  // Versions by domain as imported, "" for ai.onnx.
  std::map<std::string, int, std::less<>> opsets;
  // metadata_props, and producer_name, producer_version, domain, model_version, graph_name,
  // doc_string, graph_doc_string, ir_version, opset_import where present, which win.
  std::map<std::string, std::string> metadata;
  // metadata_props alone.
  std::map<std::string, std::string> custom_metadata;
  // All inputs a caller may feed, in the file's order, and all outputs.
  std::vector<Declared> inputs, outputs;
  // What inputs hold when they are not fed. With ReadOptions::freeze_defaults these are constants
  // of the graph, otherwise inputs of it.
  std::map<std::string, Tensor, std::less<>> defaults;
  // Sentences about what is odd but tolerated.
  std::vector<std::string> warnings;
  // Nodes of the main graph and its subgraphs by "domain::op" ("op" for ai.onnx); function calls
  // count as one.
  std::map<std::string, int64_t> operators;
  int64_t parameters = 0;       // elements of initializers and Constant nodes
  int64_t parameter_bytes = 0;  // as stored in the file
  // What constants are views of.
  std::vector<std::shared_ptr<MappedFile>> files;

  // Lets pages of the files leave memory that were read once, for rewriting or packing; those that
  // runs need come back by themselves.
  void forget_files() const;
};

struct ReadOptions {
  // Makes initializers that are also inputs constants, which the passes can fold and pack. A caller
  // who feeds one needs the model read again without this.
  //
  // It concerns IR version 4 and later only. Before, every initializer had to be listed as an
  // input, and such a listing says nothing about the wish to override it: there they are constants
  // always, and no inputs.
  bool freeze_defaults = false;
  // For dimensions of inputs and outputs.
  DimNumbers dims = {};
  // What initializers of these names hold instead of what the file says, which is not read.
  std::map<std::string, Tensor, std::less<>> initializers = {};
  // Models whose functions may be called like the file's own, which go first; the last of one name
  // counts.
  std::span<const std::vector<std::byte>> functions = {};
};

// Reading names the dimensions that a file leaves open in inputs. Callers know none of these names:
// here such dimensions are unknown again, and so is what was computed of them.
Type with_open_dims_unnamed(Type type);

// Maps the file; constants stay views of it where their bytes are aligned, so it must not change
// while the model lives. Throws `invalid_argument` where the file cannot be read.
Model read_model_file(const std::string& path, const OpRegistry& registry,
                      const ReadOptions& options = {});

// Copies constants out of `bytes`. External data is looked up below `directory`; with an empty one
// it is refused.
Model read_model(std::span<const std::byte> bytes, const std::string& directory,
                 const OpRegistry& registry, const ReadOptions& options = {});

}  // namespace sdx::onnx
