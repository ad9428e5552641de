// A tensor that somebody else owns: element type, shape, first byte. Row-major, no strides.
#ifndef KAKEYA_BASE_TENSOR_VIEW_H_
#define KAKEYA_BASE_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace kakeya {

enum class DType { kF32, kF16, kBF16 };

// Bytes of one element.
inline size_t SizeOf(DType type) { return type == DType::kF32 ? 4 : 2; }
// "f32", "f16", "bf16".
inline const char* NameOf(DType type) {
  return type == DType::kF32 ? "f32" : type == DType::kF16 ? "f16" : "bf16";
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
  size_t bytes() const { return static_cast<size_t>(elements()) * SizeOf(dtype); }
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
