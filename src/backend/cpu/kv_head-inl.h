// One KV head of a page as the attention kernels read it (backend/kv_page.h), compiled once per
// instruction set. Each storage has a type with
//   Slots<kBlocks>(group, slot)  what a run of keys needs to be read in one group of dimensions;
//                                its Load(d, rows) gives kKeyStep dimensions from d on;
//   Values<kBlocks>(slot, d)     blocks of one position's values.
// so that a kernel is written once and every element arrives in F32.
#if defined(KAKEYA_BACKEND_CPU_KV_HEAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KAKEYA_BACKEND_CPU_KV_HEAD_INL_H_
#undef KAKEYA_BACKEND_CPU_KV_HEAD_INL_H_
#else
#define KAKEYA_BACKEND_CPU_KV_HEAD_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/vector-inl.h"
#include "backend/kv_page.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// Pages lie far from each other, so the machine's own prefetching starts anew with each and waits
// for memory. Whatever is read of one page is therefore asked for in the next one at the same
// place, into the second cache: a page of one head is about as large as the first.
class NextPage {
 public:
  // `next` may be null: then what is being read is asked for once more, to no effect.
  NextPage(const void* current, const void* next)
      : distance_(next == nullptr
                      ? 0
                      : reinterpret_cast<uintptr_t>(next) - reinterpret_cast<uintptr_t>(current)) {}
  // The cache lines that begin in [at, at + kBytes), if `at` is a line's begin.
  template <size_t kBytes>
  HWY_INLINE void Fetch(const void* at) const {
    const uintptr_t there = reinterpret_cast<uintptr_t>(at) + distance_;
    KAKEYA_UNROLL
    for (size_t i = 0; i < kBytes; i += kLine) {
      __builtin_prefetch(reinterpret_cast<const void*>(there + i), 0, 2);
    }
  }

 private:
  static constexpr size_t kLine = 64;
  uintptr_t distance_;
};

// F32, F16, BF16.
template <typename T>
class PlainHead {
 public:
  static constexpr int kKeyStep = 1;
  PlainHead(const void* head, const void* next, int head_dim)
      : keys_(static_cast<const T*>(head)),
        values_(keys_ + int64_t{head_dim} * kChunk),
        head_dim_(head_dim),
        next_(head, next) {}

  template <int kBlocks>
  struct Run {
    const T* keys;
    NextPage next;
    HWY_INLINE void Load(int d, Block (&rows)[kKeyStep][kBlocks]) const {
      const T* const from = keys + d * kChunk;
      next.Fetch<kBlocks * kBlock * sizeof(T)>(from);
      KAKEYA_UNROLL
      for (int b = 0; b < kBlocks; ++b) rows[0][b] = LoadBlock(from + b * kBlock);
    }
  };
  template <int kBlocks>
  HWY_INLINE Run<kBlocks> Slots(int /*group*/, int slot) const {
    return {keys_ + slot, next_};
  }

  template <int kBlocks>
  HWY_INLINE void Values(int slot, int d, Block (&row)[kBlocks]) const {
    const T* const from = values_ + slot * head_dim_ + d;
    next_.Fetch<kBlocks * kBlock * sizeof(T)>(from);
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) row[b] = LoadBlock(from + b * kBlock);
  }
  // Fewer than a block's dimensions are left from `d` on; the others come as zero.
  HWY_INLINE void LastValues(int slot, int d, Block (&row)[1]) const {
    row[0] = LoadPart(values_ + slot * head_dim_ + d, head_dim_ - d);
  }

 private:
  const T* keys_;
  const T* values_;
  int head_dim_;
  NextPage next_;
};

// kBlock codes of a byte each, or of the low or high halves of bytes, as numbers.
using Codes = hn::Vec<hn::RebindToUnsigned<F>>;
HWY_INLINE Codes LoadBytes(const uint8_t* from) {
  const hn::Rebind<uint8_t, F> bytes;
  return hn::PromoteTo(hn::RebindToUnsigned<F>(), hn::LoadU(bytes, from));
}
HWY_INLINE Codes LowHalf(Codes bytes) {
  return hn::And(bytes, hn::Set(hn::RebindToUnsigned<F>(), 15u));
}
HWY_INLINE Codes HighHalf(Codes bytes) { return hn::ShiftRight<4>(bytes); }
HWY_INLINE Vec Decode(Codes codes, Vec scale, Vec bias) {
  const hn::RebindToSigned<F> whole;
  return Fma(scale, hn::ConvertTo(F(), hn::BitCast(whole, codes)), bias);
}

// What codes stand for under a scale and a bias that all lanes share: bytes, and half bytes.
struct WholeNumbers {
  Vec scale;
  Vec bias;
  HWY_INLINE Vec Of(Codes bytes, bool /*high*/) const { return Decode(bytes, scale, bias); }
};

#if HWY_TARGET <= HWY_AVX3
// There are sixteen numbers, and a register holds them all: looking one up takes half of what
// computing it takes. The instruction sees the low four bits of an index and no others.
class HalfNumbers {
 public:
  HWY_INLINE HalfNumbers(Vec scale, Vec bias) : all_(Fma(scale, hn::Iota(F(), 0.0f), bias)) {}
  HWY_INLINE Vec Of(Codes bytes, bool high) const {
    const Codes index = high ? HighHalf(bytes) : bytes;
    return hn::TableLookupLanes(all_, hn::Indices512<float>{index.raw});
  }

 private:
  Vec all_;
};
#else
struct HalfNumbers {
  Vec scale;
  Vec bias;
  HWY_INLINE Vec Of(Codes bytes, bool high) const {
    return Decode(high ? HighHalf(bytes) : LowHalf(bytes), scale, bias);
  }
};
#endif

// Affine8 and affine4. The scales of the values are widened when the head is opened: one F16 at a
// time they would cost more than the values.
template <bool kHalves>
class AffineHead {
 public:
  static constexpr KvType kType = kHalves ? KvType::kAffine4 : KvType::kAffine8;
  static constexpr int kKeyStep = kHalves ? 2 : 1;

  AffineHead(const void* head, const void* next, int head_dim)
      : next_(head, next),
        groups_(KvGroups(head_dim)),
        stride_(static_cast<int>(AffineValueStride(kType, head_dim))),
        key_scales_(static_cast<const F16*>(head)),
        key_codes_(static_cast<const uint8_t*>(head) + AffineHeaderBytes(head_dim)) {
    const uint8_t* const values = static_cast<const uint8_t*>(head) + KeyPartBytes(kType, head_dim);
    value_codes_ = values + AffineHeaderBytes(head_dim);
    const auto* const scales = reinterpret_cast<const F16*>(values);
    for (int i = 0; i < 2 * groups_ * kChunk; i += kBlock) {
      next_.Fetch<kBlock * sizeof(F16)>(scales + i);
      StoreBlock(LoadBlock(scales + i), value_scales_ + i);
    }
  }

  template <int kBlocks>
  struct Run {
    const uint8_t* codes;
    NextPage next;
    Block scale[kBlocks];
    Block bias[kBlocks];
    HWY_INLINE void Load(int d, Block (&rows)[kKeyStep][kBlocks]) const {
      const uint8_t* const from = codes + d / kKeyStep * kChunk;
      next.Fetch<kBlocks * kBlock>(from);
      KAKEYA_UNROLL
      for (int b = 0; b < kBlocks; ++b) {
        KAKEYA_UNROLL
        for (int i = 0; i < kVecs; ++i) {
          const Codes bytes = LoadBytes(from + b * kBlock + i * kVecLanes);
          const Vec s = scale[b].v[i];
          const Vec o = bias[b].v[i];
          rows[0][b].v[i] = Decode(kHalves ? LowHalf(bytes) : bytes, s, o);
          if constexpr (kHalves) rows[1][b].v[i] = Decode(HighHalf(bytes), s, o);
        }
      }
    }
  };
  template <int kBlocks>
  HWY_INLINE Run<kBlocks> Slots(int group, int slot) const {
    Run<kBlocks> run = {.codes = key_codes_ + slot, .next = next_, .scale = {}, .bias = {}};
    const F16* const scales = key_scales_ + group * kChunk + slot;
    const F16* const biases = scales + groups_ * kChunk;
    next_.Fetch<kBlocks * kBlock * sizeof(F16)>(scales);
    next_.Fetch<kBlocks * kBlock * sizeof(F16)>(biases);
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      run.scale[b] = LoadBlock(scales + b * kBlock);
      run.bias[b] = LoadBlock(biases + b * kBlock);
    }
    return run;
  }

  template <int kBlocks>
  HWY_INLINE void Values(int slot, int d, Block (&row)[kBlocks]) const {
    const uint8_t* const codes = value_codes_ + slot * stride_;
    next_.Fetch<kBlocks * kBlock / kKeyStep>(codes + d / kKeyStep);
    Numbers numbers = NumbersAt(slot, d);
    Codes bytes[kVecs];
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const int at = d + b * kBlock;
      if (b > 0 && b % (kKvGroup / kBlock) == 0) numbers = NumbersAt(slot, at);
      const bool high = kHalves && (kBlocks > 1 ? b % 2 != 0 : at % (2 * kBlock) != 0);
      KAKEYA_UNROLL
      for (int i = 0; i < kVecs; ++i) {
        // The high halves of several blocks came with the low ones.
        if (kBlocks == 1 || !high) {
          bytes[i] = LoadBytes(codes + (kHalves ? at / (2 * kBlock) * kBlock : at) + i * kVecLanes);
        }
        row[b].v[i] = numbers.Of(bytes[i], high);
      }
    }
  }
  // Rows end with whole blocks here; what they hold beyond head_dim is not looked at.
  HWY_INLINE void LastValues(int slot, int d, Block (&row)[1]) const { Values<1>(slot, d, row); }

 private:
  using Numbers = std::conditional_t<kHalves, HalfNumbers, WholeNumbers>;

  // Of the group of dimension `d` in the values.
  HWY_INLINE Numbers NumbersAt(int slot, int d) const {
    const float* const scales = value_scales_ + d / kKvGroup * kChunk + slot;
    return {hn::Set(F(), scales[0]), hn::Set(F(), scales[groups_ * kChunk])};
  }

  NextPage next_;
  int groups_;
  int stride_;
  const F16* key_scales_;  // (groups, kChunk), then the biases likewise
  const uint8_t* key_codes_;
  const uint8_t* value_codes_;
  alignas(64) float value_scales_[2 * kMaxKvGroups * kChunk];  // as the page's
};

// Calls kernel(head) with the type that reads `type`. `next`: the head that will be read after this
// one, null if none will.
template <typename Kernel>
HWY_INLINE void WithHead(KvType type, const void* head, const void* next, int head_dim,
                         const Kernel& kernel) {
  switch (type) {
    case KvType::kF32:
      return kernel(PlainHead<float>(head, next, head_dim));
    case KvType::kF16:
      return kernel(PlainHead<F16>(head, next, head_dim));
    case KvType::kBF16:
      return kernel(PlainHead<BF16>(head, next, head_dim));
    case KvType::kAffine8:
      return kernel(AffineHead<false>(head, next, head_dim));
    case KvType::kAffine4:
      return kernel(AffineHead<true>(head, next, head_dim));
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KAKEYA_BACKEND_CPU_KV_HEAD_INL_H_
