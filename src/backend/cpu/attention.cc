// Cuts attention into tasks. Long decodes have few queries and many pages: tasks are (tile of
// queries, group of pages), their partials are merged afterwards. Prefill has many queries: a task
// is a tile, and merges its groups as it goes. Both merge in the order of ops.h, so they agree to
// the last bit.
#include <algorithm>
#include <array>
#include <cassert>

#include "backend/cpu/attention_tile.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/attention_tile-inl.h"
#include "backend/visibility.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// total += next, either may be empty.
void MergeInto(const float* next, int head_dim, float* total) {
  JoinPartial(next, head_dim, total);
}

// One chunk for the queries of a tile, merged into `partials`.
template <typename Head>
void AttendChunk(const AttentionArgs& args, const AttentionTile& tile, int64_t first_position,
                 const Head& kv, float* partials) {
  const int group = args.heads / args.kv_heads;
  const int size = PartialSize(args.head_dim);
  ChunkQueries queries;
  float* target[kTileQueries];
  alignas(64) float chunk[kTileQueries * kMaxPartial];
  for (int row = 0; row < tile.rows; ++row) {
    const SlotRange slots = VisibleSlots(args.views[tile.row + row], first_position);
    if (slots.empty()) continue;
    const int64_t first_head = int64_t{tile.row + row} * args.heads + tile.kv_head * group;
    for (int i = 0; i < group; ++i) {
      const int at = queries.count++;
      queries.slots[at] = slots;
      queries.q[at] = args.q + (first_head + i) * args.head_dim;
      // The first chunk of a group needs no merging: it is the group so far.
      target[at] = partials + int64_t{row * group + i} * size;
      queries.partial[at] =
          target[at][kPartialEmpty] != 0 ? target[at] : chunk + int64_t{at} * size;
    }
  }
  AttendGathered(kv, args.head_dim, args.scale, target, &queries);
}

const void* HeadAt(const KvPage& page, size_t offset) {
  return static_cast<const std::byte*>(page.data) + offset;
}

// partials (queries of the tile, PartialSize) = attention over the pages [begin, end) of one group.
// Pages up to `limit` will be read next.
void AttendGroup(const AttentionArgs& args, const AttentionTile& tile, size_t begin, size_t end,
                 size_t limit, float* partials) {
  const int queries = tile.rows * (args.heads / args.kv_heads);
  const int size = PartialSize(args.head_dim);
  for (int i = 0; i < queries; ++i) partials[int64_t{i} * size + kPartialEmpty] = 1;
  const size_t offset = tile.kv_head * KvHeadBytes(args.kv_type, args.head_dim);
  for (size_t i = begin; i < end; ++i) {
    const KvPage& page = args.pages[i];
    const void* const next = i + 1 < limit ? HeadAt(args.pages[i + 1], offset) : nullptr;
    WithHead(args.kv_type, HeadAt(page, offset), next, args.head_dim,
             [&](const auto& head)
                 HWY_ATTR { AttendChunk(args, tile, page.first_position, head, partials); });
  }
}

void Finish(const float* partial, int head_dim, float* out) {
  FinishPartial(partial, head_dim, out);
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(MergeInto);
HWY_EXPORT(AttendGroup);
HWY_EXPORT(Finish);

// Groups whose partials wait in scratch at the same time.
constexpr int kWaveGroups = 16;
// With at least this many tiles there is work for all threads without splitting the pages.
constexpr int64_t kEnoughTiles = 16;

// The cut of one call into tiles of rows and heads.
struct Plan {
  int rows_per_tile;
  int64_t tiles_per_head;
  int64_t tiles;
  int64_t tile_floats;  // of the partials of a tile's queries
};

Plan MakePlan(int heads, int kv_heads, int head_dim, int64_t rows) {
  const int group = heads / kv_heads;
  Plan plan;
  plan.rows_per_tile = std::max(1, kTileQueries / group);
  plan.tiles_per_head = (rows + plan.rows_per_tile - 1) / plan.rows_per_tile;
  plan.tiles = plan.tiles_per_head * kv_heads;
  plan.tile_floats = std::min<int64_t>(rows, plan.rows_per_tile) * group * PartialSize(head_dim);
  return plan;
}

// Where the group of the page at `begin` ends.
size_t GroupEnd(std::span<const KvPage> pages, size_t begin) {
  const int64_t group = GroupOf(pages[begin].first_position);
  size_t end = begin + 1;
  while (end < pages.size() && GroupOf(pages[end].first_position) == group) ++end;
  return end;
}

// Totals and the partials of a wave, for each tile.
int64_t SplitFloats(const Plan& plan) {
  return int64_t{1 + kWaveGroups} * plan.tiles * plan.tile_floats;
}

AttentionTile TileAt(const AttentionArgs& args, const Plan& plan, int64_t index) {
  const int row = static_cast<int>(index % plan.tiles_per_head) * plan.rows_per_tile;
  return {static_cast<int>(index / plan.tiles_per_head), row,
          std::min(plan.rows_per_tile, args.rows - row)};
}

// Writes the output of query `i` of a tile from its complete partial.
void WriteQuery(const AttentionArgs& args, const AttentionTile& tile, int i, const float* partial) {
  const int group = args.heads / args.kv_heads;
  const int64_t row = tile.row + i / group;
  const int64_t head = int64_t{tile.kv_head} * group + i % group;
  HWY_DYNAMIC_DISPATCH(Finish)
  (partial, args.head_dim, args.out + (row * args.heads + head) * args.head_dim);
}

// Whether any row of the tile sees anything of the pages [begin, end).
bool SeesAny(const AttentionArgs& args, const AttentionTile& tile, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    for (int row = tile.row; row < tile.row + tile.rows; ++row) {
      if (!VisibleSlots(args.views[row], args.pages[i].first_position).empty()) return true;
    }
  }
  return false;
}

void AttendWholeTile(const AttentionArgs& args, const AttentionTile& tile) {
  const int queries = tile.rows * (args.heads / args.kv_heads);
  const int size = PartialSize(args.head_dim);
  alignas(64) float total[kTileQueries * kMaxPartial];
  alignas(64) float group[kTileQueries * kMaxPartial];
  for (int i = 0; i < queries; ++i) total[int64_t{i} * size + kPartialEmpty] = 1;
  for (size_t begin = 0, end = 0; begin < args.pages.size(); begin = end) {
    end = GroupEnd(args.pages, begin);
    if (!SeesAny(args, tile, begin, end)) continue;
    HWY_DYNAMIC_DISPATCH(AttendGroup)(args, tile, begin, end, args.pages.size(), group);
    for (int i = 0; i < queries; ++i) {
      const int64_t at = int64_t{i} * size;
      HWY_DYNAMIC_DISPATCH(MergeInto)(group + at, args.head_dim, total + at);
    }
  }
  for (int i = 0; i < queries; ++i) WriteQuery(args, tile, i, total + int64_t{i} * size);
}

// Groups of a wave that one task takes in turn: more make a longer stream of pages, fewer leave
// every thread several tasks.
int64_t GroupsPerTask(const ThreadPool* pool, int64_t tiles, int64_t groups) {
  constexpr int64_t kMost = 4;
  constexpr int64_t kTasksPerThread = 8;
  const int64_t threads = pool == nullptr ? 1 : pool->threads();
  return std::clamp<int64_t>(tiles * groups / (threads * kTasksPerThread), 1, kMost);
}

// The groups that wait in scratch together: group g has the pages [cuts[g], cuts[g + 1]).
struct Wave {
  int64_t groups = 0;
  std::array<size_t, kWaveGroups + 1> cuts;
};

Wave WaveAt(std::span<const KvPage> pages, size_t begin) {
  Wave wave;
  wave.cuts[0] = begin;
  while (wave.groups < kWaveGroups && wave.cuts[wave.groups] < pages.size()) {
    const size_t end = GroupEnd(pages, wave.cuts[wave.groups]);
    wave.cuts[++wave.groups] = end;
  }
  return wave;
}

// partials (groups, tiles, tile_floats) = attention over each group of the wave.
void AttendWave(ThreadPool* pool, const AttentionArgs& args, const Plan& plan, const Wave& wave,
                float* partials) {
  const int64_t span = GroupsPerTask(pool, plan.tiles, wave.groups);
  const int64_t spans = (wave.groups + span - 1) / span;
  ParallelFor(pool, plan.tiles * spans, [&](int64_t task) {
    const int64_t t = task / spans;
    const AttentionTile tile = TileAt(args, plan, t);
    const int64_t begin = task % spans * span;
    const int64_t end = std::min(begin + span, wave.groups);
    for (int64_t g = begin; g < end; ++g) {
      HWY_DYNAMIC_DISPATCH(AttendGroup)
      (args, tile, wave.cuts[g], wave.cuts[g + 1], wave.cuts[end],
       partials + (g * plan.tiles + t) * plan.tile_floats);
    }
  });
}

// Long contexts, few queries: groups in parallel, kWaveGroups at a time so that scratch stays
// small.
void AttendSplit(ThreadPool* pool, const AttentionArgs& args, const Plan& plan) {
  const int size = PartialSize(args.head_dim);
  const int group = args.heads / args.kv_heads;
  float* const totals = args.scratch.data();
  float* const partials = totals + plan.tiles * plan.tile_floats;
  for (size_t first = 0; first < args.pages.size();) {
    const Wave wave = WaveAt(args.pages, first);
    const size_t end = wave.cuts[wave.groups];
    AttendWave(pool, args, plan, wave, partials);
    ParallelFor(pool, plan.tiles, [&](int64_t t) {
      const AttentionTile tile = TileAt(args, plan, t);
      for (int i = 0; i < tile.rows * group; ++i) {
        const int64_t at = t * plan.tile_floats + int64_t{i} * size;
        if (first == 0) totals[at + kPartialEmpty] = 1;
        for (int64_t g = 0; g < wave.groups; ++g) {
          HWY_DYNAMIC_DISPATCH(MergeInto)
          (partials + g * plan.tiles * plan.tile_floats + at, args.head_dim, totals + at);
        }
        if (end == args.pages.size()) WriteQuery(args, tile, i, totals + at);
      }
    });
    first = end;
  }
}

}  // namespace

int64_t AttentionScratchFloats(int heads, int kv_heads, int head_dim) {
  // The most rows that are split.
  const int64_t tiles_per_head = (kEnoughTiles - 1) / kv_heads;
  const int64_t rows = tiles_per_head * std::max(1, kTileQueries / (heads / kv_heads));
  return rows == 0 ? 0 : SplitFloats(MakePlan(heads, kv_heads, head_dim, rows));
}

void Attention(ThreadPool* pool, const AttentionArgs& args) {
  assert(args.head_dim % 8 == 0 && args.head_dim <= kMaxHeadDim);
  assert(args.heads % args.kv_heads == 0 && args.heads / args.kv_heads <= kTileQueries);
  const Plan plan = MakePlan(args.heads, args.kv_heads, args.head_dim, args.rows);
  const bool one_group = args.pages.empty() || GroupEnd(args.pages, 0) == args.pages.size();
  if (plan.tiles >= kEnoughTiles || one_group ||
      static_cast<int64_t>(args.scratch.size()) < SplitFloats(plan)) {
    ParallelFor(pool, plan.tiles, [&](int64_t t) { AttendWholeTile(args, TileAt(args, plan, t)); });
  } else {
    AttendSplit(pool, args, plan);
  }
}

}  // namespace kakeya::cpu
#endif
