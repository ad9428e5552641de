// Template source to tokens, with Jinja's rules for whitespace as transformers sets them:
// trim_blocks (a newline right after a tag goes), lstrip_blocks (blanks before a tag that begins
// its line go), one newline at the very end goes, and the signs {%- -%} {%+ +%} override.
#ifndef KAKEYA_TEXT_JINJA_LEXER_H_
#define KAKEYA_TEXT_JINJA_LEXER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kakeya::jinja {

enum class TokenKind {
  kData,           // text between tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // text: unescaped
  kInteger,
  kFloat,
  kOperator,  // text: the operator
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;
  int64_t integer = 0;
  double number = 0;

  bool IsName(std::string_view name) const { return kind == TokenKind::kName && text == name; }
  bool IsOperator(std::string_view op) const { return kind == TokenKind::kOperator && text == op; }
};

// The last token is kEnd. Errors (Error, Corrupt): "chat template line N: ...".
std::vector<Token> Tokenize(std::string_view source);

// Throws the error of a template that doesn't parse.
[[noreturn]] void FailParse(int line, const std::string& what);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_LEXER_H_
