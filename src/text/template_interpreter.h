// A parsed template and its variables to text.
#ifndef KAKEYA_TEXT_TEMPLATE_INTERPRETER_H_
#define KAKEYA_TEXT_TEMPLATE_INTERPRETER_H_

#include "text/template_ast.h"
#include "text/template_runtime.h"

namespace kakeya::jinja {

// Runs the template over `variables`. Errors (Error): "chat template line N: ...", or the
// template's own words for raise_exception.
Text RenderTemplate(Runtime& runtime, const Template& parsed, const Dict& variables);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_TEMPLATE_INTERPRETER_H_
