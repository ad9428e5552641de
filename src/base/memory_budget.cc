#include "base/memory_budget.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cassert>
#include <new>

namespace kakeya {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Buffers of several huge pages begin with one.
constexpr std::align_val_t AlignmentOf(size_t bytes) {
  return std::align_val_t{bytes >= 2 * kHugePage ? kHugePage : 64};
}

// Weights are read from one end to the other again and again: with pages of 4 KiB, the processor
// would spend a part of that on translating addresses. A wish, not a demand; the end that fills no
// page keeps small ones, so that no byte is resident without use.
void WishForHugePages(void* data, size_t bytes) {
#if defined(__linux__)
  if (bytes >= 2 * kHugePage) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  (void)data;
  (void)bytes;
}

size_t Index(MemoryTag tag) { return static_cast<size_t>(tag); }

}  // namespace

const char* NameOf(MemoryTag tag) {
  static constexpr std::array<const char*, kMemoryTags> kNames = {"weights", "kv", "scratch",
                                                                  "history"};
  return kNames[Index(tag)];
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    Free();
    budget_ = std::exchange(other.budget_, nullptr);
    tag_ = other.tag_;
    space_ = other.space_;
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Buffer::Free() {
  if (data_ == nullptr) return;
  budget_->Release(tag_, data_, size_);
  data_ = nullptr;
  size_ = 0;
}

MemoryBudget::~MemoryBudget() { assert(used() == 0 && "a buffer outlived its budget"); }

Result<Buffer> MemoryBudget::Allocate(MemoryTag tag, size_t bytes, const char* what,
                                      MemorySpace space) {
  // Reserved before it is asked for, so that two threads can't both pass the limit.
  KAKEYA_RETURN_IF_ERROR(Reserve(tag, bytes, what));
  void* data = ::operator new(std::max<size_t>(bytes, 1), AlignmentOf(bytes), std::nothrow);
  if (data == nullptr) {
    Unreserve(tag, bytes);
    return ResourceExhausted("{}: the system has no {} bytes left", what, bytes);
  }
  WishForHugePages(data, bytes);
  RecordPeak(tag);
  return Buffer(this, tag, space, static_cast<std::byte*>(data), bytes);
}

void MemoryBudget::RecordPeak(MemoryTag tag) {
  {
    const MutexLock lock(&mutex_);
    peak_[Index(tag)] = std::max(peak_[Index(tag)], used_[Index(tag)]);
  }
  if (parent_ != nullptr) parent_->RecordPeak(tag);
}

Status MemoryBudget::Reserve(MemoryTag tag, size_t bytes, const char* what) {
  if (parent_ != nullptr) KAKEYA_RETURN_IF_ERROR(parent_->Reserve(tag, bytes, what));
  {
    const MutexLock lock(&mutex_);
    if (bytes <= limit_ - total_) {
      total_ += bytes;
      used_[Index(tag)] += bytes;
      return OkStatus();
    }
  }
  if (parent_ != nullptr) parent_->Unreserve(tag, bytes);
  return ResourceExhausted("{}: {} bytes wanted, {} of {} in use", what, bytes, used(), limit_);
}

void MemoryBudget::Unreserve(MemoryTag tag, size_t bytes) {
  {
    const MutexLock lock(&mutex_);
    assert(used_[Index(tag)] >= bytes);
    total_ -= bytes;
    used_[Index(tag)] -= bytes;
  }
  if (parent_ != nullptr) parent_->Unreserve(tag, bytes);
}

void MemoryBudget::Release(MemoryTag tag, std::byte* data, size_t bytes) {
  ::operator delete(data, AlignmentOf(bytes));
  Unreserve(tag, bytes);
}

size_t MemoryBudget::available() const {
  const size_t here = limit_ - used();
  return parent_ == nullptr ? here : std::min(here, parent_->available());
}

size_t MemoryBudget::used() const {
  const MutexLock lock(&mutex_);
  return total_;
}

size_t MemoryBudget::used(MemoryTag tag) const {
  const MutexLock lock(&mutex_);
  return used_[Index(tag)];
}

size_t MemoryBudget::peak(MemoryTag tag) const {
  const MutexLock lock(&mutex_);
  return peak_[Index(tag)];
}

}  // namespace kakeya
