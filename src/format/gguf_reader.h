// What the parser of a GGUF header and the readers of its arrays share.
#ifndef KAKEYA_FORMAT_GGUF_READER_H_
#define KAKEYA_FORMAT_GGUF_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/status.h"

namespace kakeya::gguf {

// Types of metadata values, with the file's numbers.
enum ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Reads the header from front to back; nothing is looked at before it is known to be there.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, uint64_t at) : bytes_(bytes), at_(at) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }

  template <typename T>
  Result<T> Number(const char* what) {
    KAKEYA_RETURN_IF_ERROR(Need(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));  // the file promises no alignment
    at_ += sizeof(T);
    return value;
  }

  Result<std::string_view> String(const char* what, uint64_t max_bytes) {
    const uint64_t begin = at_;
    KAKEYA_ASSIGN_OR_RETURN(const uint64_t length, Number<uint64_t>(what));
    if (length > max_bytes) {
      return Corrupt("{} at offset {} is {} bytes long, more than {}", what, begin, length,
                     max_bytes);
    }
    KAKEYA_RETURN_IF_ERROR(Need(length, what));
    const std::string_view out(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return out;
  }

  Status Skip(uint64_t length, const char* what) {
    KAKEYA_RETURN_IF_ERROR(Need(length, what));
    at_ += length;
    return OkStatus();
  }

 private:
  Status Need(uint64_t length, const char* what) const {
    if (length <= left()) return OkStatus();
    return Corrupt("{} at offset {} takes {} bytes, but the file ends at {}", what, at_, length,
                   bytes_.size());
  }

  std::span<const std::byte> bytes_;
  uint64_t at_;
};

}  // namespace kakeya::gguf

#endif  // KAKEYA_FORMAT_GGUF_READER_H_
