// A small model for the tests of sessions: shape arithmetic, a product with constant weights, a
// branch, values whose shapes depend on data. Its input "x" has the shape [rows, 3].
#pragma once

#include <span>
#include <string>
#include <vector>

#include "api/session.h"

namespace sdx::test {

std::string branching_model();
Session load_branching_model(const Options& options);

std::vector<Datum> run_rows(Session& session, int64_t rows, const RunControl& control = {});

bool equal(const std::vector<Datum>& a, const std::vector<Datum>& b);

}  // namespace sdx::test
