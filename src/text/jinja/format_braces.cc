// str.format, as Jinja's sandbox runs it: Python's string.Formatter, whose fields reach the values
// as expressions do.
#include <algorithm>
#include <string>
#include <string_view>

#include "format/quote.h"
#include "text/jinja/format.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/members.h"
#include "text/jinja/operators.h"
#include "text/jinja/writer.h"

namespace kakeya::jinja {
namespace {

// {name!conversion:spec}
struct Field {
  std::string name;
  char conversion = 0;
  Text spec;
};

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() < 10 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const CallArgs& args) : runtime_(runtime), args_(args) {}

  // A specification is a format itself; its fields have specifications, but these no fields.
  Text Expand(const Text& format, int levels) {
    if (levels == 0) Fail("the fields of a format nest too deeply");
    const std::string& text = format.str();
    Writer out(runtime_);
    for (size_t at = 0; at < text.size();) {
      runtime_.Spend(1);
      const size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out.Write(format.Slice(at, brace));
      if (brace == text.size()) break;
      at = brace + 1;
      if (at < text.size() && text[at] == text[brace]) {
        out.Write(format.Slice(at, at + 1));
        ++at;
        continue;
      }
      if (text[brace] == '}' || at == text.size()) Fail("a single brace in a format");
      out.Write(Formatted(TakeField(format, &at), levels));
    }
    return OfFormat(format, out.Take());
  }

 private:
  // The field whose name begins at `at`, which moves behind its closing brace.
  static Field TakeField(const Text& format, size_t* at) {
    const std::string& text = format.str();
    Field out;
    size_t end = *at;
    while (end < text.size() &&
           std::string_view("}:!{").find(text[end]) == std::string_view::npos) {
      if (text[end] == '[') end = std::min(text.find(']', end), text.size() - 1);
      ++end;
    }
    if (end == text.size() || text[end] == '{') Fail("a field of a format isn't closed");
    out.name = text.substr(*at, end - *at);
    if (text[end] == '!') {
      if (end + 2 >= text.size() || (text[end + 2] != ':' && text[end + 2] != '}')) {
        Fail("a format has no conversion of one letter behind its '!'");
      }
      out.conversion = text[end + 1];
      end += 2;
    }
    const size_t begin = end + 1;
    for (int open = text[end] == ':' ? 1 : 0; open > 0;) {
      end = text.find_first_of("{}", end + 1);
      if (end == std::string::npos) Fail("a field of a format isn't closed");
      open += text[end] == '{' ? 1 : -1;
    }
    if (end >= begin) out.spec = format.Slice(begin, end);
    *at = end + 1;
    return out;
  }

  Text Formatted(const Field& field, int levels) {
    const Value value = ValueOf(field.name);
    const Text spec = Expand(field.spec, levels - 1);
    if (field.conversion != 0 && field.conversion != 's' && field.conversion != 'r') {
      Fail("the conversion !{} is not supported", field.conversion);
    }
    if (field.conversion == 0) return OfFormat(spec, FormatValue(runtime_, value, spec));
    const Text text = field.conversion == 's' ? ToText(runtime_, value) : ToRepr(runtime_, value);
    return OfFormat(spec, FormatValue(runtime_, runtime_.NewString(text), spec));
  }

  // "" is the next positional argument, "0" the first, "a" a named one; ".b" and "[c]" lead on.
  Value ValueOf(const std::string& name) {
    const size_t first = std::min(name.find_first_of(".["), name.size());
    Value value = Argument(name.substr(0, first), name.size() > first);
    for (size_t at = first; at < name.size();) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) Fail("a field of a format has an empty attribute");
        value = GetAttribute(runtime_, value, name.substr(at + 1, end - at - 1));
        at = end;
      } else {
        const size_t end = name[at] == '[' ? name.find(']', at) : std::string::npos;
        if (end == std::string::npos || end == at + 1) Fail("a field of a format has no item");
        const std::string item = name.substr(at + 1, end - at - 1);
        value =
            GetItem(runtime_, value,
                    IsNumber(item) ? Value(int64_t{std::stol(item)}) : runtime_.NewString(item));
        at = end + 1;
      }
    }
    return value;
  }

  Value Argument(const std::string& name, bool leads_on) {
    size_t index = 0;
    if (name.empty() && !leads_on) {
      if (numbered_) Fail("a format numbers some of its fields");
      index = next_++;
    } else if (IsNumber(name)) {
      if (next_ > 0 && !leads_on) Fail("a format numbers some of its fields");
      numbered_ |= !leads_on;
      index = std::stoul(name);
    } else {
      const auto it = std::find_if(args_.keyword.begin(), args_.keyword.end(),
                                   [&](const auto& k) { return k.first == name; });
      if (it == args_.keyword.end()) Fail("a format names a key that isn't there");
      return it->second;
    }
    if (index >= args_.positional.size()) Fail("not enough arguments for a format");
    return args_.positional[index];
  }

  Runtime& runtime_;
  const CallArgs& args_;
  size_t next_ = 0;        // of the fields without a name
  bool numbered_ = false;  // there was a field "0", after which there may be none without a name
};

}  // namespace

Value FormatBraces(Runtime& runtime, const Text& format, const CallArgs& args) {
  constexpr int kLevels = 3;  // text, specifications of its fields, and of theirs
  return runtime.NewString(BraceFormatter(runtime, args).Expand(format, kLevels));
}

}  // namespace kakeya::jinja
