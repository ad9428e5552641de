// Python's operators on template values. Errors (Error): InvalidArgument for operands an operator
// doesn't take and for integers beyond 64 bits, ResourceExhausted for results beyond the budget.
#ifndef KAKEYA_TEXT_JINJA_OPERATORS_H_
#define KAKEYA_TEXT_JINJA_OPERATORS_H_

#include <optional>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

// op: + - * / // % **
Value Arithmetic(Runtime& runtime, std::string_view op, const Value& a, const Value& b);
Value Negate(const Value& value);

// Never fails on types: values of different kinds differ, numbers compare by value.
bool Equals(Runtime& runtime, const Value& a, const Value& b);
// < 0, 0, > 0; fails for kinds without an order.
int Order(Runtime& runtime, const Value& a, const Value& b);
// op: == != < <= > >= in, not in
bool Compare(Runtime& runtime, std::string_view op, const Value& a, const Value& b);

// All items, as a for loop sees them; uses up an iterator.
std::vector<Value> Iterate(Runtime& runtime, const Value& value);
// len(); fails for what has no length.
int64_t Length(const Value& value);

// Fails with the message of an undefined value; passes everything else.
void RequireDefined(const Value& value);
// The argument as a whole number / text, or an error that names the function.
int64_t IntOf(const Value& value, std::string_view function);
const Text& TextOf(const Value& value, std::string_view function);

// value[start:stop:step], each None or absent (nullptr) or a whole number.
Value SliceOf(Runtime& runtime, const Value& value, const Value* start, const Value* stop,
              const Value* step);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_OPERATORS_H_
