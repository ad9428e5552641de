// Text from a file inside a message: one printable line of bounded length, whatever the file holds.
#ifndef KAKEYA_FORMAT_QUOTE_H_
#define KAKEYA_FORMAT_QUOTE_H_

#include <string>
#include <string_view>

namespace kakeya {

// Replaces everything but printable ASCII by '?', and the end by "..." beyond `max` bytes.
inline std::string Printable(std::string_view text, size_t max = 100) {
  std::string out;
  for (char c : text.substr(0, max)) out += c >= 0x20 && c < 0x7f ? c : '?';
  if (text.size() > max) out += "...";
  return out;
}

// Printable, between single quotes.
inline std::string Quoted(std::string_view text, size_t max = 100) {
  return "'" + Printable(text, max) + "'";
}

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_QUOTE_H_
