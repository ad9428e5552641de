// Validity of UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
#ifndef KAKEYA_FORMAT_UTF8_H_
#define KAKEYA_FORMAT_UTF8_H_

#include <cstddef>
#include <string_view>

namespace kakeya {

// Offset of the first byte that isn't part of a valid character; text.size() when all is well.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_UTF8_H_
