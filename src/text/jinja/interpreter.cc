#include "text/jinja/interpreter.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "format/quote.h"
#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/members.h"
#include "text/jinja/operators.h"

namespace kakeya::jinja {
namespace {

// Variables of one block. Loops, macros and their like open a scope each; `if` doesn't.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}
  std::shared_ptr<Scope> parent;
  std::unordered_map<std::string, Value> variables;
};
using ScopePtr = std::shared_ptr<Scope>;

enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(Runtime& runtime, const Dict& variables) : runtime_(runtime), variables_(variables) {}

  Text Run(const Template& parsed) {
    try {
      Text out;
      Execute(parsed.body, std::make_shared<Scope>(nullptr), &out);
      return out;
    } catch (Error& error) {
      if (!error.located)
        error.message = fmt::format("chat template line {}: {}", line_, error.message);
      error.located = true;
      throw;
    }
  }

 private:
  // --- statements: each appends to `out` ---

  Flow Execute(const Body& body, const ScopePtr& scope, Text* out) {
    for (const auto& stmt : body) {
      const Flow flow = Execute(*stmt, scope, out);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow Execute(const Stmt& stmt, const ScopePtr& scope, Text* out) {
    const Runtime::Level level(runtime_);
    runtime_.Spend(1);
    line_ = stmt.line;
    switch (stmt.kind) {
      case StmtKind::kText:
        Print(stmt.text, out);
        break;
      case StmtKind::kPrint:
        Print(Evaluate(*stmt.expr, scope), out);
        break;
      case StmtKind::kSet:
        Assign(*stmt.target, Evaluate(*stmt.expr, scope), scope);
        break;
      case StmtKind::kSetBlock: {
        Value text = Capture(stmt.body, scope);
        Assign(*stmt.target, stmt.expr ? EvaluateFilter(*stmt.expr, scope, &text) : text, scope);
        break;
      }
      case StmtKind::kFor:
        ExecuteFor(stmt, scope, out);
        break;
      case StmtKind::kIf:
        return ExecuteIf(stmt, scope, out);
      case StmtKind::kMacro:
        scope->variables[stmt.name] = MakeMacro(stmt, scope);
        break;
      case StmtKind::kCallBlock:
        ExecuteCallBlock(stmt, scope, out);
        break;
      case StmtKind::kFilterBlock: {
        const Value text = Capture(stmt.body, scope);
        Print(EvaluateFilter(*stmt.expr, scope, &text), out);
        break;
      }
      case StmtKind::kWith:
        return ExecuteWith(stmt, scope, out);
      case StmtKind::kScope:
        return Execute(stmt.body, std::make_shared<Scope>(scope), out);
      case StmtKind::kBreak:
        return Flow::kBreak;
      case StmtKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  void Print(const Value& value, Text* out) {
    if (const Text* text = value.AsText()) {
      runtime_.SpendBytes(text->size());
      out->Append(*text);
    } else {
      out->Append(ToText(runtime_, value));
    }
    runtime_.CheckSize(out->size());
  }

  // The output of a body with a scope of its own, as a value.
  Value Capture(const Body& body, const ScopePtr& scope) {
    Text text;
    Execute(body, std::make_shared<Scope>(scope), &text);
    return runtime_.NewString(std::move(text));
  }

  void Assign(const Expr& target, Value value, const ScopePtr& scope) {
    if (target.kind == ExprKind::kName) {
      scope->variables[target.name] = std::move(value);
    } else if (target.kind == ExprKind::kAttributeOfName) {
      const Value object = Lookup(target.name, scope);
      if (!object.AsNamespace()) Fail("attributes can be set on a namespace only");
      if (target.op.starts_with('_')) {
        Fail("a namespace can't hold {}: names with an underscore in front are reserved",
             Quoted(target.op));
      }
      object.AsNamespace()->attributes.Set(runtime_.NewString(target.op), std::move(value));
    } else {
      RequireDefined(value);
      std::vector<Value> items = Iterate(runtime_, value);
      if (items.size() != target.children.size()) {
        Fail("{} values can't be unpacked into {} names", items.size(), target.children.size());
      }
      for (size_t i = 0; i < items.size(); ++i)
        Assign(*target.children[i], std::move(items[i]), scope);
    }
  }

  void ExecuteFor(const Stmt& stmt, const ScopePtr& scope, Text* out) {
    RunLoop(stmt, Evaluate(*stmt.expr, scope), 0, scope, out);
  }

  // {{ loop(items) }} in a recursive loop comes back here, one level deeper. The loop sees the
  // scope it stands in and holds it weakly, as a macro does.
  void RunLoop(const Stmt& stmt, const Value& source, int64_t depth0, const ScopePtr& scope,
               Text* out) {
    auto loop = std::make_shared<Loop>();
    loop->items = Iterate(runtime_, source);
    loop->depth0 = depth0;
    loop->depth = std::max(1, source.Depth());
    if (stmt.recursive) {
      loop->recurse = [this, &stmt, depth0,
                       weak = std::weak_ptr<Scope>(scope)](const Value& items) {
        const ScopePtr definition = weak.lock();
        if (!definition) Fail("a loop is called outside of the block that holds it");
        Text text;
        RunLoop(stmt, items, depth0 + 1, definition, &text);
        return runtime_.NewString(std::move(text));
      };
    }
    if (stmt.test) {
      std::erase_if(loop->items, [&](const Value& item) {
        const auto inner = std::make_shared<Scope>(scope);
        Assign(*stmt.target, item, inner);
        return !Evaluate(*stmt.test, inner).Truthy();
      });
    }
    // What stands behind else is for a loop of which no round came to its end, as Jinja has it.
    bool complete = false;
    for (; loop->index0 < loop->items.size(); ++loop->index0) {
      const auto inner = std::make_shared<Scope>(scope);
      inner->variables["loop"] = Value(loop);
      Assign(*stmt.target, loop->items[loop->index0], inner);
      const Flow flow = Execute(stmt.body, inner, out);
      complete |= flow == Flow::kNext;
      if (flow == Flow::kBreak) break;
    }
    if (!complete) Execute(stmt.else_body, std::make_shared<Scope>(scope), out);
  }

  Flow ExecuteIf(const Stmt& stmt, const ScopePtr& scope, Text* out) {
    for (const Branch& branch : stmt.branches) {
      if (Evaluate(*branch.condition, scope).Truthy()) return Execute(branch.body, scope, out);
    }
    return Execute(stmt.else_body, scope, out);
  }

  Flow ExecuteWith(const Stmt& stmt, const ScopePtr& scope, Text* out) {
    const auto inner = std::make_shared<Scope>(scope);
    for (const auto& [target, value] : stmt.assignments)
      Assign(*target, Evaluate(*value, scope), inner);
    return Execute(stmt.body, inner, out);
  }

  void ExecuteCallBlock(const Stmt& stmt, const ScopePtr& scope, Text* out) {
    CallArgs args = EvaluateArguments(stmt.expr->args, scope);
    const Value callee = Evaluate(*stmt.expr->children[0], scope);
    args.keyword.emplace_back("caller", MakeMacro(stmt, scope));
    Print(Call(callee, args), out);
  }

  // --- macros ---

  // A macro sees the scope it was defined in. It holds it weakly (the scope holds the macro), so
  // one that was carried out of a loop can't be called any more.
  Value MakeMacro(const Stmt& stmt, const ScopePtr& scope) {
    const auto call = [this, &stmt, weak = std::weak_ptr<Scope>(scope)](const CallArgs& args) {
      const ScopePtr definition = weak.lock();
      if (!definition)
        Fail("macro {} is called outside of the block that defines it", Quoted(stmt.name));
      const auto inner = std::make_shared<Scope>(definition);
      BindParameters(stmt, args, inner);
      Text text;
      Execute(stmt.body, inner, &text);
      return runtime_.NewString(std::move(text));
    };
    return MakeCallable(stmt.name, call);
  }

  void BindParameters(const Stmt& stmt, const CallArgs& args, const ScopePtr& scope) {
    const auto& parameters = stmt.signature.parameters;
    auto keyword = args.keyword;
    // Moves the keyword argument of that name to `to`, if there is one.
    const auto take = [&](const std::string& name, Value* to) {
      const auto it =
          std::find_if(keyword.begin(), keyword.end(), [&](auto& k) { return k.first == name; });
      if (it == keyword.end()) return false;
      *to = std::move(it->second);
      keyword.erase(it);
      return true;
    };
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].name;
      Value value;
      if (i < args.positional.size()) {
        value = args.positional[i];
      } else if (!take(name, &value)) {
        value =
            parameters[i].default_value
                ? Evaluate(*parameters[i].default_value, scope)
                : Value::MakeUndefined(fmt::format("parameter {} was not provided", Quoted(name)));
      }
      scope->variables[name] = std::move(value);
    }
    if (stmt.signature.uses_caller && !scope->variables.contains("caller")) {
      Value caller = Value::MakeUndefined("No caller defined");
      take("caller", &caller);
      scope->variables["caller"] = std::move(caller);
    }
    BindExtraArguments(stmt, args, std::move(keyword), scope);
  }

  void BindExtraArguments(const Stmt& stmt, const CallArgs& args,
                          std::vector<std::pair<std::string, Value>> keyword,
                          const ScopePtr& scope) {
    const size_t taken = stmt.signature.parameters.size();
    if (stmt.signature.uses_kwargs) {
      Dict rest;
      for (auto& [name, value] : keyword) rest.Set(runtime_.NewString(name), std::move(value));
      scope->variables["kwargs"] = runtime_.NewDict(std::move(rest));
    } else if (!keyword.empty()) {
      Fail("macro {} has no parameter {}", Quoted(stmt.name), Quoted(keyword[0].first));
    }
    if (stmt.signature.uses_varargs) {
      std::vector<Value> rest;
      for (size_t i = taken; i < args.positional.size(); ++i) rest.push_back(args.positional[i]);
      scope->variables["varargs"] = runtime_.NewSequence(SequenceKind::kTuple, std::move(rest));
    } else if (args.positional.size() > taken) {
      Fail("macro {} takes at most {} arguments", Quoted(stmt.name), taken);
    }
  }

  // --- expressions ---

  Value Lookup(const std::string& name, const ScopePtr& scope) {
    for (const Scope* s = scope.get(); s; s = s->parent.get()) {
      const auto it = s->variables.find(name);
      if (it != s->variables.end()) return it->second;
    }
    if (const Value* found = variables_.Find(name)) return *found;
    return FindFunction(runtime_, name);
  }

  Value Evaluate(const Expr& expr, const ScopePtr& scope) {
    const Runtime::Level level(runtime_);
    runtime_.Spend(1);
    line_ = expr.line;
    const auto child = [&](size_t i) { return Evaluate(*expr.children[i], scope); };
    switch (expr.kind) {
      case ExprKind::kConst:
        return expr.value;
      case ExprKind::kName:
        return Lookup(expr.name, scope);
      case ExprKind::kList:
        return runtime_.NewList(EvaluateAll(expr, scope));
      case ExprKind::kTuple:
        return runtime_.NewSequence(SequenceKind::kTuple, EvaluateAll(expr, scope));
      case ExprKind::kDict:
        return EvaluateDict(expr, scope);
      case ExprKind::kAttribute:
        return GetAttribute(runtime_, child(0), expr.name);
      case ExprKind::kItem:
        return EvaluateItem(expr, scope);
      case ExprKind::kCall:
        return EvaluateCall(expr, scope);
      case ExprKind::kFilter:
        return EvaluateFilter(expr, scope, nullptr);
      case ExprKind::kTest: {
        const Value subject = child(0);
        return Value(ApplyTest(runtime_, expr.name, subject, EvaluateArguments(expr.args, scope)));
      }
      case ExprKind::kNot:
        return Value(!child(0).Truthy());
      case ExprKind::kNegate:
        return Negate(child(0));
      case ExprKind::kPlus:
        return Arithmetic(runtime_, "+", Value(int64_t{0}), child(0));
      case ExprKind::kAnd:
      case ExprKind::kOr: {
        Value left = child(0);
        return left.Truthy() == (expr.kind == ExprKind::kAnd) ? child(1) : left;
      }
      case ExprKind::kArithmetic: {
        const Value left = child(0);
        return Arithmetic(runtime_, expr.op, left, child(1));
      }
      case ExprKind::kConcat:
        return EvaluateConcat(expr, scope);
      case ExprKind::kCompare:
        return EvaluateCompare(expr, scope);
      case ExprKind::kConditional: {
        if (child(0).Truthy()) return child(1);
        if (expr.children[2]) return child(2);
        return Value::MakeUndefined("an inline if without else was false");
      }
      case ExprKind::kSlice:
      case ExprKind::kAttributeOfName:
        break;  // never evaluated by themselves
    }
    Fail("internal: an expression of unknown kind");
  }

  std::vector<Value> EvaluateAll(const Expr& expr, const ScopePtr& scope) {
    std::vector<Value> out;
    out.reserve(expr.children.size());
    for (const auto& child : expr.children) out.push_back(Evaluate(*child, scope));
    return out;
  }

  Value EvaluateDict(const Expr& expr, const ScopePtr& scope) {
    Dict dict;
    for (size_t i = 0; i < expr.children.size(); i += 2) {
      const Value key = Evaluate(*expr.children[i], scope);
      dict.Set(key, Evaluate(*expr.children[i + 1], scope));
    }
    return runtime_.NewDict(std::move(dict));
  }

  Value EvaluateItem(const Expr& expr, const ScopePtr& scope) {
    const Value object = Evaluate(*expr.children[0], scope);
    const Expr& subscript = *expr.children[1];
    if (subscript.kind != ExprKind::kSlice)
      return GetItem(runtime_, object, Evaluate(subscript, scope));
    RequireDefined(object);
    Value bounds[3];
    for (size_t i = 0; i < 3; ++i) {
      if (subscript.children[i]) bounds[i] = Evaluate(*subscript.children[i], scope);
    }
    const Sequence* sequence = object.AsSequence();
    const bool sliceable = object.IsString() || (sequence && sequence->indexable());
    if (!sliceable) Fail("a {} can't be sliced", object.TypeName());
    return SliceOf(runtime_, object, &bounds[0], &bounds[1], &bounds[2]);
  }

  Value EvaluateCall(const Expr& expr, const ScopePtr& scope) {
    const Value callee = Evaluate(*expr.children[0], scope);
    const CallArgs args = EvaluateArguments(expr.args, scope);
    line_ = expr.line;
    return Call(callee, args);
  }

  Value Call(const Value& callee, const CallArgs& args) {
    RequireDefined(callee);
    if (const Loop* loop = callee.AsLoop()) {
      if (!loop->recurse) Fail("a loop needs the mark 'recursive' to be called");
      return loop->recurse(*args.Bind("loop", {"iterable"}, 1)[0]);
    }
    const Callable* callable = callee.AsCallable();
    if (!callable) Fail("a {} can't be called", callee.TypeName());
    return callable->call(args);
  }

  // `block` is the text a filter block or a block assignment filters: the innermost subject of the
  // chain.
  Value EvaluateFilter(const Expr& expr, const ScopePtr& scope, const Value* block) {
    const Expr* subject = expr.children[0].get();
    const Value value = !subject ? *block
                        : block  ? EvaluateFilter(*subject, scope, block)
                                 : Evaluate(*subject, scope);
    const CallArgs args = EvaluateArguments(expr.args, scope);
    line_ = expr.line;
    return ApplyFilter(runtime_, expr.name, value, args);
  }

  Value EvaluateConcat(const Expr& expr, const ScopePtr& scope) {
    Text out;
    for (const auto& child : expr.children) Print(Evaluate(*child, scope), &out);
    return runtime_.NewString(std::move(out));
  }

  // a < b < c: every operand once, until a comparison fails.
  Value EvaluateCompare(const Expr& expr, const ScopePtr& scope) {
    Value left = Evaluate(*expr.children[0], scope);
    for (size_t i = 0; i < expr.ops.size(); ++i) {
      Value right = Evaluate(*expr.children[i + 1], scope);
      if (!Compare(runtime_, expr.ops[i], left, right)) return Value(false);
      left = std::move(right);
    }
    return Value(true);
  }

  CallArgs EvaluateArguments(const std::vector<Argument>& args, const ScopePtr& scope) {
    CallArgs out;
    for (const Argument& arg : args) {
      Value value = Evaluate(*arg.value, scope);
      switch (arg.kind) {
        case Argument::Kind::kPositional:
          out.positional.push_back(std::move(value));
          break;
        case Argument::Kind::kKeyword:
          out.keyword.emplace_back(arg.name, std::move(value));
          break;
        case Argument::Kind::kStar:
          for (Value& item : Iterate(runtime_, value)) out.positional.push_back(std::move(item));
          break;
        case Argument::Kind::kDoubleStar:
          if (!value.AsDict()) Fail("** needs a dict, not {}", value.TypeName());
          for (const auto& [key, item] : value.AsDict()->entries()) {
            out.keyword.emplace_back(TextOf(key, "**").str(), item);
          }
          break;
      }
    }
    return out;
  }

  Runtime& runtime_;
  const Dict& variables_;
  int line_ = 1;
};

}  // namespace

Text RenderTemplate(Runtime& runtime, const Template& parsed, const Dict& variables) {
  return Interpreter(runtime, variables).Run(parsed);
}

}  // namespace kakeya::jinja
