// Writes GGUF files, version 3, whole or not at all. The layout stands above its reader
// (format/gguf.h); of what that allows, this writes:
//
//   file   := "GGUF" 3:u32 tensors:u64 pairs:u64 pair* tensor* pad(data*)
//   pair   := key:string value            in the order in which the keys were first set
//   value  := type:u32 body               or the bytes of another file's value, as they are
//   tensor := name:string dimensions:u32 n:u64* type:u32 offset:u64    n[0] innermost
//   data   := pad(byte*)                  in the order of the tensors; zeros fill up to a multiple
//                                         of the alignment, behind the last tensor too
//
// Thread safety: none.
#ifndef KAKEYA_FORMAT_GGUF_WRITER_H_
#define KAKEYA_FORMAT_GGUF_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "format/gguf.h"
#include "format/write_file.h"

namespace kakeya {

// Keys and values, encoded. Setting a key again replaces its value in place.
class GgufMetadata {
 public:
  void SetU32(std::string_view key, uint32_t value);
  void SetF32(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStrings(std::string_view key, std::span<const std::string> values);
  void SetI32s(std::string_view key, std::span<const int32_t> values);
  // A value as another file has it (GgufHeader::value_extents).
  void SetRaw(std::string_view key, std::string_view value);

  const std::vector<std::pair<std::string, std::string>>& pairs() const { return pairs_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;  // key, encoded value
};

struct GgufTensorSpec {
  std::string name;
  const GgufTensorType* type = nullptr;
  std::vector<int64_t> shape;  // outermost first; the innermost holds whole blocks

  uint64_t elements() const;
  uint64_t bytes() const;
};

class GgufWriter {
 public:
  // Writes all that comes before the data to a temporary file beside `path`. `metadata` says
  // general.alignment if `alignment` isn't the default one. Errors: those of AtomicFile. REQUIRES:
  // the names differ; sizes fit 63 bits.
  static Result<GgufWriter> Create(const std::string& path, const GgufMetadata& metadata,
                                   std::vector<GgufTensorSpec> tensors, uint64_t alignment);

  // The next bytes of the tensors' data, one tensor after the other; padding is put in between.
  // REQUIRES: they belong to one tensor.
  Status Write(std::span<const std::byte> bytes);
  // Gives the file its name. REQUIRES: every tensor has been written whole.
  Status Commit();

  const std::vector<GgufTensorSpec>& tensors() const { return tensors_; }
  // Of the file so far.
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  GgufWriter(AtomicFile file, std::vector<GgufTensorSpec> tensors, uint64_t alignment)
      : file_(std::move(file)), tensors_(std::move(tensors)), alignment_(alignment) {}
  Status Append(std::span<const std::byte> bytes);
  Status Pad();

  AtomicFile file_;
  std::vector<GgufTensorSpec> tensors_;
  uint64_t alignment_;
  uint64_t bytes_written_ = 0;
  size_t tensor_ = 0;       // the one that the next bytes belong to
  uint64_t in_tensor_ = 0;  // bytes of it written
};

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_GGUF_WRITER_H_
