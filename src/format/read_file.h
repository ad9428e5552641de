// Whole files into memory. Only regular files are read: a FIFO or a device could block for ever or
// never end.
#ifndef KAKEYA_FORMAT_READ_FILE_H_
#define KAKEYA_FORMAT_READ_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/status.h"

namespace kakeya {

// An open file that is closed when it goes. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Opens a regular file for reading and tells its size; never blocks. Errors name the path: NotFound
// when there is none, InvalidArgument when it isn't a regular file, Unavailable when the system
// refuses.
Result<FileDescriptor> OpenRegularFile(const std::string& path, uint64_t* size);

// The bytes of a regular file. Errors: those of OpenRegularFile; ResourceExhausted above max_bytes,
// before anything is read.
Result<std::string> ReadFileBytes(const std::string& path, size_t max_bytes);

// The same for text that a user names: "-" reads standard input to its end, and text that isn't
// valid UTF-8 is InvalidArgument with the offset of the first bad byte.
Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_READ_FILE_H_
