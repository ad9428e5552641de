#include "format/lfs_pointer.h"

namespace kakeya {
namespace {

constexpr size_t kMaxPointerBytes = 1024;  // the specification's limit

}  // namespace

Status RefuseLfsPointer(const std::string& path, std::string_view bytes) {
  if (!bytes.starts_with("version https://git-lfs")) return OkStatus();
  const std::string_view text = bytes.substr(0, kMaxPointerBytes);
  std::string_view size;
  constexpr std::string_view kSize = "\nsize ";
  if (const size_t at = text.find(kSize); at != text.npos) {
    size = text.substr(at + kSize.size());
    size = size.substr(0, size.find_first_not_of("0123456789"));
  }
  return Corrupt(
      "{}: is a Git LFS pointer, not the file{} that it stands for: 'git lfs pull' brings that",
      path, size.empty() ? "" : fmt::format(" of {} bytes", size));
}

}  // namespace kakeya
