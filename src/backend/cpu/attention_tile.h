// How attention is cut into work, and what a piece of it leaves behind.
#ifndef KAKEYA_BACKEND_CPU_ATTENTION_TILE_H_
#define KAKEYA_BACKEND_CPU_ATTENTION_TILE_H_

#include <cstdint>

#include "backend/ops.h"

namespace kakeya::cpu {

// Most queries (row, head) of one KV head that read a chunk together.
inline constexpr int kTileQueries = 24;
static_assert(kTileQueries >= kMaxGroup, "a row's heads are never parted");

// A partial softmax is an array of floats: whether it is empty, the largest score, the sum of
// exp(score - max), and per dimension the sum of the same times the value, padded to whole blocks.
inline constexpr int kPartialEmpty = 0;  // 1 or 0
inline constexpr int kPartialMax = 1;
inline constexpr int kPartialSum = 2;
inline constexpr int kPartialValues = 16;
inline int PaddedDim(int head_dim) { return (head_dim + kLanes - 1) / kLanes * kLanes; }
inline int PartialSize(int head_dim) { return kPartialValues + PaddedDim(head_dim); }
inline constexpr int kMaxPartial = kPartialValues + kMaxHeadDim;

// Queries of rows [row, row + rows) and of all heads that share `kv_head`. Query i is row
// row + i / group, head kv_head * group + i % group, with group = heads / kv_heads.
struct AttentionTile {
  int kv_head;
  int row;
  int rows;
};

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_CPU_ATTENTION_TILE_H_
