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

// The keys in `slots` of one KV head of a chunk. Args: AttentionArgs or VisitArgs.
template <typename Args>
Partial AttendChunk(const Args& args, const float* q, const void* head, SlotRange slots) {
  Partial out;
  if (slots.empty()) return out;
  out.empty = false;
  std::array<float, kChunk> scores{};
  for (int slot = slots.first; slot < slots.end; ++slot) {
    float dot = 0;
    for (int d = 0; d < args.head_dim; ++d) {
      dot = std::fma(q[d], LoadKey(args.kv_type, head, args.head_dim, slot, d), dot);
    }
    scores[slot] = dot * args.scale;
  }
  out.max = scores[slots.first];
  for (int slot = slots.first + 1; slot < slots.end; ++slot) {
    if (scores[slot] > out.max) out.max = scores[slot];
  }
  std::array<float, kLanes> sums{};
  for (int slot = slots.first; slot < slots.end; ++slot) {
    const float weight = numerics::Exp(scores[slot] - out.max);
    sums[slot % kLanes] += weight;
    for (int d = 0; d < args.head_dim; ++d) {
      const float value = LoadValue(args.kv_type, head, args.head_dim, slot, d);
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
  const size_t head_offset = kv_head * KvHeadBytes(args.kv_type, args.head_dim);
  const int64_t offset = (int64_t{row} * args.heads + head) * args.head_dim;
  Partial total;
  Partial group;
  for (size_t i = 0; i < args.pages.size(); ++i) {
    const KvPage& page = args.pages[i];
    const SlotRange slots = VisibleSlots(args.views[row], page.first_position);
    const auto* const data = static_cast<const std::byte*>(page.data) + head_offset;
    Merge(AttendChunk(args, args.q + offset, data, slots), args.head_dim, &group);
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

// One position's values in their group's codes; `header` are the part's scales.
void QuantizeRow(const float* x, int head_dim, int levels, int slot, uint16_t* header,
                 uint8_t* codes) {
  uint16_t* const biases = header + int64_t{KvGroups(head_dim)} * kChunk;
  for (int d = 0; d < head_dim; d += kKvGroup) {
    const numerics::AffineGroup group =
        numerics::QuantizeAffine(x + d, std::min(kKvGroup, head_dim - d), levels, codes + d);
    header[d / kKvGroup * kChunk + slot] = group.scale;
    biases[d / kKvGroup * kChunk + slot] = group.bias;
  }
}

// One position in one KV head of an affine page.
void StoreAffineSlot(const float* k, const float* v, int head_dim, KvType type, int slot,
                     std::byte* head) {
  const bool halves = type == KvType::kAffine4;
  const size_t header = AffineHeaderBytes(head_dim);
  std::array<uint8_t, kMaxHeadDim> codes{};
  QuantizeRow(k, head_dim, KvLevels(type), slot, reinterpret_cast<uint16_t*>(head), codes.data());
  auto* const keys = reinterpret_cast<uint8_t*>(head + header) + slot;
  for (int d = 0; d < head_dim; d += halves ? 2 : 1) {
    if (halves) {
      keys[d / 2 * kChunk] = static_cast<uint8_t>(codes[d] | codes[d + 1] << 4);
    } else {
      keys[d * kChunk] = codes[d];
    }
  }
  std::byte* const part = head + KeyPartBytes(type, head_dim);
  codes.fill(0);
  QuantizeRow(v, head_dim, KvLevels(type), slot, reinterpret_cast<uint16_t*>(part), codes.data());
  const size_t stride = AffineValueStride(type, head_dim);
  auto* const values = reinterpret_cast<uint8_t*>(part + header) + slot * stride;
  for (size_t i = 0; i < stride; ++i) {
    const size_t d = i / 16 * 32 + i % 16;
    values[i] = halves ? static_cast<uint8_t>(codes[d] | codes[d + 16] << 4) : codes[i];
  }
}

// One position in one KV head of a page.
void StoreSlot(const float* k, const float* v, int head_dim, KvType type, int slot,
               std::byte* head) {
  if (IsAffine(type)) return StoreAffineSlot(k, v, head_dim, type, slot, head);
  const DType dtype = DTypeOf(type);
  std::byte* const values = head + KeyPartBytes(type, head_dim);
  for (int d = 0; d < head_dim; ++d) {
    numerics::Store(dtype, head, int64_t{d} * kChunk + slot, k[d]);
    numerics::Store(dtype, values, int64_t{slot} * head_dim + d, v[d]);
  }
}

}  // namespace

void StoreKv(const KvRows& in, KvType type, void* page, int first_slot) {
  for (int row = 0; row < in.rows; ++row) {
    for (int head = 0; head < in.kv_heads; ++head) {
      const int64_t from = (int64_t{row} * in.kv_heads + head) * in.head_dim;
      StoreSlot(in.k + from, in.v + from, in.head_dim, type, first_slot + row,
                static_cast<std::byte*>(page) + head * KvHeadBytes(type, in.head_dim));
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
      const SlotRange slots = VisibleSlots(args.views[row], visit);
      if (slots.empty()) continue;
      const auto number = static_cast<float>(GroupOf(visit.first_position));
      if (!group.empty && kept_group[kPartialGroup] != number) {
        Merge(group, args.head_dim, &total);
        group = Partial();
      }
      kept_group[kPartialGroup] = number;
      const float* const q = (visit.far ? args.q_far : args.q) + query * args.head_dim;
      Merge(AttendChunk(args, q, visit.data, slots), args.head_dim, &group);
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
