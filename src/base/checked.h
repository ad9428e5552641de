// Arithmetic on sizes and offsets that come from files: a wrap is an error, never a small number.
#ifndef KAKEYA_BASE_CHECKED_H_
#define KAKEYA_BASE_CHECKED_H_

#include <cstdint>
#include <optional>

namespace kakeya {

// a * b, or nothing when the product doesn't fit.
inline std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b) {
  uint64_t out;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// a + b, or nothing when the sum doesn't fit.
inline std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t out;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

}  // namespace kakeya

#endif  // KAKEYA_BASE_CHECKED_H_
