// GGUF's block formats (ggml-org/ggml, src/ggml-common.h and ggml-quants.c), little-endian. F16 is
// IEEE 754's; q are integers without a sign:
//
//   q8_0 := d:F16 q:i8[32]                              x = d * q
//   q4_0 := d:F16 nibbles:u8[16]                        x = d * (q - 8)
//   q4_1 := d:F16 m:F16 nibbles:u8[16]                  x = d * q + m
//   q5_0 := d:F16 fifth:u32 nibbles:u8[16]              x = d * (q - 16)
//   q5_1 := d:F16 m:F16 fifth:u32 nibbles:u8[16]        x = d * q + m
//   iq4_nl := d:F16 nibbles:u8[16]                      x = d * kIq4Levels[q]
//   q4_k := d:F16 dmin:F16 packed:u8[12] nibbles:u8[128]
//   q5_k := d:F16 dmin:F16 packed:u8[12] fifth:u8[32] nibbles:u8[128]
//                                                       x = (d * scale) * q - dmin * min
//   q6_k := nibbles:u8[128] pairs:u8[64] scale:i8[16] d:F16
//                                                       x = (d * scale) * (q - 32)
//
// q4_0, q4_1, q5_0, q5_1, iq4_nl: element i < 16 is the low half of byte i, element 16 + i the high
//   half. Bit i of fifth is bit 4 of element i.
// q4_k, q5_k: eight sub-blocks of 32, each with a scale and a min of 6 bits. Sub-block 2n has the
//   low halves of the bytes [32 n, 32 n + 32), sub-block 2n + 1 the high ones. In q5_k, bit s of
//   fifth[i] is bit 4 of element i of sub-block s. `packed` holds scale and min of sub-block s:
//     s < 4:  scale = packed[s] & 63,  min = packed[4 + s] & 63
//     s >= 4: scale = packed[4 + s] & 15 | packed[s - 4] >> 6 << 4,
//             min   = packed[4 + s] >> 4 | packed[s] >> 6 << 4
// q6_k: sixteen sub-blocks of 16 with a signed scale of 8 bits. In each half of 128 elements,
//   element 32 g + i has its low four bits in byte 64 half + 32 (g % 2) + i, low half for g < 2 and
//   high half otherwise, and its high two in the bits 2g of pairs[32 half + i].
//
// A scale d or dmin, or a min m, that is no number makes all of its block so: FindNonFinite
// (model/finite.h) looks at these.
#ifndef KAKEYA_BACKEND_QUANT_FORMAT_H_
#define KAKEYA_BACKEND_QUANT_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "base/tensor_view.h"

namespace kakeya {

inline constexpr int kMaxBlockElements = 256;
inline constexpr int kMaxSubBlocks = 16;

// One block of any format, taken apart. Element i of sub-block s is
//   (d * scale[s]) * LevelOf(type, q[i]) - dmin * min[s],
// the last term only where the format has mins. Every product is exact in F32, so the subtraction
// is the only rounding.
struct QuantBlock {
  uint8_t q[kMaxBlockElements];  // q8_0: 128 larger than in the file, bias 128
  int16_t scale[kMaxSubBlocks];  // 1 where the format has none
  uint8_t min[kMaxSubBlocks];    // 0 where the format has none; 1 with a block's own min
  uint16_t d;                    // F16
  uint16_t dmin;                 // F16; 0 where the format has none; -m of q4_1 and q5_1
};

// What iq4_nl's four bits stand for.
inline constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Constants of a format. REQUIRES of each: IsBlockType(type).

// What makes every level a byte without a sign, as the kernels want it.
constexpr int QuantBias(DType type) {
  switch (type) {
    case DType::kQ8_0:
    case DType::kIQ4_NL:
      return 128;
    case DType::kQ4_0:
      return 8;
    case DType::kQ5_0:
      return 16;
    case DType::kQ6_K:
      return 32;
    default:
      return 0;
  }
}
// A block has one min, the F16 after d, and no integer mins.
constexpr bool HasBlockMin(DType type) { return type == DType::kQ4_1 || type == DType::kQ5_1; }
constexpr bool HasMins(DType type) {
  return HasBlockMin(type) || type == DType::kQ4_K || type == DType::kQ5_K;
}
// The integer that the bits of an element stand for.
constexpr int LevelOf(DType type, uint8_t q) {
  return type == DType::kIQ4_NL ? kIq4Levels[q] : q - QuantBias(type);
}
// Elements that share an integer scale; a block of 32 has one sub-block.
constexpr int SubBlockElements(DType type) { return type == DType::kQ6_K ? 16 : 32; }
// Where the F16 scale d stands in a block; dmin, where there is one, follows it.
constexpr int ScaleOffset(DType type) { return type == DType::kQ6_K ? 208 : 0; }

// Takes one block apart: reads BlockBytes(type) bytes, at any alignment.
void DecodeBlock(DType type, const std::byte* block, QuantBlock* out);

// Its elements: writes BlockElements(type) floats.
void Dequantize(DType type, const QuantBlock& block, float* out);

// Both: writes BlockElements(type) floats. The truth about what a quantised weight is.
void DequantizeBlock(DType type, const std::byte* block, float* out);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_QUANT_FORMAT_H_
