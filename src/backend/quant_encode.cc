#include "backend/quant_encode.h"

#include <cassert>
#include <cmath>
#include <cstring>

#include "backend/numerics.h"
#include "backend/quant_format.h"

namespace kakeya {
namespace {

constexpr int kBlock = 32;  // elements, of both formats

// Index of the first element of largest magnitude; of the first NaN or infinity, if there is one.
int LargestOf(const float* x) {
  int largest = 0;
  for (int i = 0; i < kBlock; ++i) {
    if (!std::isfinite(x[i])) return i;
    if (std::fabs(x[i]) > std::fabs(x[largest])) largest = i;
  }
  return largest;
}

// 1 / d. Where that is no finite number, d becomes 0 in F16 and every element with it.
float InverseOf(float d) {
  const float inverse = 1.0f / d;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

// Stores the scale; false if F16 can't hold it.
bool StoreScale(float d, std::byte* block) {
  const uint16_t bits = numerics::ToF16(d);
  std::memcpy(block, &bits, sizeof(bits));
  return (bits & 0x7c00u) != 0x7c00u;
}

void EncodeQ8(const float* x, float d, std::byte* q) {
  const float inverse = InverseOf(d);
  for (int i = 0; i < kBlock; ++i) {
    q[i] = static_cast<std::byte>(static_cast<int8_t>(std::round(x[i] * inverse)));
  }
}

void EncodeQ4(const float* x, float d, std::byte* nibbles) {
  const float inverse = InverseOf(d);
  const auto quantize = [&](float value) {
    const int q = static_cast<int>(value * inverse + 8.5f);  // in [0, 16]; rounded twice
    return static_cast<uint8_t>(q < 15 ? q : 15);
  };
  for (int i = 0; i < kBlock / 2; ++i) {
    nibbles[i] = static_cast<std::byte>(quantize(x[i]) | quantize(x[kBlock / 2 + i]) << 4);
  }
}

int64_t EncodeBlocks(DType type, const float* x, int64_t cols, std::byte* out) {
  for (int64_t first = 0; first < cols; first += kBlock, out += BlockBytes(type)) {
    const float* block = x + first;
    const int largest = LargestOf(block);
    const float d = type == DType::kQ8_0 ? std::fabs(block[largest]) / 127.0f
                                         // ggml looks for what is larger than 0: of none, m is +0
                                         : (block[largest] == 0 ? 0.0f : block[largest]) / -8.0f;
    if (!std::isfinite(d) || !StoreScale(d, out)) return first + largest;
    if (type == DType::kQ8_0) {
      EncodeQ8(block, d, out + sizeof(uint16_t));
    } else {
      EncodeQ4(block, d, out + sizeof(uint16_t));
    }
  }
  return -1;
}

}  // namespace

int64_t EncodeRow(DType type, const float* x, int64_t cols, std::byte* out) {
  assert(CanEncode(type) && cols % BlockElements(type) == 0);
  if (IsBlockType(type)) return EncodeBlocks(type, x, cols, out);
  const size_t size = SizeOf(type);
  for (int64_t i = 0; i < cols; ++i) {
    alignas(float) std::byte element[sizeof(float)];
    numerics::Store(type, element, 0, x[i]);
    if (!std::isfinite(numerics::Load(type, element, 0))) return i;
    std::memcpy(out + static_cast<size_t>(i) * size, element, size);
  }
  return -1;
}

void DecodeRow(DType type, const std::byte* row, int64_t cols, float* out) {
  assert(cols % BlockElements(type) == 0);
  const auto bytes = static_cast<size_t>(BlockBytes(type));
  for (int64_t i = 0; i < cols; i += BlockElements(type), row += bytes) {
    if (IsBlockType(type)) {
      DequantizeBlock(type, row, out + i);
    } else {
      alignas(float) std::byte element[sizeof(float)];  // a file promises no alignment
      std::memcpy(element, row, bytes);
      out[i] = numerics::Load(type, element, 0);
    }
  }
}

}  // namespace kakeya
