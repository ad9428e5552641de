// The bytes of a saved session on their way to and from its file (docs/session_file.md): what a
// cache, a restorer and the file itself hand each other. Numbers are little-endian.
//
// Thread safety: none.
#ifndef KAKEYA_CACHE_SAVED_STATE_H_
#define KAKEYA_CACHE_SAVED_STATE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/checked.h"
#include "base/status.h"

namespace kakeya {

static_assert(std::endian::native == std::endian::little, "files hold numbers as memory does");

class StateSink {
 public:
  virtual ~StateSink() = default;
  // Appends. Errors: whatever keeps the bytes from being written.
  virtual Status Write(std::span<const std::byte> bytes) = 0;

  template <typename T>
  Status WriteNumber(T value) {
    static_assert(std::is_arithmetic_v<T>);
    return Write(std::as_bytes(std::span(&value, 1)));
  }
};

// Reads from memory; nothing in it is trusted.
class StateSource {
 public:
  // The bytes outlive the source.
  explicit StateSource(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t remaining() const { return bytes_.size(); }
  // Errors: Corrupt when fewer than count * bytes_each bytes are left. To be asked before memory is
  // allocated for them.
  Status Require(uint64_t count, uint64_t bytes_each) const {
    const auto bytes = CheckedMul(count, bytes_each);
    if (bytes && *bytes <= remaining()) return OkStatus();
    return Corrupt("{} times {} bytes are announced, but {} are left", count, bytes_each,
                   remaining());
  }
  // The next n bytes, not aligned. Errors: Corrupt when there are fewer.
  Result<std::span<const std::byte>> Take(uint64_t n) {
    KAKEYA_RETURN_IF_ERROR(Require(n, 1));
    const auto out = bytes_.first(static_cast<size_t>(n));
    bytes_ = bytes_.subspan(static_cast<size_t>(n));
    return out;
  }
  // The next out.size() bytes. Errors: as Take.
  Status Read(std::span<std::byte> out) {
    KAKEYA_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, Take(out.size()));
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return OkStatus();
  }
  template <typename T>
  Result<T> ReadNumber() {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    KAKEYA_RETURN_IF_ERROR(Read(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_SAVED_STATE_H_
