#include "backend/quant_encode.h"

#include <cassert>
#include <cmath>
#include <cstring>

#include "backend/numerics.h"
#include "backend/quant_format.h"

namespace kakeya {
namespace {

constexpr int kBlock = 32;  // elements, of all these formats

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

// Stores a scale or a min; false if F16 can't hold it.
bool StoreHalf(float value, std::byte* out) {
  const uint16_t bits = numerics::ToF16(value);
  std::memcpy(out, &bits, sizeof(bits));
  return (bits & 0x7c00u) != 0x7c00u;
}

bool EncodeQ8(const float* x, float largest, std::byte* block) {
  const float d = std::fabs(largest) / 127.0f;
  if (!StoreHalf(d, block)) return false;
  const float inverse = InverseOf(d);
  for (int i = 0; i < kBlock; ++i) {
    block[2 + i] = static_cast<std::byte>(static_cast<int8_t>(std::round(x[i] * inverse)));
  }
  return true;
}

// How a format of four or five bits counts: q = min(most, floor((x - base) / d + rounding)).
struct Steps {
  float d = 0;
  float base = 0;
  float rounding = 0;
  int most = 0;
};

Steps StepsOf(DType type, const float* x, float largest) {
  const int most = type == DType::kQ4_0 || type == DType::kQ4_1 ? 15 : 31;
  if (HasBlockMin(type)) {
    float low = x[0];
    float high = x[0];
    for (int i = 1; i < kBlock; ++i) {
      if (x[i] < low) low = x[i];
      if (x[i] > high) high = x[i];
    }
    return {(high - low) / static_cast<float>(most), low, 0.5f, most};
  }
  const float half = static_cast<float>(most + 1) / 2;
  // ggml looks for what is larger than 0: of none, m is +0
  return {(largest == 0 ? 0.0f : largest) / -half, 0, half + 0.5f, most};
}

bool EncodeLow(DType type, const float* x, float largest, std::byte* block) {
  const Steps steps = StepsOf(type, x, largest);
  if (!StoreHalf(steps.d, block)) return false;
  block += sizeof(uint16_t);
  if (HasBlockMin(type)) {
    if (!StoreHalf(steps.base, block)) return false;
    block += sizeof(uint16_t);
  }
  const float inverse = InverseOf(steps.d);
  uint8_t q[kBlock];
  uint32_t fifth = 0;
  for (int i = 0; i < kBlock; ++i) {
    // In [0, most + 1]; rounded at each step.
    const int steps_up = static_cast<int>((x[i] - steps.base) * inverse + steps.rounding);
    q[i] = static_cast<uint8_t>(steps_up < steps.most ? steps_up : steps.most);
    fifth |= static_cast<uint32_t>(q[i] >> 4) << i;
  }
  if (steps.most > 15) {
    std::memcpy(block, &fifth, sizeof(fifth));
    block += sizeof(fifth);
  }
  for (int i = 0; i < kBlock / 2; ++i) {
    block[i] = static_cast<std::byte>((q[i] & 15) | (q[kBlock / 2 + i] & 15) << 4);
  }
  return true;
}

int64_t EncodeBlocks(DType type, const float* x, int64_t cols, std::byte* out) {
  for (int64_t first = 0; first < cols; first += kBlock, out += BlockBytes(type)) {
    const float* block = x + first;
    const int largest = LargestOf(block);
    const float value = block[largest];
    const bool stored =
        std::isfinite(value) &&
        (type == DType::kQ8_0 ? EncodeQ8(block, value, out) : EncodeLow(type, block, value, out));
    if (!stored) return first + largest;
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
