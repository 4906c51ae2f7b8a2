// Session: a loaded model, ready to run. What the C interface and the Python module stand on.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/host_operators.h"
#include "api/memory_use.h"
#include "api/shared.h"
#include "base/datum.h"

namespace sdx {

class ThreadPool;

// float32: within 1e-5 of exact arithmetic for well-conditioned models. strict: convolutions
// without Winograd's transforms besides, whose rounding is larger. fast: coarser number formats
// where they are faster; until those exist, the same as float32. Results never depend on the number
// of threads.
enum class Precision { strict, float32, fast };

struct Options {
  int threads = 0;                   // 0: as many as the process may use
  std::shared_ptr<ThreadPool> pool;  // whose threads to use; null: those of other sessions
  Precision precision = Precision::float32;
  int level = 2;       // 0: only what running needs; 1: exact rewrites; 2: fusions and layouts too
  std::string passes;  // passes to leave out: "-fuse_activation,-fold_constants"
  // Numbers for symbolic dimensions, by name and by denotation.
  std::map<std::string, int64_t, std::less<>> dims, denoted_dims;
  // What initializers of these names hold instead of what the file says, which is not read.
  std::map<std::string, Tensor, std::less<>> initializers;
  // What the session may take, in bytes: for weights, but those that are read where the file is
  // mapped, and for the values of the runs in progress, but feeds and what they are given to write
  // into. Loading or a run that would take more fails with `out_of_memory`. 0: no limit.
  int64_t memory_limit = 0;
  // Trims the session when no run has ended for so many seconds. 0: never.
  double trim_after = 0;
  HostOperators operators;  // that the model may use besides the built-in ones
  // Models in the ONNX format whose functions the model may call besides its own, which go first.
  std::vector<std::vector<std::byte>> functions;
  std::function<void(std::string_view)> log;  // warnings; none are written without it
  // What ImageDecoder decodes with: a file's bytes and "RGB", "BGR" or "Grayscale" in, pixels of
  // uint8 [height, width, channels] out; an empty tensor where the bytes are no image. Without it
  // the codecs that the library was built with are taken.
  std::function<Tensor(std::span<const std::byte>, std::string_view)> image_codec;
};

// An input or output as the model declares it.
struct ValueInfo {
  std::string name;
  // "tensor", "sparse_tensor", "sequence", "map" or "optional", and the whole type as text:
  // "float32[batch, 3]", "sequence(map(int64, float32[]))".
  std::string kind;
  std::string type;
  // Of tensors.
  DType dtype = DType::undefined;
  bool has_shape = false;
  std::vector<std::string> shape;  // "4", "batch", "past + seq", "?" for unknown
  // By dimension, the name the file gives it; "" where it has another from dimensions of inputs, or
  // none.
  std::vector<std::string> dim_names;
  bool optional = false;  // an input with a default value
};

struct StepProfile {
  std::string node;                // the node's name
  std::vector<std::string> nodes;  // of the file that it stands for, by name
  std::string op;                  // "Conv", "com.microsoft::Gelu"
  std::string shapes;              // "[1, 3, 224, 224], [64, 3, 7, 7] -> [1, 64, 112, 112]"
  int64_t calls = 0;
  double begin = 0;    // seconds since the run began
  double seconds = 0;  // sum over calls
  double flops = 0;    // of one call; 0 where not counted
  // Read and written by one call: values that are computed or given, and constants.
  double value_bytes = 0, constant_bytes = 0;
};

struct NodeCount {
  std::string op;
  int64_t count = 0;
};

// What `inspect` prints.
struct ModelSummary {
  std::vector<NodeCount> operators;            // of the file, most frequent first
  std::vector<NodeCount> optimized_operators;  // after the passes
  int64_t parameters = 0;                      // elements of constants in the file
  int64_t parameter_bytes = 0;
};

// The memory plan for one set of input shapes.
struct PlanSummary {
  int64_t arena_bytes = 0;
  int64_t value_bytes = 0;  // what the values would take without sharing
  double flops = 0;
  int64_t steps = 0;
  int64_t dynamic_steps = 0;  // prepared anew in every run: shapes depend on data
  std::string text;           // which value, which bytes, which steps
};

struct Feed {
  std::string_view name;
  Datum value;
};

// How long a run may go on, and what is noted of it. Ends of this kind are Interrupted errors
// (base/interrupt.h): they come within milliseconds, in the middle of operators too, and leave the
// session as it was; arrays that results were to be written into hold anything then.
struct RunControl {
  const std::atomic<bool>* cancel = nullptr;  // set to true by anybody, ends the run
  std::optional<double> timeout;              // in seconds from the call
  double elapsed = 0;                         // seconds of it that were over before the call
  // Asked every few milliseconds by the thread that runs; true ends the run.
  std::function<bool()> poll;
  // What the run may take for values, in bytes, beside the session's limit. 0: no limit of its own.
  int64_t memory_limit = 0;
  // Where given, gets what Session::profile returns of the run.
  std::vector<StepProfile>* profile = nullptr;
};

// A pool of its own for the sessions that are given it; so many threads, the caller's included.
std::shared_ptr<ThreadPool> make_pool(int threads) SDX_SHARED(make_pool);

// What the library decodes itself: "BMP, PNM, PNG", or "".
std::string image_formats();
// By these codecs; throws where the bytes are no image.
Tensor decode_image(std::span<const std::byte> encoded, std::string_view pixel_format);

// Whether any of their bytes are the same.
bool overlap(const Tensor& a, const Tensor& b) SDX_SHARED(overlap);

class Session {
 public:
  // Throws Error: invalid_argument where the file cannot be read, invalid_model, unsupported.
  static Session load_file(const std::string& path, const Options& options = {})
      SDX_SHARED(load_file);
  // `bytes` are copied where weights need them. External data is looked up below `directory`; with
  // an empty one it is refused.
  static Session load_bytes(std::span<const std::byte> bytes, const Options& options = {},
                            const std::string& directory = "") SDX_SHARED(load_bytes);
  Session(Session&&) noexcept = default;
  Session& operator=(Session&&) noexcept = default;

  const std::vector<ValueInfo>& inputs() const SDX_SHARED(inputs);
  const std::vector<ValueInfo>& outputs() const SDX_SHARED(outputs);
  // By output: the input whose rows it holds with new ones behind them, and whose memory it may
  // take over; "" where there is none. Float32 caches of attention, that nothing else reads.
  const std::vector<std::string>& caches() const SDX_SHARED(caches);
  // metadata_props plus producer_name, producer_version, domain, model_version, graph_name,
  // doc_string, graph_doc_string, ir_version and opset_import where present.
  const std::map<std::string, std::string>& metadata() const SDX_SHARED(metadata);
  // metadata_props alone.
  const std::map<std::string, std::string>& custom_metadata() const SDX_SHARED(custom_metadata);

  // Runs the model. Feeds are read in place during the call. Results come in the order of `outputs`
  // (names; empty: all outputs in the model's order) and own their memory, except that result i
  // is written into `into[i]` where that is a tensor of exactly its element type and shape.
  // These lie apart from the feeds, but for a result that continues an input (see `caches`): where
  // both begin at one address, only new rows are written. The rows of two heads, [..., rows, width]
  // of the input and of the result, are then `rooms[i]` rows apart in their memory (0 or left out:
  // as many as the result has).
  // Safe to call from many threads at once, and in a forked process.
  std::vector<Datum> run(std::span<const Feed> feeds, std::span<const std::string> outputs = {},
                         std::span<Tensor> into = {}, const RunControl& control = {},
                         std::span<const int64_t> rooms = {}) SDX_SHARED(run);

  // Runs once with times by step, in order of execution. Steps of subgraphs are counted with the
  // node that owns them.
  std::vector<StepProfile> profile(std::span<const Feed> feeds) SDX_SHARED(profile);

  // Gives back the memory kept for later runs; the next one takes it anew.
  void trim() SDX_SHARED(trim);
  // What it holds now.
  MemoryUse memory() SDX_SHARED(memory);

  ModelSummary summary() const SDX_SHARED(summary);
  // For these input shapes; inputs without an entry take 1 for every unknown dimension.
  PlanSummary plan_summary(const std::map<std::string, std::vector<int64_t>>& shapes) const
      SDX_SHARED(plan_summary);
  // The optimised graph as text.
  std::string graph_text() const SDX_SHARED(graph_text);
  int threads() const SDX_SHARED(threads);

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // of one owner; it knows how to delete what is not known here
};

// "0.1.0", and the instruction-set tier in use: "avx512".
const char* version() SDX_SHARED(version);
const char* instruction_set() SDX_SHARED(instruction_set);

}  // namespace sdx
