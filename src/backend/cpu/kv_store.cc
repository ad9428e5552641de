// Rounds keys and values into a page. Keys are stored transposed: whole squares of kSquare rows by
// kSquare dimensions are turned in registers, what is left over one by one.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "backend/cpu/cpu.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kv_store.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/vector-inl.h"
#include "backend/numerics.h"

#ifndef KAKEYA_BACKEND_CPU_KV_STORE_TASK_
#define KAKEYA_BACKEND_CPU_KV_STORE_TASK_
namespace kakeya::cpu {
namespace {

// Some rows of one KV head. Rows of k and v are `stride` elements apart.
struct StoreTask {
  const float* k;
  const float* v;
  int64_t stride;
  int rows;
  int head_dim;
  int first_slot;
};

}  // namespace
}  // namespace kakeya::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// Elements in their stored type, one at a time and four at a time.
struct AsF32 {
  using Stored = float;
  static float One(float value) { return value; }
};
struct AsF16 {
  using Stored = uint16_t;
  static uint16_t One(float value) { return numerics::ToF16(value); }
};
struct AsBF16 {
  using Stored = uint16_t;
  static uint16_t One(float value) { return numerics::ToBF16(value); }
};

#if HWY_TARGET != HWY_SCALAR

constexpr int kSquare = 4;
using F4 = hn::Full128<float>;
using U4 = hn::Full128<uint32_t>;
using V4 = hn::Vec<F4>;

HWY_INLINE void StoreFour(AsF32 /*type*/, V4 values, float* to) { hn::StoreU(values, F4(), to); }
HWY_INLINE void StoreFour(AsF16 /*type*/, V4 values, uint16_t* to) {
  float four[kSquare];
  hn::StoreU(values, F4(), four);
  for (int i = 0; i < kSquare; ++i) to[i] = numerics::ToF16(four[i]);
}
// numerics::ToBF16, step by step.
HWY_INLINE void StoreFour(AsBF16 /*type*/, V4 values, uint16_t* to) {
  const U4 u;
  const auto bits = hn::BitCast(u, values);
  const auto high = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(high, hn::Set(u, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(u, 0x7fffu))));
  const auto is_number = hn::RebindMask(u, hn::Eq(values, values));
  const auto out = hn::IfThenElse(is_number, rounded, hn::Or(high, hn::Set(u, 0x40u)));
  const hn::Rebind<uint16_t, U4> narrow;
  hn::StoreU(hn::TruncateTo(narrow, out), narrow, to);
}

// Four rows of four dimensions, as four dimensions of four slots.
template <class Type>
HWY_INLINE void StoreSquare(const float* from, int64_t stride, typename Type::Stored* to) {
  const F4 f;
  const hn::RepartitionToWide<F4> wide;
  const V4 r0 = hn::LoadU(f, from);
  const V4 r1 = hn::LoadU(f, from + stride);
  const V4 r2 = hn::LoadU(f, from + 2 * stride);
  const V4 r3 = hn::LoadU(f, from + 3 * stride);
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(f, r0, r1));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(f, r2, r3));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(f, r0, r1));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(f, r2, r3));
  StoreFour(Type(), hn::BitCast(f, hn::InterleaveLower(wide, low01, low23)), to);
  StoreFour(Type(), hn::BitCast(f, hn::InterleaveUpper(wide, low01, low23)), to + kChunk);
  StoreFour(Type(), hn::BitCast(f, hn::InterleaveLower(wide, high01, high23)), to + 2 * kChunk);
  StoreFour(Type(), hn::BitCast(f, hn::InterleaveUpper(wide, high01, high23)), to + 3 * kChunk);
}

template <class Type>
HWY_INLINE void StoreRow(const float* from, int n, typename Type::Stored* to) {
  int d = 0;
  for (; d + kSquare <= n; d += kSquare) StoreFour(Type(), hn::LoadU(F4(), from + d), to + d);
  for (; d < n; ++d) to[d] = Type::One(from[d]);
}

#else  // a single lane: nothing to turn

constexpr int kSquare = kChunk + 1;

template <class Type>
HWY_INLINE void StoreSquare(const float* /*from*/, int64_t /*stride*/,
                            typename Type::Stored* /*to*/) {}

template <class Type>
HWY_INLINE void StoreRow(const float* from, int n, typename Type::Stored* to) {
  for (int d = 0; d < n; ++d) to[d] = Type::One(from[d]);
}

#endif

template <class Type>
HWY_INLINE void StoreAs(const StoreTask& task, typename Type::Stored* keys) {
  typename Type::Stored* const values = keys + int64_t{task.head_dim} * kChunk;
  for (int row = 0; row < task.rows; ++row) {
    StoreRow<Type>(task.v + row * task.stride, task.head_dim,
                   values + int64_t{task.first_slot + row} * task.head_dim);
  }
  const int whole_rows = task.rows / kSquare * kSquare;
  const int whole_dims = task.head_dim / kSquare * kSquare;
  // Rows outside: the page's keys stay in the first cache, rows of many heads would not.
  for (int row = 0; row < whole_rows; row += kSquare) {
    for (int d = 0; d < whole_dims; d += kSquare) {
      StoreSquare<Type>(task.k + row * task.stride + d, task.stride,
                        keys + d * kChunk + task.first_slot + row);
    }
  }
  for (int row = 0; row < task.rows; ++row) {
    const float* const from = task.k + row * task.stride;
    for (int d = row < whole_rows ? whole_dims : 0; d < task.head_dim; ++d) {
      keys[d * kChunk + task.first_slot + row] = Type::One(from[d]);
    }
  }
}

// numerics::QuantizeAffine of `n` elements, at most kKvGroup.
numerics::AffineGroup QuantizeGroup(const float* from, int n, int levels, uint8_t* codes) {
  const F f;
  const int padded = (n + kBlock - 1) / kBlock * kBlock;
  alignas(64) float x[kKvGroup];
  std::copy_n(from, n, x);
  std::fill(x + n, x + padded, from[0]);  // changes no extreme
  Vec min = hn::Load(f, x);
  Vec max = min;
  Vec broken = hn::Zero(f);
  for (int i = 0; i < padded; i += kVecLanes) {
    const Vec value = hn::Load(f, x + i);
    min = hn::Min(min, value);
    max = hn::Max(max, value);
    broken = hn::Or(broken, hn::Sub(value, value));  // all zeros, but for NaN and infinity
  }
  const bool finite = hn::AllTrue(f, hn::Eq(broken, hn::Zero(f)));
  const numerics::AffineGroup group = numerics::AffineOf(
      hn::GetLane(hn::MinOfLanes(f, min)), hn::GetLane(hn::MaxOfLanes(f, max)), finite, levels);
  if (group.inverse == 0) {
    std::fill_n(codes, n, uint8_t{0});
    return group;
  }
  const hn::Rebind<int32_t, F> whole;
  const hn::Rebind<uint8_t, F> bytes;
  const Vec top = hn::Set(f, static_cast<float>(levels));
  const Vec magic = hn::Set(f, numerics::kRoundMagic);
  uint8_t rounded[kKvGroup];
  for (int i = 0; i < padded; i += kVecLanes) {
    const Vec distance = hn::Sub(hn::Load(f, x + i), hn::Set(f, group.offset));
    const Vec code = hn::Mul(distance, hn::Set(f, group.inverse));
    const Vec inside = hn::Min(hn::Max(code, hn::Zero(f)), top);
    const Vec even = hn::Sub(hn::Add(inside, magic), magic);
    hn::StoreU(hn::DemoteTo(bytes, hn::ConvertTo(whole, even)), bytes, rounded + i);
  }
  std::copy_n(rounded, n, codes);
  return group;
}

// Codes of one position, its scales and biases into `header`.
void QuantizeRow(const float* x, int head_dim, int levels, int slot, uint16_t* header,
                 uint8_t* codes) {
  const int biases = KvGroups(head_dim) * kChunk;
  for (int d = 0; d < head_dim; d += kKvGroup) {
    const numerics::AffineGroup group =
        QuantizeGroup(x + d, std::min(kKvGroup, head_dim - d), levels, codes + d);
    const int at = d / kKvGroup * kChunk + slot;
    header[at] = group.scale;
    header[biases + at] = group.bias;
  }
}

// Layouts as in backend/kv_page.h.
template <KvType kType>
void StoreAffine(const StoreTask& task, uint8_t* keys) {
  constexpr bool kHalves = kType == KvType::kAffine4;
  uint8_t* const values = keys + KeyPartBytes(kType, task.head_dim);
  const size_t header = AffineHeaderBytes(task.head_dim);
  const size_t stride = AffineValueStride(kType, task.head_dim);
  uint8_t codes[kMaxHeadDim];
  for (int row = 0; row < task.rows; ++row) {
    const int slot = task.first_slot + row;
    QuantizeRow(task.k + row * task.stride, task.head_dim, KvLevels(kType), slot,
                reinterpret_cast<uint16_t*>(keys), codes);
    uint8_t* const k = keys + header + slot;
    for (int d = 0; d < task.head_dim; d += kHalves ? 2 : 1) {
      if constexpr (kHalves) {
        k[d / 2 * kChunk] = static_cast<uint8_t>(codes[d] | codes[d + 1] << 4);
      } else {
        k[d * kChunk] = codes[d];
      }
    }
    std::memset(codes, 0, sizeof(codes));  // what pads a row of values is zero
    QuantizeRow(task.v + row * task.stride, task.head_dim, KvLevels(kType), slot,
                reinterpret_cast<uint16_t*>(values), codes);
    uint8_t* const v = values + header + slot * stride;
    for (size_t i = 0; i < stride; ++i) {
      const size_t d = i / 16 * 32 + i % 16;
      v[i] = kHalves ? static_cast<uint8_t>(codes[d] | codes[d + 16] << 4) : codes[i];
    }
  }
}

void StoreHead(const StoreTask& task, KvType kv_type, void* keys) {
  switch (kv_type) {
    case KvType::kF32:
      return StoreAs<AsF32>(task, static_cast<float*>(keys));
    case KvType::kF16:
      return StoreAs<AsF16>(task, static_cast<uint16_t*>(keys));
    case KvType::kBF16:
      return StoreAs<AsBF16>(task, static_cast<uint16_t*>(keys));
    case KvType::kAffine8:
      return StoreAffine<KvType::kAffine8>(task, static_cast<uint8_t*>(keys));
    case KvType::kAffine4:
      return StoreAffine<KvType::kAffine4>(task, static_cast<uint8_t*>(keys));
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(StoreHead);

}  // namespace

void StoreKv(const KvRows& in, KvType type, void* page, int first_slot) {
  const size_t head_bytes = KvHeadBytes(type, in.head_dim);
  for (int head = 0; head < in.kv_heads; ++head) {
    const StoreTask task{.k = in.k + int64_t{head} * in.head_dim,
                         .v = in.v + int64_t{head} * in.head_dim,
                         .stride = int64_t{in.kv_heads} * in.head_dim,
                         .rows = in.rows,
                         .head_dim = in.head_dim,
                         .first_slot = first_slot};
    HWY_DYNAMIC_DISPATCH(StoreHead)
    (task, type, static_cast<std::byte*>(page) + head * head_bytes);
  }
}

}  // namespace kakeya::cpu
#endif
