// Recurrence once more for tests, as its definition reads.
#ifndef KAKEYA_BACKEND_RESTORE_REFERENCE_RECURRENCE_H_
#define KAKEYA_BACKEND_RESTORE_REFERENCE_RECURRENCE_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backend/restore/restore_ops.h"

namespace kakeya::test {

// Places before p where the n-gram that ends at p ends, too, ascending.
inline std::vector<int> OccurrencesBefore(const std::vector<int32_t>& ids, int p, int n) {
  std::vector<int> out;
  for (int q = n - 1; q < p; ++q) {
    bool same = true;
    for (int i = 0; i < n; ++i) same = same && ids[q - i] == ids[p - i];
    if (same) out.push_back(q);
  }
  return out;
}

struct TokenRecurrence {
  std::vector<int> buckets;        // per length
  std::vector<int32_t> followers;  // kNoToken where there is none

  bool operator==(const TokenRecurrence&) const = default;
};

inline TokenRecurrence ReferenceRecurrence(const RecurrenceShape& config,
                                           const std::vector<int32_t>& ids, int p) {
  TokenRecurrence out;
  int latest = -1;
  for (const int n : config.lengths) {
    const std::vector<int> places = OccurrencesBefore(ids, p, n);
    out.buckets.push_back(std::min(static_cast<int>(places.size()), config.buckets - 1));
    if (!places.empty()) latest = places.back();
  }
  for (int j = 1; j <= config.next; ++j) {
    out.followers.push_back(latest >= 0 && latest + j < p ? ids[latest + j] : kNoToken);
  }
  return out;
}

}  // namespace kakeya::test

#endif  // KAKEYA_BACKEND_RESTORE_REFERENCE_RECURRENCE_H_
