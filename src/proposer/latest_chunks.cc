#include "proposer/latest_chunks.h"

#include <algorithm>
#include <array>

namespace kakeya {

void LatestChunks(const SelectQueries& queries, std::vector<ChunkVisit>* visits) {
  visits->clear();
  std::array<int64_t, kMaxSelectRows> taken{};
  int64_t chunk = queries.window_begin.back() / kChunk;
  while (--chunk >= queries.first_chunk) {
    ChunkVisit visit{chunk, 0};
    for (int row = 0; row < queries.rows; ++row) {
      if (queries.window_begin[row] / kChunk <= chunk || taken[row] >= queries.max_chunks) continue;
      visit.rows |= uint64_t{1} << row;
      ++taken[row];
    }
    // The earliest window ends last: when no row takes a chunk that all see, none will again.
    if (visit.rows != 0) visits->push_back(visit);
    if (visit.rows == 0 && chunk < queries.window_begin.front() / kChunk) break;
  }
  std::reverse(visits->begin(), visits->end());
}

}  // namespace kakeya
