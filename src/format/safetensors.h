// The safetensors file format (huggingface/safetensors):
//
//   file   := length header data
//   length := u64, little-endian: bytes of the header, at most 100,000,000
//   header := JSON object in UTF-8, first byte '{', padded with spaces:
//             { "__metadata__": {string: string, ...},                       optional
//               NAME: {"dtype": TYPE, "shape": [n, ...], "data_offsets": [begin, end]}, ... }
//   data   := the tensors' bytes, row-major, little-endian; offsets count from the first data byte,
//             start at 0, leave no hole, don't overlap, and end with the file.
//
// Thread safety: all const members may be called from any thread.
#ifndef KAKEYA_FORMAT_SAFETENSORS_H_
#define KAKEYA_FORMAT_SAFETENSORS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/tensor_view.h"
#include "format/mapped_file.h"

namespace kakeya {

struct SafetensorsEntry {
  std::string name;
  std::string type;            // as the file spells it: "BF16", "F8_E4M3", ...
  std::optional<DType> dtype;  // nothing for types that this engine doesn't compute with
  std::vector<int64_t> shape;  // elements() of it fits an int64_t, as do its bytes
  uint64_t begin = 0;          // first byte, counted from the start of the file
  uint64_t end = 0;            // one past the last
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;                      // in the order of their data
  std::vector<std::pair<std::string, std::string>> metadata;  // in the order of the text
};

// Checks the start of a file of `file_size` bytes. `bytes` holds at least the length and the
// header, or the whole file where it is shorter. Allocates in proportion to the header. Errors:
// Corrupt, one line with the tensor's name and the offset.
Result<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> bytes,
                                                 uint64_t file_size);

class SafetensorsFile {
 public:
  // Maps the file and checks its header; tensors are not read. Errors name the file: those of
  // MappedFile::Open and ParseSafetensorsHeader.
  static Result<SafetensorsFile> Open(const std::string& path);

  const MappedFile& file() const { return file_; }
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  const std::vector<std::pair<std::string, std::string>>& metadata() const {
    return header_.metadata;
  }
  // nullptr when there is no such tensor.
  const SafetensorsEntry* Find(std::string_view name) const;
  // The tensor's mapped bytes, valid as long as this object; not necessarily aligned. Errors:
  // Unsupported, for an element type that this engine doesn't compute with. REQUIRES: entry is one
  // of entries().
  Result<TensorView> View(const SafetensorsEntry& entry) const;
  // The tensor has been read and won't be again: its pages may leave memory.
  void GiveBack(const SafetensorsEntry& entry) const {
    file_.DontNeed(entry.begin, entry.end - entry.begin);
  }

 private:
  SafetensorsFile(MappedFile file, SafetensorsHeader header);

  MappedFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, size_t> index_;  // into header_.entries
};

// What comes before the tensors' bytes in a file that holds them in this order: length and header.
// Their data is not looked at, so it may not exist yet. REQUIRES: names are distinct, valid UTF-8
// and not "__metadata__".
std::string SafetensorsPreamble(std::span<const std::pair<std::string, TensorView>> tensors);

// Writes the tensors in the order given. The file appears whole or not at all (AtomicFile, whose
// errors these are). REQUIRES: as above.
Status WriteSafetensors(const std::string& path,
                        std::span<const std::pair<std::string, TensorView>> tensors);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_SAFETENSORS_H_
