#include "text/tokenizer/unicode.h"

#include <utf8proc.h>

#include <cassert>

namespace kakeya {
namespace {

uint8_t ByteAt(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }
bool IsContinuation(uint8_t byte) { return (byte & 0xc0) == 0x80; }

// What may follow a lead byte: how many continuation bytes, and the range of the first of them
// (Unicode standard, table 3-7). count 0: not a lead byte of a multi-byte character.
struct Lead {
  int count = 0;
  uint8_t min = 0x80;
  uint8_t max = 0xbf;
};

Lead LeadOf(uint8_t byte) {
  if (byte >= 0xc2 && byte <= 0xdf) return {1};
  if (byte == 0xe0) return {2, 0xa0, 0xbf};
  if (byte == 0xed) return {2, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {2};
  if (byte == 0xf0) return {3, 0x90, 0xbf};
  if (byte == 0xf4) return {3, 0x80, 0x8f};
  if (byte >= 0xf1 && byte <= 0xf3) return {3};
  return {};
}

}  // namespace

DecodedChar DecodeCharAt(std::string_view text, size_t offset) {
  assert(offset < text.size());
  const uint8_t lead = ByteAt(text, offset);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  assert(offset + length <= text.size());
  char32_t code = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) code = (code << 6) | (ByteAt(text, offset + i) & 0x3f);
  return {code, length};
}

DecodedChar DecodeCharBefore(std::string_view text, size_t end) {
  assert(end > 0 && end <= text.size());
  size_t start = end - 1;
  while (start > 0 && IsContinuation(ByteAt(text, start))) --start;
  return DecodeCharAt(text, start);
}

void AppendUtf8(char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (code >> 6)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (code >> 12)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (code >> 18)));
    out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

size_t AppendRepaired(std::string_view bytes, bool keep_tail, std::string* out) {
  size_t i = 0;
  while (i < bytes.size()) {
    const uint8_t byte = ByteAt(bytes, i);
    if (byte < 0x80) {
      out->push_back(bytes[i++]);
      continue;
    }
    const Lead lead = LeadOf(byte);
    size_t length = 1;
    for (int k = 0; k < lead.count && i + length < bytes.size(); ++k, ++length) {
      const uint8_t next = ByteAt(bytes, i + length);
      if (k == 0 ? next < lead.min || next > lead.max : !IsContinuation(next)) break;
    }
    const size_t whole = static_cast<size_t>(lead.count) + 1;
    if (lead.count > 0 && length == whole) {
      out->append(bytes.substr(i, length));
    } else if (keep_tail && lead.count > 0 && i + length == bytes.size()) {
      break;
    } else {
      out->append("\xef\xbf\xbd");
    }
    i += length;
  }
  return i;
}

bool IsWhiteSpace(char32_t code) {
  return (code >= 0x9 && code <= 0xd) || code == 0x20 || code == 0x85 || code == 0xa0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
         code == 0x202f || code == 0x205f || code == 0x3000;
}

bool IsWordChar(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      break;
  }
  // Join controls, and the symbols that are alphabetic: circled and squared letters.
  return code == 0x200c || code == 0x200d || (code >= 0x24b6 && code <= 0x24e9) ||
         (code >= 0x1f130 && code <= 0x1f149) || (code >= 0x1f150 && code <= 0x1f169) ||
         (code >= 0x1f170 && code <= 0x1f189);
}

}  // namespace kakeya
