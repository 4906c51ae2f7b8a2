// Tensors whose bytes lie in files beside the model.
//
// A model may be hostile, and then so is every path in it: it must not make us read a file that the
// user did not hand over with the model. The rules:
//  - The only keys are location, offset, length, checksum and basepath; the last two are not used.
//  - A location is a relative path. It has no `..` component, no zero byte, and is not absolute.
//  - It is looked up in the folder of the path that the user gave, and then in the folder where the
//    model really lies, should that path be a link.
//  - Whatever links lead there, the file found at last must really lie in (or below) one of these
//    two folders. So a link beside a plain model may not point out of its folder; but where a hub's
//    cache makes both the model and its data links into one folder of blobs, the data is found.
//  - It is a regular file, with one name only: a hard link could be another's file.
//  - Between the check and the opening nobody may swap a link in: the resolved path is opened
//    without following any.
//  - Offset and length are not negative and lie inside the file, before anything is allocated.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "onnx/mapped_file.h"

namespace sdx::onnx {

// Bytes of a data file and what keeps them in memory.
struct ExternalBytes {
  std::string_view bytes;
  std::shared_ptr<void> owner;
};

class ExternalData {
 public:
  // No folders: every reference is refused.
  ExternalData() = default;
  // Of a model in this file, or of one in memory whose data lies in this folder.
  static ExternalData beside_model(const std::string& path);
  static ExternalData in_directory(const std::string& directory);

  // What the external_data entries of a tensor refer to; `tensor` is the TensorProto. Without a
  // length it is as much as is `needed` and there. Each file is mapped once. Throws
  // `invalid_model`.
  ExternalBytes find(std::string_view tensor, uint64_t needed);
  // Those found so far.
  std::vector<std::shared_ptr<MappedFile>> files() const;

 private:
  std::shared_ptr<MappedFile> open(const std::string& location);

  std::vector<std::string> folders_;  // absolute, without links
  std::map<std::string, std::shared_ptr<MappedFile>> files_;
};

}  // namespace sdx::onnx
