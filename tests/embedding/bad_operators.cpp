// Libraries that are to be refused, one fault each.
#include <sardonyx/operator.hpp>

namespace {

struct Identity {
  explicit Identity(const sdx::op::Node&) {}
  void infer(sdx::op::Infer& infer) const { infer.set_output(0, infer.type(0)); }
  auto prepare(sdx::op::Prepare&) const {
    return [](sdx::op::Run&) {};
  }
};

sdx_operator faulty() {
  sdx_operator made = sdx::op::define<Identity>("bad", "Identity");
#if defined(FAULT_name)
  made.name = nullptr;
#elif defined(FAULT_function)
  made.run = nullptr;
#elif defined(FAULT_domain)
  made.domain = "";
#endif
  return made;
}

[[maybe_unused]] const sdx_operator kOperators[] = {faulty(), faulty()};

}  // namespace

#ifndef FAULT_entry
const sdx_operator_table* sdx_operators(void) noexcept {
#if defined(FAULT_null)
  return nullptr;
#else
  static sdx_operator_table table{SDX_OPERATORS_ABI, sizeof(sdx_operator), 1, kOperators};
#if defined(FAULT_version)
  table.abi = 99;
#elif defined(FAULT_size)
  table.operator_size = 8;
#elif defined(FAULT_twice)
  table.count = 2;
#endif
  return &table;
#endif
}
#endif
