// A parsed template and its variables to text.
//
// Where the language is narrower than Jinja's, a template that needs more fails with a message: no
// imports, blocks or inheritance; no groupby, wordwrap, urlize and their like; no characters from
// numbers ("{:c}") and no !a in str.format; 64-bit integers; names with two underscores in front
// don't exist at all. Where it differs silently: map, select and their like do
// their work at once, not when they are gone through, and `safe` and `escape` give plain strings.
#ifndef KAKEYA_TEXT_JINJA_INTERPRETER_H_
#define KAKEYA_TEXT_JINJA_INTERPRETER_H_

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace kakeya::jinja {

// Runs the template over `variables`. Errors (Error): "chat template line N: ...", or the
// template's own words for raise_exception.
Text RenderTemplate(Runtime& runtime, const Template& parsed, const Dict& variables);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_INTERPRETER_H_
