#include "backend/kv_page.h"

#include <cmath>
#include <cstring>

#include "backend/numerics.h"

namespace kakeya {
namespace {

float Dequantize(const std::byte* part, int head_dim, int slot, int d, int code) {
  const auto* const scales = reinterpret_cast<const uint16_t*>(part);
  const int64_t at = int64_t{d / kKvGroup} * kChunk + slot;
  const float scale = numerics::FromF16(scales[at]);
  const float bias = numerics::FromF16(scales[int64_t{KvGroups(head_dim)} * kChunk + at]);
  return std::fma(scale, static_cast<float>(code), bias);
}

int CodeAt(const std::byte* codes, int64_t at) { return std::to_integer<int>(codes[at]); }
int HalfAt(const std::byte* codes, int64_t at, bool high) {
  return high ? CodeAt(codes, at) >> 4 : CodeAt(codes, at) & 15;
}

// Copies the first `columns` elements of each of `rows` rows of kChunk.
void CopyColumns(const std::byte* from, size_t rows, size_t element, int columns, std::byte* to) {
  for (size_t row = 0; row < rows; ++row) {
    const size_t at = row * kChunk * element;
    std::memcpy(to + at, from + at, static_cast<size_t>(columns) * element);
  }
}

}  // namespace

const char* NameOf(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kBF16:
      return "bf16";
    case KvType::kAffine8:
      return "affine8";
    case KvType::kAffine4:
      return "affine4";
  }
  return "";
}

std::optional<KvType> KvTypeNamed(std::string_view name) {
  for (const KvType type : kKvTypes) {
    if (name == NameOf(type)) return type;
  }
  return std::nullopt;
}

KvType KvTypeFor(DType weights) {
  switch (weights) {
    case DType::kF32:
      return KvType::kF32;
    case DType::kF16:
      return KvType::kF16;
    default:
      return KvType::kBF16;
  }
}

size_t KeyPartBytes(KvType type, int head_dim) {
  const size_t elements = static_cast<size_t>(head_dim) * kChunk;
  if (!IsAffine(type)) return elements * SizeOf(DTypeOf(type));
  return AffineHeaderBytes(head_dim) + (type == KvType::kAffine8 ? elements : elements / 2);
}

size_t ValuePartBytes(KvType type, int head_dim) {
  if (!IsAffine(type)) return static_cast<size_t>(head_dim) * kChunk * SizeOf(DTypeOf(type));
  return AffineHeaderBytes(head_dim) + AffineValueStride(type, head_dim) * kChunk;
}

float LoadKey(KvType type, const void* head, int head_dim, int slot, int d) {
  const int64_t at = int64_t{d} * kChunk + slot;
  if (!IsAffine(type)) return numerics::Load(DTypeOf(type), head, at);
  const auto* const part = static_cast<const std::byte*>(head);
  const std::byte* const codes = part + AffineHeaderBytes(head_dim);
  const int code = type == KvType::kAffine8
                       ? CodeAt(codes, at)
                       : HalfAt(codes, int64_t{d / 2} * kChunk + slot, d % 2 != 0);
  return Dequantize(part, head_dim, slot, d, code);
}

float LoadValue(KvType type, const void* head, int head_dim, int slot, int d) {
  const std::byte* const part = static_cast<const std::byte*>(head) + KeyPartBytes(type, head_dim);
  if (!IsAffine(type)) return numerics::Load(DTypeOf(type), part, int64_t{slot} * head_dim + d);
  const std::byte* const codes = part + AffineHeaderBytes(head_dim) +
                                 static_cast<size_t>(slot) * AffineValueStride(type, head_dim);
  const int code = type == KvType::kAffine8 ? CodeAt(codes, d)
                                            : HalfAt(codes, d / 32 * 16 + d % 16, d % 32 >= 16);
  return Dequantize(part, head_dim, slot, d, code);
}

void CopySlots(KvType type, int head_dim, const void* from, int slots, void* to) {
  const auto* const k_from = static_cast<const std::byte*>(from);
  auto* const k_to = static_cast<std::byte*>(to);
  const size_t keys = KeyPartBytes(type, head_dim);
  const auto dims = static_cast<size_t>(head_dim);
  const auto count = static_cast<size_t>(slots);
  if (!IsAffine(type)) {
    const size_t element = SizeOf(DTypeOf(type));
    CopyColumns(k_from, dims, element, slots, k_to);
    std::memcpy(k_to + keys, k_from + keys, count * dims * element);
    return;
  }
  const size_t header = AffineHeaderBytes(head_dim);
  const size_t header_rows = header / kChunk / sizeof(uint16_t);
  CopyColumns(k_from, header_rows, sizeof(uint16_t), slots, k_to);
  CopyColumns(k_from + header, type == KvType::kAffine8 ? dims : dims / 2, 1, slots, k_to + header);
  CopyColumns(k_from + keys, header_rows, sizeof(uint16_t), slots, k_to + keys);
  std::memcpy(k_to + keys + header, k_from + keys + header,
              count * AffineValueStride(type, head_dim));
}

}  // namespace kakeya
