// How attention is cut into work, and what a piece of it leaves behind.
#ifndef KAKEYA_BACKEND_CPU_ATTENTION_TILE_H_
#define KAKEYA_BACKEND_CPU_ATTENTION_TILE_H_

#include <cstdint>

#include "backend/ops.h"
#include "backend/partial_softmax.h"

namespace kakeya::cpu {

// Most queries (row, head) of one KV head that read a chunk together.
inline constexpr int kTileQueries = 24;
static_assert(kTileQueries >= kMaxGroup, "a row's heads are never parted");

// Queries of rows [row, row + rows) and of all heads that share `kv_head`. Query i is row
// row + i / group, head kv_head * group + i % group, with group = heads / kv_heads.
struct AttentionTile {
  int kv_head;
  int row;
  int rows;
};

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_CPU_ATTENTION_TILE_H_
