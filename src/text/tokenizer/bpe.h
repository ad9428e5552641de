// Byte pair encoding: joins the pieces of a word in the order in which training learned to.
//
// A word starts as one symbol per byte. As long as some adjacent pair has a rank, the pair of the
// lowest rank (the leftmost of several) becomes one symbol. O(n log n) in the word's length.
#ifndef KAKEYA_TEXT_TOKENIZER_BPE_H_
#define KAKEYA_TEXT_TOKENIZER_BPE_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kakeya {

struct BpeMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
};

// Working memory of Encode, reused from word to word.
struct BpeScratch {
  struct Symbol {
    int32_t id = 0;  // kRemoved once it was joined to its left neighbour
    int32_t prev = -1;
    int32_t next = -1;
  };
  struct Candidate {  // the pair that starts at a symbol
    uint32_t rank = 0;
    int32_t position = 0;
    int32_t result = 0;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
};

// Thread safety: immutable; each thread brings its scratch.
class BpeModel {
 public:
  // The id of a byte that has no token: it gives nothing, and its neighbours become adjacent.
  static constexpr int32_t kDropped = -1;

  BpeModel() = default;
  // `merges` in the order of their rank; of two for one pair the later counts. Ids are >= 0, those
  // of bytes may be kDropped.
  BpeModel(const std::array<int32_t, 256>& byte_ids, const std::vector<BpeMerge>& merges);

  // Appends the tokens of one word. REQUIRES: word is shorter than 2^31 bytes.
  void Encode(std::string_view word, BpeScratch* scratch, std::vector<int32_t>* ids) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Entry {
    uint64_t pair = 0;
    uint32_t rank = kNoRank;  // kNoRank: free
    int32_t result = 0;
  };

  const Entry* Find(int32_t left, int32_t right) const;  // null when the pair has no rank
  void EncodeShort(std::string_view word, std::vector<int32_t>* ids) const;
  void EncodeLong(std::string_view word, BpeScratch* scratch, std::vector<int32_t>* ids) const;
  void PushCandidate(int32_t position, BpeScratch* scratch) const;

  std::array<int32_t, 256> byte_ids_{};
  std::vector<Entry> table_;  // open addressing, at most half full, a power of two long
  size_t mask_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_BPE_H_
