// Models in several GGUF files, as llama.cpp's gguf-split writes them:
//
//   PREFIX-00001-of-00003.gguf     all metadata, and the first tensors (or none)
//   PREFIX-00002-of-00003.gguf     the next tensors, and of the metadata the split's own keys
//
// Each says which it is in split.no (counted from 0), split.count and split.tensors.count (of all
// parts together).
#ifndef KAKEYA_FORMAT_GGUF_SPLIT_H_
#define KAKEYA_FORMAT_GGUF_SPLIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/gguf.h"

namespace kakeya {

struct GgufSplitName {
  std::string prefix;  // with the folder
  uint64_t part = 0;   // from 1
  uint64_t count = 0;

  // The path of a part of the same model.
  std::string Path(uint64_t other_part) const;
};

// Nothing where a path isn't that of a part.
std::optional<GgufSplitName> ParseGgufSplitName(const std::string& path);

// How many files the model of this header is in: split.count, 1 where the key is missing. Errors:
// Corrupt, without the file's name.
Result<uint64_t> GgufPartCount(const GgufHeader& header);

// Checks headers of all parts, in order, against each other, and puts their tensors together:
// the result is the first part's header with the tensors of all, each with its part. `paths` are
// for messages. Errors, naming file, key or tensor: Corrupt.
Result<GgufHeader> JoinGgufParts(const std::vector<std::string>& paths,
                                 std::vector<GgufHeader> headers);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_GGUF_SPLIT_H_
