// The GGUF file format, versions 2 and 3 (ggml-org/ggml, docs/gguf.md), little-endian:
//
//   file   := "GGUF" version:u32 tensors:u64 pairs:u64 pair* tensor* padding data
//   pair   := key:string type:u32 value                   type 8 is a string, 9 an array:
//   array  := type:u32 count:u64 value*                   of one type, not of arrays
//   string := length:u64 byte*
//   tensor := name:string dimensions:u32 n:u64* type:u32 offset:u64
//   data   := the tensors' bytes; offsets count from its start, a multiple of general.alignment
//             (32 where the file doesn't say).
// n[0] is the innermost dimension, the reverse of our shapes. Elements of quantised types come in
// blocks along it.
//
// Thread safety: all const members may be called from any thread.
#ifndef KAKEYA_FORMAT_GGUF_H_
#define KAKEYA_FORMAT_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "format/mapped_file.h"

namespace kakeya {

// How ggml stores the elements of a tensor; the numbers are the file's.
struct GgufTensorType {
  uint32_t id;
  std::string_view name;    // "Q8_0", as ggml spells it
  uint32_t block_elements;  // consecutive elements along the innermost dimension
  uint32_t block_bytes;     // that they take together
};

// The type with this name; REQUIRES: there is one.
const GgufTensorType& GgufTypeNamed(std::string_view name);

// Where a file doesn't say, each tensor begins at a multiple of so many bytes.
inline constexpr uint32_t kGgufDefaultAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";

struct GgufTensor {
  std::string name;
  const GgufTensorType* type = nullptr;
  std::vector<int64_t> shape;  // outermost first; at least one dimension, each at least 1
  uint64_t begin = 0;          // first byte, counted from the start of the file
  uint64_t end = 0;            // one past the last
  size_t part = 0;             // of a model in several files: which holds it
};

// An array stays in the file; its extent has been checked.
struct GgufArray {
  uint32_t element_type = 0;  // the file's number
  uint64_t count = 0;
  uint64_t begin = 0;  // first byte of the first element, counted from the start of the file
  uint64_t end = 0;    // one past the last

  bool operator==(const GgufArray&) const = default;
};

// A metadata value. Integers keep their sign; F32 is widened, exactly.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, GgufArray>;

struct GgufHeader {
  uint32_t version = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata;  // in the file's order
  // Where the value of each key lies in the file, from its type on: [first, second).
  std::vector<std::pair<uint64_t, uint64_t>> value_extents;
  std::vector<GgufTensor> tensors;  // in the order of their data
};

// Checks the start of a file of `file_size` bytes. `bytes` holds at least all that comes before the
// data, or the whole file where it is shorter. Allocates in proportion to `bytes`. Errors: Corrupt,
// one line with the key or the tensor's name and the offset; Unsupported for another version or
// byte order.
Result<GgufHeader> ParseGgufHeader(std::span<const std::byte> bytes, uint64_t file_size);

// A model in one file, or in several (format/gguf_split.h).
class GgufFile {
 public:
  // Maps the file and checks its header; tensors are not read. Where it is a part of a model, the
  // others are opened as well, whichever was named. Errors name the file: those of
  // MappedFile::Open and ParseGgufHeader; NotFound (a part is missing), Corrupt (a part of another
  // model, a tensor in two parts or in none), Unsupported (a part whose name doesn't say where the
  // others are); a Git LFS pointer.
  static Result<GgufFile> Open(const std::string& path);

  // The file with the metadata: the only one, or the first part.
  const MappedFile& file() const { return parts_[0]; }
  // All of them.
  const std::vector<MappedFile>& parts() const { return parts_; }
  const MappedFile& FileOf(const GgufTensor& tensor) const { return parts_[tensor.part]; }
  // The first error of the files' CheckIntact.
  Status CheckIntact() const;
  const GgufHeader& header() const { return header_; }
  // nullptr when there is no such tensor.
  const GgufTensor* Find(std::string_view name) const;
  // The tensor's mapped bytes, valid as long as this object; aligned to general.alignment only.
  std::span<const std::byte> Data(const GgufTensor& tensor) const {
    return FileOf(tensor).bytes().subspan(tensor.begin, tensor.end - tensor.begin);
  }

  // nullptr when there is no such key.
  const GgufValue* Metadata(std::string_view key) const;
  // Nothing where the key is missing. Errors, naming file and key: Corrupt when the value has
  // another type, is negative (GetUnsigned) or isn't UTF-8 (GetString, GetStrings).
  Result<std::optional<uint64_t>> GetUnsigned(std::string_view key) const;
  Result<std::optional<double>> GetNumber(std::string_view key) const;
  Result<std::optional<bool>> GetBool(std::string_view key) const;
  Result<std::optional<std::string>> GetString(std::string_view key) const;
  Result<std::optional<std::vector<std::string>>> GetStrings(std::string_view key) const;
  // Of any integer type. Corrupt when an element is above INT64_MAX.
  Result<std::optional<std::vector<int64_t>>> GetIntegers(std::string_view key) const;
  Result<std::optional<std::vector<float>>> GetFloats(std::string_view key) const;  // F32 only

 private:
  GgufFile(std::vector<MappedFile> parts, GgufHeader header);
  static Result<GgufFile> OpenParts(const std::string& path, uint64_t count);
  Result<const GgufArray*> GetArray(std::string_view key) const;
  Status WrongElements(std::string_view key, const GgufArray& array, const char* wanted) const;

  std::vector<MappedFile> parts_;                          // at least one
  GgufHeader header_;                                      // of the first, with the tensors of all
  std::unordered_map<std::string_view, size_t> tensors_;   // into header_.tensors
  std::unordered_map<std::string_view, size_t> metadata_;  // into header_.metadata
};

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_GGUF_H_
