// A tensor that somebody else owns: element type, shape, first byte. Row-major, no strides.
#ifndef KAKEYA_BASE_TENSOR_VIEW_H_
#define KAKEYA_BASE_TENSOR_VIEW_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace kakeya {

// What an element is stored as. Those from kQ8_0 on are GGUF's block formats
// (backend/quant_format.h): elements come in blocks along the innermost dimension and can't be
// addressed one by one.
enum class DType {
  kF32,
  kF16,
  kBF16,
  // GGUF's own spelling. NOLINTBEGIN(readability-identifier-naming)
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kIQ4_NL,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  // NOLINTEND(readability-identifier-naming)
};

// How a type is laid out: `block_bytes` hold `block_elements` consecutive elements of a row.
struct DTypeInfo {
  const char* name;  // for messages
  int block_elements;
  int block_bytes;
};
inline constexpr DTypeInfo kDTypes[] = {
    {"f32", 1, 4},      {"f16", 1, 2},      {"bf16", 1, 2},     {"q8_0", 32, 34},
    {"q4_0", 32, 18},   {"q4_1", 32, 20},   {"q5_0", 32, 22},   {"q5_1", 32, 24},
    {"iq4_nl", 32, 18}, {"q4_k", 256, 144}, {"q5_k", 256, 176}, {"q6_k", 256, 210},
};

constexpr const DTypeInfo& InfoOf(DType type) { return kDTypes[static_cast<int>(type)]; }
// "f32", "q8_0".
constexpr const char* NameOf(DType type) { return InfoOf(type).name; }
constexpr int BlockElements(DType type) { return InfoOf(type).block_elements; }
constexpr int BlockBytes(DType type) { return InfoOf(type).block_bytes; }
constexpr bool IsBlockType(DType type) { return BlockElements(type) > 1; }

// Bytes of one element. REQUIRES: not a block type.
constexpr size_t SizeOf(DType type) {
  assert(!IsBlockType(type));
  return static_cast<size_t>(BlockBytes(type));
}
// Bytes of a row of `cols` elements. REQUIRES: whole blocks.
constexpr size_t RowBytes(DType type, int64_t cols) {
  assert(cols % BlockElements(type) == 0);
  return static_cast<size_t>(cols / BlockElements(type)) * static_cast<size_t>(BlockBytes(type));
}

struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // outermost first; empty for a scalar
  const void* data = nullptr;  // valid as long as its owner (e.g. the mapped file)

  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
  // Of a block type, every row is whole blocks, so that all of them are.
  size_t bytes() const { return RowBytes(dtype, elements()); }
};

// "[256, 64]", for messages.
inline std::string ShapeString(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(shape[i]);
  }
  return out + "]";
}

}  // namespace kakeya

#endif  // KAKEYA_BASE_TENSOR_VIEW_H_
