#include "onnx/attribute_values.h"

#include "onnx/types.h"
#include "onnx/wire.h"

namespace sdx::onnx {
namespace {

// AttributeProto.AttributeType and the field that holds such values.
struct Kind {
  int64_t type;
  uint32_t field;
};
constexpr Kind kKinds[] = {{1, 2}, {2, 3},  {3, 4},   {4, 5},   {6, 7},   {7, 8},
                           {8, 9}, {9, 10}, {11, 22}, {12, 23}, {13, 14}, {14, 15}};

// The field to read: the declared type's, or the only one there is.
uint32_t value_field(const AttributeMessage& attribute) {
  uint32_t declared = 0, present = 0;
  for (const Kind& kind : kKinds)
    if (kind.type == attribute.type) declared = kind.field;
  for (Cursor c(attribute.body); c.next();) {
    if (c.field() == declared && declared != 0) return declared;
    for (const Kind& kind : kKinds)
      if (kind.field == c.field()) present = kind.field;
  }
  if (present != 0) return present;
  // Writers of proto3 leave zeros and empty lists out.
  const bool has_zero = declared != 0 && declared != 5 && declared != 14 && declared != 22;
  check(has_zero, "no value of type ", attribute.type);
  return declared;
}

template <class T, class Read>
T last(std::string_view body, uint32_t field, Read&& read) {
  T value{};
  for (Cursor c(body); c.next();)
    if (c.field() == field) value = read(c);
  return value;
}

template <class T, class Read>
std::vector<T> all(std::string_view body, uint32_t field, Read&& read) {
  std::vector<T> values;
  for (Cursor c(body); c.next();)
    if (c.field() == field) values.push_back(read(c));
  return values;
}

AttributeValue read_value(const AttributeMessage& attribute, TensorReader& tensors) {
  const std::string_view body = attribute.body;
  const uint32_t field = value_field(attribute);
  const auto string = [](const Cursor& c) { return std::string(c.bytes()); };
  const auto tensor = [&](const Cursor& c) { return tensors.read(c.bytes()); };
  const auto sparse = [&](const Cursor& c) { return tensors.read_sparse(c.bytes()); };
  switch (field) {
    case 2:
      return last<float>(body, field, [](const Cursor& c) { return c.float32(); });
    case 3:
      return last<int64_t>(body, field, [](const Cursor& c) { return c.integer(); });
    case 4:
      return last<std::string>(body, field, string);
    case 5:
      return last<Tensor>(body, field, tensor);
    case 7: {
      std::vector<float> floats;
      for_each_number(body, field, WireType::fixed32, [&](uint64_t bits) {
        floats.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
      });
      return floats;
    }
    case 8: {
      std::vector<int64_t> ints;
      for_each_number(body, field, WireType::varint,
                      [&](uint64_t bits) { ints.push_back(static_cast<int64_t>(bits)); });
      return ints;
    }
    case 9:
      return all<std::string>(body, field, string);
    case 10:
      return all<Tensor>(body, field, tensor);
    case 14:
      return last<Type>(body, field, [](const Cursor& c) { return parse_type(c.bytes()); });
    case 22:
      return last<Tensor>(body, field, sparse);
    case 23:
      return all<Tensor>(body, field, sparse);
    default:
      fail(ErrorKind::unsupported, "lists of types are not supported");
  }
}

}  // namespace

AttributeValue parse_attribute_value(const AttributeMessage& attribute, TensorReader& tensors) {
  try {
    return read_value(attribute, tensors);
  } catch (...) {
    rethrow_at("attribute '" + std::string(attribute.name) + "'");
  }
}

Tensor constant_tensor(const Attributes& attributes) {
  for (const char* name : {"value", "sparse_value"})
    if (const auto* tensor = attributes.find<Tensor>(name)) return *tensor;
  if (const auto* number = attributes.find<float>("value_float")) return Tensor::scalar(*number);
  if (const auto* number = attributes.find<int64_t>("value_int")) return Tensor::scalar(*number);
  if (const auto* text = attributes.find<std::string>("value_string")) return Tensor::scalar(*text);
  if (const auto* list = attributes.find<std::vector<float>>("value_floats"))
    return Tensor::of(*list);
  if (const auto* list = attributes.find<std::vector<int64_t>>("value_ints"))
    return Tensor::of(*list);
  if (const auto* list = attributes.find<std::vector<std::string>>("value_strings"))
    return Tensor::of(*list);
  fail(ErrorKind::invalid_model, "the constant has no value");
}

}  // namespace sdx::onnx
