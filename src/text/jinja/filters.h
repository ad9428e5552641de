// How the filters are divided between files; users of filters include builtins.h.
#ifndef KAKEYA_TEXT_JINJA_FILTERS_H_
#define KAKEYA_TEXT_JINJA_FILTERS_H_

#include <string>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

using Filter = Value (*)(Runtime& runtime, const Value& subject, const CallArgs& args);

// The filters on numbers and texts; nullptr for another name.
Filter FindScalarFilter(const std::string& name);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_FILTERS_H_
