#include "onnx/external_data.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>

#include "base/checked.h"
#include "onnx/wire.h"

namespace sdx::onnx {
namespace {

namespace fs = std::filesystem;

uint64_t parse_number(std::string_view key, std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), "external data has ", key, " '",
        text, "', which is no size");
  return value;
}

struct Reference {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

Reference parse_reference(std::string_view tensor) {
  Reference reference;
  for (Cursor c(tensor); c.next();) {
    if (c.field() != 13) continue;
    std::string_view key, value;
    for (Cursor entry(c.bytes()); entry.next();) {
      if (entry.field() == 1) key = entry.text();
      if (entry.field() == 2) value = entry.text();
    }
    if (key == "location")
      reference.location = value;
    else if (key == "offset")
      reference.offset = parse_number(key, value);
    else if (key == "length")
      reference.length = parse_number(key, value);
    else
      check(key == "checksum" || key == "basepath", "external data has an unknown key '", key, "'");
  }
  return reference;
}

void check_location(const std::string& location) {
  check(!location.empty(), "external data has no location");
  check(location.find('\0') == std::string::npos, "the external data location holds a zero byte");
  const fs::path path(location);
  check(!path.is_absolute(), "external data location '", location, "' is absolute");
  for (const fs::path& part : path)
    check(part != "..", "external data location '", location, "' leaves the model's directory");
}

bool lies_inside(const fs::path& file, const fs::path& folder) {
  const fs::path relative = file.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != ".." && relative != ".";
}

// Opens an absolute path that has no links in it, unless links have come since.
int open_resolved(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
#if defined(SYS_openat2)
  open_how how = {};
  how.flags = kFlags;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long descriptor = syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how));
  if (descriptor >= 0) return static_cast<int>(descriptor);
  if (errno == ELOOP) return -1;
    // Old kernels and sandboxes lack the call; then the last component alone is guarded.
#endif
  return ::open(path.c_str(), kFlags);
}

std::string resolve(const fs::path& path) {
  std::error_code error;
  const fs::path resolved = fs::canonical(path, error);
  return error ? std::string() : resolved.string();
}

}  // namespace

ExternalData ExternalData::in_directory(const std::string& directory) {
  ExternalData data;
  if (directory.empty()) return data;
  const std::string folder = resolve(directory);
  check_argument(!folder.empty(), "there is no directory '", directory, "'");
  data.folders_.push_back(folder);
  return data;
}

ExternalData ExternalData::beside_model(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  ExternalData data = in_directory(parent.empty() ? "." : parent.string());
  const std::string real = fs::path(resolve(path)).parent_path().string();
  if (!real.empty() && real != data.folders_[0]) data.folders_.push_back(real);
  return data;
}

std::shared_ptr<MappedFile> ExternalData::open(const std::string& location) {
  check_location(location);
  std::string real;
  for (std::size_t i = 0; i < folders_.size() && real.empty(); ++i)
    real = resolve(fs::path(folders_[i]) / location);
  check(!real.empty(), "external data file '", location, "' does not exist beside the model");
  bool inside = false;
  for (const std::string& folder : folders_) inside = inside || lies_inside(real, folder);
  check(inside, "external data file '", location,
        "' is a link to a place outside the model's directory");

  const int descriptor = open_resolved(real);
  check(descriptor >= 0, "cannot open the external data file '", location, "'");
  struct stat status = {};
  const bool known = fstat(descriptor, &status) == 0;
  if (!known || !S_ISREG(status.st_mode) || status.st_nlink > 1) {
    close(descriptor);
    check(known && S_ISREG(status.st_mode), "external data '", location, "' is not a regular file");
    fail(ErrorKind::invalid_model, "external data file '", location, "' has ", status.st_nlink,
         " hard links, and may be another's file; copy it to give it one name");
  }
  return std::make_shared<MappedFile>(descriptor, location);
}

std::vector<std::shared_ptr<MappedFile>> ExternalData::files() const {
  std::vector<std::shared_ptr<MappedFile>> files;
  for (const auto& [location, file] : files_) files.push_back(file);
  return files;
}

ExternalBytes ExternalData::find(std::string_view tensor, uint64_t needed) {
  const Reference reference = parse_reference(tensor);
  check(!folders_.empty(), "external data '", reference.location,
        "' needs to know the model's directory");
  std::shared_ptr<MappedFile>& file = files_[reference.location];
  if (!file) file = open(reference.location);
  const std::string_view all = file->bytes();
  check(reference.offset <= all.size(), "external data begins at byte ", reference.offset, " of '",
        reference.location, "', which has ", all.size());
  const uint64_t length =
      reference.length.value_or(std::min<uint64_t>(needed, all.size() - reference.offset));
  check(fits(reference.offset, length, all.size()), "external data of ", length,
        " bytes from byte ", reference.offset, " on does not fit into '", reference.location,
        "', which has ", all.size());
  const std::string_view bytes = all.substr(reference.offset, length);
  return {bytes, file->hold(bytes)};
}

}  // namespace sdx::onnx
