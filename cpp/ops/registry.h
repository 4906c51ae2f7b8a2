// All operators of this build.
#pragma once

#include "ir/op.h"

namespace sdx::ops {

// Made once; never changes.
const OpRegistry& builtin_ops();

}  // namespace sdx::ops
