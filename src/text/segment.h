// Text with its origin. A chat template's own text may name special tokens (<|im_start|>); what a
// user, a tool or a model wrote may only spell them: there they stay text.
#ifndef KAKEYA_TEXT_SEGMENT_H_
#define KAKEYA_TEXT_SEGMENT_H_

#include <string>

namespace kakeya {

struct Segment {
  std::string text;      // UTF-8
  bool trusted = false;  // true: special tokens spelled here are meant
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_SEGMENT_H_
