// TensorProto and SparseTensorProto -> Tensor.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/tensor.h"
#include "onnx/external_data.h"

namespace sdx::onnx {

class TensorReader {
 public:
  // `file` holds the model's bytes, and tensors are views of them where they can be; null: every
  // tensor is a copy.
  TensorReader(std::shared_ptr<MappedFile> file, ExternalData external)
      : file_(std::move(file)), external_(std::move(external)) {}

  // Throws `invalid_model` unless the message holds exactly the elements its shape needs.
  Tensor read(std::string_view message);
  // As a dense tensor.
  Tensor read_sparse(std::string_view message);
  // Files that tensors read so far may be views of.
  std::vector<std::shared_ptr<MappedFile>> files() const;

 private:
  std::shared_ptr<MappedFile> file_;
  ExternalData external_;
  int64_t dense_bytes_ = 0;  // made from sparse tensors so far: few bytes can claim many
};

}  // namespace sdx::onnx
