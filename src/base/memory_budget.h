// Bytes handed out and to whom. Every buffer that can grow with a model or a conversation is
// allocated here, so that "how much memory does the cache use" has one answer: what this allocator
// gave out and has not got back.
//
// Thread safety: all members may be called from any thread. The budget outlives its buffers.
// Invariants:
//  (1) used() is the sum of the sizes of all live buffers; used() <= limit().
//  (2) peak(tag) >= used(tag), and never falls.
//  (3) What a child gave out counts as used in its parent, too:
//      a session's bytes are bounded by its own limit and by the engine's.
#ifndef KAKEYA_BASE_MEMORY_BUDGET_H_
#define KAKEYA_BASE_MEMORY_BUDGET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/device.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kakeya {

enum class MemoryTag {
  kWeights,  // packed parameters
  kKv,       // resident keys and values
  kScratch,  // activations of the forward pass
  kHistory,  // what grows with a conversation: codes and summaries of evicted chunks
};
inline constexpr int kMemoryTags = 4;
// "weights", "kv", ...
const char* NameOf(MemoryTag tag);

class MemoryBudget;

// A block of memory that returns its bytes to the budget when it goes. Move-only. Aligned to 64
// bytes, from 4 MiB on to 2 MiB; not zeroed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { Free(); }

  std::byte* data() const { return data_; }
  // The memory that data() points into.
  MemorySpace space() const { return space_; }
  size_t size() const { return size_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  // Gives the bytes back now.
  void Free();

 private:
  friend class MemoryBudget;
  Buffer(MemoryBudget* budget, MemoryTag tag, MemorySpace space, std::byte* data, size_t size)
      : budget_(budget), tag_(tag), space_(space), data_(data), size_(size) {}

  MemoryBudget* budget_ = nullptr;
  MemoryTag tag_ = MemoryTag::kScratch;
  MemorySpace space_ = MemorySpace::kHost;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

class MemoryBudget {
 public:
  static constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();
  // The parent, if any, outlives this.
  explicit MemoryBudget(size_t limit = kUnlimited, MemoryBudget* parent = nullptr)
      : limit_(limit), parent_(parent) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;
  ~MemoryBudget();

  // Errors: ResourceExhausted when the limit or the system's memory doesn't allow it; `what` names
  // the buffer in it. The bytes lie in `space`; the limit holds for those of all spaces together.
  Result<Buffer> Allocate(MemoryTag tag, size_t bytes, const char* what,
                          MemorySpace space = MemorySpace::kHost);

  size_t limit() const { return limit_; }
  // What Allocate would still give, here and in all parents.
  size_t available() const;
  size_t used() const;
  size_t used(MemoryTag tag) const;
  size_t peak(MemoryTag tag) const;

 private:
  friend class Buffer;
  Status Reserve(MemoryTag tag, size_t bytes, const char* what);
  void Unreserve(MemoryTag tag, size_t bytes);
  void RecordPeak(MemoryTag tag);
  void Release(MemoryTag tag, std::byte* data, size_t bytes);

  const size_t limit_;
  MemoryBudget* const parent_;
  mutable Mutex mutex_;
  size_t total_ KAKEYA_GUARDED_BY(mutex_) = 0;
  std::array<size_t, kMemoryTags> used_ KAKEYA_GUARDED_BY(mutex_){};
  std::array<size_t, kMemoryTags> peak_ KAKEYA_GUARDED_BY(mutex_){};
};

}  // namespace kakeya

#endif  // KAKEYA_BASE_MEMORY_BUDGET_H_
