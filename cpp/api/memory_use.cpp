#include "api/memory_use.h"

#include <iomanip>
#include <sstream>

namespace sdx {

std::string to_text(const MemoryUse& use) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1);
  const auto line = [&](const char* what, int64_t bytes, const std::string& why) {
    if (bytes == 0) return;
    text << std::left << std::setw(16) << what << std::right << std::setw(10)
         << static_cast<double>(bytes) / (1 << 20) << " MiB  " << why << '\n';
  };
  line("mapped weights", use.mapped_weights, "read where the file is mapped, shared by processes");
  line("own weights", use.own_weights, "read in memory of this model");
  line("packed weights", use.packed_weights, "in the order that the kernels read");
  line("running", use.running, "values of runs in progress");
  line("idle", use.idle,
       "kept for the next runs, with " + std::to_string(use.plans) + " plans, until trim");
  line("kept results", use.kept_results, "for the results of the next runs, until trim");
  line("total", use.total(), "of memory, beside the program and its threads");
  return text.str();
}

}  // namespace sdx
