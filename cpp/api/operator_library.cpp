#include "api/operator_library.h"

#include <dlfcn.h>
#include <sardonyx/operator.h>

#include <filesystem>
#include <set>

#include "base/error.h"

namespace sdx {
namespace {

std::shared_ptr<void> open_library(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  check_argument(fs::exists(path, error), "there is no such file");
  check_argument(fs::is_regular_file(path, error), "it is no file");
  // A name without a folder would be searched for elsewhere.
  const std::string place = fs::absolute(path, error).string();
  void* const handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* why = dlerror();
    fail(ErrorKind::invalid_argument, why ? why : "it cannot be loaded");
  }
  return {handle, [](void* opened) { dlclose(opened); }};
}

const sdx_operator_table& table_of(void* library) {
  using Entry = const sdx_operator_table* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "sdx_operators"));
  check_argument(entry, "it does not export sdx_operators, so it holds no operators for Sardonyx");
  const sdx_operator_table* table = entry();
  check_argument(table, "sdx_operators returned NULL");
  // What follows the first field may look different in another version.
  check_argument(table->abi == SDX_OPERATORS_ABI, "it is built for version ", table->abi,
                 " of the interface for operators, this is version ", SDX_OPERATORS_ABI,
                 ": build it anew with the headers of this version");
  check_argument(table->operator_size >= sizeof(sdx_operator), "its operators are of ",
                 table->operator_size, " bytes, at least ", sizeof(sdx_operator), " are expected");
  check_argument(table->operators || table->count == 0, "its table of operators is NULL");
  return *table;
}

void check_entry(const sdx_operator& entry, std::size_t i) {
  check_argument(entry.domain && entry.name && *entry.name, "operator ", i, " has no name");
  check_argument(
      entry.create && entry.destroy && entry.infer && entry.prepare && entry.run && entry.release,
      "operator '", entry.domain, "::", entry.name, "' lacks a function");
  check_argument(entry.since >= 1, "operator '", entry.domain, "::", entry.name,
                 "' begins with version ", entry.since);
}

}  // namespace

HostOperators load_operator_library(const std::string& path) {
  try {
    const std::shared_ptr<void> library = open_library(path);
    const sdx_operator_table& table = table_of(library.get());
    const auto* entries = reinterpret_cast<const std::byte*>(table.operators);
    HostOperators operators;
    std::set<std::pair<std::string, std::string>> names;
    for (std::size_t i = 0; i < table.count; ++i) {
      const auto* entry = reinterpret_cast<const sdx_operator*>(entries + i * table.operator_size);
      check_entry(*entry, i);
      check_argument(names.emplace(entry->domain, entry->name).second, "operator '", entry->domain,
                     "::", entry->name, "' is there twice");
      auto made = std::make_shared<HostOperator>();
      made->domain = entry->domain;
      made->name = entry->name;
      made->pure = (entry->flags & SDX_OPERATOR_PURE) != 0;
      made->library = std::make_shared<LibraryOperator>(LibraryOperator{library, entry});
      operators.push_back(std::move(made));
    }
    return operators;
  } catch (...) {
    rethrow_at("operator library '" + path + "'");
  }
}

}  // namespace sdx
