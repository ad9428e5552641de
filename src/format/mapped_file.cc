#include "format/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

#include "format/read_file.h"

namespace kakeya {
namespace {

// The mappings that the signal handler knows. A fixed table of atomics: the handler may run in any
// thread at any moment and can neither lock nor allocate.
struct Guard {
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> begin{0};  // 0: not (or not yet) in use
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> failed{false};
};
constexpr size_t kMaxMappings =
    1024;  // the largest published checkpoints have a few hundred shards
std::array<Guard, kMaxMappings> guards;

struct sigaction previous_action;
uintptr_t page_size;

// Sends the signal where it would have gone without us.
void PassOn(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    // Returning repeats the faulting instruction, which now dies as it should; a signal that was
    // sent by hand doesn't repeat.
    ::signal(SIGBUS, SIG_DFL);
    if (info->si_code <= 0) ::raise(SIGBUS);
  }
}

void OnBusError(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Guard& guard : guards) {
    const uintptr_t begin = guard.begin.load(std::memory_order_acquire);
    const uintptr_t end = guard.end.load(std::memory_order_relaxed);
    if (begin == 0 || address < begin || address >= end || info->si_code <= 0) continue;
    guard.failed.store(true, std::memory_order_relaxed);
    // Zeros from the faulting page to the end: one fault per truncation, not one per page.
    const uintptr_t page = address & ~(page_size - 1);
    void* zeros = ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = saved_errno;
    if (zeros != MAP_FAILED) return;
    break;
  }
  PassOn(signal, info, context);
}

void InstallHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_size = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous_action);
  });
}

// The first free entry, or null when all are taken.
Guard* TakeGuard() {
  for (Guard& guard : guards) {
    bool expected = false;
    if (guard.taken.compare_exchange_strong(expected, true)) return &guard;
  }
  return nullptr;
}

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

struct MappedFile::State {
  std::string path;
  FileDescriptor fd;
  std::byte* data = nullptr;
  size_t size = 0;
  timespec modified = {};
  Guard* guard = nullptr;

  ~State() {
    if (guard != nullptr) guard->begin.store(0, std::memory_order_release);
    if (data != nullptr) ::munmap(data, size);
    if (guard != nullptr) guard->taken.store(false, std::memory_order_release);
  }
};

MappedFile::MappedFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
MappedFile::MappedFile(MappedFile&&) noexcept = default;
MappedFile& MappedFile::operator=(MappedFile&&) noexcept = default;
MappedFile::~MappedFile() = default;

Result<MappedFile> MappedFile::Open(const std::string& path) {
  InstallHandler();
  auto state = std::make_unique<State>();
  state->path = path;
  uint64_t size = 0;
  KAKEYA_ASSIGN_OR_RETURN(state->fd, OpenRegularFile(path, &size));
  if (size == 0) return InvalidArgument("{}: the file is empty", path);
  struct stat info;
  if (::fstat(state->fd.get(), &info) != 0) {
    return Unavailable("{}: cannot stat: {}", path, std::strerror(errno));
  }
  state->modified = info.st_mtim;
  state->guard = TakeGuard();
  if (state->guard == nullptr) {
    return ResourceExhausted("{}: more than {} files mapped", path, kMaxMappings);
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, state->fd.get(), 0);
  if (data == MAP_FAILED) {
    return Unavailable("{}: cannot map {} bytes: {}", path, size, std::strerror(errno));
  }
  state->data = static_cast<std::byte*>(data);
  state->size = size;
  // The handler asks for `begin` first: whoever sees it sees the rest. `end` is the mapping's,
  // which fills its last page.
  const auto begin = reinterpret_cast<uintptr_t>(data);
  state->guard->failed.store(false, std::memory_order_relaxed);
  state->guard->end.store((begin + size + page_size - 1) & ~(page_size - 1),
                          std::memory_order_relaxed);
  state->guard->begin.store(begin, std::memory_order_release);
  return MappedFile(std::move(state));
}

const std::string& MappedFile::path() const { return state_->path; }
const std::byte* MappedFile::data() const { return state_->data; }
size_t MappedFile::size() const { return state_->size; }

void MappedFile::WillNeed(size_t offset, size_t length) const {
  assert(offset <= size() && length <= size() - offset);
  const size_t begin = offset & ~(page_size - 1);
  (void)::madvise(state_->data + begin, offset + length - begin, MADV_WILLNEED);
}

void MappedFile::DontNeed(size_t offset, size_t length) const {
  assert(offset <= size() && length <= size() - offset);
  // Inner pages only: the outer ones are shared with neighbours that may not have been read yet.
  const size_t begin = (offset + page_size - 1) & ~(page_size - 1);
  const size_t end = (offset + length) & ~(page_size - 1);
  // After a fault the pages are zeros of our own; they can go as well.
  if (begin < end) (void)::madvise(state_->data + begin, end - begin, MADV_DONTNEED);
}

Status MappedFile::CheckIntact() const {
  struct stat info;
  if (::fstat(state_->fd.get(), &info) != 0) {
    return Unavailable("{}: cannot stat: {}", path(), std::strerror(errno));
  }
  const auto now = static_cast<uint64_t>(info.st_size);
  if (now < size()) {
    return Corrupt("{}: truncated to {} bytes while it was read, had {}", path(), now, size());
  }
  if (state_->guard->failed.load(std::memory_order_relaxed)) {
    return Corrupt("{}: a read failed: truncated meanwhile, or a disk error", path());
  }
  if (now != size() || !SameTime(info.st_mtim, state_->modified)) {
    return Corrupt("{}: was written to while it was read", path());
  }
  return OkStatus();
}

}  // namespace kakeya
