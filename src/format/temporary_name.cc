#include "format/temporary_name.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include "format/read_file.h"

namespace kakeya {
namespace {

constexpr std::string_view kMark = ".tmp-";

// A path where a signal handler can read it, with no lock and no memory of its own.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<bool> named{false};  // the path is whole
  std::array<char, PATH_MAX> path;
};
constexpr int kSlots = 16;  // files written at a time; a name without one goes with the next run
std::array<Slot, kSlots> slots;
std::atomic<bool> dying{false};

void OnDeadlySignal(int number) {
  dying = true;
  for (const Slot& slot : slots) {
    if (slot.named) ::unlink(slot.path.data());
  }
  // Blocked until this function returns; then it does what it would have done without us.
  ::signal(number, SIG_DFL);
  ::raise(number);
}

// -1 when all are taken, or the path is too long for any file.
int TakeSlot(const std::string& path) {
  if (path.size() >= PATH_MAX) return -1;
  for (int i = 0; i < kSlots; ++i) {
    Slot& slot = slots[static_cast<size_t>(i)];
    bool expected = false;
    if (!slot.taken.compare_exchange_strong(expected, true)) continue;
    std::memcpy(slot.path.data(), path.c_str(), path.size() + 1);
    slot.named = true;
    return i;
  }
  return -1;
}

// What follows the target in a temporary name.
bool IsSuffix(std::string_view text) {
  if (!text.starts_with(kMark)) return false;
  text.remove_prefix(kMark.size());
  const size_t dash = text.find('-');
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == part.npos;
  };
  return dash != text.npos && digits(text.substr(0, dash)) && digits(text.substr(dash + 1));
}

void RemoveIfStale(const std::string& path) {
  const FileDescriptor fd(
      ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY));
  struct stat info;
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
}

}  // namespace

TemporaryName::TemporaryName(std::string path) : path_(std::move(path)), slot_(TakeSlot(path_)) {}

TemporaryName::~TemporaryName() {
  if (path_.empty()) return;
  ::unlink(path_.c_str());
  Forget();
}

void TemporaryName::Forget() {
  path_.clear();
  if (slot_ < 0) return;
  Slot& slot = slots[static_cast<size_t>(std::exchange(slot_, -1))];
  slot.named = false;
  slot.taken = false;
}

Result<TemporaryName> TemporaryName::Make(const std::string& target,
                                          const std::function<int(const std::string& name)>& make) {
  constexpr int kTries = 100;
  int error = EEXIST;
  for (int i = 0; i < kTries && error == EEXIST; ++i) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    TemporaryName name(fmt::format("{}{}{}-{}", target, kMark, ::getpid(), nanoseconds));
    error = make(name.path());
    // A handler that ran before there was a file has not seen it.
    if (error == 0 && dying) ::unlink(name.path().c_str());
    if (error == 0) return name;
    name.Forget();
  }
  return Unavailable("{}", std::strerror(error));
}

bool LockTemporary(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

void RemoveStaleTemporaries(const std::string& target) {
  const std::filesystem::path path(target);
  const std::string name = path.filename().string();
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view other = entry->d_name;
    if (!other.starts_with(name) || !IsSuffix(other.substr(name.size()))) continue;
    RemoveIfStale(folder + "/" + entry->d_name);
  }
}

void RemoveTemporariesOnSignals() {
  constexpr int kHarmless[] = {SIGCHLD, SIGCONT, SIGSTOP,  SIGTSTP, SIGTTIN,
                               SIGTTOU, SIGURG,  SIGWINCH, SIGKILL};
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (std::find(std::begin(kHarmless), std::end(kHarmless), number) != std::end(kHarmless)) {
      continue;
    }
    struct sigaction action;
    // What is ignored (nohup) or handled already stays so; some numbers are the C library's own.
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action = {};
    action.sa_handler = OnDeadlySignal;
    action.sa_flags = SA_ONSTACK;
    ::sigfillset(&action.sa_mask);
    ::sigaction(number, &action, nullptr);
  }
}

}  // namespace kakeya
