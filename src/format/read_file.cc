#include "format/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "format/quote.h"
#include "format/utf8.h"

namespace kakeya {
namespace {

constexpr size_t kReadStep = size_t{1} << 20;

std::string SystemError() { return std::strerror(errno); }

// read() that survives signals.
ssize_t ReadSome(int fd, char* to, size_t bytes) {
  ssize_t got;
  do {
    got = ::read(fd, to, bytes);
  } while (got < 0 && errno == EINTR);
  return got;
}

// Appends everything up to the end of fd. Grows by what really came, never by a promised size.
Result<std::string> ReadToEnd(int fd, const std::string& name, size_t max_bytes) {
  std::string out;
  while (true) {
    const size_t have = out.size();
    const size_t step = std::min(kReadStep, max_bytes - have + 1);  // one more shows an excess
    out.resize(have + step);
    const ssize_t got = ReadSome(fd, out.data() + have, step);
    if (got < 0) return Unavailable("{}: cannot read: {}", name, SystemError());
    out.resize(have + static_cast<size_t>(got));
    if (got == 0) return out;
    if (out.size() > max_bytes) {
      return ResourceExhausted("{}: more than the limit of {} bytes", name, max_bytes);
    }
  }
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<FileDescriptor> OpenRegularFile(const std::string& path, uint64_t* size) {
  if (path.empty()) return InvalidArgument("the path is empty");
  if (path.find('\0') != std::string::npos) {
    return InvalidArgument("{}: a path with a zero byte", Printable(path));
  }
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (fd.get() < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return NotFound("{}: no such file", path);
    return Unavailable("{}: cannot open: {}", path, std::strerror(error));
  }
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) {
    return Unavailable("{}: cannot stat: {}", path, SystemError());
  }
  if (S_ISDIR(info.st_mode)) return InvalidArgument("{}: is a directory, not a file", path);
  if (!S_ISREG(info.st_mode)) return InvalidArgument("{}: not a regular file", path);
  *size = static_cast<uint64_t>(info.st_size);
  return fd;
}

Result<std::string> ReadFileBytes(const std::string& path, size_t max_bytes) try {
  uint64_t size = 0;
  KAKEYA_ASSIGN_OR_RETURN(FileDescriptor fd, OpenRegularFile(path, &size));
  if (size > max_bytes) {
    return ResourceExhausted("{}: {} bytes, more than the limit of {}", path, size, max_bytes);
  }
  return ReadToEnd(fd.get(), path, max_bytes);
} catch (const std::bad_alloc&) {
  return ResourceExhausted("{}: not enough memory to read it", path);
}

Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes) try {
  const bool from_stdin = path == "-";
  const std::string name = from_stdin ? "standard input" : path;
  KAKEYA_ASSIGN_OR_RETURN(std::string text, from_stdin ? ReadToEnd(STDIN_FILENO, name, max_bytes)
                                                       : ReadFileBytes(path, max_bytes));
  const size_t bad = FindInvalidUtf8(text);
  if (bad < text.size()) return InvalidArgument("{}: not valid UTF-8 at byte {}", name, bad);
  return text;
} catch (const std::bad_alloc&) {
  return ResourceExhausted("{}: not enough memory to read it", path);
}

}  // namespace kakeya
