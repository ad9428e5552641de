// Names of files that are still being written. A name is gone when its process ends, however it
// ends: by itself, by a signal (RemoveTemporariesOnSignals), or, after SIGKILL and crashes of the
// machine, when the same target is written next (RemoveStaleTemporaries).
//
//   name := target ".tmp-" process:digits "-" nanoseconds:digits
//
// A name is alive as long as its file is locked (flock), which the system ends with the process. So
// neither numbers of processes that come again nor containers with numbers of their own matter.
//
// Thread safety: a TemporaryName belongs to one thread at a time; the functions are thread-safe.
#ifndef KAKEYA_FORMAT_TEMPORARY_NAME_H_
#define KAKEYA_FORMAT_TEMPORARY_NAME_H_

#include <functional>
#include <string>
#include <utility>

#include "base/status.h"

namespace kakeya {

class TemporaryName {
 public:
  // A name beside `target` that make(name) has given to a file: `make` returns 0 or an errno; after
  // EEXIST it is asked again with another name. The file must be locked. Errors: Unavailable, with
  // the meaning of the errno.
  static Result<TemporaryName> Make(const std::string& target,
                                    const std::function<int(const std::string& name)>& make);
  TemporaryName(TemporaryName&& other) noexcept
      : path_(std::exchange(other.path_, {})), slot_(std::exchange(other.slot_, -1)) {}
  TemporaryName& operator=(TemporaryName&&) = delete;
  // Removes the file.
  ~TemporaryName();

  const std::string& path() const { return path_; }
  // The file has got its final name, or is another's.
  void Forget();

 private:
  explicit TemporaryName(std::string path);

  std::string path_;
  int slot_;  // where a signal handler finds the path; -1: nothing is to be removed
};

// Locks a file as long as it is open here. False when another process has locked it.
bool LockTemporary(int fd);

// Removes the temporary files of a target whose processes are gone. Failures are not reported: the
// files are in nobody's way.
void RemoveStaleTemporaries(const std::string& target);

// From now on, every signal that would end the process removes its temporary files first, unless it
// is handled otherwise. For main().
void RemoveTemporariesOnSignals();

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_TEMPORARY_NAME_H_
