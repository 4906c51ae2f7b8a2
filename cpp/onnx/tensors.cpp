#include "onnx/tensors.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "onnx/types.h"
#include "onnx/wire.h"

namespace sdx::onnx {
namespace {

// All sparse tensors of a model together may not grow beyond this.
constexpr int64_t kMaxDenseBytes = int64_t{1} << 30;
constexpr std::size_t kMaxRank = 64;

struct Header {
  DType dtype = DType::undefined;
  Shape shape;
  int64_t count = 0;
  std::optional<std::string_view> raw;
  bool external = false;
};

// Prints "float32[2, 3]".
struct Described {
  const Header& header;
  friend std::ostream& operator<<(std::ostream& out, const Described& d) {
    return out << d.header.dtype << d.header.shape;
  }
};

Shape read_dims(std::string_view message, uint32_t field) {
  Shape shape;
  for_each_number(message, field, WireType::varint, [&](uint64_t dim) {
    check(shape.size() < kMaxRank, "a tensor has more than ", kMaxRank, " dimensions");
    shape.push_back(static_cast<int64_t>(dim));
  });
  return shape;
}

Header read_header(std::string_view message) {
  Header header;
  int64_t code = 0;
  for (Cursor c(message); c.next();) {
    if (c.field() == 2) code = c.integer();
    if (c.field() == 3) fail(ErrorKind::unsupported, "tensors in segments are not supported");
    if (c.field() == 9) header.raw = c.bytes();
    if (c.field() == 14) header.external = c.integer() == 1;
  }
  header.dtype = parse_dtype(code);
  header.shape = read_dims(message, 1);
  header.count = element_count(header.shape);
  // So that nobody overflows later: bytes in memory and bits in files.
  checked_mul(header.count, std::max<int64_t>(64, item_size(header.dtype) * 8));
  return header;
}

// Bytes the elements take as raw data.
int64_t raw_bytes(const Header& header) { return (header.count * file_bits(header.dtype) + 7) / 8; }

// Elements narrower than a byte lie in a stream of bits, lowest first.
Tensor unpack(const Header& header, std::string_view packed) {
  Tensor tensor = Tensor::allocate(header.dtype, header.shape);
  auto* out = static_cast<uint8_t*>(tensor.raw());
  const int bits = file_bits(header.dtype);
  const unsigned mask = (1u << bits) - 1;
  const unsigned sign = is_signed_integer(header.dtype) ? 1u << (bits - 1) : 0;
  for (int64_t i = 0; i < header.count; ++i) {
    const std::size_t at = static_cast<std::size_t>(i) * bits;
    unsigned word = static_cast<uint8_t>(packed[at / 8]);
    if (at % 8 + bits > 8)
      word |= static_cast<unsigned>(static_cast<uint8_t>(packed[at / 8 + 1])) << 8;
    const unsigned code = (word >> (at % 8)) & mask;
    out[i] = static_cast<uint8_t>((code ^ sign) - sign);
  }
  return tensor;
}

Tensor from_bytes(const Header& header, std::string_view bytes, std::shared_ptr<void> owner) {
  check(header.dtype != DType::string, "strings cannot be stored as raw data");
  const int64_t expected = raw_bytes(header);
  check(static_cast<uint64_t>(expected) == bytes.size(), "raw data of ", bytes.size(),
        " bytes, but ", Described{header}, " needs ", expected);
  if (file_bits(header.dtype) < 8) return unpack(header, bytes);

  // A C++ bool that is neither 0 nor 1 is undefined behaviour.
  const bool is_bool = header.dtype == DType::boolean;
  const bool usable =
      !is_bool || std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0 || c == 1; });
  const std::size_t alignment = std::min<std::size_t>(item_size(header.dtype), 8);
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0;
  if (owner && usable && aligned && header.count > 0)
    return Tensor::own(header.dtype, header.shape, std::move(owner),
                       const_cast<char*>(bytes.data()));
  Tensor tensor = Tensor::allocate(header.dtype, header.shape);
  if (!bytes.empty()) std::memcpy(tensor.raw(), bytes.data(), bytes.size());
  if (!usable)
    for (auto* item = tensor.data<uint8_t>(); item < tensor.data<uint8_t>() + header.count; ++item)
      *item = *item != 0;
  return tensor;
}

Tensor from_strings(const Header& header, std::string_view message) {
  int64_t found = 0;
  for (Cursor c(message); c.next();) found += c.field() == 6;
  check(found == header.count, "string_data of ", found, " strings, but ", Described{header},
        " needs ", header.count);
  Tensor tensor = Tensor::allocate(header.dtype, header.shape);
  auto* out = tensor.data<std::string>();
  for (Cursor c(message); c.next();)
    if (c.field() == 6) *out++ = c.bytes();
  return tensor;
}

// The typed field that holds elements of a type.
struct TypedField {
  const char* name;
  uint32_t field;
  WireType type;
};

TypedField typed_field(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::complex64:
      return {"float_data", 4, WireType::fixed32};
    case DType::float64:
    case DType::complex128:
      return {"double_data", 10, WireType::fixed64};
    case DType::int64:
      return {"int64_data", 7, WireType::varint};
    case DType::uint32:
    case DType::uint64:
      return {"uint64_data", 11, WireType::varint};
    default:
      return {"int32_data", 5, WireType::varint};
  }
}

Tensor from_numbers(const Header& header, std::string_view message) {
  const DType dtype = header.dtype;
  const auto [name, field, type] = typed_field(dtype);
  const int bits = file_bits(dtype);
  const bool packed = bits < 6;
  const bool complex = dtype == DType::complex64 || dtype == DType::complex128;
  const int64_t expected =
      packed ? (header.count * bits + 7) / 8 : header.count * (complex ? 2 : 1);
  int64_t found = 0;
  for_each_number(message, field, type, [&](uint64_t) { ++found; });
  check(found == expected, name, " of ", found, " numbers, but ", Described{header}, " needs ",
        expected);

  if (packed) {
    std::string bytes;
    for_each_number(message, field, type,
                    [&](uint64_t number) { bytes.push_back(static_cast<char>(number)); });
    return unpack(header, bytes);
  }
  Tensor tensor = Tensor::allocate(dtype, header.shape);
  const auto fill = [&](auto* out, auto convert) {
    for_each_number(message, field, type, [&](uint64_t number) { *out++ = convert(number); });
  };
  if (dtype == DType::boolean)
    fill(static_cast<uint8_t*>(tensor.raw()), [](uint64_t number) { return number != 0; });
  else if (bits == 6)
    fill(static_cast<uint8_t*>(tensor.raw()), [](uint64_t number) { return number & 0x3f; });
  else
    dispatch_size(item_size(dtype) / (complex ? 2 : 1), [&]<class T>() {
      fill(static_cast<T*>(tensor.raw()), [](uint64_t number) { return static_cast<T>(number); });
    });
  return tensor;
}

// Positions in the dense tensor, row-major, ascending.
std::vector<int64_t> dense_positions(const Tensor& indices, int64_t entries, const Shape& dims) {
  const auto rank = static_cast<int64_t>(dims.size());
  check(indices.dtype() == DType::int64, "sparse indices are ", indices.dtype(), ", not int64");
  const bool linear = indices.shape() == Shape{entries};
  check(linear || indices.shape() == Shape{entries, rank}, "sparse indices of shape ",
        indices.shape(), " for ", entries, " values of a tensor of shape ", dims);
  const int64_t count = element_count(dims);
  const int64_t* index = indices.data<int64_t>();
  std::vector<int64_t> positions(entries);
  for (int64_t i = 0; i < entries; ++i) {
    int64_t position = linear ? index[i] : 0;
    for (int64_t axis = 0; !linear && axis < rank; ++axis) {
      const int64_t at = index[i * rank + axis];
      check(at >= 0 && at < dims[axis], "sparse index ", at, " is out of range for dimension ",
            dims[axis]);
      position = position * dims[axis] + at;
    }
    check(position >= 0 && position < count, "sparse index ", position,
          " is out of range for shape ", dims);
    check(i == 0 || position > positions[i - 1], "sparse indices are not in ascending order");
    positions[i] = position;
  }
  return positions;
}

bool is_inside(std::string_view whole, std::string_view part) {
  const std::less_equal<> before;
  return before(whole.data(), part.data()) &&
         before(part.data() + part.size(), whole.data() + whole.size());
}

}  // namespace

Tensor TensorReader::read(std::string_view message) {
  const Header header = read_header(message);
  if (header.external) {
    auto [bytes, owner] = external_.find(message, static_cast<uint64_t>(raw_bytes(header)));
    return from_bytes(header, bytes, std::move(owner));
  }
  if (header.raw) {
    // Functions that the program brings lie elsewhere, and not for long.
    const bool in_file = file_ && is_inside(file_->bytes(), message);
    return from_bytes(header, *header.raw, in_file ? file_->hold(*header.raw) : nullptr);
  }
  if (header.dtype == DType::string) return from_strings(header, message);
  return from_numbers(header, message);
}

std::vector<std::shared_ptr<MappedFile>> TensorReader::files() const {
  std::vector<std::shared_ptr<MappedFile>> files = external_.files();
  if (file_) files.push_back(file_);
  return files;
}

Tensor TensorReader::read_sparse(std::string_view message) {
  std::string_view values_message, indices_message;
  for (Cursor c(message); c.next();) {
    if (c.field() == 1) values_message = c.bytes();
    if (c.field() == 2) indices_message = c.bytes();
  }
  const Shape dims = read_dims(message, 3);
  const Tensor values = read(values_message);
  const Tensor indices = read(indices_message);
  check(values.rank() == 1, "sparse values have shape ", values.shape(), ", not a vector's");
  const std::vector<int64_t> positions = dense_positions(indices, values.count(), dims);

  const std::size_t item = item_size(values.dtype());
  const int64_t bytes = checked_mul(element_count(dims), static_cast<int64_t>(item));
  dense_bytes_ = checked_add(dense_bytes_, bytes);
  if (dense_bytes_ > kMaxDenseBytes)
    fail(ErrorKind::unsupported, "the sparse tensors of the model take more than ", kMaxDenseBytes,
         " bytes as dense ones");
  Tensor dense = Tensor::allocate(values.dtype(), dims);
  const bool strings = values.dtype() == DType::string;
  if (!strings && bytes > 0) std::memset(dense.raw(), 0, static_cast<std::size_t>(bytes));
  for (int64_t i = 0; i < values.count(); ++i)
    copy_items(values.dtype(), static_cast<const std::byte*>(values.raw()) + i * item,
               static_cast<std::byte*>(dense.raw()) + positions[i] * item, 1);
  return dense;
}

}  // namespace sdx::onnx
