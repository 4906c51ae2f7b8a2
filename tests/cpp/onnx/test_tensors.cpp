#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>

#include "onnx/message.h"
#include "onnx/tensors.h"

using namespace sdx;
using namespace sdx::onnx;
using sdx::onnx::test::Message;
using sdx::onnx::test::tensor;

namespace {

Tensor read_tensor(const Message& message) {
  return TensorReader(nullptr, {}).read(message.encoded());
}

Tensor read_sparse(const Message& message) {
  return TensorReader(nullptr, {}).read_sparse(message.encoded());
}

std::shared_ptr<MappedFile> mapped(const std::string& bytes) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fflush(file);
  auto result = std::make_shared<MappedFile>(dup(fileno(file)), "temporary");
  std::fclose(file);
  return result;
}

Message numbers(DType dtype, std::initializer_list<int64_t> dims, uint32_t field,
                std::initializer_list<int64_t> items) {
  Message message = tensor("t", dtype, dims);
  for (const int64_t item : items) message.integer(field, item);
  return message;
}

template <class T>
std::vector<T> items(const Tensor& tensor) {
  const auto* data = static_cast<const T*>(tensor.raw());
  return {data, data + tensor.count()};
}

Message sparse(std::initializer_list<int64_t> index_dims, std::initializer_list<int64_t> indices) {
  Message message;
  message.add(1, numbers(DType::int32, {2}, 5, {7, 8}));
  message.add(2, numbers(DType::int64, index_dims, 7, indices));
  return message.integer(3, 2).integer(3, 3);
}

}  // namespace

TEST_CASE("typed fields fill tensors of their types") {
  CHECK(items<int8_t>(read_tensor(numbers(DType::int8, {2}, 5, {-1, 5}))) ==
        std::vector<int8_t>{-1, 5});
  CHECK(items<uint16_t>(read_tensor(numbers(DType::float16, {1}, 5, {0x3c00}))) ==
        std::vector<uint16_t>{0x3c00});
  CHECK(items<uint8_t>(read_tensor(numbers(DType::boolean, {2}, 5, {0, 9}))) ==
        std::vector<uint8_t>{0, 1});
  CHECK(items<int64_t>(read_tensor(numbers(DType::int64, {2, 1}, 7, {-3, 1L << 40}))) ==
        std::vector<int64_t>{-3, 1L << 40});
  CHECK(items<uint32_t>(read_tensor(numbers(DType::uint32, {1}, 11, {0xffffffff}))) ==
        std::vector<uint32_t>{0xffffffff});
  Message complex = tensor("t", DType::complex64, {1});
  complex.float32(4, 1.5F).float32(4, -2);
  const Tensor read_complex = read_tensor(complex);
  CHECK(static_cast<const float*>(read_complex.raw())[1] == -2);
  Message strings = tensor("t", DType::string, {2});
  strings.bytes(6, "a").bytes(6, "");
  CHECK(items<std::string>(read_tensor(strings)) == std::vector<std::string>{"a", ""});
}

TEST_CASE("elements narrower than a byte take one each") {
  const auto raw = [](DType dtype, int64_t count, std::string_view bytes) {
    return read_tensor(tensor("t", dtype, {count}).bytes(9, bytes));
  };
  CHECK(items<uint8_t>(raw(DType::uint4, 3, "\x21\xff")) == std::vector<uint8_t>{1, 2, 15});
  CHECK(items<int8_t>(raw(DType::int4, 3, "\x81\x0f")) == std::vector<int8_t>{1, -8, -1});
  CHECK(items<int8_t>(raw(DType::int2, 5, "\xe4\x02")) == std::vector<int8_t>{0, 1, -2, -1, -2});
  CHECK(items<uint8_t>(raw(DType::uint2, 4, "\xe4")) == std::vector<uint8_t>{0, 1, 2, 3});
  // 1, 2, 3, 63 and 5 as a stream of 6-bit codes.
  CHECK(items<uint8_t>(raw(DType::float6e2m3, 5, std::string_view("\x81\x30\xfc\x05", 4))) ==
        std::vector<uint8_t>{1, 2, 3, 63, 5});
  CHECK(items<int8_t>(read_tensor(numbers(DType::int4, {3}, 5, {0x81, 0x0f}))) ==
        std::vector<int8_t>{1, -8, -1});
  CHECK(items<uint8_t>(read_tensor(numbers(DType::float6e3m2, {2}, 5, {1, 63}))) ==
        std::vector<uint8_t>{1, 63});
}

TEST_CASE("a boolean is 0 or 1 whatever the file says") {
  const Message message = tensor("t", DType::boolean, {3}).bytes(9, std::string_view("\0\1\7", 3));
  CHECK(items<uint8_t>(read_tensor(message)) == std::vector<uint8_t>{0, 1, 1});
}

TEST_CASE("tensors hold exactly what their shapes need") {
  const auto refuses = [](const Message& message, const char* error) {
    CHECK_THROWS_WITH_AS(read_tensor(message), error, Error);
  };
  refuses(tensor("t", DType::float32, {3}).bytes(9, "12345678"),
          "raw data of 8 bytes, but float32[3] needs 12");
  refuses(tensor("t", DType::int4, {3}).bytes(9, "1"), "raw data of 1 bytes, but int4[3] needs 2");
  refuses(tensor("t", DType::float32, {2}), "float_data of 0 numbers, but float32[2] needs 2");
  refuses(numbers(DType::int64, {1}, 7, {1, 2}), "int64_data of 2 numbers, but int64[1] needs 1");
  refuses(tensor("t", DType::string, {1}), "string_data of 0 strings, but string[1] needs 1");
  refuses(tensor("t", DType::string, {1}).bytes(9, "a"), "strings cannot be stored as raw data");
  refuses(tensor("t", DType::float32, {-1}), "negative dimension -1 in shape [-1]");
  refuses(tensor("t", DType::float32, {1L << 40, 1L << 40}),
          "size overflows: 1099511627776 x 1099511627776");
  refuses(tensor("t", DType::float64, {1L << 60}), "size overflows: 1152921504606846976 x 64");
  refuses(Message().integer(2, 77), "unknown element type 77");
}

TEST_CASE("tensors are views of the file where it is aligned") {
  const Message message = tensor("t", DType::uint8, {3}).bytes(9, "abc");
  const auto file = mapped(message.encoded());
  const Tensor tensor = TensorReader(file, {}).read(file->bytes());
  CHECK(tensor.owner() == file);
  CHECK(static_cast<const char*>(tensor.raw()) == file->bytes().end() - 3);
}

TEST_CASE("bytes of a file are there again after they were forgotten") {
  const std::string text(300'000, 'x');
  const auto file = mapped(tensor("t", DType::uint8, {300'000}).bytes(9, text).encoded());
  TensorReader reader(file, {});
  const Tensor kept = reader.read(file->bytes());
  for (int i = 0; i < 2; ++i) {
    reader.read(file->bytes());  // forgets when it goes
    CHECK(std::string_view(static_cast<const char*>(kept.raw()), text.size()) == text);
    file->forget(file->bytes());
  }
  CHECK(reader.files().size() == 1);
}

TEST_CASE("sparse tensors become dense") {
  const std::vector<int32_t> dense = {0, 7, 0, 0, 0, 8};
  CHECK(items<int32_t>(read_sparse(sparse({2}, {1, 5}))) == dense);
  CHECK(items<int32_t>(read_sparse(sparse({2, 2}, {0, 1, 1, 2}))) == dense);
  for (const auto& bad :
       {sparse({2}, {1, 6}), sparse({2}, {-1, 5}), sparse({2}, {5, 1}), sparse({2}, {1, 1}),
        sparse({2, 2}, {0, 1, 0, 3}), sparse({3}, {1, 2, 3})})
    CHECK_THROWS_AS(read_sparse(bad), Error);
  Message endless;
  endless.add(1, tensor("v", DType::float32, {0})).add(2, tensor("i", DType::int64, {0}));
  endless.integer(3, 1L << 40);
  CHECK_THROWS_AS(read_sparse(endless), Error);
}

TEST_CASE("external data needs a directory and known keys") {
  const auto external = [](const char* key, const char* value) {
    return tensor("t", DType::float32, {1})
        .add(13, Message().bytes(1, key).bytes(2, value))
        .integer(14, 1);
  };
  CHECK_THROWS_WITH_AS(read_tensor(external("location", "w.bin")),
                       "external data 'w.bin' needs to know the model's directory", Error);
  CHECK_THROWS_WITH_AS(read_tensor(external("__class__", "x")),
                       "external data has an unknown key '__class__'", Error);
  CHECK_THROWS_WITH_AS(read_tensor(external("offset", "-1")),
                       "external data has offset '-1', which is no size", Error);
}
