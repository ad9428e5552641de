#include "model/finite.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backend/quant_format.h"

namespace kakeya {
namespace {

constexpr int64_t kSlice = int64_t{1} << 18;  // elements per task: whole blocks of any type
constexpr int64_t kBlock = 4096;              // elements between two looks at the outcome

// First element of [begin, end) whose exponent bits are all set, or -1.
template <typename T>
int64_t FindInRange(const std::byte* data, int64_t begin, int64_t end, T exponent) {
  const auto load = [data](int64_t i) {
    T bits;
    std::memcpy(&bits, data + i * sizeof(T), sizeof(T));
    return bits;
  };
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t block_end = std::min(block + kBlock, end);
    T found = 0;  // without a branch in it, this loop becomes vector code
    for (int64_t i = block; i < block_end; ++i) {
      found |= static_cast<T>((load(i) & exponent) == exponent);
    }
    if (found == 0) continue;
    for (int64_t i = block; i < block_end; ++i) {
      if ((load(i) & exponent) == exponent) return i;
    }
  }
  return -1;
}

// The same for a block format, in elements that begin and end with a block: of its scales, which
// make all of a block no numbers. Gives the block's first element.
int64_t FindInBlocks(DType type, const std::byte* data, int64_t begin, int64_t end) {
  const int scales = HasMins(type) ? 2 : 1;
  for (int64_t i = begin; i < end; i += BlockElements(type)) {
    const std::byte* const at = data + RowBytes(type, i) + ScaleOffset(type);
    if (FindInRange<uint16_t>(at, 0, scales, 0x7c00u) >= 0) return i;
  }
  return -1;
}

int64_t FindInSlice(const TensorView& tensor, int64_t begin, int64_t end) {
  const auto* data = static_cast<const std::byte*>(tensor.data);
  switch (tensor.dtype) {
    case DType::kF32:
      return FindInRange<uint32_t>(data, begin, end, 0x7f800000u);
    case DType::kF16:
      return FindInRange<uint16_t>(data, begin, end, 0x7c00u);
    case DType::kBF16:
      return FindInRange<uint16_t>(data, begin, end, 0x7f80u);
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kIQ4_NL:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return FindInBlocks(tensor.dtype, data, begin, end);
  }
  return -1;
}

}  // namespace

int64_t FindNonFinite(const TensorView& tensor, ThreadPool* pool) {
  const int64_t elements = tensor.elements();
  std::atomic<int64_t> first{elements};
  ParallelFor(pool, (elements + kSlice - 1) / kSlice, [&](int64_t slice) {
    const int64_t begin = slice * kSlice;
    const int64_t at = FindInSlice(tensor, begin, std::min(begin + kSlice, elements));
    int64_t seen = first.load(std::memory_order_relaxed);
    while (at >= 0 && at < seen && !first.compare_exchange_weak(seen, at)) {
    }
  });
  return first == elements ? -1 : first.load();
}

}  // namespace kakeya
