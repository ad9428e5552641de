// What stands behind the colon of a field "{:>8.3f}".
#ifndef KAKEYA_TEXT_JINJA_FORMAT_SPEC_H_
#define KAKEYA_TEXT_JINJA_FORMAT_SPEC_H_

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

// Python's format(value, spec) for strings and numbers:
//   [[fill]align][sign][z][#][0][width][, or _][.precision][type]
// Other values take an empty specification only; the type c (a number as a character) is left out,
// because numbers don't remember whose they are. A padded text keeps its origin; the padding has
// that of the specification. Errors (Error): InvalidArgument for what Python refuses and for a
// precision beyond 1000, ResourceExhausted for a width beyond the budget.
Text FormatValue(Runtime& runtime, const Value& value, const Text& spec);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_FORMAT_SPEC_H_
