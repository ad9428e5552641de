// Unicode's normalization forms (annex 15).
#ifndef KAKEYA_TEXT_TOKENIZER_NORMAL_FORM_H_
#define KAKEYA_TEXT_TOKENIZER_NORMAL_FORM_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kakeya {

// A stretch whose normal form differs from what was given. Outside the stretches both texts agree.
struct TextEdit {
  size_t begin = 0;  // bytes of the text given
  size_t end = 0;
  size_t new_begin = 0;  // bytes of the normal form
  size_t new_end = 0;
};

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// The normal form of `text`, in O(n log n) even where one base character carries a million marks.
// The edits come in order. REQUIRES: text is valid UTF-8.
std::string Normalize(NormalForm form, std::string_view text, std::vector<TextEdit>* edits);

// Cheap sufficient test: true means that text is its own normal form.
bool IsCertainlyNfc(std::string_view text);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_NORMAL_FORM_H_
