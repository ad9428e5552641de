// Added tokens: strings that become one token wherever they stand, before any BPE.
#ifndef KAKEYA_TEXT_TOKENIZER_ADDED_TOKENS_H_
#define KAKEYA_TEXT_TOKENIZER_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/tokenizer/normal_form.h"

namespace kakeya {

// Longest added token, in bytes: bounds the work per byte of text.
inline constexpr size_t kMaxAddedTokenBytes = 1024;

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;
  bool single_word = false;  // not recognised beside a word character
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalized text (and normalized itself)
};

// The bytes of a text whose special tokens are meant. Ranges are in order and don't touch.
class TrustMap {
 public:
  // REQUIRES: ranges are added in order. Adjacent ones become one.
  void Add(size_t begin, size_t end);
  bool Covers(size_t begin, size_t end) const;
  // First trusted byte behind `offset`, or SIZE_MAX.
  size_t NextBeginAfter(size_t offset) const;
  // The part that lies in [begin, end), counted from begin, as the edits move it: what an edit
  // touched is trusted only when all of it was.
  TrustMap Within(size_t begin, size_t end, const std::vector<TextEdit>& edits) const;

 private:
  std::vector<std::pair<size_t, size_t>> ranges_;
};

// Plain text, or the added token that stood there.
struct TextPiece {
  std::string_view text;
  const AddedToken* token = nullptr;
  // Of a token that a text may be cut before: both parts have the pieces that they have in the
  // whole. That holds for every text that begins with the same `cut_reach` bytes, equally trusted.
  // 0: no cut here.
  size_t cut_reach = 0;
};

// Finds added tokens: leftmost first, of several that start there the longest.
// Thread safety: immutable once built.
class AddedTokenMatcher {
 public:
  // `pattern` is what to look for. Of two tokens with one pattern the first added counts.
  // REQUIRES: pattern isn't empty; token outlives this.
  void Add(std::string_view pattern, const AddedToken* token);

  // Appends the pieces of `text`, which point into it. Special tokens outside `trusted` stay text.
  void Split(std::string_view text, const TrustMap& trusted, std::vector<TextPiece>* pieces) const;

 private:
  struct Match {
    const AddedToken* token = nullptr;
    size_t length = 0;
  };
  // Raises `reach` to the end of what was looked at; beyond the text where its end was.
  Match LongestAt(std::string_view text, size_t at, size_t* reach) const;

  static uint64_t Edge(uint32_t node, char byte) {
    return (uint64_t{node} << 8) | static_cast<uint8_t>(byte);
  }
  std::array<bool, 256> first_bytes_{};
  std::unordered_map<uint64_t, uint32_t> edges_;  // trie: Edge -> child
  std::vector<const AddedToken*> ends_{nullptr};  // by node: the token that ends there
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_ADDED_TOKENS_H_
