#include "text/jinja/parser.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "text/jinja/expression_parser.h"

namespace kakeya::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  Template Run() {
    Template out;
    out.body = ParseBody({});
    return out;
  }

 private:
  // Statements up to a tag whose name is in `ends`; that name is the next token. Without ends: to
  // the template's end.
  Body ParseBody(Words ends) {
    Nesting nesting(*this);
    Body body;
    while (Peek().kind != TokenKind::kEnd) {
      const Token& token = Next();
      if (token.kind == TokenKind::kData) {
        body.push_back(MakeStmt(StmtKind::kText, token.line));
        body.back()->text = TextValue(token.text);
      } else if (token.kind == TokenKind::kVariableBegin) {
        body.push_back(MakeStmt(StmtKind::kPrint, token.line));
        body.back()->expr = ParseTuple(true);
        ExpectKind(TokenKind::kVariableEnd, "'}}'");
      } else {
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return Peek().IsName(end); }))
          return body;
        body.push_back(ParseStatement());
        ExpectKind(TokenKind::kBlockEnd, "'%}'");
      }
    }
    if (ends.size() > 0) FailUnexpected("{% " + std::string(*(ends.end() - 1)) + " %}");
    return body;
  }
  // The body of a tag, whose own end is still ahead.
  Body ParseTagBody(Words ends) {
    SkipOperator(":");
    ExpectKind(TokenKind::kBlockEnd, "'%}'");
    return ParseBody(ends);
  }
  Body ParseBodyAndEnd(std::string_view end) {
    Body body = ParseTagBody({end});
    ++at_;
    return body;
  }

  static std::unique_ptr<Stmt> MakeStmt(StmtKind kind, int line) {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = line;
    return stmt;
  }

  std::unique_ptr<Stmt> ParseStatement() {
    using Handler = std::unique_ptr<Stmt> (Parser::*)(int);
    static constexpr std::pair<std::string_view, Handler> kHandlers[] = {
        {"set", &Parser::ParseSet},
        {"for", &Parser::ParseFor},
        {"if", &Parser::ParseIf},
        {"macro", &Parser::ParseMacro},
        {"call", &Parser::ParseCallBlock},
        {"filter", &Parser::ParseFilterBlock},
        {"with", &Parser::ParseWith},
        {"generation", &Parser::ParseGeneration},
        {"break", &Parser::ParseLoopControl},
        {"continue", &Parser::ParseLoopControl},
        {"print", &Parser::ParsePrint},
    };
    const int line = Peek().line;
    for (const auto& [name, handler] : kHandlers) {
      if (Peek().IsName(name)) return (this->*handler)(line);
    }
    FailUnexpected("a tag we know");
  }

  std::unique_ptr<Stmt> ParseSet(int line) {
    ++at_;
    ExprPtr target = ParseTarget(true);
    if (SkipOperator("=")) {
      auto stmt = MakeStmt(StmtKind::kSet, line);
      stmt->target = std::move(target);
      stmt->expr = ParseTuple(true);
      return stmt;
    }
    auto stmt = MakeStmt(StmtKind::kSetBlock, line);
    stmt->target = std::move(target);
    while (SkipOperator("|")) stmt->expr = ParseFilter(std::move(stmt->expr));
    stmt->body = ParseBodyAndEnd("endset");
    return stmt;
  }

  std::unique_ptr<Stmt> ParseFor(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kFor, line);
    stmt->target = ParseTarget(false);
    if (!SkipName("in")) FailUnexpected("'in'");
    stmt->expr = ParseTuple(false);
    if (SkipName("if")) stmt->test = ParseExpression();
    stmt->recursive = SkipName("recursive");
    ++loops_;
    stmt->body = ParseTagBody({"else", "endfor"});
    --loops_;
    if (Next().text == "else") stmt->else_body = ParseBodyAndEnd("endfor");
    return stmt;
  }

  std::unique_ptr<Stmt> ParseIf(int line) {
    auto stmt = MakeStmt(StmtKind::kIf, line);
    do {
      ++at_;
      ExprPtr condition = ParseTuple(false);
      Body body = ParseTagBody({"elif", "else", "endif"});
      stmt->branches.push_back({std::move(condition), std::move(body)});
    } while (Peek().IsName("elif"));
    if (Next().text == "else") stmt->else_body = ParseBodyAndEnd("endif");
    return stmt;
  }

  std::unique_ptr<Stmt> ParseMacro(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kMacro, line);
    stmt->name = ExpectName();
    stmt->signature = ParseSignature();
    ParseFunctionBody("endmacro", stmt.get());
    return stmt;
  }

  std::unique_ptr<Stmt> ParseCallBlock(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kCallBlock, line);
    if (Peek().IsOperator("(")) stmt->signature = ParseSignature();
    stmt->expr = ParseExpression();
    if (stmt->expr->kind != ExprKind::kCall) FailParse(line, "expected a call");
    ParseFunctionBody("endcall", stmt.get());
    return stmt;
  }

  // A body of its own: break and continue don't reach out of it.
  void ParseFunctionBody(std::string_view end, Stmt* stmt) {
    const int loops = std::exchange(loops_, 0);
    signatures_.push_back(&stmt->signature);
    stmt->body = ParseBodyAndEnd(end);
    signatures_.pop_back();
    loops_ = loops;
  }

  Signature ParseSignature() {
    Signature out;
    ExpectOperator("(");
    while (!Peek().IsOperator(")")) {
      if (!out.parameters.empty()) ExpectOperator(",");
      Parameter parameter{ExpectName(), nullptr};
      if (SkipOperator("=")) {
        parameter.default_value = ParseExpression();
      } else if (!out.parameters.empty() && out.parameters.back().default_value) {
        FailParse(Peek().line, "a parameter without default follows one with default");
      }
      out.parameters.push_back(std::move(parameter));
    }
    ++at_;
    return out;
  }

  std::unique_ptr<Stmt> ParseFilterBlock(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kFilterBlock, line);
    do {
      stmt->expr = ParseFilter(std::move(stmt->expr));
    } while (SkipOperator("|"));
    stmt->body = ParseBodyAndEnd("endfilter");
    return stmt;
  }

  std::unique_ptr<Stmt> ParseWith(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kWith, line);
    while (Peek().kind != TokenKind::kBlockEnd) {
      if (!stmt->assignments.empty()) ExpectOperator(",");
      ExprPtr target = ParseTarget(false);
      ExpectOperator("=");
      stmt->assignments.emplace_back(std::move(target), ParseExpression());
    }
    stmt->body = ParseBodyAndEnd("endwith");
    return stmt;
  }

  std::unique_ptr<Stmt> ParseGeneration(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kScope, line);
    stmt->body = ParseBodyAndEnd("endgeneration");
    return stmt;
  }

  std::unique_ptr<Stmt> ParseLoopControl(int line) {
    const Token& token = Next();
    if (loops_ == 0) FailParse(line, Quoted(token.text) + " outside of a loop");
    return MakeStmt(token.text == "break" ? StmtKind::kBreak : StmtKind::kContinue, line);
  }

  std::unique_ptr<Stmt> ParsePrint(int line) {
    ++at_;
    auto stmt = MakeStmt(StmtKind::kPrint, line);
    stmt->expr = ParseExpression();
    return stmt;
  }

  // name, ns.name, or a tuple of these with or without parentheses.
  ExprPtr ParseTarget(bool with_namespace) {
    const int line = Peek().line;
    ExprPtr first = ParseTargetItem(with_namespace);
    if (!Peek().IsOperator(",")) return first;
    ExprPtr tuple = Make(ExprKind::kTuple, line);
    tuple->children.push_back(std::move(first));
    while (SkipOperator(",")) {
      if (Peek().IsName("in") || Peek().IsOperator("=") || Peek().IsOperator(")")) break;
      tuple->children.push_back(ParseTargetItem(with_namespace));
    }
    return Finish(std::move(tuple));
  }

  ExprPtr ParseTargetItem(bool with_namespace) {
    Nesting nesting(*this);
    const int line = Peek().line;
    if (SkipOperator("(")) {
      ExprPtr inner = ParseTarget(with_namespace);
      ExpectOperator(")");
      return inner;
    }
    static constexpr std::string_view kConstants[] = {"true",  "True", "false",
                                                      "False", "none", "None"};
    ExprPtr target = Make(ExprKind::kName, line);
    target->name = ExpectName();
    if (std::find(std::begin(kConstants), std::end(kConstants), target->name) !=
        std::end(kConstants)) {
      FailParse(line, "can't assign to " + Quoted(target->name));
    }
    if (with_namespace && SkipOperator(".")) {
      target->kind = ExprKind::kAttributeOfName;
      target->op = ExpectName();
    }
    return target;
  }

  int loops_ = 0;  // that break and continue may mean here
};

}  // namespace

Template ParseTemplate(std::string_view source) { return Parser(Tokenize(source)).Run(); }

}  // namespace kakeya::jinja
