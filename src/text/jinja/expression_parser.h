// The half of the parser that reads expressions; parser.cc adds the statements.
#ifndef KAKEYA_TEXT_JINJA_EXPRESSION_PARSER_H_
#define KAKEYA_TEXT_JINJA_EXPRESSION_PARSER_H_

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/quote.h"
#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"
#include "text/jinja/runtime.h"

namespace kakeya::jinja {

// Recursive descent over a token list that ends in kEnd. Errors are thrown (FailParse).
class ExpressionParser {
 protected:
  using Words = std::initializer_list<std::string_view>;

  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // Both keep recursion (here, in the interpreter and in destructors) far from the end of a stack.
  // A pair of brackets costs three levels of nesting.
  static constexpr int kMaxNesting = 300;
  static constexpr int kMaxHeight = 200;

  [[noreturn]] static void FailNesting(int line) {
    throw Error{StatusCode::kResourceExhausted,
                fmt::format("chat template line {}: nested too deeply", line), true};
  }

  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) {
      if (parser_.nesting_ >= kMaxNesting) FailNesting(parser_.Peek().line);
      ++parser_.nesting_;
    }
    ~Nesting() { --parser_.nesting_; }

   private:
    ExpressionParser& parser_;
  };

  // --- tokens ---

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& Next() {
    const Token& token = Peek();
    ++at_;
    return token;
  }
  bool SkipOperator(std::string_view op) { return Peek().IsOperator(op) && ++at_; }
  bool SkipName(std::string_view name) { return Peek().IsName(name) && ++at_; }

  [[noreturn]] void FailUnexpected(const std::string& wanted) const {
    const Token& token = Peek();
    std::string got = token.kind == TokenKind::kEnd           ? "the end of the template"
                      : token.kind == TokenKind::kBlockEnd    ? "'%}'"
                      : token.kind == TokenKind::kVariableEnd ? "'}}'"
                                                              : Quoted(token.text, 40);
    FailParse(token.line, fmt::format("expected {}, got {}", wanted, got));
  }
  void ExpectOperator(std::string_view op) {
    if (!SkipOperator(op)) FailUnexpected("'" + std::string(op) + "'");
  }
  void ExpectKind(TokenKind kind, const char* what) {
    if (Peek().kind != kind) FailUnexpected(what);
    ++at_;
  }
  std::string ExpectName() {
    if (Peek().kind != TokenKind::kName) FailUnexpected("a name");
    return Next().text;
  }

  // --- nodes ---

  ExprPtr Make(ExprKind kind, int line) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line;
    return expr;
  }
  // Every finished node passes here: it learns its height.
  static ExprPtr Finish(ExprPtr expr) {
    int height = 0;
    for (const auto& child : expr->children) height = std::max(height, child ? child->height : 0);
    for (const auto& arg : expr->args) height = std::max(height, arg.value->height);
    expr->height = height + 1;
    if (expr->height > kMaxHeight) FailNesting(expr->line);
    return expr;
  }
  template <typename... Children>
  ExprPtr Node(ExprKind kind, int line, Children... children) const {
    ExprPtr expr = Make(kind, line);
    (expr->children.push_back(std::move(children)), ...);
    return Finish(std::move(expr));
  }
  ExprPtr Constant(int line, Value value) const {
    ExprPtr expr = Make(ExprKind::kConst, line);
    expr->value = std::move(value);
    return expr;
  }
  static Value TextValue(std::string text) {
    return Value(std::make_shared<const Text>(Text::Trusted(std::move(text))));
  }

  // --- expressions, loosest binding first ---

  ExprPtr ParseExpression() {
    Nesting nesting(*this);
    ExprPtr expr = ParseOr();
    while (Peek().IsName("if")) {
      const int line = Next().line;
      ExprPtr condition = ParseOr();
      ExprPtr otherwise = SkipName("else") ? ParseExpression() : nullptr;
      expr = Node(ExprKind::kConditional, line, std::move(condition), std::move(expr),
                  std::move(otherwise));
    }
    return expr;
  }

  // Expressions with commas between them make a tuple.
  ExprPtr ParseTuple(bool with_conditional, bool in_parentheses = false) {
    const int line = Peek().line;
    const auto at_end = [&] {
      return Peek().kind == TokenKind::kVariableEnd || Peek().kind == TokenKind::kBlockEnd ||
             Peek().IsOperator(")");
    };
    ExprPtr tuple = Make(ExprKind::kTuple, line);
    bool comma = false;
    while (!at_end()) {
      tuple->children.push_back(with_conditional ? ParseExpression() : ParseOr());
      if (!SkipOperator(",")) break;
      comma = true;
    }
    if (!comma && !tuple->children.empty()) return std::move(tuple->children[0]);
    if (!comma && !in_parentheses) FailUnexpected("an expression");
    return Finish(std::move(tuple));
  }

  ExprPtr ParseOr() {
    ExprPtr left = ParseAnd();
    while (Peek().IsName("or")) {
      const int line = Next().line;
      left = Node(ExprKind::kOr, line, std::move(left), ParseAnd());
    }
    return left;
  }

  ExprPtr ParseAnd() {
    ExprPtr left = ParseNot();
    while (Peek().IsName("and")) {
      const int line = Next().line;
      left = Node(ExprKind::kAnd, line, std::move(left), ParseNot());
    }
    return left;
  }

  ExprPtr ParseNot() {
    Nesting nesting(*this);
    if (!Peek().IsName("not")) return ParseCompare();
    const int line = Next().line;
    return Node(ExprKind::kNot, line, ParseNot());
  }

  std::string TakeComparison() {
    static constexpr std::string_view kComparisons[] = {"==", "!=", "<", "<=", ">", ">="};
    for (std::string_view op : kComparisons) {
      if (SkipOperator(op)) return std::string(op);
    }
    if (SkipName("in")) return "in";
    if (Peek().IsName("not") && Peek(1).IsName("in")) {
      at_ += 2;
      return "not in";
    }
    return "";
  }

  ExprPtr ParseCompare() {
    ExprPtr first = ParseSum();
    const int line = Peek().line;
    std::string op = TakeComparison();
    if (op.empty()) return first;
    ExprPtr expr = Make(ExprKind::kCompare, line);
    expr->children.push_back(std::move(first));
    for (; !op.empty(); op = TakeComparison()) {
      expr->ops.push_back(op);
      expr->children.push_back(ParseSum());
    }
    return Finish(std::move(expr));
  }

  // Left-associative binary operators of one precedence.
  ExprPtr ParseBinary(ExprPtr (ExpressionParser::*operand)(), Words operators) {
    ExprPtr left = (this->*operand)();
    while (true) {
      const auto op = std::find_if(operators.begin(), operators.end(),
                                   [&](auto o) { return Peek().IsOperator(o); });
      if (op == operators.end()) return left;
      const int line = Next().line;
      left = Node(ExprKind::kArithmetic, line, std::move(left), (this->*operand)());
      left->op = *op;
    }
  }
  ExprPtr ParseSum() { return ParseBinary(&ExpressionParser::ParseConcat, {"+", "-"}); }
  ExprPtr ParseProduct() {
    return ParseBinary(&ExpressionParser::ParsePower, {"*", "/", "//", "%"});
  }
  ExprPtr ParsePower() { return ParseBinary(&ExpressionParser::ParseOperand, {"**"}); }
  ExprPtr ParseOperand() { return ParseUnary(true); }

  ExprPtr ParseConcat() {
    ExprPtr first = ParseProduct();
    if (!Peek().IsOperator("~")) return first;
    ExprPtr expr = Make(ExprKind::kConcat, Peek().line);
    expr->children.push_back(std::move(first));
    while (SkipOperator("~")) expr->children.push_back(ParseProduct());
    return Finish(std::move(expr));
  }

  // A sign binds tighter than a filter: -1|abs is (-1)|abs.
  ExprPtr ParseUnary(bool with_filters) {
    Nesting nesting(*this);
    const int line = Peek().line;
    ExprPtr expr;
    if (SkipOperator("-")) {
      expr = Node(ExprKind::kNegate, line, ParseUnary(false));
    } else if (SkipOperator("+")) {
      expr = Node(ExprKind::kPlus, line, ParseUnary(false));
    } else {
      expr = ParsePrimary();
    }
    expr = ParsePostfix(std::move(expr));
    while (with_filters) {
      if (SkipOperator("|")) {
        expr = ParseFilter(std::move(expr));
      } else if (Peek().IsName("is")) {
        expr = ParseTest(std::move(expr));
      } else if (Peek().IsOperator("(")) {
        expr = ParseCall(std::move(expr));
      } else {
        break;
      }
    }
    return expr;
  }

  ExprPtr ParsePrimary() {
    const Token& token = Peek();
    const int line = token.line;
    if (token.kind == TokenKind::kName) return ParseName();
    if (token.kind == TokenKind::kInteger) return ++at_, Constant(line, Value(token.integer));
    if (token.kind == TokenKind::kFloat) return ++at_, Constant(line, Value(token.number));
    if (token.kind == TokenKind::kString) {
      std::string text;
      while (Peek().kind == TokenKind::kString) text += Next().text;
      return Constant(line, TextValue(std::move(text)));
    }
    if (SkipOperator("(")) {
      ExprPtr inner = ParseTuple(true, true);
      ExpectOperator(")");
      return inner;
    }
    if (SkipOperator("[")) return ParseItems(ExprKind::kList, "]");
    if (SkipOperator("{")) return ParseItems(ExprKind::kDict, "}");
    FailUnexpected("an expression");
  }

  ExprPtr ParseName() {
    const Token& token = Next();
    if (token.text == "true" || token.text == "True") return Constant(token.line, Value(true));
    if (token.text == "false" || token.text == "False") return Constant(token.line, Value(false));
    if (token.text == "none" || token.text == "None") return Constant(token.line, Value());
    for (Signature* signature : signatures_) {
      signature->uses_varargs |= token.text == "varargs";
      signature->uses_kwargs |= token.text == "kwargs";
      signature->uses_caller |= token.text == "caller";
    }
    ExprPtr expr = Make(ExprKind::kName, token.line);
    expr->name = token.text;
    return expr;
  }

  // The rest of a list or dict display.
  ExprPtr ParseItems(ExprKind kind, std::string_view close) {
    ExprPtr expr = Make(kind, Peek().line);
    while (!SkipOperator(close)) {
      if (!expr->children.empty()) {
        ExpectOperator(",");
        if (SkipOperator(close)) break;
      }
      expr->children.push_back(ParseExpression());
      if (kind == ExprKind::kDict) {
        ExpectOperator(":");
        expr->children.push_back(ParseExpression());
      }
    }
    return Finish(std::move(expr));
  }

  ExprPtr ParsePostfix(ExprPtr expr) {
    while (true) {
      const int line = Peek().line;
      if (SkipOperator(".")) {
        if (Peek().kind == TokenKind::kInteger) {
          expr =
              Node(ExprKind::kItem, line, std::move(expr), Constant(line, Value(Next().integer)));
        } else {
          std::string name = ExpectName();
          expr = Node(ExprKind::kAttribute, line, std::move(expr));
          expr->name = std::move(name);
        }
      } else if (SkipOperator("[")) {
        expr = Node(ExprKind::kItem, line, std::move(expr), ParseSubscripts());
      } else if (Peek().IsOperator("(")) {
        expr = ParseCall(std::move(expr));
      } else {
        return expr;
      }
    }
  }

  ExprPtr ParseSubscripts() {
    ExprPtr tuple = Make(ExprKind::kTuple, Peek().line);
    while (!SkipOperator("]")) {
      if (!tuple->children.empty()) ExpectOperator(",");
      tuple->children.push_back(ParseSubscript());
    }
    if (tuple->children.size() == 1) return std::move(tuple->children[0]);
    const auto is_slice = [](const ExprPtr& child) { return child->kind == ExprKind::kSlice; };
    if (std::any_of(tuple->children.begin(), tuple->children.end(), is_slice)) {
      FailParse(tuple->line, "a tuple of slices can't be a subscript");
    }
    return Finish(std::move(tuple));
  }

  ExprPtr ParseSubscript() {
    const int line = Peek().line;
    const auto part = [&]() -> ExprPtr {
      const Token& token = Peek();
      const bool empty = token.IsOperator(":") || token.IsOperator("]") || token.IsOperator(",");
      return empty ? nullptr : ParseExpression();
    };
    ExprPtr start = part();
    if (!SkipOperator(":")) {
      if (!start) FailUnexpected("an expression");
      return start;
    }
    ExprPtr stop = part();
    ExprPtr step = SkipOperator(":") ? part() : nullptr;
    return Node(ExprKind::kSlice, line, std::move(start), std::move(stop), std::move(step));
  }

  ExprPtr ParseCall(ExprPtr callee) {
    ExprPtr expr = Make(ExprKind::kCall, Peek().line);
    expr->children.push_back(std::move(callee));
    expr->args = ParseArguments();
    return Finish(std::move(expr));
  }

  std::vector<Argument> ParseArguments() {
    using Kind = Argument::Kind;
    std::vector<Argument> out;
    ExpectOperator("(");
    while (!SkipOperator(")")) {
      if (!out.empty()) {
        ExpectOperator(",");
        if (SkipOperator(")")) break;
      }
      Argument arg;
      if (SkipOperator("*")) {
        arg.kind = Kind::kStar;
      } else if (SkipOperator("**")) {
        arg.kind = Kind::kDoubleStar;
      } else if (Peek().kind == TokenKind::kName && Peek(1).IsOperator("=")) {
        arg.kind = Kind::kKeyword;
        arg.name = Next().text;
        ++at_;
      }
      // Positional, then keywords and one *list, then one **dict.
      const bool repeated = !out.empty() && arg.kind >= Kind::kStar && out.back().kind == arg.kind;
      if (!out.empty() && (repeated || (arg.kind < out.back().kind && arg.kind != Kind::kKeyword) ||
                           out.back().kind == Kind::kDoubleStar)) {
        FailParse(Peek().line, "the arguments of a call are in the wrong order");
      }
      arg.value = ParseExpression();
      out.push_back(std::move(arg));
    }
    return out;
  }

  // name(args) behind '|'.
  ExprPtr ParseFilter(ExprPtr subject) {
    ExprPtr expr = Make(ExprKind::kFilter, Peek().line);
    expr->name = ParseDottedName();
    expr->children.push_back(std::move(subject));
    if (Peek().IsOperator("(")) expr->args = ParseArguments();
    return Finish(std::move(expr));
  }

  std::string ParseDottedName() {
    std::string name = ExpectName();
    while (SkipOperator(".")) name += "." + ExpectName();
    return name;
  }

  // is [not] name, with arguments in parentheses or one argument without them.
  ExprPtr ParseTest(ExprPtr subject) {
    const int line = Next().line;
    const bool negated = SkipName("not");
    ExprPtr expr = Make(ExprKind::kTest, line);
    expr->name = ParseDottedName();
    expr->children.push_back(std::move(subject));
    const Token& token = Peek();
    const bool word = token.kind == TokenKind::kName && !token.IsName("else") &&
                      !token.IsName("or") && !token.IsName("and");
    if (token.IsName("is")) FailParse(line, "tests can't be chained with 'is'");
    if (token.IsOperator("(")) {
      expr->args = ParseArguments();
    } else if (word || token.kind == TokenKind::kString || token.kind == TokenKind::kInteger ||
               token.kind == TokenKind::kFloat || token.IsOperator("[") || token.IsOperator("{")) {
      expr->args.push_back({Argument::Kind::kPositional, "", ParsePostfix(ParsePrimary())});
    }
    expr = Finish(std::move(expr));
    return negated ? Node(ExprKind::kNot, line, std::move(expr)) : std::move(expr);
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  std::vector<Signature*> signatures_;  // of the macros around here
};

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_EXPRESSION_PARSER_H_
