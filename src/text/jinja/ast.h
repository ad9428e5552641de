// A parsed template. Nodes are plain data; interpreter.cc gives them their meaning.
#ifndef KAKEYA_TEXT_JINJA_AST_H_
#define KAKEYA_TEXT_JINJA_AST_H_

#include <memory>
#include <string>
#include <vector>

#include "text/jinja/value.h"

namespace kakeya::jinja {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using Body = std::vector<std::unique_ptr<Stmt>>;

enum class ExprKind {  // children (name, op, value where said)
  kConst,              // value
  kName,               // name
  kAttributeOfName,    // name.attribute as assignment target: name, and attribute in `op`
  kList,               // items
  kTuple,              // items
  kDict,               // key, value, key, value, ...
  kAttribute,          // object; name
  kItem,               // object, subscript
  kSlice,              // start, stop, step, each nullptr when left out (only as kItem's subscript)
  kCall,               // callee; args
  kFilter,             // subject (nullptr in a filter block); name, args
  kTest,               // subject; name, args
  kNot,                // operand
  kNegate,             // operand
  kPlus,               // operand
  kAnd,                // left, right
  kOr,                 // left, right
  kArithmetic,         // left, right; op: + - * / // % **
  kConcat,             // parts of a ~ b ~ c
  kCompare,      // first, second, ...; ops[i] between child i and i + 1: == != < <= > >= in, not in
  kConditional,  // condition, then, else (nullptr when left out)
};

struct Argument {
  enum class Kind { kPositional, kKeyword, kStar, kDoubleStar };
  Kind kind = Kind::kPositional;
  std::string name;  // kKeyword
  ExprPtr value;
};

struct Expr {
  ExprKind kind;
  int line;
  int height = 1;  // of the tree below, capped by the parser so that walking it may recurse
  std::string name;
  std::string op;
  Value value;
  std::vector<ExprPtr> children;
  std::vector<std::string> ops;
  std::vector<Argument> args;
};

enum class StmtKind {  // what of Stmt it uses
  kText,               // text
  kPrint,              // expr
  kSet,                // target, expr
  kSetBlock,           // target, expr (a kFilter chain over the text, or nullptr), body
  kFor,                // target, expr, test (or nullptr), recursive, body, else_body
  kIf,                 // branches, else_body
  kMacro,              // name, signature, body
  kCallBlock,          // expr (kCall), signature, body
  kFilterBlock,        // expr (kFilter chain), body
  kWith,               // assignments, body
  kScope,              // body ({% generation %})
  kBreak,
  kContinue,
};

struct Parameter {
  std::string name;
  ExprPtr default_value;  // or nullptr
};

struct Signature {
  std::vector<Parameter> parameters;
  // Extra arguments and a caller are accepted only by a body that mentions them.
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Branch {
  ExprPtr condition;
  Body body;
};

struct Stmt {
  StmtKind kind;
  int line;
  Value text;
  std::string name;
  ExprPtr target;
  ExprPtr expr;
  ExprPtr test;
  bool recursive = false;
  Signature signature;
  std::vector<Branch> branches;
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;  // target, value
  Body body;
  Body else_body;
};

struct Template {
  Body body;
};

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_AST_H_
