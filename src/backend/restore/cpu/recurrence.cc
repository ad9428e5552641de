#include <algorithm>
#include <bit>
#include <type_traits>
#include <utility>

#include "backend/cpu/targets.h"
#include "backend/restore/cpu/restore_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/restore/cpu/recurrence.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Bit i of masks[k], i in [0, kChunk): ids[i] == keys[k].
void EqualMasksTarget(const int32_t* keys, int count, const int32_t* ids, uint64_t* masks) {
  static_assert(kChunk == 64);
#if HWY_TARGET == HWY_SCALAR
  for (int k = 0; k < count; ++k) {
    masks[k] = 0;
    for (int i = 0; i < kChunk; ++i) masks[k] |= uint64_t{ids[i] == keys[k]} << i;
  }
#else
  const hn::ScalableTag<int32_t> d;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(d));
  using Bits = std::conditional_t<(kLanes > 8), uint16_t, uint8_t>;
  static_assert(kLanes <= 16);
  hn::Vec<decltype(d)> chunk[kChunk / kLanes];
  for (int v = 0; v < kChunk / kLanes; ++v) chunk[v] = hn::LoadU(d, ids + v * kLanes);
  for (int k = 0; k < count; ++k) {
    const auto key = hn::Set(d, keys[k]);
    uint64_t mask = 0;
    for (int v = 0; v < kChunk / kLanes; ++v) {
      Bits bits;
      hn::StoreMaskBits(d, hn::Eq(chunk[v], key), reinterpret_cast<uint8_t*>(&bits));
      mask |= uint64_t{bits} << (v * kLanes);
    }
    masks[k] = mask;
  }
#endif
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(EqualMasksTarget);

// A chunk's tokens, and those before it that its n-grams reach back to.
constexpr int kMaxKeys = kChunk + kMaxRecurrenceLength - 1;
using Masks = std::array<uint64_t, kMaxKeys>;  // per key: its places in a chunk of the history

// Earlier occurrences of the n-grams that end at one token, per length.
struct Occurrences {
  std::array<int, kMaxRecurrenceLengths> counts{};  // no more than is asked for
  std::array<int64_t, kMaxRecurrenceLengths> latest{};
};

class Scan {
 public:
  Scan(const RecurrenceShape& shape, std::span<const int32_t* const> chunks)
      : shape_(shape),
        chunks_(chunks),
        chunk_(static_cast<int64_t>(chunks.size()) - 1),
        reach_(shape.lengths.back() - 1) {
    for (int r = 0; r < reach_ + kChunk; ++r) {
      const int64_t position = chunk_ * kChunk + r - reach_;
      keys_[r] = position < 0 ? kNoToken : IdAt(position);
    }
  }

  void Run(ChunkRecurrence* out) {
    for (int64_t past = 0; past <= chunk_; ++past) {
      std::swap(before_, now_);
      HWY_DYNAMIC_DISPATCH(EqualMasksTarget)
      (keys_.data(), reach_ + kChunk, chunks_[past], now_.data());
      for (int t = 0; t < kChunk; ++t) AddOccurrences(past, t);
    }
    for (int t = 0; t < kChunk; ++t) Write(t, out);
  }

 private:
  int32_t IdAt(int64_t position) const { return chunks_[position / kChunk][position % kChunk]; }

  // Those of token t that end in the chunk `past`, all at once: an n-gram ends where its last token
  // stands and where, shifted, those before it do. Shifts reach into the chunk before.
  void AddOccurrences(int64_t past, int t) {
    const int key = reach_ + t;
    const uint64_t earlier = past < chunk_ ? ~uint64_t{0} : (uint64_t{1} << t) - 1;
    uint64_t ends = now_[key] & earlier;
    int size = 1;
    for (size_t l = 0; ends != 0 && l < shape_.lengths.size(); ++l) {
      for (; ends != 0 && size < shape_.lengths[l]; ++size) {
        ends &= now_[key - size] << size | before_[key - size] >> (kChunk - size);
      }
      if (ends == 0) return;
      int& count = found_[t].counts[l];
      count = std::min(count + std::popcount(ends), shape_.buckets - 1);
      found_[t].latest[l] = past * kChunk + std::bit_width(ends) - 1;
    }
  }

  void Write(int t, ChunkRecurrence* out) const {
    const int lengths = static_cast<int>(shape_.lengths.size());
    int64_t last = -1;
    for (int l = 0; l < lengths; ++l) {
      const int count = found_[t].counts[l];
      out->buckets[t * lengths + l] = static_cast<uint8_t>(count);
      if (count > 0) last = found_[t].latest[l];
    }
    for (int j = 1; j <= shape_.next; ++j) {
      const bool seen = last >= 0 && last + j < chunk_ * kChunk + t;
      out->followers[t * shape_.next + j - 1] = seen ? IdAt(last + j) : kNoToken;
    }
  }

  const RecurrenceShape& shape_;
  const std::span<const int32_t* const> chunks_;
  const int64_t chunk_;  // the last of them
  const int reach_;
  std::array<int32_t, kMaxKeys> keys_{};
  Masks before_{}, now_{};
  std::array<Occurrences, kChunk> found_{};
};

}  // namespace

void FindRecurrence(const RecurrenceShape& shape, std::span<const int32_t* const> chunks,
                    ChunkRecurrence* out) {
  Scan(shape, chunks).Run(out);
}

}  // namespace kakeya::cpu
#endif
