// Encodes a text that keeps coming back with something new at its end, as a conversation does: only
// what comes behind the last cut point (tokenizer.h) of the part that stayed is encoded again.
//
// Thread safety: none.
// Invariants:
//   (1) Encode gives exactly the ids of Tokenizer::EncodeSegments, whatever was encoded before.
//   (2) After an error the encoder is as it was.
#ifndef KAKEYA_TEXT_TOKENIZER_INCREMENTAL_ENCODER_H_
#define KAKEYA_TEXT_TOKENIZER_INCREMENTAL_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "text/segment.h"
#include "text/tokenizer/tokenizer.h"

namespace kakeya {

class IncrementalEncoder {
 public:
  // REQUIRES: the tokenizer outlives this.
  explicit IncrementalEncoder(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  // The ids of `text`, without what the post-processor adds. Errors: those of EncodeSegments.
  Result<std::vector<int32_t>> Encode(std::vector<Segment> text);

  // Bytes that the tokenizer has been given so far.
  size_t encoded_bytes() const { return encoded_bytes_; }

 private:
  CutPoint LastCutWithin(size_t common) const;
  Result<std::vector<int32_t>> EncodeFrom(size_t offset, const std::vector<Segment>& text,
                                          std::vector<CutPoint>* cuts);

  const Tokenizer* tokenizer_;
  std::vector<Segment> text_;   // encoded last
  std::vector<int32_t> ids_;    // of it
  std::vector<CutPoint> cuts_;  // of it; offset, ids and reach ascend
  size_t encoded_bytes_ = 0;
};

// Bytes that two texts begin with in common, equally trusted.
size_t CommonBytes(const std::vector<Segment>& a, const std::vector<Segment>& b);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_INCREMENTAL_ENCODER_H_
