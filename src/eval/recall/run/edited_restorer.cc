#include "eval/recall/run/edited_restorer.h"

#include <algorithm>
#include <cassert>

namespace kakeya {

EditedRestorer::EditedRestorer(std::unique_ptr<Restorer> inner, HistoryEdit edit)
    : inner_(std::move(inner)), edit_(std::move(edit)) {
  assert(inner_->size() == 0);
}

Status EditedRestorer::Extend(const OpContext& context, std::span<const int32_t> ids) {
  const auto edited = static_cast<int64_t>(edit_.ids.size());
  const int64_t first = inner_->size();
  if (first >= edited) return inner_->Extend(context, ids);
  std::vector<int32_t> told(ids.begin(), ids.end());
  const int64_t replaced = std::min<int64_t>(edited - first, static_cast<int64_t>(told.size()));
  std::copy_n(edit_.ids.begin() + first, replaced, told.begin());
  return inner_->Extend(context, told);
}

Status EditedRestorer::Select(const OpContext& context, const SelectQueries& queries,
                              std::span<std::vector<ChunkVisit>> visits) {
  const int64_t end = queries.window_begin.back() / kChunk;
  const int64_t excluded = Excluded(queries.first_chunk, end);
  if (excluded == 0) return inner_->Select(context, queries, visits);
  for (std::vector<ChunkVisit>& head : visits) head.clear();
  if (queries.max_chunks <= 0) return OkStatus();
  // Whoever takes every chunk, or so many that no row is left with more than it may have, asks
  // once.
  if (queries.max_chunks == kAllChunks ||
      end - queries.first_chunk - excluded <= queries.max_chunks) {
    SelectQueries all = queries;
    if (queries.max_chunks != kAllChunks) all.max_chunks = end - queries.first_chunk;
    KAKEYA_RETURN_IF_ERROR(inner_->Select(context, all, visits));
    for (std::vector<ChunkVisit>& head : visits) {
      std::erase_if(head, [&](const ChunkVisit& visit) { return IsExcluded(visit.chunk); });
    }
    return OkStatus();
  }
  return SelectAmongMore(context, queries, visits);
}

// A row's chunks for a smaller number are among those for a larger one, so its best chunks that are
// not excluded are what is left of the fewest that leave enough. So many at least: those that it
// may have, and as many again as were excluded of the last answer. Asked is always for the least of
// what any row needs, so that none gets more than it may have.
Status EditedRestorer::SelectAmongMore(const OpContext& context, const SelectQueries& queries,
                                       std::span<std::vector<ChunkVisit>> visits) {
  const size_t heads = visits.size();
  const uint64_t all_rows = ~uint64_t{0} >> (kMaxSelectRows - queries.rows);
  std::vector<uint64_t> open(heads, all_rows);
  SelectQueries more = queries;
  std::vector<std::vector<ChunkVisit>> answer(heads);
  while (std::any_of(open.begin(), open.end(), [](uint64_t rows) { return rows != 0; })) {
    KAKEYA_RETURN_IF_ERROR(inner_->Select(context, more, answer));
    int64_t next = INT64_MAX;
    for (size_t head = 0; head < heads; ++head) {
      const uint64_t done = DoneRows({.asked = more.max_chunks, .wanted = queries.max_chunks},
                                     answer[head], open[head], &next);
      open[head] &= ~done;
      AddVisits(answer[head], done, &visits[head]);
    }
    more.max_chunks = next;
  }
  for (std::vector<ChunkVisit>& head : visits) {
    std::sort(head.begin(), head.end(),
              [](const ChunkVisit& a, const ChunkVisit& b) { return a.chunk < b.chunk; });
  }
  return OkStatus();
}

// Of the open rows, those to which nothing is left to give; *next falls to what another needs.
uint64_t EditedRestorer::DoneRows(const Numbers& numbers, const std::vector<ChunkVisit>& answer,
                                  uint64_t open, int64_t* next) const {
  uint64_t done = 0;
  for (; open != 0; open &= open - 1) {
    const uint64_t row = open & -open;
    int64_t given = 0;
    int64_t excluded = 0;
    for (const ChunkVisit& visit : answer) {
      if ((visit.rows & row) == 0) continue;
      ++given;
      excluded += IsExcluded(visit.chunk) ? 1 : 0;
    }
    if (given < numbers.asked || given - excluded == numbers.wanted) {
      done |= row;
    } else {
      *next = std::min(*next, numbers.wanted + excluded);
    }
  }
  return done;
}

// Adds what these rows were given and may have.
void EditedRestorer::AddVisits(const std::vector<ChunkVisit>& answer, uint64_t rows,
                               std::vector<ChunkVisit>* visits) const {
  for (const ChunkVisit& given : answer) {
    if ((given.rows & rows) == 0 || IsExcluded(given.chunk)) continue;
    const auto same = std::find_if(visits->begin(), visits->end(), [&](const ChunkVisit& visit) {
      return visit.chunk == given.chunk;
    });
    if (same != visits->end()) {
      same->rows |= given.rows & rows;
    } else {
      visits->push_back({given.chunk, given.rows & rows});
    }
  }
}

bool EditedRestorer::IsExcluded(int64_t chunk) const {
  return chunk < static_cast<int64_t>(edit_.excluded.size()) && edit_.excluded[chunk] != 0;
}

int64_t EditedRestorer::Excluded(int64_t begin, int64_t end) const {
  int64_t count = 0;
  for (int64_t chunk = begin; chunk < end; ++chunk) count += IsExcluded(chunk) ? 1 : 0;
  return count;
}

Status EditedRestorer::BeginLayer(const OpContext& context, int layer) {
  return inner_->BeginLayer(context, layer);
}

}  // namespace kakeya
