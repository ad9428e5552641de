// What attention over some of a query's keys leaves behind until the others have joined.
#ifndef KAKEYA_BACKEND_PARTIAL_SOFTMAX_H_
#define KAKEYA_BACKEND_PARTIAL_SOFTMAX_H_

#include "backend/ops.h"

namespace kakeya {

// A partial softmax is an array of floats: whether it is empty, the largest score, the sum of
// exp(score - max), and per dimension the sum of the same times the value, padded to whole blocks.
inline constexpr int kPartialEmpty = 0;  // 1 or 0
inline constexpr int kPartialMax = 1;
inline constexpr int kPartialSum = 2;
inline constexpr int kPartialGroup = 3;  // of an open group: its number (GroupOf), exact below 2^24
inline constexpr int kPartialValues = kLanes;
inline int PaddedDim(int head_dim) { return (head_dim + kLanes - 1) / kLanes * kLanes; }
inline int PartialSize(int head_dim) { return kPartialValues + PaddedDim(head_dim); }
inline constexpr int kMaxPartial = kPartialValues + kMaxHeadDim;

// The state of a query between rounds of AttendVisits: the partial of all closed groups of chunks,
// then that of the open one.
inline int StateSize(int head_dim) { return 2 * PartialSize(head_dim); }

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_PARTIAL_SOFTMAX_H_
