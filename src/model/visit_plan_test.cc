#include "model/visit_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "backend/visibility.h"

namespace kakeya {
namespace {

// What one row may see of one position, and how.
enum class Seen { kNot, kExact, kRestored };

// The invariant, written down position by position: the sinks, the window, the chosen chunks.
Seen Wanted(const KvPolicy& policy, int64_t query, int64_t position, bool chunk_chosen) {
  if (position > query) return Seen::kNot;
  if (position >= WindowBegin(policy, query)) return Seen::kExact;
  // A restored page holds its sinks exactly: attention copies them in.
  if (chunk_chosen) return Seen::kRestored;
  return position < policy.sink ? Seen::kExact : Seen::kNot;
}

struct Layout {
  KvPolicy policy;
  int64_t first_position;
  int rows;
  int64_t max_distance;
};

class VisitPlanTest : public testing::TestWithParam<Layout> {};

TEST_P(VisitPlanTest, EveryRowSeesItsSinksWindowAndChoiceOnceAndNothingElse) {
  const Layout layout = GetParam();
  std::mt19937 random(1);
  const int64_t last = layout.first_position + layout.rows - 1;
  // The cache's view: sink chunks before the first window, then all from there on.
  const int64_t begin = WindowBegin(layout.policy, layout.first_position) / kChunk;
  std::vector<KvPage> pages;
  for (int64_t c = 0; c < std::min(SinkChunks(layout.policy), begin); ++c) {
    pages.push_back({c * kChunk, nullptr});
  }
  for (int64_t c = begin; c <= ChunkOf(last); ++c) pages.push_back({c * kChunk, nullptr});
  for (int turn = 0; turn < 50; ++turn) {
    std::vector<ChunkVisit> chosen;
    std::vector<std::set<int64_t>> of_row(layout.rows);
    for (int64_t c = layout.policy.sink / kChunk; c <= ChunkOf(last); ++c) {
      ChunkVisit visit{.chunk = c};
      for (int r = 0; r < layout.rows; ++r) {
        const bool evicted = layout.policy.kind == KvPolicy::Kind::kRestored &&
                             c * kChunk < WindowBegin(layout.policy, layout.first_position + r);
        if (!evicted || random() % 3 != 0) continue;
        visit.rows |= uint64_t{1} << r;
        of_row[r].insert(c);
      }
      if (visit.rows != 0) chosen.push_back(visit);
    }
    const PlanArgs args{.policy = layout.policy,
                        .first_position = layout.first_position,
                        .rows = layout.rows,
                        .max_distance = layout.max_distance,
                        .pages = pages,
                        .head_bytes = 0};
    const std::vector<PlannedVisit> plan = PlanVisits(args, 0, chosen);
    ASSERT_TRUE(std::is_sorted(plan.begin(), plan.end(), [](const auto& a, const auto& b) {
      return a.visit.first_position < b.visit.first_position;
    }));
    for (int r = 0; r < layout.rows; ++r) {
      const int64_t query = layout.first_position + r;
      std::vector<Seen> seen(query + 1, Seen::kNot);
      for (const PlannedVisit& planned : plan) {
        if ((planned.visit.rows >> r & 1) == 0) continue;
        const int64_t first = planned.visit.first_position;
        const bool far = (ChunkOf(query) - ChunkOf(first)) * kChunk > layout.max_distance;
        const bool in_window = first + kChunk > WindowBegin(layout.policy, query);
        ASSERT_EQ(planned.visit.far, far && !in_window);
        const SlotRange slots = VisibleSlots(ViewOf(layout.policy, query), planned.visit);
        for (int slot = slots.first; slot < slots.end; ++slot) {
          ASSERT_EQ(seen[first + slot], Seen::kNot) << "position seen twice";
          seen[first + slot] = planned.restored ? Seen::kRestored : Seen::kExact;
        }
      }
      for (int64_t p = 0; p <= query; ++p) {
        ASSERT_EQ(seen[p], Wanted(layout.policy, query, p, of_row[r].contains(ChunkOf(p))))
            << "query " << query << " position " << p;
      }
    }
  }
}

constexpr KvPolicy Restored(int64_t sink, int64_t window) {
  return {.kind = KvPolicy::Kind::kRestored, .sink = sink, .window = window};
}

constexpr KvPolicy Sliding(int64_t window) {
  return {.kind = KvPolicy::Kind::kSliding, .sink = 0, .window = window};
}

INSTANTIATE_TEST_SUITE_P(Layouts, VisitPlanTest,
                         testing::Values(Layout{Restored(4, 64), 0, 64, INT64_MAX},
                                         Layout{Restored(4, 64), 100, 64, INT64_MAX},
                                         Layout{Restored(4, 64), 127, 64, 128},
                                         Layout{Restored(0, 64), 700, 1, 256},
                                         Layout{Restored(4, 64), 1000, 64, 512},
                                         Layout{Restored(70, 130), 640, 33, 192},
                                         Layout{Restored(64, 64), 500, 20, 128},
                                         Layout{Sliding(100), 690, 64, INT64_MAX},
                                         Layout{Sliding(1), 63, 5, INT64_MAX}));

}  // namespace
}  // namespace kakeya
