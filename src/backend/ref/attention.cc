#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "backend/numerics.h"
#include "backend/partial_softmax.h"
#include "backend/ref/ref.h"
#include "backend/visibility.h"

namespace kakeya::ref {
namespace {

constexpr int kMaxHeadDim = 256;

// Softmax over some keys, not yet divided: sum over keys of exp(score - max) and of the same times
// the value.
struct Partial {
  bool empty = true;
  float max = 0;
  float sum = 0;
  std::array<float, kMaxHeadDim> values{};
};

// Adds `next`, whose keys come later, to `total`.
void Merge(const Partial& next, int head_dim, Partial* total) {
  if (next.empty) return;
  if (total->empty) {
    *total = next;
    return;
  }
  const float max = next.max > total->max ? next.max : total->max;
  const float old_scale = numerics::Exp(total->max - max);
  const float new_scale = numerics::Exp(next.max - max);
  total->max = max;
  total->sum = std::fma(next.sum, new_scale, total->sum * old_scale);
  for (int d = 0; d < head_dim; ++d) {
    total->values[d] = std::fma(next.values[d], new_scale, total->values[d] * old_scale);
  }
}

// The first `slots` keys of one chunk. `k` (head_dim, kChunk), `v` (kChunk, head_dim), given as
// element indices into `data`. Args: AttentionArgs or VisitArgs.
template <typename Args>
Partial AttendChunk(const Args& args, const float* q, const void* data, int64_t k, int64_t v,
                    int slots) {
  Partial out;
  if (slots == 0) return out;
  out.empty = false;
  std::array<float, kChunk> scores{};
  for (int slot = 0; slot < slots; ++slot) {
    float dot = 0;
    for (int d = 0; d < args.head_dim; ++d) {
      dot = std::fma(q[d], numerics::Load(args.kv_dtype, data, k + d * kChunk + slot), dot);
    }
    scores[slot] = dot * args.scale;
  }
  out.max = scores[0];
  for (int slot = 1; slot < slots; ++slot) {
    if (scores[slot] > out.max) out.max = scores[slot];
  }
  std::array<float, kLanes> sums{};
  for (int slot = 0; slot < slots; ++slot) {
    const float weight = numerics::Exp(scores[slot] - out.max);
    sums[slot % kLanes] += weight;
    for (int d = 0; d < args.head_dim; ++d) {
      const float value =
          numerics::Load(args.kv_dtype, data, v + int64_t{slot} * args.head_dim + d);
      out.values[d] = std::fma(weight, value, out.values[d]);
    }
  }
  out.sum = numerics::TreeSum(sums.data());
  return out;
}

void ReadState(const float* state, int head_dim, Partial* out) {
  out->empty = state[kPartialEmpty] != 0;
  if (out->empty) return;
  out->max = state[kPartialMax];
  out->sum = state[kPartialSum];
  std::copy_n(state + kPartialValues, head_dim, out->values.begin());
}

void WriteState(const Partial& partial, int head_dim, float* state) {
  state[kPartialEmpty] = partial.empty ? 1 : 0;
  state[kPartialMax] = partial.max;
  state[kPartialSum] = partial.sum;
  std::copy_n(partial.values.begin(), head_dim, state + kPartialValues);
}

void AttendHead(const AttentionArgs& args, int row, int head) {
  const int kv_head = head / (args.heads / args.kv_heads);
  const int64_t k = int64_t{2} * kv_head * args.head_dim * kChunk;
  const int64_t v = k + int64_t{args.head_dim} * kChunk;
  const int64_t offset = (int64_t{row} * args.heads + head) * args.head_dim;
  Partial total;
  Partial group;
  for (size_t i = 0; i < args.pages.size(); ++i) {
    const KvPage& page = args.pages[i];
    const int slots = VisibleSlots(args, row, page.first_position);
    Merge(AttendChunk(args, args.q + offset, page.data, k, v, slots), args.head_dim, &group);
    const bool last_of_group =
        i + 1 == args.pages.size() ||
        GroupOf(args.pages[i + 1].first_position) != GroupOf(page.first_position);
    if (last_of_group) {
      Merge(group, args.head_dim, &total);
      group = Partial();
    }
  }
  const float inverse = 1.0f / total.sum;
  for (int d = 0; d < args.head_dim; ++d) args.out[offset + d] = total.values[d] * inverse;
}

}  // namespace

void StoreKv(const float* k, const float* v, int rows, int kv_heads, int head_dim, DType kv_dtype,
             void* page, int first_slot) {
  for (int row = 0; row < rows; ++row) {
    const int slot = first_slot + row;
    for (int head = 0; head < kv_heads; ++head) {
      const int64_t source = (int64_t{row} * kv_heads + head) * head_dim;
      const int64_t keys = int64_t{2} * head * head_dim * kChunk;
      const int64_t values = keys + int64_t{head_dim} * kChunk;
      for (int d = 0; d < head_dim; ++d) {
        numerics::Store(kv_dtype, page, keys + d * kChunk + slot, k[source + d]);
        numerics::Store(kv_dtype, page, values + int64_t{slot} * head_dim + d, v[source + d]);
      }
    }
  }
}

void Attention(const AttentionArgs& args) {
  assert(args.head_dim <= kMaxHeadDim);
  for (int row = 0; row < args.rows; ++row) {
    for (int head = 0; head < args.heads; ++head) AttendHead(args, row, head);
  }
}

void AttendVisits(const VisitArgs& args, std::span<const std::vector<PageVisit>> visits,
                  float* state) {
  const int heads_per_kv = args.heads / args.kv_heads;
  for (int64_t query = 0; query < int64_t{args.rows} * args.heads; ++query) {
    const int row = static_cast<int>(query / args.heads);
    float* const kept = state + query * StateSize(args.head_dim);
    float* const kept_group = kept + PartialSize(args.head_dim);
    Partial total;
    Partial group;
    ReadState(kept, args.head_dim, &total);
    ReadState(kept_group, args.head_dim, &group);
    for (const PageVisit& visit : visits[query % args.heads / heads_per_kv]) {
      if ((visit.rows >> row & 1) == 0) continue;
      const int slots = VisibleSlots(args, row, visit);
      if (slots == 0) continue;
      const auto number = static_cast<float>(GroupOf(visit.first_position));
      if (!group.empty && kept_group[kPartialGroup] != number) {
        Merge(group, args.head_dim, &total);
        group = Partial();
      }
      kept_group[kPartialGroup] = number;
      const float* const q = (visit.far ? args.q_far : args.q) + query * args.head_dim;
      Merge(AttendChunk(args, q, visit.data, 0, int64_t{args.head_dim} * kChunk, slots),
            args.head_dim, &group);
    }
    WriteState(total, args.head_dim, kept);
    WriteState(group, args.head_dim, kept_group);
  }
}

void FinishVisits(const VisitArgs& args, float* state, float* out) {
  for (int64_t query = 0; query < int64_t{args.rows} * args.heads; ++query) {
    const float* const kept = state + query * StateSize(args.head_dim);
    Partial total;
    Partial group;
    ReadState(kept, args.head_dim, &total);
    ReadState(kept + PartialSize(args.head_dim), args.head_dim, &group);
    Merge(group, args.head_dim, &total);
    const float inverse = 1.0f / total.sum;
    for (int d = 0; d < args.head_dim; ++d) {
      out[query * args.head_dim + d] = total.values[d] * inverse;
    }
  }
}

}  // namespace kakeya::ref
