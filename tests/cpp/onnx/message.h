// Writes protobuf messages by hand: models for the tests of the reader.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "onnx/reader.h"

namespace sdx::onnx::test {

class Message {
 public:
  Message& integer(uint32_t field, int64_t value) {
    varint(field << 3);
    return varint(static_cast<uint64_t>(value));
  }
  Message& bytes(uint32_t field, std::string_view value) {
    varint(field << 3 | 2).varint(value.size());
    encoded_ += value;
    return *this;
  }
  Message& add(uint32_t field, const Message& value) { return bytes(field, value.encoded_); }
  Message& float32(uint32_t field, float value) {
    varint(field << 3 | 5);
    return fixed(std::bit_cast<uint32_t>(value), 4);
  }
  // Without a field in front: for packed lists.
  Message& varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) encoded_.push_back(static_cast<char>(value | 0x80));
    encoded_.push_back(static_cast<char>(value));
    return *this;
  }
  Message& fixed(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) encoded_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  const std::string& encoded() const { return encoded_; }

 private:
  std::string encoded_;
};

inline Message tensor(std::string_view name, DType dtype, std::initializer_list<int64_t> dims) {
  Message message;
  for (const int64_t dim : dims) message.integer(1, dim);
  message.integer(2, static_cast<int64_t>(dtype));
  return message.bytes(8, name);
}

// A float32 vector of these items.
inline Message floats(std::string_view name, std::initializer_list<float> items) {
  Message raw;
  for (const float item : items) raw.fixed(std::bit_cast<uint32_t>(item), 4);
  return tensor(name, DType::float32, {static_cast<int64_t>(items.size())}).bytes(9, raw.encoded());
}

// A float32 value of these dimensions; negative ones are unknown.
inline Message value(std::string_view name, std::initializer_list<int64_t> dims) {
  Message shape;
  for (const int64_t dim : dims) shape.add(1, Message().integer(1, dim));
  const Message type = Message().add(1, Message().integer(1, 1).add(2, shape));
  return Message().bytes(1, name).add(2, type);
}

inline Message untyped(std::string_view name) { return Message().bytes(1, name); }

inline Message node(std::string_view op_type, std::initializer_list<std::string_view> inputs,
                    std::initializer_list<std::string_view> outputs, std::string_view name = "") {
  Message message;
  for (const std::string_view input : inputs) message.bytes(1, input);
  for (const std::string_view output : outputs) message.bytes(2, output);
  return message.bytes(3, name).bytes(4, op_type);
}

inline Message integer_attribute(std::string_view name, int64_t value) {
  return Message().bytes(1, name).integer(3, value).integer(20, 2);
}

inline Message graph_attribute(std::string_view name, const Message& graph) {
  return Message().bytes(1, name).add(6, graph).integer(20, 5);
}

inline Message opset(std::string_view domain, int64_t version) {
  return Message().bytes(1, domain).integer(2, version);
}

inline Message model(const Message& graph, int64_t ir_version = 8) {
  return Message().integer(1, ir_version).add(8, opset("", 17)).add(7, graph);
}

// Operators that do nothing: Add, Relu, If, Loop, Identity, Constant.
const OpRegistry& inert_ops();

Model read(const Message& model, const ReadOptions& options = {});
// The message of the error that reading ends with.
std::string error_of(const Message& model);

}  // namespace sdx::onnx::test
