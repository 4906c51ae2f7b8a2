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

void MappedFile::forget(std::string_view bytes) const {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = (begin + page - 1) / page * page,
                  end = (begin + bytes.size()) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

std::shared_ptr<void> MappedFile::hold(std::string_view bytes) {
  constexpr std::size_t kWorthACall = 64 << 10;
  std::shared_ptr<MappedFile> self = shared_from_this();
  if (bytes.size() < kWorthACall) return self;
  return {const_cast<char*>(bytes.data()), [self, bytes](void*) { self->forget(bytes); }};
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
