#include "text/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

namespace kakeya {
namespace {

constexpr int32_t kRemoved = -1;
// Up to here searching all pairs for each merge is faster than keeping a queue.
constexpr size_t kShortWord = 24;

uint64_t PairKey(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// The finalizer of splitmix64: every bit of the pair moves every bit of the hash.
size_t Hash(uint64_t key) {
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
  return static_cast<size_t>(key ^ (key >> 31));
}

// Heap order: lowest rank first, then leftmost.
bool ComesLater(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

BpeModel::BpeModel(const std::array<int32_t, 256>& byte_ids, const std::vector<BpeMerge>& merges)
    : byte_ids_(byte_ids) {
  assert(merges.size() < kNoRank);
  table_.resize(std::bit_ceil(std::max<size_t>(2 * merges.size(), 2)));
  mask_ = table_.size() - 1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t pair = PairKey(merges[rank].left, merges[rank].right);
    size_t slot = Hash(pair) & mask_;
    while (table_[slot].rank != kNoRank && table_[slot].pair != pair) slot = (slot + 1) & mask_;
    table_[slot] = {pair, static_cast<uint32_t>(rank), merges[rank].result};
  }
}

const BpeModel::Entry* BpeModel::Find(int32_t left, int32_t right) const {
  const uint64_t pair = PairKey(left, right);
  for (size_t slot = Hash(pair) & mask_;; slot = (slot + 1) & mask_) {
    const Entry& entry = table_[slot];
    if (entry.rank == kNoRank) return nullptr;
    if (entry.pair == pair) return &entry;
  }
}

void BpeModel::Encode(std::string_view word, BpeScratch* scratch, std::vector<int32_t>* ids) const {
  assert(word.size() < static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  if (word.size() <= kShortWord) {
    EncodeShort(word, ids);
  } else {
    EncodeLong(word, scratch, ids);
  }
}

void BpeModel::EncodeShort(std::string_view word, std::vector<int32_t>* ids) const {
  std::array<int32_t, kShortWord> parts;
  std::array<const Entry*, kShortWord> pairs;  // pairs[i]: parts i and i + 1
  size_t count = 0;
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id != kDropped) parts[count++] = id;
  }
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = Find(parts[i], parts[i + 1]);
  while (count > 1) {
    size_t best = count;
    uint32_t best_rank = kNoRank;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (pairs[i] != nullptr && pairs[i]->rank < best_rank) {
        best = i;
        best_rank = pairs[i]->rank;
      }
    }
    if (best == count) break;
    parts[best] = pairs[best]->result;
    for (size_t i = best + 1; i + 1 < count; ++i) parts[i] = parts[i + 1];
    for (size_t i = best + 1; i + 2 < count; ++i) pairs[i] = pairs[i + 1];
    --count;
    if (best > 0) pairs[best - 1] = Find(parts[best - 1], parts[best]);
    if (best + 1 < count) pairs[best] = Find(parts[best], parts[best + 1]);
  }
  ids->insert(ids->end(), parts.begin(), parts.begin() + count);
}

void BpeModel::PushCandidate(int32_t position, BpeScratch* scratch) const {
  const BpeScratch::Symbol& left = scratch->symbols[static_cast<size_t>(position)];
  const int32_t right = scratch->symbols[static_cast<size_t>(left.next)].id;
  if (const Entry* entry = Find(left.id, right); entry != nullptr) {
    scratch->queue.push_back({entry->rank, position, entry->result});
  }
}

void BpeModel::EncodeLong(std::string_view word, BpeScratch* scratch,
                          std::vector<int32_t>* ids) const {
  auto& symbols = scratch->symbols;
  auto& queue = scratch->queue;
  symbols.clear();
  queue.clear();
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    const auto i = static_cast<int32_t>(symbols.size());
    if (id != kDropped) symbols.push_back({id, i - 1, i + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i + 1 < count; ++i) PushCandidate(i, scratch);
  std::make_heap(queue.begin(), queue.end(), ComesLater);
  const auto push = [&](int32_t position) {
    const size_t before = queue.size();
    PushCandidate(position, scratch);
    if (queue.size() > before) std::push_heap(queue.begin(), queue.end(), ComesLater);
  };
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), ComesLater);
    const BpeScratch::Candidate top = queue.back();
    queue.pop_back();
    BpeScratch::Symbol& left = symbols[static_cast<size_t>(top.position)];
    if (left.id == kRemoved || left.next < 0) continue;
    BpeScratch::Symbol& right = symbols[static_cast<size_t>(left.next)];
    // A neighbour was joined meanwhile: this candidate is about a pair that is gone.
    const Entry* entry = Find(left.id, right.id);
    if (entry == nullptr || entry->rank != top.rank) continue;
    left.id = top.result;
    left.next = right.next;
    right.id = kRemoved;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].prev = top.position;
    if (left.prev >= 0) push(left.prev);
    if (left.next >= 0) push(top.position);
  }
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    ids->push_back(symbols[static_cast<size_t>(i)].id);
  }
}

}  // namespace kakeya
