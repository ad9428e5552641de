// Python's str methods on text that remembers its origin. What only cuts and joins keeps the origin
// of every byte.
#ifndef KAKEYA_TEXT_JINJA_STRINGS_H_
#define KAKEYA_TEXT_JINJA_STRINGS_H_

#include <string>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

using StringMethod = Value (*)(Runtime& runtime, const Text& self, const CallArgs& args);

// nullptr when str has no method of that name (that templates may use).
StringMethod FindStringMethod(const std::string& name);

// Bytes without the characters of `characters` (absent: whitespace) at either end.
Text Strip(Runtime& runtime, const Text& text, const Text* characters, bool left, bool right);
// Every occurrence of `old`, at most `limit` when that isn't negative.
Text Replace(Runtime& runtime, const Text& text, const Text& old, const Text& replacement,
             int64_t limit);
// The parts as text with `separator` between them.
Text Join(Runtime& runtime, const std::vector<Value>& parts, const Text& separator,
          bool only_strings);
std::vector<Text> SplitLines(const Text& text);
// `text` between that many copies of the character `fill`; each keeps its origin. REQUIRES: left
// and right < 2^63. Errors (Error): ResourceExhausted before anything of the size is made.
Text Surrounded(Runtime& runtime, const Text& text, size_t left, size_t right, const Text& fill);
// The text brought to a width, in characters.
enum class Align { kLeft, kRight, kCenter };
Text Justified(Runtime& runtime, const Text& text, int64_t width, Align align, const Text& fill);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_STRINGS_H_
