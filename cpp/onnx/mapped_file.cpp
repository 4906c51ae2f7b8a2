#include "onnx/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace sdx::onnx {
namespace {

std::string reason(int code) { return std::generic_category().message(code); }

}  // namespace

MappedFile::MappedFile(int descriptor, const std::string& path) {
  struct stat status = {};
  const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  int error = 0;
  if (regular && status.st_size > 0) {
    size_ = static_cast<std::size_t>(status.st_size);
    data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data_ == MAP_FAILED) error = errno;
  }
  close(descriptor);
  check_argument(regular, "'", path, "' is not a regular file");
  check_argument(error == 0, "cannot map '", path, "': ", reason(error));
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, size_);
}

std::shared_ptr<MappedFile> map_file(const std::string& path) {
  check_argument(path.find('\0') == std::string::npos, "a path cannot hold a zero byte");
  // A pipe without a writer would block the open.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int error = errno;
  check_argument(descriptor >= 0, "cannot open '", path, "': ", reason(error));
  return std::make_shared<MappedFile>(descriptor, path);
}

}  // namespace sdx::onnx
