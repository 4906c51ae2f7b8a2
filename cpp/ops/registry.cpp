#include "ops/registry.h"

#include "kernels/kernel.h"

namespace sdx::ops {

#define SDX_OP_FAMILY(family) void register_##family(OpRegistry& ops);
#include <op_families.inc>
#undef SDX_OP_FAMILY

const OpRegistry& builtin_ops() {
  static const OpRegistry registry = [] {
    OpRegistry ops;
#define SDX_OP_FAMILY(family) register_##family(ops);
#include <op_families.inc>
#undef SDX_OP_FAMILY
    return ops;
  }();
  return registry;
}

const char* instruction_set() { return kernels::isa_name(kernels::host_isa()); }

}  // namespace sdx::ops
