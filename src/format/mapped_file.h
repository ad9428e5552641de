// A regular file mapped for reading, in which a read never kills the process.
//
// A mapped file may shrink, or its disk may fail, while we read it; the kernel answers with SIGBUS.
// The first Open installs a handler for that signal: when the fault lies in one of our mappings,
// the rest of that mapping becomes zeros, a flag is raised, and the read goes on. Whoever reads a
// mapping therefore calls CheckIntact() before trusting what was read. Any thread may take the
// fault, so tensors can be copied by a thread pool. Other SIGBUS faults go to the handler that was
// there before.
//
// Thread safety: all const members may be called from any thread; the bytes may be read from any
// thread until the object goes.
#ifndef KAKEYA_FORMAT_MAPPED_FILE_H_
#define KAKEYA_FORMAT_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace kakeya {

class MappedFile {
 public:
  // Never blocks. Errors name the path: NotFound, InvalidArgument (a directory, a FIFO, an empty
  // file), Unavailable (the system refuses).
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  ~MappedFile();

  const std::string& path() const;
  const std::byte* data() const;
  size_t size() const;
  std::span<const std::byte> bytes() const { return {data(), size()}; }

  // Hints about bytes [offset, offset + length): they are wanted soon; they are not wanted any more
  // (whole pages inside the range leave this process, a later read fetches them again).
  // REQUIRES: the range lies in the file.
  void WillNeed(size_t offset, size_t length) const;
  void DontNeed(size_t offset, size_t length) const;

  // Corrupt, naming the file, when it shrank or was written to since Open, or when a read failed:
  // what was read until now is then worth nothing.
  Status CheckIntact() const;

 private:
  struct State;
  explicit MappedFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_MAPPED_FILE_H_
