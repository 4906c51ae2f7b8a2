// How to load a model.
#include "api/operator_library.h"
#include "capi/handles.h"

using namespace sdx;
using namespace sdx::capi;

sdx_status sdx_options_create(sdx_options** out) noexcept {
  return guarded([&] { hand_out(out); });
}
void sdx_options_free(sdx_options* options) noexcept { delete options; }

sdx_status sdx_options_set_threads(sdx_options* options, int32_t threads) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_argument(threads >= 0, "threads: expected 0 or a positive number, got ", threads);
    options->options.threads = threads;
  });
}

sdx_status sdx_pool_create(int32_t threads, sdx_pool** out) noexcept {
  return guarded([&] {
    check_argument(threads >= 1 && threads <= 1024, "threads: expected 1 to 1024, got ", threads);
    hand_out(out, make_pool(threads));
  });
}
void sdx_pool_free(sdx_pool* pool) noexcept { delete pool; }

sdx_status sdx_options_set_pool(sdx_options* options, const sdx_pool* pool) noexcept {
  return guarded([&] {
    check_given(options, "options");
    options->options.pool = pool ? pool->pool : nullptr;
  });
}

sdx_status sdx_options_set_precision(sdx_options* options, sdx_precision precision) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_argument(precision >= SDX_PRECISION_STRICT && precision <= SDX_PRECISION_FAST,
                   "precision: there is no number ", precision);
    options->options.precision = static_cast<Precision>(precision);
  });
}

sdx_status sdx_options_set_level(sdx_options* options, int32_t level) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_argument(level >= 0 && level <= 2, "level: expected 0, 1 or 2, got ", level);
    options->options.level = level;
  });
}

sdx_status sdx_options_set_passes(sdx_options* options, const char* passes) noexcept {
  return guarded([&] {
    check_given(options, "options");
    options->options.passes = passes ? passes : "";
  });
}

sdx_status sdx_options_set_dim(sdx_options* options, const char* name, int64_t size) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_given(name, "name");
    check_argument(size >= 0, "dimension '", name, "' is negative: ", size);
    options->options.dims[name] = size;
  });
}

sdx_status sdx_options_set_weight(sdx_options* options, const char* name,
                                  const sdx_value* tensor) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_given(name, "name");
    check_argument(tensor && tensor->datum.is_tensor(), "the value for '", name, "' is no tensor");
    options->options.initializers[name] = tensor->datum.tensor();
  });
}

sdx_status sdx_options_set_memory_limit(sdx_options* options, int64_t bytes) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_argument(bytes >= 0, "memory_limit: expected 0 or a positive number, got ", bytes);
    options->options.memory_limit = bytes;
  });
}

sdx_status sdx_options_set_trim_after(sdx_options* options, double seconds) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_argument(seconds >= 0, "trim_after: expected 0 or a positive number, got ", seconds);
    options->options.trim_after = seconds;
  });
}

sdx_status sdx_options_load_operators(sdx_options* options, const char* path) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_given(path, "path");
    add_operators(options->options.operators, load_operator_library(path));
  });
}

sdx_status sdx_options_add_functions(sdx_options* options, const void* bytes,
                                     size_t size) noexcept {
  return guarded([&] {
    check_given(options, "options");
    check_given(bytes, "bytes");
    const auto* first = static_cast<const std::byte*>(bytes);
    options->options.functions.emplace_back(first, first + size);
  });
}

sdx_status sdx_options_set_log(sdx_options* options, sdx_log log, void* context) noexcept {
  return guarded([&] {
    check_given(options, "options");
    options->options.log = nullptr;
    if (log)
      options->options.log = [log, context](std::string_view message) {
        log(context, std::string(message).c_str());
      };
  });
}
