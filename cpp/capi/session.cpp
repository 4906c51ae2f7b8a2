// Loading, what a model declares, and running it.
#include <charconv>
#include <memory>
#include <span>

#include "capi/handles.h"

namespace sdx::capi {
namespace {

sdx_kind kind_of(const std::string& kind) {
  constexpr std::pair<const char*, sdx_kind> kKinds[] = {{"tensor", SDX_KIND_TENSOR},
                                                         {"sparse_tensor", SDX_KIND_SPARSE_TENSOR},
                                                         {"sequence", SDX_KIND_SEQUENCE},
                                                         {"map", SDX_KIND_MAP},
                                                         {"optional", SDX_KIND_OPTIONAL}};
  for (const auto& [name, number] : kKinds)
    if (kind == name) return number;
  return SDX_KIND_NONE;
}

int64_t number_in(const std::string& dim) {
  int64_t number = -1;
  const char* end = dim.data() + dim.size();
  const auto [stop, error] = std::from_chars(dim.data(), end, number);
  return error == std::errc() && stop == end ? number : -1;
}

std::vector<sdx_info> describe(const std::vector<ValueInfo>& values) {
  std::vector<sdx_info> described;
  for (const ValueInfo& value : values) {
    sdx_info& info = described.emplace_back(sdx_info{value, kind_of(value.kind), {}});
    for (const std::string& dim : value.shape) info.dims.push_back(number_in(dim));
  }
  return described;
}

const Options& options_or_defaults(const sdx_options* options) {
  static const Options defaults;
  return options ? options->options : defaults;
}

// The value that stands for result `i`, copied into the caller's tensor where it was made
// elsewhere.
void place(Datum& result, const Tensor& into, const std::string& name) {
  if (result.is_tensor() && result.tensor().raw() == into.raw()) return;
  check_argument(result.is_tensor() && result.tensor().dtype() == into.dtype() &&
                     result.tensor().shape() == into.shape(),
                 "output '", name, "' does not fit the tensor given for it, ", into.dtype(),
                 into.shape());
  Tensor memory = into;
  copy_items(into.dtype(), result.tensor().raw(), memory.raw(), into.count());
}

void run(sdx_session& handle, const RunControl& control, const char* const* input_names,
         const sdx_value* const* inputs, size_t input_count, const char* const* output_names,
         sdx_value** outputs, size_t output_count) {
  const auto& declared_outputs = handle.session.outputs();
  check_argument(output_names || output_count <= declared_outputs.size(), "the model has ",
                 declared_outputs.size(), " outputs, not ", output_count);

  const std::vector<Feed> feeds = feeds_from(handle, input_names, inputs, input_count);
  std::vector<std::string> wanted;
  if (output_names || output_count < declared_outputs.size()) {
    for (size_t i = 0; i < output_count; ++i) {
      if (output_names) check_given(output_names[i], "a name of an output");
      wanted.push_back(output_names ? output_names[i] : declared_outputs[i].name);
    }
  }
  std::vector<Tensor> into;
  for (size_t i = 0; i < output_count; ++i) {
    if (!outputs[i]) continue;
    check_argument(outputs[i]->datum.is_tensor(), "outputs[", i, "] is no tensor but a ",
                   outputs[i]->datum.kind());
    into.resize(output_count);
    into[i] = outputs[i]->datum.tensor();
  }
  if (output_count == 0) return;
  std::vector<Datum> results = handle.session.run(feeds, wanted, into, control);

  std::vector<std::unique_ptr<sdx_value>> made(output_count);
  for (size_t i = 0; i < output_count; ++i) {
    if (outputs[i])
      place(results[i], outputs[i]->datum.tensor(),
            wanted.empty() ? declared_outputs[i].name : wanted[i]);
    else
      made[i] = std::make_unique<sdx_value>(sdx_value{std::move(results[i])});
  }
  for (size_t i = 0; i < output_count; ++i)
    if (made[i]) outputs[i] = made[i].release();
}

}  // namespace

std::vector<Feed> feeds_from(const sdx_session& handle, const char* const* names,
                             const sdx_value* const* inputs, size_t count) {
  const auto& declared = handle.session.inputs();
  check_argument(inputs || count == 0, "inputs is NULL");
  check_argument(names || count <= declared.size(), "the model has ", declared.size(),
                 " inputs, got ", count);
  std::vector<Feed> feeds;
  feeds.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (names) check_given(names[i], "a name of an input");
    const std::string_view name = names ? names[i] : std::string_view(declared[i].name);
    if (inputs[i]) feeds.push_back({name, inputs[i]->datum});
  }
  return feeds;
}

}  // namespace sdx::capi

using namespace sdx;
using namespace sdx::capi;

sdx_session::sdx_session(Session loaded)
    : session(std::move(loaded)),
      inputs(describe(session.inputs())),
      outputs(describe(session.outputs())) {
  for (const auto& [key, text] : session.metadata()) metadata_keys.push_back(key.c_str());
}

sdx_status sdx_session_load(const char* path, const sdx_options* options,
                            sdx_session** out) noexcept {
  return guarded([&] {
    check_given(path, "path");
    check_given(out, "out");
    *out = new sdx_session(Session::load_file(path, options_or_defaults(options)));
  });
}

sdx_status sdx_session_load_memory(const void* bytes, size_t size, const char* directory,
                                   const sdx_options* options, sdx_session** out) noexcept {
  return guarded([&] {
    check_given(bytes, "bytes");
    check_given(out, "out");
    const std::span data(static_cast<const std::byte*>(bytes), size);
    *out = new sdx_session(
        Session::load_bytes(data, options_or_defaults(options), directory ? directory : ""));
  });
}

void sdx_session_free(sdx_session* session) noexcept { delete session; }

size_t sdx_session_input_count(const sdx_session* session) noexcept {
  return session ? session->inputs.size() : 0;
}
size_t sdx_session_output_count(const sdx_session* session) noexcept {
  return session ? session->outputs.size() : 0;
}
const sdx_info* sdx_session_input(const sdx_session* session, size_t index) noexcept {
  return index < sdx_session_input_count(session) ? &session->inputs[index] : nullptr;
}
const sdx_info* sdx_session_output(const sdx_session* session, size_t index) noexcept {
  return index < sdx_session_output_count(session) ? &session->outputs[index] : nullptr;
}

size_t sdx_session_metadata_count(const sdx_session* session) noexcept {
  return session ? session->metadata_keys.size() : 0;
}
const char* sdx_session_metadata_key(const sdx_session* session, size_t index) noexcept {
  return index < sdx_session_metadata_count(session) ? session->metadata_keys[index] : nullptr;
}
const char* sdx_session_metadata(const sdx_session* session, const char* key) noexcept {
  if (!session || !key) return nullptr;
  for (const auto& [name, text] : session->session.metadata())
    if (name == key) return text.c_str();
  return nullptr;
}

int32_t sdx_session_threads(const sdx_session* session) noexcept {
  return session ? session->session.threads() : 0;
}

sdx_status sdx_session_trim(sdx_session* session) noexcept {
  return guarded([&] {
    check_given(session, "session");
    session->session.trim();
  });
}

sdx_status sdx_session_memory(sdx_session* session, sdx_memory* out, size_t size) noexcept {
  return guarded([&] {
    check_given(session, "session");
    check_given(out, "out");
    const MemoryUse use = session->session.memory();
    fill(out, size,
         sdx_memory{.mapped_weights = use.mapped_weights,
                    .own_weights = use.own_weights,
                    .packed_weights = use.packed_weights,
                    .running = use.running,
                    .idle = use.idle,
                    .kept_results = use.kept_results,
                    .plans = use.plans});
  });
}

const char* sdx_session_cache(const sdx_session* session, size_t output) noexcept {
  if (output >= sdx_session_output_count(session)) return nullptr;
  const std::string& input = session->session.caches()[output];
  return input.empty() ? nullptr : input.c_str();
}

const char* sdx_info_name(const sdx_info* info) noexcept {
  return info ? info->info.name.c_str() : nullptr;
}
sdx_kind sdx_info_kind(const sdx_info* info) noexcept { return info ? info->kind : SDX_KIND_NONE; }
const char* sdx_info_type(const sdx_info* info) noexcept {
  return info ? info->info.type.c_str() : nullptr;
}
sdx_dtype sdx_info_dtype(const sdx_info* info) noexcept {
  return info ? static_cast<sdx_dtype>(info->info.dtype) : SDX_UNDEFINED;
}
int64_t sdx_info_rank(const sdx_info* info) noexcept {
  return info && info->info.has_shape ? static_cast<int64_t>(info->dims.size()) : -1;
}
int64_t sdx_info_dim(const sdx_info* info, size_t axis) noexcept {
  return info && axis < info->dims.size() ? info->dims[axis] : -1;
}
const char* sdx_info_dim_text(const sdx_info* info, size_t axis) noexcept {
  return info && axis < info->dims.size() ? info->info.shape[axis].c_str() : nullptr;
}
int32_t sdx_info_optional(const sdx_info* info) noexcept { return info && info->info.optional; }

sdx_status sdx_run_create(sdx_run** out) noexcept {
  return guarded([&] { hand_out(out); });
}
void sdx_run_free(sdx_run* run) noexcept { delete run; }
void sdx_run_cancel(sdx_run* run) noexcept {
  if (run) run->cancelled.store(true, std::memory_order_relaxed);
}
sdx_status sdx_run_set_timeout(sdx_run* run, double seconds) noexcept {
  return guarded([&] {
    check_given(run, "run");
    check_argument(seconds == seconds, "the timeout is no number");
    run->timeout = seconds;
  });
}
sdx_status sdx_run_set_memory_limit(sdx_run* run, int64_t bytes) noexcept {
  return guarded([&] {
    check_given(run, "run");
    check_argument(bytes >= 0, "memory_limit: expected 0 or a positive number, got ", bytes);
    run->memory_limit = bytes;
  });
}
void sdx_run_reset(sdx_run* run) noexcept {
  if (run) run->cancelled.store(false, std::memory_order_relaxed);
}

sdx_status sdx_session_run(sdx_session* session, sdx_run* run, const char* const* input_names,
                           const sdx_value* const* inputs, size_t input_count,
                           const char* const* output_names, sdx_value** outputs,
                           size_t output_count) noexcept {
  return guarded([&] {
    check_given(session, "session");
    check_argument(outputs || output_count == 0, "outputs is NULL");
    RunControl control;
    if (run) {
      control.cancel = &run->cancelled;
      if (const double timeout = run->timeout; timeout >= 0) control.timeout = timeout;
      control.memory_limit = run->memory_limit;
    }
    sdx::capi::run(*session, control, input_names, inputs, input_count, output_names, outputs,
                   output_count);
  });
}
