// A file's bytes in memory, read-only. Only pages that somebody reads take memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sdx::onnx {

class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  // Takes the descriptor over; `path` is for messages. Refuses all but regular files.
  MappedFile(int descriptor, const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }
  // Lets the whole pages among these bytes leave memory until somebody reads them again.
  void forget(std::string_view bytes) const;
  // Keeps the file mapped; these of its bytes are forgotten when the last copy of this goes.
  std::shared_ptr<void> hold(std::string_view bytes);

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// The file a caller names: links are followed. Throws `invalid_argument`.
std::shared_ptr<MappedFile> map_file(const std::string& path);

}  // namespace sdx::onnx
