// The filters, tests and global functions of the language.
#ifndef KAKEYA_TEXT_JINJA_BUILTINS_H_
#define KAKEYA_TEXT_JINJA_BUILTINS_H_

#include <string>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

// subject|name(args). Errors (Error): Unsupported for a filter we don't have.
Value ApplyFilter(Runtime& runtime, const std::string& name, const Value& subject,
                  const CallArgs& args);

// subject is name(args). Errors (Error): Unsupported for a test we don't have.
bool ApplyTest(Runtime& runtime, const std::string& name, const Value& subject,
               const CallArgs& args);

// Whether there is a filter or test of that name.
bool HasFilter(const std::string& name);
bool HasTest(const std::string& name);

// range, namespace, dict, joiner, cycler, raise_exception, strftime_now; undefined for another
// name.
Value FindFunction(Runtime& runtime, const std::string& name);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_BUILTINS_H_
