// The one checked JSON reader. Everything that comes from outside as JSON (configs, tokenizers,
// headers, requests) is parsed here and read through these accessors, so that each of the library's
// soft spots is covered once:
//   * depth is capped before the recursive value is built (deep nesting would overflow the stack),
//   * duplicate keys are an error (the library lets the last one win),
//   * invalid UTF-8 and trailing bytes are errors,
//   * integers are range-checked on reading (the library wraps -5 read as unsigned).
#ifndef KAKEYA_FORMAT_JSON_H_
#define KAKEYA_FORMAT_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kakeya {

// Objects keep their keys in the order of the text (chat templates and tool schemas print them
// back).
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;   // a larger text is refused unread
  int max_depth = 64;                    // nested arrays and objects
  size_t max_values = size_t{16} << 20;  // a two-byte value costs 16 bytes of memory
  // NaN, Infinity and -Infinity are numbers, as in what Python writes. Whoever reads such a number
  // through the accessors below is told that it is out of range.
  bool python_numbers = false;
};

// Parses exactly one JSON value, in time linear in the text. Errors: Corrupt, one line with the
// byte offset; ResourceExhausted above max_bytes.
//
// An object is a vector of (key, value) in the order of the text: find() and operator[] search all
// of it. Iterate over large objects (vocabularies), never look them up key by key.
Result<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Reads a regular file and parses it. Errors name the file; a directory, FIFO or device is
// one, and so is a Git LFS pointer.
Result<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits = {});

// Typed access to the members of an object. The Get* calls want the key; the Find* calls give
// nothing when the key is absent or null. A wrong type or a value out of [min, max] is an error
// that names the key. Integers are numbers without fraction and exponent: 3.0 is refused.
Result<int64_t> GetInt(const Json& object, const char* key, int64_t min, int64_t max);
Result<double> GetDouble(const Json& object, const char* key, double min, double max);
Result<std::string> GetString(const Json& object, const char* key);
Result<std::optional<int64_t>> FindInt(const Json& object, const char* key, int64_t min,
                                       int64_t max);
Result<std::optional<double>> FindDouble(const Json& object, const char* key, double min,
                                         double max);
Result<std::optional<bool>> FindBool(const Json& object, const char* key);
Result<std::optional<std::string>> FindString(const Json& object, const char* key);
// nullptr when absent or null; an error when the member is there but not an object / array.
Result<const Json*> FindObject(const Json& object, const char* key);
Result<const Json*> FindArray(const Json& object, const char* key);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_JSON_H_
