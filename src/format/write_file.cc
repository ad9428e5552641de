#include "format/write_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace kakeya {
namespace {

Status WriteError(const std::string& path, const char* what) {
  return Unavailable("{}: cannot {}: {}", path, what, std::strerror(errno));
}

// The folder that a path's last part lies in.
std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Whether a file of this name, and a temporary one beside it, can be; better known before hours of
// work than after.
Status CheckName(const std::string& path) {
  if (path.empty() || path.back() == '/' || path.find('\0') != path.npos) {
    return InvalidArgument("'{}' cannot be the name of a file", path.c_str());
  }
  constexpr size_t kSuffix = 40;  // of a temporary name, at most
  struct stat info;
  if (::stat((path + std::string(kSuffix, '-')).c_str(), &info) != 0 && errno == ENAMETOOLONG) {
    return WriteError(path, "write");
  }
  // Renaming over a device or a FIFO would replace it by a file.
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return InvalidArgument("{}: exists and is not a regular file", path);
  }
  return OkStatus();
}

// The open file by a path that linkat() takes.
std::string PathOf(const FileDescriptor& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

// A locked file without a name that can get one later; -1 where the system has none.
FileDescriptor OpenUnnamed(const std::string& folder, mode_t mode) {
  FileDescriptor fd(::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode));
  if (fd.get() < 0 || ::access(PathOf(fd).c_str(), F_OK) != 0) return {};
  LockTemporary(fd.get());  // for the instant in which it has a temporary name
  return fd;
}

// Creates and locks a file. 0 or an errno; EEXIST also if another process took it for a stale one.
int OpenNamed(const std::string& name, mode_t mode, FileDescriptor* fd) {
  *fd = FileDescriptor(
      ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (fd->get() < 0) return errno;
  struct stat info;
  const bool ours = LockTemporary(fd->get()) && ::fstat(fd->get(), &info) == 0;
  return ours && info.st_nlink > 0 ? 0 : EEXIST;
}

}  // namespace

Result<AtomicFile> AtomicFile::Create(const std::string& path, Naming naming, Access access) {
  const mode_t mode = access == Access::kOwner ? 0600 : 0666;
  KAKEYA_RETURN_IF_ERROR(CheckName(path));
  RemoveStaleTemporaries(path);
  FileDescriptor fd;
  if (naming == Naming::kLate) fd = OpenUnnamed(FolderOf(path), mode);
  if (fd.get() >= 0) return AtomicFile(path, std::move(fd), std::nullopt);
  Result<TemporaryName> name = TemporaryName::Make(
      path, [&](const std::string& temporary) { return OpenNamed(temporary, mode, &fd); });
  if (!name.ok()) return Unavailable("{}: cannot write: {}", path, name.status().message());
  return AtomicFile(path, std::move(fd), *std::move(name));
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd_.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return WriteError(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return OkStatus();
}

Status AtomicFile::Link() {
  const std::string self = PathOf(fd_);
  const auto link = [&](const std::string& name) {
    const int code = ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW);
    return code == 0 ? 0 : errno;
  };
  const int error = link(path_);
  if (error == 0) return OkStatus();
  errno = error;
  if (error != EEXIST) return WriteError(path_, "give it its name");
  Result<TemporaryName> name = TemporaryName::Make(path_, link);
  if (!name.ok()) return Unavailable("{}: cannot replace: {}", path_, name.status().message());
  temporary_.emplace(*std::move(name));
  return OkStatus();
}

Status AtomicFile::Commit() {
  if (::fsync(fd_.get()) != 0) return WriteError(path_, "flush to disk");
  if (!temporary_) KAKEYA_RETURN_IF_ERROR(Link());
  if (temporary_) {
    if (::rename(temporary_->path().c_str(), path_.c_str()) != 0) {
      return WriteError(path_, "rename");
    }
    temporary_->Forget();
  }
  // The new name is on disk only once the folder is.
  const FileDescriptor folder(::open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return WriteError(path_, "flush the folder");
  return OkStatus();
}

Status WriteTextFile(const std::string& path, const std::string& text) {
  KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  KAKEYA_RETURN_IF_ERROR(file.Write(std::as_bytes(std::span(text))));
  return file.Commit();
}

}  // namespace kakeya
