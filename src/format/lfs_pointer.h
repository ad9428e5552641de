// Git LFS pointers: a repository that was cloned without its large files holds a few lines of text
// in place of each,
//
//   pointer := "version https://git-lfs.github.com/spec/v1\n" "oid sha256:" digits "\n"
//              "size " digits "\n"
#ifndef KAKEYA_FORMAT_LFS_POINTER_H_
#define KAKEYA_FORMAT_LFS_POINTER_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace kakeya {

// Corrupt, naming the file and the size of what it stands for, when the file begins as a pointer.
// `bytes`: the whole file, or its start.
Status RefuseLfsPointer(const std::string& path, std::string_view bytes);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_LFS_POINTER_H_
