// Attention over visits: a task is a tile of queries that share a KV head; it takes the pages in
// their order. Each query's state keeps its open group of chunks, which joins the total when a
// chunk of another group comes, so that the cut into rounds doesn't show.
#include <algorithm>
#include <cassert>

#include "backend/cpu/attention_tile.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/visits.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/attention_tile-inl.h"
#include "backend/visibility.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// The partial that a chunk of `group` joins, in the state of one query.
HWY_INLINE float* OpenGroup(int64_t group, int head_dim, float* state) {
  float* const open = state + PartialSize(head_dim);
  const auto number = static_cast<float>(group);
  if (open[kPartialEmpty] == 0 && open[kPartialGroup] != number) {
    JoinPartial(open, head_dim, state);
    open[kPartialEmpty] = 1;
  }
  open[kPartialGroup] = number;
  return open;
}

template <typename Head>
void AttendVisit(const VisitArgs& args, const AttentionTile& tile, const PageVisit& visit,
                 const Head& head, float* state) {
  const int group = args.heads / args.kv_heads;
  const int64_t size = StateSize(args.head_dim);
  const int64_t chunk_group = GroupOf(visit.first_position);
  const float* const q = visit.far ? args.q_far : args.q;
  ChunkQueries queries;
  float* target[kTileQueries];
  alignas(64) float chunk[kTileQueries * kMaxPartial];
  const int64_t partial = PartialSize(args.head_dim);
  for (int row = tile.row; row < tile.row + tile.rows; ++row) {
    if ((visit.rows >> row & 1) == 0) continue;
    const SlotRange slots = VisibleSlots(args.views[row], visit);
    if (slots.empty()) continue;
    for (int i = 0; i < group; ++i) {
      const int64_t query = int64_t{row} * args.heads + tile.kv_head * group + i;
      const int at = queries.count++;
      queries.slots[at] = slots;
      queries.q[at] = q + query * args.head_dim;
      target[at] = OpenGroup(chunk_group, args.head_dim, state + query * size);
      queries.partial[at] = target[at][kPartialEmpty] != 0 ? target[at] : chunk + at * partial;
    }
  }
  AttendGathered(head, args.head_dim, args.scale, target, &queries);
}

void AttendTile(const VisitArgs& args, const AttentionTile& tile, const PageVisit* visits,
                size_t count, float* state) {
  const uint64_t rows = (~uint64_t{0} >> (64 - tile.rows)) << tile.row;
  for (size_t i = 0; i < count; ++i) {
    if ((visits[i].rows & rows) == 0) continue;
    const void* const next = i + 1 < count ? visits[i + 1].data : nullptr;
    WithHead(args.kv_type, visits[i].data, next, args.head_dim,
             [&](const auto& head) HWY_ATTR { AttendVisit(args, tile, visits[i], head, state); });
  }
}

void FinishAll(int64_t queries, int head_dim, float* state, float* out) {
  for (int64_t i = 0; i < queries; ++i) {
    float* const total = state + i * StateSize(head_dim);
    JoinPartial(total + PartialSize(head_dim), head_dim, total);
    FinishPartial(total, head_dim, out + i * head_dim);
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(AttendTile);
HWY_EXPORT(FinishAll);

}  // namespace

void AttendVisits(ThreadPool* pool, const VisitArgs& args,
                  std::span<const std::vector<PageVisit>> visits, float* state) {
  assert(args.head_dim % 8 == 0 && args.head_dim <= kMaxHeadDim);
  const int group = args.heads / args.kv_heads;
  assert(args.heads % args.kv_heads == 0 && group <= kTileQueries);
  const int rows_per_tile = std::max(1, kTileQueries / group);
  const int64_t tiles_per_head = (args.rows + rows_per_tile - 1) / rows_per_tile;
  ParallelFor(pool, tiles_per_head * args.kv_heads, [&](int64_t task) {
    const int kv_head = static_cast<int>(task / tiles_per_head);
    const int row = static_cast<int>(task % tiles_per_head) * rows_per_tile;
    const AttentionTile tile{kv_head, row, std::min(rows_per_tile, args.rows - row)};
    HWY_DYNAMIC_DISPATCH(AttendTile)
    (args, tile, visits[kv_head].data(), visits[kv_head].size(), state);
  });
}

void FinishVisits(const VisitArgs& args, float* state, float* out) {
  HWY_DYNAMIC_DISPATCH(FinishAll)(int64_t{args.rows} * args.heads, args.head_dim, state, out);
}

}  // namespace kakeya::cpu
#endif
