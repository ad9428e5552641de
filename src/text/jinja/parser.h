// Tokens to syntax tree: recursive descent, with Jinja's grammar and precedences.
#ifndef KAKEYA_TEXT_JINJA_PARSER_H_
#define KAKEYA_TEXT_JINJA_PARSER_H_

#include <string_view>

#include "text/jinja/ast.h"

namespace kakeya::jinja {

// Errors (Error): Corrupt "chat template line N: ..." for what isn't a template, ResourceExhausted
// for one nested too deeply.
Template ParseTemplate(std::string_view source);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_PARSER_H_
