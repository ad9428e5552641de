// Rounds keys and values into a page. Keys are stored transposed: whole squares of kSquare rows by
// kSquare dimensions are turned in registers, what is left over one by one.
#include <cstdint>

#include "backend/cpu/cpu.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kv_store.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

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

namespace hn = hwy::HWY_NAMESPACE;

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

void StoreHead(const StoreTask& task, DType kv_dtype, void* keys) {
  switch (kv_dtype) {
    case DType::kF32:
      return StoreAs<AsF32>(task, static_cast<float*>(keys));
    case DType::kF16:
      return StoreAs<AsF16>(task, static_cast<uint16_t*>(keys));
    case DType::kBF16:
      return StoreAs<AsBF16>(task, static_cast<uint16_t*>(keys));
    default:
      HWY_DASSERT(false);
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(StoreHead);

}  // namespace

void StoreKv(ThreadPool* pool, const float* k, const float* v, int rows, int kv_heads, int head_dim,
             DType kv_dtype, void* page, int first_slot) {
  (void)pool;  // a page is written faster than a thread wakes
  const size_t head_bytes = size_t{2} * kChunk * head_dim * SizeOf(kv_dtype);
  for (int head = 0; head < kv_heads; ++head) {
    const StoreTask task{.k = k + int64_t{head} * head_dim,
                         .v = v + int64_t{head} * head_dim,
                         .stride = int64_t{kv_heads} * head_dim,
                         .rows = rows,
                         .head_dim = head_dim,
                         .first_slot = first_slot};
    HWY_DYNAMIC_DISPATCH(StoreHead)
    (task, kv_dtype, static_cast<std::byte*>(page) + head * head_bytes);
  }
}

}  // namespace kakeya::cpu
#endif
