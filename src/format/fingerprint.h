// What tells one model's weights from another's: a hash of all tensors, by name.
#ifndef KAKEYA_FORMAT_FINGERPRINT_H_
#define KAKEYA_FORMAT_FINGERPRINT_H_

#include <string>
#include <string_view>

#include "base/status.h"
#include "format/checkpoint.h"

namespace kakeya {

// XXH3-128 with seed 0, as 32 lower-case hexadecimal digits, high half first, of
//   checkpoint := tensor ...            in ascending order of names, byte by byte
//   tensor     := name '\0' type '\0' dimension ... data
//   type       := as the file spells it: "BF16"
//   dimension  := u64, little-endian
// How the tensors are spread over files doesn't show. A GGUF file's tensors count under the names,
// types and shapes (outermost dimension first) that it gives them, so a converted model has another
// fingerprint than its source. Reads all of them once. Errors: Corrupt when
// a file changed meanwhile.
Result<std::string> Fingerprint(const Checkpoint& checkpoint);

// The same hash of a text alone.
std::string FingerprintOfText(std::string_view text);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_FINGERPRINT_H_
