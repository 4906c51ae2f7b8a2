// The attributes of a node.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "ir/type.h"

namespace sdx {

class Graph;

using AttributeValue =
    std::variant<int64_t, float, std::string, Tensor, Type, std::shared_ptr<Graph>,
                 std::vector<int64_t>, std::vector<float>, std::vector<std::string>,
                 std::vector<Tensor>, std::vector<std::shared_ptr<Graph>>>;

// Reads throw where an attribute has another type than asked for.
class Attributes {
 public:
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  void set(std::string name, AttributeValue value) {
    values_.insert_or_assign(std::move(name), std::move(value));
  }
  void erase(std::string_view name) {
    if (auto found = values_.find(name); found != values_.end()) values_.erase(found);
  }

  // The attribute as T, or `fallback` where it is absent. T is one of AttributeValue's types.
  template <class T>
  T get(std::string_view name, T fallback) const {
    const T* value = find<T>(name);
    return value ? *value : fallback;
  }
  int64_t get(std::string_view name, int fallback) const {
    return get<int64_t>(name, static_cast<int64_t>(fallback));
  }
  float get(std::string_view name, double fallback) const {
    return get<float>(name, static_cast<float>(fallback));
  }
  std::string get(std::string_view name, const char* fallback) const {
    return get<std::string>(name, std::string(fallback));
  }
  std::vector<int64_t> ints(std::string_view name) const {
    return get<std::vector<int64_t>>(name, {});
  }
  std::vector<float> floats(std::string_view name) const {
    return get<std::vector<float>>(name, {});
  }
  std::vector<std::string> strings(std::string_view name) const {
    return get<std::vector<std::string>>(name, {});
  }
  // The attribute as T; throws `invalid_model` where it is absent.
  template <class T>
  const T& require(std::string_view name) const {
    const T* value = find<T>(name);
    check(value != nullptr, "attribute '", name, "' is missing");
    return *value;
  }
  // The attribute, or null where it is absent.
  template <class T>
  const T* find(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return nullptr;
    const T* value = std::get_if<T>(&found->second);
    check(value != nullptr, "attribute '", name, "' has the wrong type");
    return value;
  }

  const std::map<std::string, AttributeValue, std::less<>>& all() const { return values_; }
  std::map<std::string, AttributeValue, std::less<>>& all() { return values_; }

 private:
  std::map<std::string, AttributeValue, std::less<>> values_;
};

}  // namespace sdx
