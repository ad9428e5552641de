#include "text/jinja/strings.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

Value ListOfTexts(Runtime& runtime, std::vector<Text> parts) {
  runtime.CheckItems(parts.size());
  std::vector<Value> items;
  for (Text& part : parts) items.push_back(runtime.NewString(std::move(part)));
  return runtime.NewList(std::move(items));
}

// The limit of split and replace: a negative one means none.
size_t LimitOf(const Value* value, const char* function) {
  const int64_t limit = value ? IntOf(*value, function) : -1;
  return limit < 0 ? SIZE_MAX : static_cast<size_t>(limit);
}

// Both split functions cut from one end, at most `limit` times.
std::vector<Text> SplitWords(const Text& text, size_t limit, bool from_right) {
  const std::string& s = text.str();
  std::vector<Text> out;
  const auto is_space = [&](size_t at) { return IsSpace(DecodeAt(s, &at)); };
  const auto after = [&](size_t at) { return DecodeAt(s, &at), at; };
  size_t begin = 0, end = s.size();
  while (true) {
    while (begin < end && is_space(begin)) begin = after(begin);
    while (begin < end && is_space(StepBack(s, end))) end = StepBack(s, end);
    if (begin == end) break;
    if (out.size() == limit) {
      // What remains keeps the blanks on the side that wasn't cut.
      out.push_back(text.Slice(from_right ? 0 : begin, from_right ? end : s.size()));
      break;
    }
    size_t cut = from_right ? end : begin;
    if (from_right) {
      while (cut > begin && !is_space(StepBack(s, cut))) cut = StepBack(s, cut);
      out.push_back(text.Slice(cut, end));
      end = cut;
    } else {
      while (cut < end && !is_space(cut)) cut = after(cut);
      out.push_back(text.Slice(begin, cut));
      begin = cut;
    }
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Text> SplitAt(const Text& text, const std::string& separator, size_t limit,
                          bool from_right) {
  const std::string& s = text.str();
  std::vector<Text> out;
  if (from_right) {
    size_t end = s.size();
    while (out.size() < limit && end >= separator.size()) {
      const size_t at = s.rfind(separator, end - separator.size());
      if (at == std::string::npos) break;
      out.push_back(text.Slice(at + separator.size(), end));
      end = at;
    }
    out.push_back(text.Slice(0, end));
    std::reverse(out.begin(), out.end());
    return out;
  }
  size_t begin = 0;
  while (out.size() < limit) {
    const size_t at = s.find(separator, begin);
    if (at == std::string::npos) break;
    out.push_back(text.Slice(begin, at));
    begin = at + separator.size();
  }
  out.push_back(text.Slice(begin, s.size()));
  return out;
}

Value Split(Runtime& runtime, const Text& self, const CallArgs& args, bool from_right) {
  const auto bound = args.Bind("split", {"sep", "maxsplit"});
  const size_t limit = LimitOf(bound[1], "split");
  runtime.SpendBytes(self.size());
  if (!bound[0] || bound[0]->IsNone())
    return ListOfTexts(runtime, SplitWords(self, limit, from_right));
  const Text& separator = TextOf(*bound[0], "split");
  if (separator.empty()) Fail("the separator of split is empty");
  return ListOfTexts(runtime, SplitAt(self, separator.str(), limit, from_right));
}

Value Partition(Runtime& runtime, const Text& self, const CallArgs& args, bool from_right) {
  const Text& separator = TextOf(*args.Bind("partition", {"sep"}, 1)[0], "partition");
  if (separator.empty()) Fail("the separator of partition is empty");
  const size_t at =
      from_right ? self.str().rfind(separator.str()) : self.str().find(separator.str());
  std::vector<Text> parts = {self, Text(), Text()};
  if (at != std::string::npos) {
    const size_t end = at + separator.size();
    parts = {self.Slice(0, at), self.Slice(at, end), self.Slice(end, self.size())};
  } else if (from_right) {
    std::swap(parts[0], parts[2]);
  }
  std::vector<Value> items;
  for (Text& part : parts) items.push_back(runtime.NewString(std::move(part)));
  return runtime.NewSequence(SequenceKind::kTuple, std::move(items));
}

Value StripMethod(Runtime& runtime, const Text& self, const CallArgs& args, bool left, bool right) {
  const Value* given = args.Bind("strip", {"chars"})[0];
  const Text* characters = given && !given->IsNone() ? &TextOf(*given, "strip") : nullptr;
  return runtime.NewString(Strip(runtime, self, characters, left, right));
}

// The bytes of self[start:end], as the functions that search take it; nothing where it begins
// behind its end.
std::optional<std::pair<size_t, size_t>> SpanOf(Runtime& runtime, const Text& self,
                                                const Value* start, const Value* end,
                                                const char* function) {
  runtime.SpendBytes(self.size());
  if (!Given(start) && !Given(end)) return std::pair<size_t, size_t>(0, self.size());
  const std::vector<size_t> offsets = CharacterOffsets(self.str());
  const auto n = static_cast<int64_t>(offsets.size()) - 1;
  const auto position = [&](const Value* value, int64_t otherwise) {
    const int64_t at = Given(value) ? IntOf(*value, function) : otherwise;
    return at < 0 ? std::max<int64_t>(0, at + n) : at;
  };
  const int64_t first = position(start, 0), last = std::min(position(end, n), n);
  if (first > last) return std::nullopt;
  return std::pair(offsets[static_cast<size_t>(first)], offsets[static_cast<size_t>(last)]);
}

// startswith and endswith: one text or a tuple of them, at the ends of self[start:end].
Value Affixed(Runtime& runtime, const Text& self, const CallArgs& args, bool at_end) {
  const char* const function = at_end ? "endswith" : "startswith";
  const auto bound = args.BindPositional(function, 3, 1);
  const auto span = SpanOf(runtime, self, bound[1], bound[2], function);
  const Sequence* tuple = bound[0]->AsSequence();
  std::vector<Value> choices = {*bound[0]};
  if (tuple && tuple->kind == SequenceKind::kTuple) choices = tuple->items;
  for (const Value& choice : choices) {
    const std::string& text = TextOf(choice, function).str();
    runtime.SpendBytes(text.size());
    if (!span) continue;
    const auto part = std::string_view(self.str()).substr(span->first, span->second - span->first);
    if (at_end ? part.ends_with(text) : part.starts_with(text)) return Value(true);
  }
  return Value(false);
}

Value RemoveAffix(Runtime& runtime, const Text& self, const CallArgs& args, bool at_end) {
  const std::string& affix =
      TextOf(*args.Bind("removeprefix", {"prefix"}, 1)[0], "removeprefix").str();
  const size_t n = self.size();
  if (at_end && self.str().ends_with(affix))
    return runtime.NewString(self.Slice(0, n - affix.size()));
  if (!at_end && self.str().starts_with(affix))
    return runtime.NewString(self.Slice(affix.size(), n));
  return runtime.NewString(self);
}

Value Find(Runtime& runtime, const Text& self, const CallArgs& args, bool from_right, bool must) {
  const auto bound = args.BindPositional("find", 3, 1);
  const std::string& wanted = TextOf(*bound[0], "find").str();
  const auto span = SpanOf(runtime, self, bound[1], bound[2], "find");
  size_t at = std::string::npos;
  if (span) {
    const auto part = std::string_view(self.str()).substr(0, span->second);
    at = from_right ? part.rfind(wanted) : part.find(wanted, span->first);
    if (at < span->first) at = std::string::npos;
  }
  if (at == std::string::npos && must) Fail("substring not found");
  if (at == std::string::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(CountCharacters(std::string_view(self.str()).substr(0, at))));
}

Value Count(Runtime& runtime, const Text& self, const CallArgs& args) {
  const auto bound = args.BindPositional("count", 3, 1);
  const std::string& wanted = TextOf(*bound[0], "count").str();
  const auto span = SpanOf(runtime, self, bound[1], bound[2], "count");
  if (!span) return Value(int64_t{0});
  const auto part = std::string_view(self.str()).substr(span->first, span->second - span->first);
  if (wanted.empty()) return Value(static_cast<int64_t>(CountCharacters(part) + 1));
  int64_t n = 0;
  for (size_t at = 0; (at = part.find(wanted, at)) != std::string_view::npos; at += wanted.size())
    ++n;
  return Value(n);
}

// ljust, rjust and center.
Value Justify(Runtime& runtime, const Text& self, const CallArgs& args, Align align) {
  const auto bound = args.BindPositional("a justification", 2, 1);
  const int64_t width = IntOf(*bound[0], "a justification");
  const Text fill = bound[1] ? TextOf(*bound[1], "a justification") : Text::Trusted(" ");
  if (CountCharacters(fill.str()) != 1) Fail("the fill character is not one character");
  runtime.SpendBytes(self.size());
  return runtime.NewString(Justified(runtime, self, width, align, fill));
}

Value ZeroFill(Runtime& runtime, const Text& self, const CallArgs& args) {
  const int64_t width = IntOf(*args.BindPositional("zfill", 1, 1)[0], "zfill");
  const size_t sign = self.str().starts_with('+') || self.str().starts_with('-') ? 1 : 0;
  Text out = self.Slice(0, sign);
  const int64_t rest = std::max<int64_t>(width, 0) - static_cast<int64_t>(sign);
  out.Append(
      Justified(runtime, self.Slice(sign, self.size()), rest, Align::kRight, Text::Trusted("0")));
  return runtime.NewString(std::move(out));
}

// Whether there are characters and all of them are of the kind; `needed` must occur at least once.
Value All(const Text& self, bool (*allowed)(char32_t), bool (*needed)(char32_t)) {
  bool found = false;
  for (size_t at = 0; at < self.size();) {
    const char32_t c = DecodeAt(self.str(), &at);
    if (!allowed(c)) return Value(false);
    found |= needed(c);
  }
  return Value(found);
}

Value Rewrite(Runtime& runtime, const Text& self, const CallArgs& args,
              std::string (*rewrite)(std::string_view)) {
  args.Bind("a string method", {});
  runtime.SpendBytes(8 * self.size());
  return runtime.NewString(self.Rewritten(rewrite(self.str())));
}

using Methods = std::unordered_map<std::string, StringMethod>;
using R = Runtime;

const Methods& StringMethods() {
  static const Methods* const kMethods = new Methods{
      {"strip",
       [](R& r, const Text& s, const CallArgs& a) { return StripMethod(r, s, a, true, true); }},
      {"lstrip",
       [](R& r, const Text& s, const CallArgs& a) { return StripMethod(r, s, a, true, false); }},
      {"rstrip",
       [](R& r, const Text& s, const CallArgs& a) { return StripMethod(r, s, a, false, true); }},
      {"split", [](R& r, const Text& s, const CallArgs& a) { return Split(r, s, a, false); }},
      {"rsplit", [](R& r, const Text& s, const CallArgs& a) { return Split(r, s, a, true); }},
      {"partition",
       [](R& r, const Text& s, const CallArgs& a) { return Partition(r, s, a, false); }},
      {"rpartition",
       [](R& r, const Text& s, const CallArgs& a) { return Partition(r, s, a, true); }},
      {"splitlines",
       [](R& r, const Text& s, const CallArgs&) { return ListOfTexts(r, SplitLines(s)); }},
      {"startswith",
       [](R& r, const Text& s, const CallArgs& a) { return Affixed(r, s, a, false); }},
      {"endswith", [](R& r, const Text& s, const CallArgs& a) { return Affixed(r, s, a, true); }},
      {"removeprefix",
       [](R& r, const Text& s, const CallArgs& a) { return RemoveAffix(r, s, a, false); }},
      {"removesuffix",
       [](R& r, const Text& s, const CallArgs& a) { return RemoveAffix(r, s, a, true); }},
      {"find", [](R& r, const Text& s, const CallArgs& a) { return Find(r, s, a, false, false); }},
      {"rfind", [](R& r, const Text& s, const CallArgs& a) { return Find(r, s, a, true, false); }},
      {"index", [](R& r, const Text& s, const CallArgs& a) { return Find(r, s, a, false, true); }},
      {"rindex", [](R& r, const Text& s, const CallArgs& a) { return Find(r, s, a, true, true); }},
      {"count", Count},
      {"ljust",
       [](R& r, const Text& s, const CallArgs& a) { return Justify(r, s, a, Align::kLeft); }},
      {"rjust",
       [](R& r, const Text& s, const CallArgs& a) { return Justify(r, s, a, Align::kRight); }},
      {"center",
       [](R& r, const Text& s, const CallArgs& a) { return Justify(r, s, a, Align::kCenter); }},
      {"zfill", ZeroFill},
      {"upper", [](R& r, const Text& s, const CallArgs& a) { return Rewrite(r, s, a, ToUpper); }},
      {"lower", [](R& r, const Text& s, const CallArgs& a) { return Rewrite(r, s, a, ToLower); }},
      {"title", [](R& r, const Text& s, const CallArgs& a) { return Rewrite(r, s, a, TitleCase); }},
      {"capitalize",
       [](R& r, const Text& s, const CallArgs& a) { return Rewrite(r, s, a, Capitalize); }},
      {"isspace", [](R&, const Text& s, const CallArgs&) { return All(s, IsSpace, IsSpace); }},
      {"isalpha", [](R&, const Text& s, const CallArgs&) { return All(s, IsAlpha, IsAlpha); }},
      {"isdigit", [](R&, const Text& s, const CallArgs&) { return All(s, IsDigit, IsDigit); }},
      {"isalnum",
       [](R&, const Text& s, const CallArgs&) {
         const auto alnum = [](char32_t c) { return IsAlpha(c) || IsDigit(c); };
         return All(s, alnum, alnum);
       }},
      {"isupper",
       [](R&, const Text& s, const CallArgs&) {
         return All(
             s, [](char32_t c) { return IsUpper(c) || !IsCased(c); }, IsUpper);
       }},
      {"islower",
       [](R&, const Text& s, const CallArgs&) {
         return All(
             s, [](char32_t c) { return IsLower(c) || !IsCased(c); }, IsLower);
       }},
      {"replace",
       [](R& r, const Text& s, const CallArgs& a) {
         const auto bound = a.Bind("replace", {"old", "new", "count"}, 2);
         const int64_t limit = bound[2] ? IntOf(*bound[2], "replace") : -1;
         return r.NewString(
             Replace(r, s, TextOf(*bound[0], "replace"), TextOf(*bound[1], "replace"), limit));
       }},
      {"join",
       [](R& r, const Text& s, const CallArgs& a) {
         return r.NewString(Join(r, Iterate(r, *a.Bind("join", {"parts"}, 1)[0]), s, true));
       }},
      {"format", [](R& r, const Text& s, const CallArgs& a) { return FormatBraces(r, s, a); }},
      {"format_map",
       [](R& r, const Text& s, const CallArgs& a) {
         const Dict* values = a.BindPositional("format_map", 1, 1)[0]->AsDict();
         if (!values) Fail("format_map needs a mapping");
         CallArgs named;
         for (const auto& [key, value] : values->entries()) {
           if (key.IsString()) named.keyword.emplace_back(key.AsText()->str(), value);
         }
         return FormatBraces(r, s, named);
       }},
  };
  return *kMethods;
}

}  // namespace

StringMethod FindStringMethod(const std::string& name) {
  const auto it = StringMethods().find(name);
  return it == StringMethods().end() ? nullptr : it->second;
}

Text Strip(Runtime& runtime, const Text& text, const Text* characters, bool left, bool right) {
  const std::string& s = text.str();
  std::u32string set;
  for (size_t at = 0; characters && at < characters->size();)
    set += DecodeAt(characters->str(), &at);
  const auto drop = [&](size_t at) {
    const char32_t c = DecodeAt(s, &at);
    return characters ? set.find(c) != std::u32string::npos : IsSpace(c);
  };
  size_t begin = 0, end = s.size();
  while (left && begin < end && drop(begin)) {
    runtime.Spend(1 + static_cast<int64_t>(set.size() / 16));
    DecodeAt(s, &begin);
  }
  while (right && begin < end && drop(StepBack(s, end))) {
    runtime.Spend(1 + static_cast<int64_t>(set.size() / 16));
    end = StepBack(s, end);
  }
  return text.Slice(begin, end);
}

Text Replace(Runtime& runtime, const Text& text, const Text& old, const Text& replacement,
             int64_t limit) {
  const std::string& s = text.str();
  runtime.SpendBytes(s.size());
  Text out;
  size_t done = 0;
  for (size_t from = 0; limit != 0; --limit) {
    const size_t at = s.find(old.str(), from);
    if (at == std::string::npos) break;
    out.AppendSlice(text, done, at);
    out.Append(replacement);
    done = at + old.size();
    runtime.Spend(1);
    runtime.CheckSize(out.size());
    if (!old.empty()) {
      from = done;
    } else if (at == s.size()) {
      break;
    } else {  // the empty string is found before every character
      from = at;
      DecodeAt(s, &from);
    }
  }
  out.AppendSlice(text, done, s.size());
  return out;
}

Text Join(Runtime& runtime, const std::vector<Value>& parts, const Text& separator,
          bool only_strings) {
  Text out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.Append(separator);
    out.Append(only_strings ? TextOf(parts[i], "join") : ToText(runtime, parts[i]));
    runtime.Spend(1);
    runtime.CheckSize(out.size());
  }
  return out;
}

Text Surrounded(Runtime& runtime, const Text& text, size_t left, size_t right, const Text& fill) {
  // The sums can't wrap: both are below 2^63, and afterwards below the limit.
  runtime.CheckSize(left + right);
  runtime.CheckSize(text.size() + (left + right) * fill.size());
  const auto run = [&](size_t n) {
    std::string out;
    out.reserve(n * fill.size());
    for (size_t i = 0; i < n; ++i) out += fill.str();
    return fill.Rewritten(std::move(out));
  };
  Text out = run(left);
  out.Append(text);
  out.Append(run(right));
  return out;
}

Text Justified(Runtime& runtime, const Text& text, int64_t width, Align align, const Text& fill) {
  const auto length = static_cast<int64_t>(CountCharacters(text.str()));
  if (width <= length) return text;
  const int64_t missing = width - length;
  // An odd character goes where Python's str.center puts it: left when the width is odd.
  const int64_t left = align == Align::kLeft    ? 0
                       : align == Align::kRight ? missing
                                                : missing / 2 + (missing & width & 1);
  return Surrounded(runtime, text, static_cast<size_t>(left), static_cast<size_t>(missing - left),
                    fill);
}

std::vector<Text> SplitLines(const Text& text) {
  const std::string& s = text.str();
  std::vector<Text> out;
  size_t begin = 0;
  for (size_t at = 0; at < s.size();) {
    const size_t end = at;
    const char32_t c = DecodeAt(s, &at);
    if (!IsLineBreak(c)) continue;
    if (c == '\r' && at < s.size() && s[at] == '\n') ++at;
    out.push_back(text.Slice(begin, end));
    begin = at;
  }
  if (begin < s.size()) out.push_back(text.Slice(begin, s.size()));
  return out;
}

}  // namespace kakeya::jinja
