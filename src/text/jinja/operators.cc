#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/format.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

[[noreturn]] void FailOverflow() { Fail("integer overflow"); }

// Rounds towards minus infinity, as Python does. REQUIRES: b != 0, no overflow.
int64_t FloorDiv(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}

// The remainder with the sign of the divisor.
double FloorMod(double a, double b) {
  const double r = std::fmod(a, b);
  if (r == 0) return std::copysign(0.0, b);
  return (r < 0) != (b < 0) ? r + b : r;
}

Value IntPower(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) Fail("0 can't be raised to a negative power");
    return Value(std::pow(double(base), double(exponent)));
  }
  if (base == 0 || base == 1) return Value(exponent == 0 ? int64_t{1} : base);
  if (base == -1) return Value(exponent % 2 == 0 ? int64_t{1} : int64_t{-1});
  int64_t out = 1;
  for (; exponent > 0; --exponent) {  // |base| >= 2: overflows after at most 63 rounds
    if (__builtin_mul_overflow(out, base, &out)) FailOverflow();
  }
  return Value(out);
}

Value IntArithmetic(std::string_view op, int64_t a, int64_t b) {
  int64_t out = 0;
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &out)) FailOverflow();
  } else if (op == "-") {
    if (__builtin_sub_overflow(a, b, &out)) FailOverflow();
  } else if (op == "*") {
    if (__builtin_mul_overflow(a, b, &out)) FailOverflow();
  } else if (op == "**") {
    return IntPower(a, b);
  } else {
    if (b == 0) Fail("division by zero");
    if (op == "/") return Value(double(a) / double(b));
    if (a == INT64_MIN && b == -1) {
      if (op == "//") FailOverflow();
      return Value(int64_t{0});
    }
    out = op == "//" ? FloorDiv(a, b) : a - FloorDiv(a, b) * b;
  }
  return Value(out);
}

Value FloatArithmetic(std::string_view op, double a, double b) {
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (op == "**") {
    if (a == 0 && b < 0) Fail("0.0 can't be raised to a negative power");
    if (a < 0 && b != std::floor(b)) Fail("complex numbers are not supported");
    const double power = std::pow(a, b);
    if (std::isinf(power) && std::isfinite(a) && std::isfinite(b))
      Fail("the result of ** is too large");
    return Value(power);
  }
  if (b == 0) Fail("float division by zero");
  if (op == "/") return Value(a / b);
  if (op == "%") return Value(FloorMod(a, b));
  const double q = (a - FloorMod(a, b)) / b;
  return Value(q == 0 ? q : std::floor(q + 0.5));
}

Value RepeatText(Runtime& runtime, const Text& text, int64_t times) {
  if (times <= 0 || text.empty()) return runtime.NewString("");
  runtime.CheckSize(static_cast<size_t>(times));
  runtime.CheckSize(text.size() * static_cast<size_t>(times));
  Text out;
  for (int64_t i = 0; i < times; ++i) out.Append(text);
  return runtime.NewString(std::move(out));
}

Value RepeatSequence(Runtime& runtime, const Sequence& sequence, int64_t times) {
  std::vector<Value> items;
  if (times > 0 && !sequence.items.empty()) {
    runtime.CheckItems(static_cast<size_t>(std::min<int64_t>(times, INT32_MAX)));
    runtime.CheckItems(sequence.items.size() * static_cast<size_t>(times));
    for (int64_t i = 0; i < times; ++i) {
      items.insert(items.end(), sequence.items.begin(), sequence.items.end());
    }
  }
  return runtime.NewSequence(sequence.kind, std::move(items));
}

// Lists and tuples, which + and * accept.
const Sequence* Joinable(const Value& value) {
  const Sequence* sequence = value.AsSequence();
  return sequence && sequence->kind <= SequenceKind::kTuple ? sequence : nullptr;
}

bool Contains(Runtime& runtime, const Value& item, const Value& container) {
  if (const Text* text = container.AsText()) {
    if (!item.IsString()) Fail("'in' needs a string on its left, not {}", item.TypeName());
    runtime.SpendBytes(text->size() + item.AsText()->size());
    return text->str().find(item.AsText()->str()) != std::string::npos;
  }
  if (const Dict* dict = container.AsDict()) return dict->Find(item) != nullptr;
  const Sequence* sequence = container.AsSequence();
  if (!sequence) {
    if (container.IsUndefined()) return false;
    Fail("'in' can't look into a value of type {}", container.TypeName());
  }
  const bool once = sequence->kind == SequenceKind::kIterator;
  for (size_t i = once ? sequence->consumed : 0; i < sequence->items.size(); ++i) {
    if (once) sequence->consumed = i + 1;
    if (Equals(runtime, item, sequence->items[i])) return true;
  }
  return false;
}

int Sign(double a, double b) { return a < b ? -1 : a > b ? 1 : 0; }

}  // namespace

void RequireDefined(const Value& value) {
  if (value.IsUndefined()) Fail("{}", value.UndefinedMessage());
}

int64_t IntOf(const Value& value, std::string_view function) {
  RequireDefined(value);
  if (!value.IsInt()) Fail("{} needs a whole number, not {}", function, value.TypeName());
  return value.Int();
}

const Text& TextOf(const Value& value, std::string_view function) {
  RequireDefined(value);
  if (!value.IsString()) Fail("{} needs a string, not {}", function, value.TypeName());
  return *value.AsText();
}

Value Arithmetic(Runtime& runtime, std::string_view op, const Value& a, const Value& b) {
  if (a.IsInt() && b.IsInt()) return IntArithmetic(op, a.Int(), b.Int());
  if (a.IsNumber() && b.IsNumber()) return FloatArithmetic(op, a.Double(), b.Double());
  if (op == "%" && a.IsString()) return FormatPercent(runtime, *a.AsText(), b);
  RequireDefined(a);
  RequireDefined(b);
  if (op == "+") {
    if (a.IsString() && b.IsString()) {
      runtime.CheckSize(a.AsText()->size() + b.AsText()->size());
      Text out = *a.AsText();
      out.Append(b.AsText() == a.AsText() ? Text(*b.AsText()) : *b.AsText());
      return runtime.NewString(std::move(out));
    }
    const Sequence *x = Joinable(a), *y = Joinable(b);
    if (x && y && x->kind == y->kind) {
      runtime.CheckItems(x->items.size() + y->items.size());
      std::vector<Value> items = x->items;
      items.insert(items.end(), y->items.begin(), y->items.end());
      return runtime.NewSequence(x->kind, std::move(items));
    }
  }
  if (op == "*") {
    const Value& times = a.IsInt() ? a : b;
    const Value& what = a.IsInt() ? b : a;
    if (times.IsInt() && what.IsString()) return RepeatText(runtime, *what.AsText(), times.Int());
    if (times.IsInt() && Joinable(what))
      return RepeatSequence(runtime, *Joinable(what), times.Int());
  }
  Fail("{} can't be used between {} and {}", op, a.TypeName(), b.TypeName());
}

Value Negate(const Value& value) {
  RequireDefined(value);
  if (value.Is<double>()) return Value(-value.Double());
  if (!value.IsInt()) Fail("- can't be used on {}", value.TypeName());
  return IntArithmetic("-", 0, value.Int());
}

bool Equals(Runtime& runtime, const Value& a, const Value& b) {
  runtime.Spend(1);
  if (a.IsNumber() && b.IsNumber()) {
    return a.IsInt() && b.IsInt() ? a.Int() == b.Int() : a.Double() == b.Double();
  }
  if (a.IsUndefined() || b.IsUndefined()) return a.IsUndefined() && b.IsUndefined();
  if (a.IsNone() || b.IsNone()) return a.IsNone() && b.IsNone();
  if (a.IsString() && b.IsString()) {
    if (a.AsText()->size() != b.AsText()->size()) return false;
    runtime.SpendBytes(a.AsText()->size());
    return a.AsText()->str() == b.AsText()->str();
  }
  const auto equal = [&](const Value& x, const Value& y) { return Equals(runtime, x, y); };
  if (const Sequence* x = a.AsSequence(), *y = b.AsSequence(); x && y) {
    if (x == y) return true;
    if (x->kind != y->kind || !x->indexable() || x->items.size() != y->items.size()) return false;
    return std::equal(x->items.begin(), x->items.end(), y->items.begin(), equal);
  }
  if (const Dict* x = a.AsDict(), *y = b.AsDict(); x && y) {
    if (x->size() != y->size()) return false;
    return std::all_of(x->entries().begin(), x->entries().end(), [&](const Dict::Entry& entry) {
      const Value* other = y->Find(entry.first);
      return other && equal(entry.second, *other);
    });
  }
  // Everything else is equal to itself only.
  if (a.AsNamespace()) return a.AsNamespace() == b.AsNamespace();
  if (a.AsLoop()) return a.AsLoop() == b.AsLoop();
  if (a.AsCycler()) return a.AsCycler() == b.AsCycler();
  return a.AsCallable() && a.AsCallable() == b.AsCallable();
}

int Order(Runtime& runtime, const Value& a, const Value& b) {
  runtime.Spend(1);
  if (a.IsInt() && b.IsInt()) return a.Int() < b.Int() ? -1 : a.Int() > b.Int();
  if (a.IsNumber() && b.IsNumber()) return Sign(a.Double(), b.Double());
  if (a.IsString() && b.IsString()) {  // UTF-8 sorts as its code points do
    runtime.SpendBytes(std::min(a.AsText()->size(), b.AsText()->size()));
    return a.AsText()->str().compare(b.AsText()->str());
  }
  const Sequence *x = Joinable(a), *y = Joinable(b);
  if (x && y && x->kind == y->kind) {
    const size_t both = std::min(x->items.size(), y->items.size());
    for (size_t i = 0; i < both; ++i) {
      if (!Equals(runtime, x->items[i], y->items[i]))
        return Order(runtime, x->items[i], y->items[i]);
    }
    return Sign(double(x->items.size()), double(y->items.size()));
  }
  RequireDefined(a);
  RequireDefined(b);
  Fail("{} and {} have no order", a.TypeName(), b.TypeName());
}

bool Compare(Runtime& runtime, std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return Equals(runtime, a, b);
  if (op == "!=") return !Equals(runtime, a, b);
  if (op == "in") return Contains(runtime, a, b);
  if (op == "not in") return !Contains(runtime, a, b);
  const bool numbers = a.IsNumber() && b.IsNumber();
  if (numbers && (std::isnan(a.Double()) || std::isnan(b.Double()))) return false;
  const int order = Order(runtime, a, b);
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  return op == ">" ? order > 0 : order >= 0;
}

std::vector<Value> Iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> out;
  if (const Sequence* sequence = value.AsSequence()) {
    runtime.Spend(static_cast<int64_t>(sequence->items.size()));
    if (sequence->kind != SequenceKind::kIterator) return sequence->items;
    out.assign(sequence->items.begin() + static_cast<ptrdiff_t>(sequence->consumed),
               sequence->items.end());
    sequence->consumed = sequence->items.size();
  } else if (const Dict* dict = value.AsDict()) {
    runtime.Spend(static_cast<int64_t>(dict->size()));
    for (const auto& entry : dict->entries()) out.push_back(entry.first);
  } else if (const Text* text = value.AsText()) {
    const std::vector<size_t> offsets = CharacterOffsets(text->str());
    runtime.CheckItems(offsets.size());
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      runtime.Spend(1);
      out.push_back(runtime.NewString(text->Slice(offsets[i], offsets[i + 1])));
    }
  } else if (!value.IsUndefined()) {
    Fail("a value of type {} can't be iterated", value.TypeName());
  }
  return out;
}

int64_t Length(const Value& value) {
  if (value.IsUndefined()) return 0;
  if (const Text* text = value.AsText()) return static_cast<int64_t>(CountCharacters(text->str()));
  if (const Dict* dict = value.AsDict()) return static_cast<int64_t>(dict->size());
  if (const Loop* loop = value.AsLoop()) return static_cast<int64_t>(loop->items.size());
  const Sequence* sequence = value.AsSequence();
  if (!sequence || sequence->kind == SequenceKind::kIterator) {
    Fail("a value of type {} has no length", value.TypeName());
  }
  return static_cast<int64_t>(sequence->items.size());
}

Value SliceOf(Runtime& runtime, const Value& value, const Value* start, const Value* stop,
              const Value* step) {
  const auto given = [](const Value* v) { return v && !v->IsNone(); };
  const int64_t stride = given(step) ? IntOf(*step, "a slice") : 1;
  if (stride == 0) Fail("the step of a slice can't be zero");
  const Text* text = value.AsText();
  const Sequence* sequence = value.AsSequence();
  std::vector<size_t> offsets;
  if (text) {
    runtime.SpendBytes(text->size());
    offsets = CharacterOffsets(text->str());
  }
  const int64_t n = static_cast<int64_t>(text ? offsets.size() - 1 : sequence->items.size());
  // Python's rule: negative positions count from the end, then everything is clipped to what
  // exists.
  const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? n : n - 1;
  const auto clip = [&](const Value* v, int64_t otherwise) {
    if (!given(v)) return otherwise;
    const int64_t at = IntOf(*v, "a slice");
    return std::clamp(at < 0 ? at + n : at, low, high);
  };
  int64_t at = clip(start, stride > 0 ? low : high);
  const int64_t end = clip(stop, stride > 0 ? high : low);
  if (text && stride == 1) {
    return runtime.NewString(at < end ? text->Slice(offsets[at], offsets[end]) : Text());
  }
  Text characters;
  std::vector<Value> items;
  while (stride > 0 ? at < end : at > end) {
    runtime.Spend(1);
    if (text) {
      characters.AppendSlice(*text, offsets[at], offsets[at + 1]);
    } else {
      items.push_back(sequence->items[at]);
    }
    if (__builtin_add_overflow(at, stride, &at)) break;
  }
  if (text) return runtime.NewString(std::move(characters));
  return runtime.NewSequence(
      sequence->kind == SequenceKind::kTuple ? SequenceKind::kTuple : SequenceKind::kList,
      std::move(items));
}

}  // namespace kakeya::jinja
