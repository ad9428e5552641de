// How keys and values are stored: pages of kChunk positions, of any KvType.
//
//   page := head[kv_heads]
//   head := part(K) part(V)
//   f32, f16, bf16:
//     part(K) := x[head_dim][kChunk]       part(V) := x[kChunk][head_dim]
//   affine8, affine4:
//     part    := scale:f16[groups][kChunk] bias:f16[groups][kChunk] codes
//   affine8, one byte a code q:
//     codes of K := q[head_dim][kChunk]    codes of V := q[kChunk][head_dim up to whole 16]
//   affine4, two codes a byte:
//     codes of K := u8[head_dim / 2][kChunk]: byte [j][slot] has dimension 2j in its low half,
//                   2j + 1 in its high half
//     codes of V := u8[kChunk][head_dim up to whole 32, / 2]: of each 32 dimensions, byte i has
//                   dimension i in its low half, 16 + i in its high half
//
// Keys are transposed, so that one vector load brings one dimension of several keys. No two
// positions share a byte, so that a position is written without touching its neighbours.
//
// Affine types: the head's elements of one position are cut into groups of kKvGroup along the head
// dimension (the last may be smaller). An element is x = fma(scale, q, bias), with scale and bias
// of its position and group widened to F32. numerics::QuantizeAffine makes them from the group's
// smallest and largest element:
//   bias  = f16(min),  scale = f16((max - min) / levels),  levels = 255 or 15
//   q     = round((x - bias) * (1 / scale)), cut off below 0 and above levels
// each step rounded to F32, to nearest even; f16() also rounds to nearest even; -0 counts as 0.
// Where f16() gives scale 0 (all equal, or apart by less than F16 can tell) every q is 0 and the
// group becomes its minimum. A group that holds a NaN or an infinity, or whose bias or scale lies
// beyond F16's range, gets the bias NaN: all of it reads as NaN.
#ifndef KAKEYA_BACKEND_KV_PAGE_H_
#define KAKEYA_BACKEND_KV_PAGE_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/tensor_view.h"

namespace kakeya {

// Positions per K/V chunk: the unit of paging, of eviction and of one attention split.
inline constexpr int kChunk = 64;
// Elements of a head at most.
inline constexpr int kMaxHeadDim = 512;
// Elements of a head that share scale and bias in the affine types.
inline constexpr int kKvGroup = 64;
inline constexpr int kMaxKvGroups = kMaxHeadDim / kKvGroup;

// What an element of K or V is stored as.
enum class KvType { kF32, kF16, kBF16, kAffine8, kAffine4 };
inline constexpr KvType kKvTypes[] = {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kAffine8,
                                      KvType::kAffine4};

// "f32", "affine8".
const char* NameOf(KvType type);
std::optional<KvType> KvTypeNamed(std::string_view name);
// What a cache is stored as if nobody asks: as the weights are, and BF16 for weights of a
// block type.
KvType KvTypeFor(DType weights);

constexpr bool IsAffine(KvType type) {
  return type == KvType::kAffine8 || type == KvType::kAffine4;
}
// How other types are stored. REQUIRES: !IsAffine(type).
constexpr DType DTypeOf(KvType type) {
  assert(!IsAffine(type));
  return type == KvType::kF32 ? DType::kF32 : type == KvType::kF16 ? DType::kF16 : DType::kBF16;
}
// The largest code. REQUIRES: IsAffine(type).
constexpr int KvLevels(KvType type) {
  assert(IsAffine(type));
  return type == KvType::kAffine8 ? 255 : 15;
}
// The largest magnitude that is stored as a number: of an affine group, its bias is F16.
constexpr float KvLargest(KvType type) {
  return type == KvType::kF32 || type == KvType::kBF16 ? 0x1.fep127f : 65504.0f;
}
constexpr int KvGroups(int head_dim) { return (head_dim + kKvGroup - 1) / kKvGroup; }

// Bytes of scales and biases at the beginning of a part.
constexpr size_t AffineHeaderBytes(int head_dim) {
  return size_t{2} * static_cast<size_t>(KvGroups(head_dim)) * kChunk * sizeof(uint16_t);
}
// Bytes between the codes of two positions in part(V).
constexpr size_t AffineValueStride(KvType type, int head_dim) {
  const size_t whole = type == KvType::kAffine8 ? 16 : 32;
  const size_t dims = (static_cast<size_t>(head_dim) + whole - 1) / whole * whole;
  return type == KvType::kAffine8 ? dims : dims / 2;
}

// Sizes in bytes. REQUIRES: head_dim is even.
size_t KeyPartBytes(KvType type, int head_dim);
size_t ValuePartBytes(KvType type, int head_dim);
inline size_t KvHeadBytes(KvType type, int head_dim) {
  return KeyPartBytes(type, head_dim) + ValuePartBytes(type, head_dim);
}
inline size_t KvPageBytes(KvType type, int kv_heads, int head_dim) {
  return static_cast<size_t>(kv_heads) * KvHeadBytes(type, head_dim);
}

// One element, as attention sees it: the truth about what is stored. `head` is one KV head of a
// page.
float LoadKey(KvType type, const void* head, int head_dim, int slot, int d);
float LoadValue(KvType type, const void* head, int head_dim, int slot, int d);

// Copies the positions [0, slots) of one KV head of a page to another, bit for bit.
void CopySlots(KvType type, int head_dim, const void* from, int slots, void* to);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_KV_PAGE_H_
