// Text out of tokens as they come, a whole character at a time.
//
// A token may end in the middle of a character. What has not become whole waits for the next token.
// Thread safety: none; one object belongs to one stream.
// Invariants:
//   (1) all text returned so far, concatenated, is valid UTF-8;
//   (2) after Flush it equals Tokenizer::Decode of all ids pushed (and nothing is kept).
#ifndef KAKEYA_TEXT_TOKENIZER_DETOKENIZER_H_
#define KAKEYA_TEXT_TOKENIZER_DETOKENIZER_H_

#include <cstdint>
#include <string>

#include "text/tokenizer/tokenizer.h"

namespace kakeya {

class StreamingDetokenizer {
 public:
  // `tokenizer` must outlive this. With skip_special, special tokens give no text.
  explicit StreamingDetokenizer(const Tokenizer* tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // The text that `id` completes; empty while a character is still open. Bytes that can no longer
  // become a character come out as U+FFFD. An id without a token gives nothing.
  std::string Push(int32_t id);

  // Whatever is still open, as U+FFFD.
  std::string Flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;  // start of an unfinished character: at most 3 bytes between calls
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_DETOKENIZER_H_
