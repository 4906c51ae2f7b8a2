// Operators that shared libraries bring, over include/sardonyx/operator.h.
#pragma once

#include <memory>
#include <string>

#include "api/host_operators.h"
#include "api/shared.h"
#include "base/error.h"

struct sdx_operator;

namespace sdx {

// An operator of a library, which stays loaded as long as one of these or one of its nodes lives.
struct LibraryOperator {
  std::shared_ptr<void> library;
  const sdx_operator* table = nullptr;
};

// Loads a library and reads its table. Throws `invalid_argument` where it is no such library, or
// one of another version of the interface.
HostOperators load_operator_library(const std::string& path) SDX_SHARED(load_operator_library);

// What a failure of a function of the program's means, given as the C interface numbers it.
ErrorKind kind_of(int32_t status);

// Its nodes need a HostOperatorScope.
void add_library_operator(OpRegistry& registry, const HostOperator& op);

}  // namespace sdx
