#include "model/visit_plan.h"

namespace kakeya {
namespace {

uint64_t Bit(int row) { return uint64_t{1} << row; }

// Adds a visit, in two parts where some rows are far from the chunk.
void Add(const PlanArgs& args, const PlannedVisit& planned, std::vector<PlannedVisit>* plan) {
  const uint64_t far = planned.visit.rows & FarRows(args, ChunkOf(planned.visit.first_position));
  for (const bool is_far : {false, true}) {
    PlannedVisit part = planned;
    part.visit.far = is_far;
    part.visit.rows = is_far ? far : planned.visit.rows & ~far;
    if (part.visit.rows != 0) plan->push_back(part);
  }
}

void AddChosen(const PlanArgs& args, const ChunkVisit& chosen, std::vector<PlannedVisit>* plan) {
  Add(args, {{.first_position = chosen.chunk * kChunk, .rows = chosen.rows}, /*restored=*/true},
      plan);
}

// The rows whose window reaches into the page see their part of it; of the others, those that don't
// see it restored see the sinks in it.
void AddExact(const PlanArgs& args, const KvPage& page, int kv_head, uint64_t restored,
              std::vector<PlannedVisit>* plan) {
  uint64_t window = 0;
  uint64_t others = 0;
  for (int row = 0; row < args.rows; ++row) {
    const RowView view = ViewOf(args.policy, args.first_position + row);
    const bool in_window = view.begin < page.first_position + kChunk;
    (in_window ? window : others) |= Bit(row);
  }
  PageVisit visit{.first_position = page.first_position,
                  .data = HeadData(page, kv_head, args.head_bytes)};
  if (window != 0) {
    visit.rows = window;
    visit.part = VisitPart::kWindow;
    plan->push_back({visit, /*restored=*/false});
  }
  if (page.first_position < args.policy.sink) {
    visit.rows = others & ~restored;
    visit.part = VisitPart::kSinks;
    Add(args, {visit, /*restored=*/false}, plan);
  }
}

}  // namespace

uint64_t FarRows(const PlanArgs& args, int64_t chunk) {
  uint64_t rows = 0;
  for (int row = 0; row < args.rows; ++row) {
    const int64_t distance = (ChunkOf(args.first_position + row) - chunk) * kChunk;
    if (distance > args.max_distance) rows |= Bit(row);
  }
  return rows;
}

std::vector<PlannedVisit> PlanVisits(const PlanArgs& args, int kv_head,
                                     std::span<const ChunkVisit> chosen) {
  std::vector<PlannedVisit> plan;
  auto next = chosen.begin();
  for (const KvPage& page : args.pages) {
    const int64_t chunk = ChunkOf(page.first_position);
    for (; next != chosen.end() && next->chunk < chunk; ++next) AddChosen(args, *next, &plan);
    uint64_t restored = 0;
    if (next != chosen.end() && next->chunk == chunk) {
      restored = next->rows;
      AddChosen(args, *next++, &plan);
    }
    AddExact(args, page, kv_head, restored, &plan);
  }
  for (; next != chosen.end(); ++next) AddChosen(args, *next, &plan);
  return plan;
}

}  // namespace kakeya
