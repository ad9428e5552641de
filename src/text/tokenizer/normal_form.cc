#include "text/tokenizer/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/tokenizer/unicode.h"

namespace kakeya {
namespace {

// A lead byte below this is that of a character which the form leaves alone and which never
// combines with what precedes it. So a block from one such character up to the next can be
// normalized by itself. Below U+0300 (lead byte 0xCC) all characters are starters and composed
// already, but only ASCII has no decomposition.
uint8_t FirstActiveLead(NormalForm form) { return form == NormalForm::kNfc ? 0xcc : 0x80; }

bool StartsBlock(char byte, uint8_t active) {
  const auto b = static_cast<uint8_t>(byte);
  return b < 0x80 || (b >= 0xc0 && b < active);
}

int CombiningClass(utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; }

// Marks in canonical order. The library's own reordering is quadratic in the number of marks.
void SortMarks(std::vector<utf8proc_int32_t>* codes) {
  const auto is_starter = [](utf8proc_int32_t code) { return CombiningClass(code) == 0; };
  for (auto at = codes->begin(); at != codes->end();) {
    at = std::find_if_not(at, codes->end(), is_starter);
    const auto end = std::find_if(at, codes->end(), is_starter);
    std::stable_sort(at, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return CombiningClass(a) < CombiningClass(b);
    });
    at = end;
  }
}

// Appends the decomposition of `block`, its marks in the order given.
void Decompose(std::string_view block, bool compatible, std::vector<utf8proc_int32_t>* codes) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  for (size_t i = 0; i < block.size();) {
    const DecodedChar c = DecodeCharAt(block, i);
    i += c.length;
    std::array<utf8proc_int32_t, 32> parts;  // a decomposition has at most 18 characters
    int last_boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(c.code), parts.data(), parts.size(), options, &last_boundary);
    if (count > 0 && count <= static_cast<utf8proc_ssize_t>(parts.size())) {
      codes->insert(codes->end(), parts.begin(), parts.begin() + count);
    } else {
      codes->push_back(static_cast<utf8proc_int32_t>(c.code));
    }
  }
}

std::string NormalizeBlock(NormalForm form, std::string_view block,
                           std::vector<utf8proc_int32_t>* codes) {
  codes->clear();
  Decompose(block, form == NormalForm::kNfkc || form == NormalForm::kNfkd, codes);
  SortMarks(codes);
  std::string out;
  if (form == NormalForm::kNfd || form == NormalForm::kNfkd) {
    for (const utf8proc_int32_t code : *codes) AppendUtf8(static_cast<char32_t>(code), &out);
    return out;
  }
  for (auto begin = codes->begin(); begin != codes->end();) {
    // utf8proc 2.x takes U+11A7 for a Hangul final consonant and loses it. It composes with
    // nothing, so what starts with it can be composed apart.
    const auto end = std::find(begin + 1, codes->end(), 0x11a7);
    const utf8proc_ssize_t length = utf8proc_normalize_utf32(
        &*begin, end - begin, static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    for (utf8proc_ssize_t i = 0; i < length; ++i) AppendUtf8(static_cast<char32_t>(begin[i]), &out);
    begin = end;
  }
  return out;
}

}  // namespace

bool IsCertainlyNfc(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0xcc; });
}

std::string Normalize(NormalForm form, std::string_view text, std::vector<TextEdit>* edits) {
  const uint8_t active = FirstActiveLead(form);
  std::string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> codes;
  size_t copied = 0;  // text[0, copied) is in out
  for (size_t i = 0; i < text.size(); ++i) {
    if (static_cast<uint8_t>(text[i]) < active) continue;
    // A character that may combine. Its block starts at the last plain character before it.
    size_t begin = i;
    while (begin > copied && !StartsBlock(text[begin], active)) --begin;
    size_t end = i + 1;
    while (end < text.size() && !StartsBlock(text[end], active)) ++end;
    const std::string_view block = text.substr(begin, end - begin);
    const std::string normal = NormalizeBlock(form, block, &codes);
    out.append(text.substr(copied, begin - copied));
    if (normal != block) edits->push_back({begin, end, out.size(), out.size() + normal.size()});
    out += normal;
    copied = end;
    i = end - 1;
  }
  out.append(text.substr(copied));
  return out;
}

}  // namespace kakeya
