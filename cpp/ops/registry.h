// All operators of this build.
#pragma once

#include "ir/op.h"

namespace sdx::ops {

// Made once; never changes.
const OpRegistry& builtin_ops();

// The tier of kernels in use on this machine: "avx512".
const char* instruction_set();

}  // namespace sdx::ops
