#include "text/jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "format/quote.h"
#include "text/jinja/members.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"
#include "text/jinja/writer.h"

namespace kakeya::jinja {
namespace {

// repr() of a string: in single quotes unless that needs more escapes than double ones.
std::string QuoteText(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const char32_t c = DecodeAt(text, &at);
    if (c == char32_t(quote) || c == '\\') {
      out += '\\';
      out += char(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (IsPrintable(c)) {
      AppendUtf8(c, &out);
    } else {
      const uint32_t code = c;
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
    }
  }
  return out + quote;
}

std::string QuoteJson(std::string_view text, bool ensure_ascii) {
  static constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const char32_t c = DecodeAt(text, &at);
    const size_t known = c < 0x80 ? kFrom.find(char(c)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out += '\\';
      out += kTo[known];
    } else if (c >= 0x10000 && ensure_ascii) {
      const uint32_t v = c - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (v >> 10), 0xDC00 + (v & 0x3FF));
    } else if (c < 0x20 || (c > 0x7E && ensure_ascii)) {
      out += fmt::format("\\u{:04x}", uint32_t(c));
    } else {
      AppendUtf8(c, &out);
    }
  }
  return out + '"';
}

void WriteScalar(const Value& value, Writer* out) {
  if (value.IsNone()) return out->Write("None");
  if (value.Is<bool>()) return out->Write(value.Truthy() ? "True" : "False");
  if (value.IsInt()) return out->Write(std::to_string(value.Int()));
  if (value.Is<double>()) return out->Write(FormatFloat(value.Double()));
  Fail("a value of type {} can't be printed", value.TypeName());
}

void WriteRepr(const Value& value, Writer* out);

void WriteSequence(const Sequence& sequence, Writer* out) {
  static constexpr const char* kOpen[] = {"[",           "(", "", "dict_keys([", "dict_values([",
                                          "dict_items(["};
  static constexpr const char* kClose[] = {"]", ")", "", "])", "])", "])"};
  if (sequence.kind == SequenceKind::kIterator) Fail("a generator can't be printed");
  if (sequence.kind == SequenceKind::kRange) return out->Write(sequence.label);
  out->Write(kOpen[int(sequence.kind)]);
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out->Write(", ");
    WriteRepr(sequence.items[i], out);
  }
  if (sequence.kind == SequenceKind::kTuple && sequence.items.size() == 1) out->Write(",");
  out->Write(kClose[int(sequence.kind)]);
}

void WriteRepr(const Value& value, Writer* out) {
  if (value.IsUndefined()) return out->Write("Undefined");
  if (const Text* text = value.AsText()) return out->Write(text->Rewritten(QuoteText(text->str())));
  if (const Sequence* sequence = value.AsSequence()) return WriteSequence(*sequence, out);
  const Dict* dict = value.AsDict();
  if (!dict) return WriteScalar(value, out);
  out->Write("{");
  bool first = true;
  for (const auto& [key, item] : dict->entries()) {
    if (!first) out->Write(", ");
    first = false;
    WriteRepr(key, out);
    out->Write(": ");
    WriteRepr(item, out);
  }
  out->Write("}");
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : out_(runtime), style_(style) {}

  Text Run(const Value& value) {
    WriteValue(value);
    return out_.Take();
  }

 private:
  void WriteText(const Text& text) {
    out_.Write(text.Rewritten(QuoteJson(text.str(), style_.ensure_ascii)));
  }

  void WriteNumber(const Value& value) {
    if (value.IsNone()) return out_.Write("null");
    if (value.Is<bool>()) return out_.Write(value.Truthy() ? "true" : "false");
    if (value.IsInt()) return out_.Write(std::to_string(value.Int()));
    if (!value.Is<double>()) Fail("a value of type {} is not JSON serializable", value.TypeName());
    const double d = value.Double();
    if (std::isfinite(d)) return out_.Write(FormatFloat(d));
    out_.Write(std::isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
  }

  void NewLine() {
    if (!style_.indent) return;
    out_.Write("\n");
    for (int i = 0; i < level_; ++i) out_.Write(*style_.indent);
  }

  // The items between `open` and `close`; `write` writes item i.
  template <typename WriteItem>
  void WriteItems(size_t n, const char* open, const char* close, WriteItem write) {
    out_.Write(open);
    ++level_;
    for (size_t i = 0; i < n; ++i) {
      if (i > 0) out_.Write(style_.item_separator);
      NewLine();
      write(i);
    }
    --level_;
    if (n > 0) NewLine();
    out_.Write(close);
  }

  void WriteKey(const Value& key) {
    if (const Text* text = key.AsText()) return WriteText(*text);
    if (key.AsSequence()) Fail("a tuple can't be a key in JSON");
    out_.Write("\"");
    WriteNumber(key);
    out_.Write("\"");
  }

  void WriteValue(const Value& value) {
    if (const Text* text = value.AsText()) return WriteText(*text);
    if (const Dict* dict = value.AsDict()) {
      std::vector<const Dict::Entry*> entries;
      for (const auto& entry : dict->entries()) entries.push_back(&entry);
      if (style_.sort_keys) {
        std::stable_sort(entries.begin(), entries.end(), [&](auto* a, auto* b) {
          return Order(out_.runtime(), a->first, b->first) < 0;
        });
      }
      return WriteItems(entries.size(), "{", "}", [&](size_t i) {
        WriteKey(entries[i]->first);
        out_.Write(style_.key_separator);
        WriteValue(entries[i]->second);
      });
    }
    const Sequence* sequence = value.AsSequence();
    if (!sequence) return WriteNumber(value);
    if (sequence->kind > SequenceKind::kTuple) {
      Fail("a value of type {} is not JSON serializable", value.TypeName());
    }
    WriteItems(sequence->items.size(), "[", "]", [&](size_t i) { WriteValue(sequence->items[i]); });
  }

  Writer out_;
  const JsonStyle& style_;
  int level_ = 0;
};

// One conversion of a %-format.
struct Conversion {
  std::string flags;
  int width = 0;
  int precision = -1;
  char type = 0;
  bool Has(char flag) const { return flags.find(flag) != std::string::npos; }
};

constexpr int kMaxFormatWidth = 1'000'000;
constexpr int kMaxFormatPrecision = 1000;

int ParseNumber(const std::string& text, size_t* at) {
  int out = 0;
  while (*at < text.size() && text[*at] >= '0' && text[*at] <= '9') {
    out = out * 10 + (text[(*at)++] - '0');
    if (out > kMaxFormatWidth) Fail("a format width is too large");
  }
  return out;
}

Conversion ParseConversion(const std::string& text, size_t* at) {
  Conversion out;
  while (*at < text.size() && std::string_view("-+ 0#").find(text[*at]) != std::string_view::npos) {
    out.flags += text[(*at)++];
  }
  out.width = ParseNumber(text, at);
  if (*at < text.size() && text[*at] == '.') {
    ++*at;
    out.precision = ParseNumber(text, at);
  }
  if (*at >= text.size()) Fail("a format ends inside a conversion");
  out.type = text[(*at)++];
  return out;
}

// A number as C prints it, without padding.
std::string FormatNumber(const Conversion& c, const Value& value) {
  RequireDefined(value);
  if (!value.IsNumber()) Fail("%{} needs a number, not {}", c.type, value.TypeName());
  std::string spec = "%";
  for (char flag : {'+', ' ', '#'}) {
    if (c.Has(flag)) spec += flag;
  }
  if (c.precision > kMaxFormatPrecision) Fail("a format precision is too large");
  if (c.precision >= 0) spec += "." + std::to_string(c.precision);
  char buffer[1500];
  const bool integral = std::string_view("diuxX").find(c.type) != std::string_view::npos;
  if (integral) {
    const bool hex = c.type == 'x' || c.type == 'X';
    if (!value.IsInt() && (hex || !(std::fabs(value.Double()) < 9e18)))
      Fail("%{} needs a whole number", c.type);
    const int64_t v = value.IsInt() ? value.Int() : int64_t(value.Double());
    if (!hex) {
      std::snprintf(buffer, sizeof(buffer), (spec + "lld").c_str(), static_cast<long long>(v));
      return buffer;
    }
    if (v < 0) Fail("negative numbers in hexadecimal are not supported");
    std::snprintf(buffer, sizeof(buffer), (spec + "ll" + c.type).c_str(),
                  static_cast<long long>(v));
  } else {
    std::snprintf(buffer, sizeof(buffer), (spec + c.type).c_str(), value.Double());
  }
  return buffer;
}

Text FormatOne(Runtime& runtime, const Conversion& c, const Value& value) {
  Text out;
  if (c.type == 's' || c.type == 'r') {
    out = c.type == 's' ? ToText(runtime, value) : ToRepr(runtime, value);
    const std::vector<size_t> offsets = CharacterOffsets(out.str());
    if (c.precision >= 0 && size_t(c.precision) + 1 < offsets.size())
      out = out.Slice(0, offsets[c.precision]);
  } else if (c.type == 'c' && value.IsString() && Length(value) == 1) {
    out = *value.AsText();
  } else if (std::string_view("diuxXfFeEgG").find(c.type) != std::string_view::npos) {
    out.Append(FormatNumber(c, value));
  } else {
    Fail("the format conversion {} is not supported for {}", Quoted(std::string(1, c.type)),
         value.TypeName());
  }
  const bool zeros = c.Has('0') && !c.Has('-') && c.type != 's' && c.type != 'r' && c.type != 'c';
  if (!zeros) {
    const Align align = c.Has('-') ? Align::kLeft : Align::kRight;
    return Justified(runtime, out, c.width, align, Text::Trusted(" "));
  }
  std::string padded = out.str();
  const size_t sign =
      !padded.empty() && (padded[0] == '-' || padded[0] == '+' || padded[0] == ' ') ? 1 : 0;
  const size_t missing = std::max(size_t(c.width), padded.size()) - padded.size();
  return Text::Trusted(padded.insert(sign, missing, '0'));
}

}  // namespace

std::string LayOutDigits(std::string digits, int exponent, int limit) {
  const int n = int(digits.size());
  if (exponent < -4 || exponent >= limit) {
    if (n > 1) digits.insert(1, ".");
    return digits + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return "0." + std::string(size_t(-exponent - 1), '0') + digits;
  if (n <= exponent + 1) return digits + std::string(size_t(exponent + 1 - n), '0') + ".0";
  return digits.insert(static_cast<size_t>(exponent) + 1, ".");
}

std::string FormatFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, size_t(end - buffer));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');
  return out + LayOutDigits(std::move(digits), exponent, 16);
}

Text ToText(Runtime& runtime, const Value& value) {
  if (const Text* text = value.AsText()) return *text;
  if (value.IsUndefined()) return Text();
  return ToRepr(runtime, value);
}

Text ToRepr(Runtime& runtime, const Value& value) {
  Writer out(runtime);
  WriteRepr(value, &out);
  return out.Take();
}

Text ToJsonText(Runtime& runtime, const Value& value, const JsonStyle& style) {
  return JsonWriter(runtime, style).Run(value);
}

Text OfFormat(const Text& format, Text out) {
  return format.has_user() ? Text::User(out.str()) : out;
}

Value FormatPercent(Runtime& runtime, const Text& format, const Value& values) {
  const std::string& text = format.str();
  const Sequence* tuple = values.AsSequence();
  if (tuple && tuple->kind != SequenceKind::kTuple) tuple = nullptr;
  const size_t count = tuple ? tuple->items.size() : 1;
  size_t used = 0;
  Writer out(runtime);
  for (size_t at = 0; at < text.size();) {
    const size_t percent = std::min(text.find('%', at), text.size());
    runtime.Spend(1);
    out.Write(format.Slice(at, percent));
    if (percent == text.size()) break;
    at = percent + 1;
    const Value* value = nullptr;
    if (at < text.size() && text[at] == '(') {
      const size_t close = text.find(')', at);
      if (close == std::string::npos || !values.AsDict()) Fail("a named format needs a mapping");
      value = values.AsDict()->Find(std::string_view(text).substr(at + 1, close - at - 1));
      if (!value) Fail("a format names a key that isn't there");
      at = close + 1;
    }
    const Conversion conversion = ParseConversion(text, &at);
    if (conversion.type == '%') {
      out.Write("%");
      continue;
    }
    if (!value) {
      if (used >= count) Fail("not enough arguments for a format");
      value = tuple ? &tuple->items[used] : &values;
      ++used;
    }
    out.Write(FormatOne(runtime, conversion, *value));
  }
  const bool mapping = values.AsDict() || (values.AsSequence() && !tuple);
  if (used < count && !mapping) Fail("not all arguments of a format were used");
  return runtime.NewString(OfFormat(format, out.Take()));
}

}  // namespace kakeya::jinja
