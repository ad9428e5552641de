// Activations to 8 bits: numerics::QuantizeBlock in vectors, and the sums that products need.
#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/cpu/block_matmul.h"
#include "backend/cpu/targets.h"
#include "backend/quant_format.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/quant_rows.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/vector-inl.h"

#ifndef KAKEYA_BACKEND_CPU_QUANT_ROWS_TASK_
#define KAKEYA_BACKEND_CPU_QUANT_ROWS_TASK_
namespace kakeya::cpu {

// One row's part of the layout: block b has the index first + b * stride.
struct QuantizeTask {
  const float* x = nullptr;  // (blocks * block elements)
  DType type = DType::kQ8_0;
  int64_t blocks = 0;
  int64_t first = 0;
  int64_t stride = 0;
  int8_t* values = nullptr;
  int16_t* wide = nullptr;  // null: not wanted
  float* scales = nullptr;
  int32_t* offsets = nullptr;  // null: none
  int16_t* sums = nullptr;     // null: none
  float* min_terms = nullptr;  // null: none
};

}  // namespace kakeya::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

using I32 = hn::RebindToSigned<F>;

// Bits of the largest magnitude of kCount elements.
template <int kCount>
HWY_INLINE uint32_t LargestMagnitude(const float* x) {
  const I32 i;
  const auto mask = hn::Set(i, 0x7fffffff);
  auto largest = hn::Zero(i);
  for (int c = 0; c < kCount; c += kVecLanes) {
    largest = hn::Max(largest, hn::And(hn::BitCast(i, hn::LoadU(F(), x + c)), mask));
  }
  return static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(i, largest)));
}

// numerics::QuantizeBlock, step by step, for a block of kCount elements; sums: what each kSub of
// its integers add up to.
template <int kCount, int kSub>
HWY_INLINE float QuantizeBlock(const float* x, int8_t* q, int32_t* sums) {
  namespace num = numerics;
  const uint32_t largest = LargestMagnitude<kCount>(x);
  const float most = std::bit_cast<float>(largest);
  if (largest >= 0x7f800000u || most < num::kQuantTiny) {
    std::memset(q, 0, kCount);
    std::fill_n(sums, kCount / kSub, 0);
    return largest >= 0x7f800000u ? std::bit_cast<float>(0x7fc00000u) : 0.0f;
  }
  const I32 wide;
  const hn::Rebind<int8_t, F> narrow;
  const Vec inverse = hn::Set(F(), 127.0f / most);
  const Vec magic = hn::Set(F(), num::kRoundMagic);
  for (int c = 0; c < kCount; c += kSub) {
    auto sum = hn::Zero(wide);
    for (int i = c; i < c + kSub; i += kVecLanes) {
      const Vec scaled = hn::Mul(hn::LoadU(F(), x + i), inverse);
      const auto rounded = hn::ConvertTo(wide, hn::Sub(hn::Add(scaled, magic), magic));
      sum = hn::Add(sum, rounded);
      hn::StoreU(hn::DemoteTo(narrow, rounded), narrow, q + i);
    }
    sums[c / kSub] = hn::GetLane(hn::SumOfLanes(wide, sum));
  }
  return most / 127.0f;
}

// Sixteen bits each, and of every four the order 0, 2, 1, 3.
HWY_INLINE void Widen(const int8_t* values, int n, int16_t* wide) {
  static constexpr int kOrder[] = {0, 2, 1, 3};
  for (int i = 0; i < n; ++i) wide[i] = int16_t{values[(i & ~3) + kOrder[i & 3]]};
}

template <DType kType>
HWY_INLINE void QuantizeRowAs(const QuantizeTask& task) {
  constexpr int kSize = BlockElements(kType);
  constexpr int kSub = SubBlockElements(kType);
  constexpr int kSubs = kSize / kSub;
  for (int64_t b = 0; b < task.blocks; ++b) {
    const int64_t at = task.first + b * task.stride;
    int8_t* const q = task.values + at * kSize;
    int32_t sums[kSubs];
    task.scales[at] = QuantizeBlock<kSize, kSub>(task.x + b * kSize, q, sums);
    if (task.wide != nullptr) Widen(q, kSize, task.wide + at * kSize);
    if constexpr (HasBlockMin(kType)) {
      task.min_terms[at] = static_cast<float>(-sums[0]) * task.scales[at];
      continue;
    }
    for (int s = 0; s < kSubs; ++s) {
      if constexpr (HasMins(kType)) {
        task.sums[at * kSubs + s] = static_cast<int16_t>(-sums[s]);
      } else {
        task.offsets[at * kSubs + s] = -QuantBias(kType) * sums[s];
      }
    }
  }
}

void QuantizeRow(const QuantizeTask& task) {
  switch (task.type) {
    case DType::kQ8_0:
      return QuantizeRowAs<DType::kQ8_0>(task);
    case DType::kQ4_0:
      return QuantizeRowAs<DType::kQ4_0>(task);
    case DType::kQ4_1:
    case DType::kQ5_1:
      return QuantizeRowAs<DType::kQ4_1>(task);  // the same blocks
    case DType::kQ5_0:
      return QuantizeRowAs<DType::kQ5_0>(task);
    case DType::kIQ4_NL:
      return QuantizeRowAs<DType::kIQ4_NL>(task);
    case DType::kQ4_K:
    case DType::kQ5_K:
      return QuantizeRowAs<DType::kQ4_K>(task);  // the same blocks
    case DType::kQ6_K:
      return QuantizeRowAs<DType::kQ6_K>(task);
    default:
      HWY_DASSERT(false);
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(QuantizeRow);

// Elements that are quantised as one task.
constexpr int64_t kTaskElements = 16 * 1024;

// Room for n values; what was in it may go.
template <typename T>
T* Room(std::vector<T>* values, int64_t n) {
  if (values->size() < static_cast<size_t>(n)) values->resize(static_cast<size_t>(n));
  return values->data();
}

}  // namespace

void QuantRows::Quantize(ThreadPool* pool, const float* x, int rows, int64_t cols, DType type,
                         int max_height, bool wide) {
  type_ = type;
  rows_ = rows;
  tiles_ = (rows + max_height - 1) / max_height;
  blocks_ = cols / BlockElements(type);
  wide_ = wide;
  const int64_t blocks = rows * blocks_;
  QuantizeTask all;
  all.type = type;
  all.blocks = blocks_;
  all.values = Room(&values_, rows * cols);
  all.wide = wide ? Room(&wide_values_, rows * cols) : nullptr;
  all.scales = Room(&scales_, blocks);
  all.offsets = OffsetsOf(type) > 0 ? Room(&offsets_, blocks * OffsetsOf(type)) : nullptr;
  if (HasBlockMin(type)) {
    all.min_terms = Room(&min_terms_, blocks);
  } else if (HasMins(type)) {
    all.sums = Room(&sums_, blocks * kMinSums);
  }
  const auto quantize_tile = [&](int64_t tile) {
    const int begin = FirstRow(static_cast<int>(tile));
    const int end = FirstRow(static_cast<int>(tile) + 1);
    for (int row = begin; row < end; ++row) {
      QuantizeTask task = all;
      task.x = x + row * cols;
      task.first = begin * blocks_ + (row - begin);
      task.stride = end - begin;
      HWY_DYNAMIC_DISPATCH(QuantizeRow)(task);
    }
  };
  ParallelFor(rows * cols > kTaskElements ? pool : nullptr, tiles_, quantize_tile);
}

QuantTile QuantRows::Tile(int tile) const {
  const int first_row = FirstRow(tile);
  const int64_t first = first_row * blocks_;
  QuantTile out;
  out.rows = FirstRow(tile + 1) - first_row;
  out.values = values_.data() + first * BlockElements(type_);
  if (wide_) out.wide = wide_values_.data() + first * BlockElements(type_);
  out.scales = scales_.data() + first;
  if (OffsetsOf(type_) > 0) out.offsets = offsets_.data() + first * OffsetsOf(type_);
  if (HasBlockMin(type_)) {
    out.min_terms = min_terms_.data() + first;
  } else if (HasMins(type_)) {
    out.sums = sums_.data() + first * kMinSums;
  }
  return out;
}

}  // namespace kakeya::cpu
#endif
