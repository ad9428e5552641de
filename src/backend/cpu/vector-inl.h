// The vector vocabulary of the kernels, compiled once per instruction set. A Block is kBlock = 16
// floats, whatever the register width: one register of AVX-512, two of AVX2, four of SSE4 or NEON.
// So every kernel is written for one width and no sum depends on the registers it ran in.
#if defined(KAKEYA_BACKEND_CPU_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KAKEYA_BACKEND_CPU_VECTOR_INL_H_
#undef KAKEYA_BACKEND_CPU_VECTOR_INL_H_
#else
#define KAKEYA_BACKEND_CPU_VECTOR_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "backend/cpu/targets.h"
//
#include <hwy/highway.h>

#include "backend/numerics.h"
#include "base/tensor_view.h"

// Unrolls the next loop, whose bounds are compile-time constants, so that arrays of vectors become
// registers. Not under sanitizers: every unrolled step would carry its checks, and compiling would
// take minutes.
#undef KAKEYA_UNROLL
#if defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KAKEYA_UNROLL
#else
#define KAKEYA_UNROLL _Pragma("clang loop unroll(full)")
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define KAKEYA_UNROLL
#else
#define KAKEYA_UNROLL _Pragma("GCC unroll 16")
#endif

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline constexpr int kBlock = 16;
static_assert(kBlock == kLanes && kBlock == kPackWidth);

using F = hn::CappedTag<float, kBlock>;
using Vec = hn::Vec<F>;
inline constexpr int kVecLanes = static_cast<int>(hn::MaxLanes(F()));
inline constexpr int kVecs = kBlock / kVecLanes;

// Registers that a kernel may fill with running sums, leaving room for its inputs. Where a fused
// multiply-add has to be emulated, registers are not what limits: one block keeps the code small.
#if HWY_NATIVE_FMA
inline constexpr int kSumBlocks = (HWY_TARGET <= HWY_AVX3 ? 24 : HWY_ARCH_X86 ? 12 : 24) / kVecs;
#else
inline constexpr int kSumBlocks = 1;
#endif

struct Block {
  Vec v[kVecs];
};

// Targets whose "vectors" are arrays: the library's std::fma serves each lane.
#undef KAKEYA_LANEWISE_FMA
#define KAKEYA_LANEWISE_FMA (HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128)

#if !HWY_NATIVE_FMA && !KAKEYA_LANEWISE_FMA
// The product of two floats is exact in double. Their sum with c is rounded to odd (an inexact sum
// gets an odd last bit), which makes the final rounding to float the only one that counts: Boldo
// and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008.
template <class HalfVec>
HWY_NOINLINE HalfVec FmaByRoundingToOdd(HalfVec a, HalfVec b, HalfVec c) {
  const hn::Half<F> half;
  const hn::Repartition<double, F> wide;
  const hn::RebindToUnsigned<decltype(wide)> bits;
  const auto product = hn::Mul(hn::PromoteTo(wide, a), hn::PromoteTo(wide, b));
  const auto addend = hn::PromoteTo(wide, c);
  const auto sum = hn::Add(product, addend);
  const auto back = hn::Sub(sum, product);
  const auto error = hn::Add(hn::Sub(product, hn::Sub(sum, back)), hn::Sub(addend, back));
  const auto sum_bits = hn::BitCast(bits, sum);
  const auto one = hn::Set(bits, 1);
  const auto even = hn::Eq(hn::And(sum_bits, one), hn::Zero(bits));
  // The true sum is larger in magnitude than `sum` if the error has its sign.
  const auto zero = hn::Zero(wide);
  const auto up = hn::Or(hn::And(hn::Gt(error, zero), hn::Gt(sum, zero)),
                         hn::And(hn::Lt(error, zero), hn::Lt(sum, zero)));
  const auto down = hn::Or(hn::And(hn::Gt(error, zero), hn::Lt(sum, zero)),
                           hn::And(hn::Lt(error, zero), hn::Gt(sum, zero)));
  const auto add = hn::IfThenElseZero(hn::And(even, hn::RebindMask(bits, up)), one);
  const auto subtract = hn::IfThenElseZero(hn::And(even, hn::RebindMask(bits, down)), one);
  const auto odd = hn::BitCast(wide, hn::Sub(hn::Add(sum_bits, add), subtract));
  return hn::DemoteTo(half, odd);
}
#endif

// a * b + c with one rounding, also where the machine has no such instruction.
HWY_INLINE Vec Fma(Vec a, Vec b, Vec c) {
#if HWY_NATIVE_FMA
  return hn::MulAdd(a, b, c);
#elif KAKEYA_LANEWISE_FMA
  float lanes[3][kVecLanes];
  hn::StoreU(a, F(), lanes[0]);
  hn::StoreU(b, F(), lanes[1]);
  hn::StoreU(c, F(), lanes[2]);
  for (int i = 0; i < kVecLanes; ++i) {
    lanes[0][i] = std::fma(lanes[0][i], lanes[1][i], lanes[2][i]);
  }
  return hn::LoadU(F(), lanes[0]);
#else
  const hn::Half<F> half;
  const auto low =
      FmaByRoundingToOdd(hn::LowerHalf(half, a), hn::LowerHalf(half, b), hn::LowerHalf(half, c));
  const auto high =
      FmaByRoundingToOdd(hn::UpperHalf(half, a), hn::UpperHalf(half, b), hn::UpperHalf(half, c));
  return hn::Combine(F(), high, low);
#endif
}

// kVecLanes stored elements as floats. Any alignment.
HWY_INLINE Vec LoadVec(const float* from) { return hn::LoadU(F(), from); }

// Elements of BF16 and F16 carry their type, so that one kernel template serves all.
struct BF16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

HWY_INLINE Vec LoadVec(const BF16* from) {
  const hn::Rebind<uint16_t, F> narrow;
  const hn::RebindToUnsigned<F> wide;
  const auto loaded = hn::LoadU(narrow, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(F(), hn::ShiftLeft<16>(hn::PromoteTo(wide, loaded)));
}

HWY_INLINE Vec LoadVec(const F16* from) {
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || HWY_ARCH_ARM_A64
  const hn::Rebind<hwy::float16_t, F> narrow;
  return hn::PromoteTo(F(), hn::LoadU(narrow, reinterpret_cast<const hwy::float16_t*>(from)));
#else
  // The steps of numerics::FromF16.
  const hn::Rebind<uint16_t, F> narrow;
  const hn::RebindToUnsigned<F> wide;
  const auto bits = hn::PromoteTo(wide, hn::LoadU(narrow, reinterpret_cast<const uint16_t*>(from)));
  const auto magnitude = hn::And(bits, hn::Set(wide, 0x7fffu));
  const auto sign = hn::ShiftLeft<16>(hn::Xor(bits, magnitude));
  const Vec scaled =
      hn::Mul(hn::BitCast(F(), hn::ShiftLeft<13>(magnitude)), hn::Set(F(), 0x1p112f));
  const auto special = hn::Gt(magnitude, hn::Set(wide, 0x7bffu));
  const auto exponent = hn::IfThenElse(special, hn::Set(wide, 0x7f800000u), hn::Zero(wide));
  return hn::BitCast(F(), hn::Or(hn::Or(hn::BitCast(wide, scaled), sign), exponent));
#endif
}

template <typename T>
HWY_INLINE Block LoadBlock(const T* from) {
  Block out;
  KAKEYA_UNROLL
  for (int i = 0; i < kVecs; ++i) out.v[i] = LoadVec(from + i * kVecLanes);
  return out;
}

// The first `count` < kBlock elements; the others are zero. Reads nothing beyond.
template <typename T>
HWY_INLINE Block LoadPart(const T* from, int count) {
  T copy[kBlock] = {};
  for (int i = 0; i < count; ++i) copy[i] = from[i];
  return LoadBlock(copy);
}

HWY_INLINE Block ZeroBlock() {
  Block out;
  KAKEYA_UNROLL
  for (int i = 0; i < kVecs; ++i) out.v[i] = hn::Zero(F());
  return out;
}

HWY_INLINE void StoreBlock(const Block& block, float* to) {
  KAKEYA_UNROLL
  for (int i = 0; i < kVecs; ++i) hn::StoreU(block.v[i], F(), to + i * kVecLanes);
}

HWY_INLINE void StorePart(const Block& block, float* to, int count) {
  float copy[kBlock];
  StoreBlock(block, copy);
  for (int i = 0; i < count; ++i) to[i] = copy[i];
}

// sum += scalar * block.
HWY_INLINE void FmaInto(Vec scalar, const Block& block, Block* sum) {
  KAKEYA_UNROLL
  for (int i = 0; i < kVecs; ++i) sum->v[i] = Fma(scalar, block.v[i], sum->v[i]);
}

// numerics::Exp, step by step.
HWY_INLINE Vec Exp(Vec x) {
  namespace num = numerics;
  const F f;
  const hn::RebindToUnsigned<F> u;
  const Vec magic = hn::Set(f, num::kRoundMagic);
  const Vec shifted = Fma(x, hn::Set(f, num::kLog2E), magic);
  const Vec n = hn::Sub(shifted, magic);
  const Vec r = Fma(n, hn::Set(f, -num::kLn2Low), Fma(n, hn::Set(f, -num::kLn2High), x));
  Vec p = hn::Set(f, num::kExpPolynomial[0]);
  KAKEYA_UNROLL
  for (int i = 1; i < 6; ++i) p = Fma(p, r, hn::Set(f, num::kExpPolynomial[i]));
  p = hn::Add(Fma(p, hn::Mul(r, r), r), hn::Set(f, 1.0f));
  const auto exponent =
      hn::Add(hn::Sub(hn::BitCast(u, shifted), hn::BitCast(u, magic)), hn::Set(u, 127u));
  Vec out = hn::Mul(p, hn::BitCast(f, hn::ShiftLeft<23>(exponent)));
  out = hn::IfThenElse(hn::Gt(x, hn::Set(f, num::kExpHigh)), hn::Inf(f), out);
  out = hn::IfThenElse(hn::Lt(x, hn::Set(f, num::kExpLow)), hn::Zero(f), out);
  return hn::IfThenElse(hn::Eq(x, x), out, x);
}

// numerics::TreeSum of the block's lanes.
HWY_INLINE float TreeSum(const Block& block) {
  float lanes[kBlock];
  StoreBlock(block, lanes);
  return numerics::TreeSum(lanes);
}

// Calls kernel(static_cast<const T*>(data)) with the element type T that `type` names. REQUIRES:
// not a block type.
template <typename Kernel>
HWY_INLINE void WithElements(DType type, const void* data, const Kernel& kernel) {
  switch (type) {
    case DType::kF32:
      return kernel(static_cast<const float*>(data));
    case DType::kF16:
      return kernel(static_cast<const F16*>(data));
    case DType::kBF16:
      return kernel(static_cast<const BF16*>(data));
    default:
      HWY_DASSERT(false);
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KAKEYA_BACKEND_CPU_VECTOR_INL_H_
