#include "format/json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <new>
#include <unordered_set>
#include <utility>
#include <vector>

#include "format/lfs_pointer.h"
#include "format/quote.h"
#include "format/read_file.h"

namespace kakeya {
namespace {

// Walks the text and keeps count, so that our own complaints can say where.
class CountingIterator {
 public:
  // NOLINTBEGIN(readability-identifier-naming): the names that std::iterator_traits looks for.
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  // NOLINTEND(readability-identifier-naming)

  CountingIterator(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *seen_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** seen_;
};

// A number that JSON doesn't have.
struct PythonNumber {
  size_t end = 0;  // offset behind its last byte
  double value = 0;
};

bool Holds(std::string_view characters, char c) { return characters.find(c) != characters.npos; }

// Writes a JSON number of the same length, zero, over each NaN, Infinity and -Infinity that stands
// where a value may stand, and lists what they were, in order. Anything else is left to the parser.
std::vector<PythonNumber> ReplacePythonNumbers(std::string* text) {
  constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
      {"NaN", "0e0"}, {"-Infinity", "-0e000000"}, {"Infinity", "0e000000"}};
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kValues[] = {std::numeric_limits<double>::quiet_NaN(), -kInfinity, kInfinity};
  std::vector<PythonNumber> found;
  bool in_string = false;
  bool may_begin = true;  // the byte before ends no number and no word
  for (size_t i = 0; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    for (size_t k = 0; may_begin && k < std::size(kSpellings); ++k) {
      const auto& [spelling, zero] = kSpellings[k];
      const size_t end = i + spelling.size();
      if (text->compare(i, spelling.size(), spelling) != 0) continue;
      if (end < text->size() && !Holds(" \t\n\r,]}", (*text)[end])) continue;
      text->replace(i, zero.size(), zero);
      i += zero.size() - 1;
      found.push_back({i + 1, kValues[k]});
      break;
    }
    may_begin = Holds(" \t\n\r,:[", c);
  }
  return found;
}

// The first key that an object holds twice, or null. Small objects are compared pairwise: most are.
const std::string* FindDuplicateKey(const Json::object_t& object) {
  constexpr size_t kPairwise = 12;
  if (object.size() <= kPairwise) {
    for (auto a = object.begin(); a != object.end(); ++a) {
      for (auto b = object.begin(); b != a; ++b) {
        if (a->first == b->first) return &a->first;
      }
    }
    return nullptr;
  }
  std::unordered_set<std::string_view> seen;
  seen.reserve(object.size());
  for (const auto& member : object) {
    if (!seen.insert(member.first).second) return &member.first;
  }
  return nullptr;
}

// Builds the value from the parser's events. ordered_map's own insertion searches all keys first,
// which is quadratic for a vocabulary; and the vector underneath would copy, not move, its members
// when it grows (their keys are const). So the members of an open object are kept aside, and
// appended to a vector of the right size when it ends.
class Builder {
 public:
  Builder(const JsonLimits& limits, std::vector<PythonNumber> python_numbers, const char* begin,
          const char** seen)
      : limits_(limits), python_numbers_(std::move(python_numbers)), begin_(begin), seen_(seen) {}

  bool null() { return Add(nullptr); }
  bool boolean(bool value) { return Add(value); }
  bool number_integer(int64_t value) { return Add(value); }
  bool number_unsigned(uint64_t value) { return Add(value); }
  bool number_float(double value, const std::string&) {
    if (python_number_ < python_numbers_.size()) {
      const PythonNumber& next = python_numbers_[python_number_];
      // A number is known to have ended when the byte behind it has been seen, if there is one.
      if (offset() == next.end || offset() == next.end + 1) {
        ++python_number_;
        return Add(next.value);
      }
    }
    return std::isfinite(value) ? Add(value) : Fail("number out of range");
  }
  bool string(std::string& value) { return Add(std::move(value)); }
  bool binary(std::vector<uint8_t>&) { return Fail("binary value"); }

  bool start_object(size_t) { return Open(); }
  bool key(std::string& key) {
    stack_.back().keys.push_back(std::move(key));
    return true;
  }
  bool end_object() {
    Frame frame = Close();
    Json object(Json::value_t::object);
    auto& members = *object.get_ptr<Json::object_t*>();
    members.reserve(frame.values.size());
    for (size_t i = 0; i < frame.values.size(); ++i) {
      members.Json::object_t::Container::emplace_back(std::move(frame.keys[i]),
                                                      std::move(frame.values[i]));
    }
    const std::string* twice = FindDuplicateKey(members);
    if (twice != nullptr) return Fail("key " + Quoted(*twice) + " appears twice in an object");
    Place(std::move(object));
    return true;
  }
  bool start_array(size_t) { return Open(); }
  bool end_array() {
    Frame frame = Close();
    frame.values.shrink_to_fit();
    Place(Json(std::move(frame.values)));
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) {
    // "[json.exception.x.n] parse error at line 1, column 5: syntax error ... - reason; last read:
    // '...'": the reason is ours to show, the quoted text may be megabytes.
    std::string_view text = error.what();
    if (const size_t end = text.find("; last read"); end != text.npos) text = text.substr(0, end);
    if (const size_t start = text.find("] "); start != text.npos) text.remove_prefix(start + 2);
    if (const size_t colon = text.find(": "); text.starts_with("parse error") && colon != text.npos)
      text.remove_prefix(colon + 2);
    status_ = Corrupt("byte {}: {}", position, Printable(text, 160));
    return false;
  }

  const Status& status() const { return status_; }
  Json Take() { return std::move(root_); }

 private:
  size_t offset() const { return static_cast<size_t>(*seen_ - begin_); }
  bool Fail(const std::string& reason) {
    status_ = Corrupt("byte {}: {}", offset(), reason);
    return false;
  }

  // An array or object whose end has not come yet.
  struct Frame {
    std::vector<std::string> keys;  // of an object; keys[i] belongs to values[i]
    Json::array_t values;
  };

  void Place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else {
      stack_.back().values.push_back(std::move(value));
    }
  }
  template <typename T>
  bool Add(T&& value) {
    if (++values_ > limits_.max_values) return TooMany();
    Place(Json(std::forward<T>(value)));
    return true;
  }
  bool Open() {
    if (++values_ > limits_.max_values) return TooMany();
    if (stack_.size() >= static_cast<size_t>(std::max(limits_.max_depth, 0))) {
      return Fail(fmt::format("nested deeper than {} levels", limits_.max_depth));
    }
    stack_.emplace_back();
    return true;
  }
  Frame Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    return frame;
  }
  bool TooMany() { return Fail(fmt::format("more than {} values", limits_.max_values)); }

  const JsonLimits& limits_;
  const std::vector<PythonNumber> python_numbers_;
  size_t python_number_ = 0;  // the next of them
  const char* begin_;
  const char** seen_;
  Status status_;
  Json root_;
  std::vector<Frame> stack_;  // outermost first
  size_t values_ = 0;
};

const char* TypeName(const Json& value) { return value.type_name(); }

Status WrongType(const char* key, const char* wanted, const Json& value) {
  return Corrupt("key '{}' must be {}, is {}", key, wanted, TypeName(value));
}

// A number for a message; the library writes null for those that JSON doesn't have.
std::string Shown(const Json& number) {
  const double value = number.get<double>();
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return number.dump();
}

// The member, or null when it is absent or null.
Result<const Json*> FindMember(const Json& object, const char* key) {
  if (!object.is_object()) {
    return Corrupt("key '{}' is wanted of something that is {}, not an object", key,
                   TypeName(object));
  }
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return static_cast<const Json*>(nullptr);
  return &*it;
}

template <typename T>
Result<T> Required(Result<std::optional<T>> found, const char* key) {
  if (!found.ok()) return found.status();
  if (!found->has_value()) return Corrupt("key '{}' is missing", key);
  return std::move(**found);
}

}  // namespace

Result<Json> ParseJson(std::string_view text, const JsonLimits& limits) try {
  if (text.size() > limits.max_bytes) {
    return ResourceExhausted("{} bytes of JSON, more than the limit of {}", text.size(),
                             limits.max_bytes);
  }
  // The library takes a zero byte for the end of the text, and would let anything follow it.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    return Corrupt("byte {}: a zero byte", zero);
  }
  std::string copy;
  std::vector<PythonNumber> python_numbers;
  if (limits.python_numbers &&
      (text.find("NaN") != text.npos || text.find("Infinity") != text.npos)) {
    copy = text;
    python_numbers = ReplacePythonNumbers(&copy);
    text = copy;
  }
  const char* seen = text.data();
  Builder builder(limits, std::move(python_numbers), text.data(), &seen);
  const char* end = text.data() + text.size();
  const bool done =
      Json::sax_parse(CountingIterator(text.data(), &seen), CountingIterator(end, &seen), &builder,
                      Json::input_format_t::json, /*strict=*/true);
  if (!done) return builder.status();
  return builder.Take();
} catch (const std::bad_alloc&) {
  return ResourceExhausted("not enough memory for {} bytes of JSON", text.size());
}

Result<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string text, ReadFileBytes(path, limits.max_bytes));
  KAKEYA_RETURN_IF_ERROR(RefuseLfsPointer(path, text));
  Result<Json> value = ParseJson(text, limits);
  if (!value.ok()) return value.status().WithContext(path);
  return value;
}

Result<std::optional<int64_t>> FindInt(const Json& object, const char* key, int64_t min,
                                       int64_t max) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* value, FindMember(object, key));
  if (value == nullptr) return std::optional<int64_t>();
  if (!value->is_number_integer()) return WrongType(key, "an integer", *value);
  // Read as what it is: the library would wrap -5 asked for as unsigned, and 2^63 as signed.
  const bool huge =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t number = huge ? 0 : value->get<int64_t>();
  if (huge || number < min || number > max) {
    return Corrupt("key '{}' is {}, must lie in [{}, {}]", key, value->dump(), min, max);
  }
  return std::optional<int64_t>(number);
}

Result<std::optional<double>> FindDouble(const Json& object, const char* key, double min,
                                         double max) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* value, FindMember(object, key));
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number()) return WrongType(key, "a number", *value);
  const double number = value->get<double>();
  if (!(number >= min && number <= max)) {
    return Corrupt("key '{}' is {}, must lie in [{}, {}]", key, Shown(*value), min, max);
  }
  return std::optional<double>(number);
}

Result<std::optional<bool>> FindBool(const Json& object, const char* key) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* value, FindMember(object, key));
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return WrongType(key, "true or false", *value);
  return std::optional<bool>(value->get<bool>());
}

Result<std::optional<std::string>> FindString(const Json& object, const char* key) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* value, FindMember(object, key));
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return WrongType(key, "a string", *value);
  return std::optional<std::string>(value->get_ref<const std::string&>());
}

Result<const Json*> FindObject(const Json& object, const char* key) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* value, FindMember(object, key));
  if (value != nullptr && !value->is_object()) return WrongType(key, "an object", *value);
  return value;
}

Result<const Json*> FindArray(const Json& object, const char* key) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* value, FindMember(object, key));
  if (value != nullptr && !value->is_array()) return WrongType(key, "an array", *value);
  return value;
}

Result<int64_t> GetInt(const Json& object, const char* key, int64_t min, int64_t max) {
  return Required(FindInt(object, key, min, max), key);
}

Result<double> GetDouble(const Json& object, const char* key, double min, double max) {
  return Required(FindDouble(object, key, min, max), key);
}

Result<std::string> GetString(const Json& object, const char* key) {
  return Required(FindString(object, key), key);
}

}  // namespace kakeya
