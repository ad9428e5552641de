// The tokens of a tokenizer: id -> bytes, spelling -> id.
#ifndef KAKEYA_TEXT_TOKENIZER_VOCAB_H_
#define KAKEYA_TEXT_TOKENIZER_VOCAB_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"

namespace kakeya {

// Bounds of an id (BAD_INPUTS: sparse, negative, huge). The tables have one entry per id, so an id
// may exceed the number of tokens (holes are published practice) but not by any factor.
inline constexpr int64_t kMaxTokenId = (int64_t{1} << 24) - 1;
int64_t LargestAllowedId(size_t token_count);

// tokenizer.json spells a byte-level token with one printable character per byte: bytes that are
// printable in Latin-1 (0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF) as themselves, the other 68 in order as
// U+0100 and following (so " " is U+0120). Returns the bytes, or nothing when `spelling` has some
// other character. REQUIRES: spelling is valid UTF-8.
std::optional<std::string> DecodeByteLevel(std::string_view spelling);

// The other way round.
std::string EncodeByteLevel(std::string_view bytes);

// Thread safety: immutable once built.
// Invariant: tokens with distinct spellings have distinct ids.
class TokenTable {
 public:
  // Adds a token of the model. Corrupt when the id is taken.
  // REQUIRES: 0 <= id <= kMaxTokenId, and `spelling` is not in the table.
  Status Add(std::string_view spelling, int32_t id) { return Add(spelling, id, true); }
  // The same for an added token that isn't in the model's vocabulary: IdOfBytes won't find it.
  Status AddOutside(std::string_view spelling, int32_t id) { return Add(spelling, id, false); }

  // By the spelling in the file.
  std::optional<int32_t> IdOfSpelling(std::string_view spelling) const;
  // A byte-level token of the model by its bytes.
  std::optional<int32_t> IdOfBytes(std::string_view bytes) const;

  // What the id decodes to: the bytes spelled, or the spelling itself where it isn't byte-level.
  // Empty for an id without token.
  std::string_view Bytes(int32_t id) const;
  bool Has(int32_t id) const;
  int32_t end_id() const { return static_cast<int32_t>(tokens_.size()); }  // largest id + 1
  // REQUIRES: end <= kMaxTokenId + 1.
  void Reserve(size_t count, size_t end);

 private:
  struct Token {
    uint32_t offset = 0;  // into bytes_
    uint32_t length = kNone;
  };
  static constexpr uint32_t kNone = UINT32_MAX;
  Status Add(std::string_view spelling, int32_t id, bool in_model);
  size_t FindSlot(std::string_view bytes) const;
  void Rehash(size_t slots);

  std::string bytes_;          // of all tokens
  std::vector<Token> tokens_;  // by id
  // Open addressing by bytes, ids of byte-level tokens or -1; a power of two long, at most half
  // full.
  std::vector<int32_t> slots_;
  size_t used_slots_ = 0;
  std::unordered_map<std::string, int32_t> others_;  // by spelling: all other tokens
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_VOCAB_H_
