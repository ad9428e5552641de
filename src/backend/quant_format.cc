#include "backend/quant_format.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "backend/numerics.h"

namespace kakeya {
namespace {

uint8_t Byte(const std::byte* from, int at) { return static_cast<uint8_t>(from[at]); }

int16_t SignedByte(const std::byte* from, int at) {
  return static_cast<int16_t>((Byte(from, at) ^ 0x80) - 0x80);
}

uint16_t Half(const std::byte* from, int at) {
  uint16_t bits;
  std::memcpy(&bits, from + at, sizeof(bits));
  return bits;
}

void DecodeQ8(const std::byte* block, QuantBlock* out) {
  for (int i = 0; i < 32; ++i) out->q[i] = Byte(block, 2 + i) ^ 0x80u;
}

// The nibbles of the formats with 32 elements.
void DecodeQ4(const std::byte* nibbles, QuantBlock* out) {
  for (int i = 0; i < 16; ++i) {
    out->q[i] = Byte(nibbles, i) & 15u;
    out->q[16 + i] = Byte(nibbles, i) >> 4;
  }
}

// Bit 4 of 32 elements.
void AddFifthBits(const std::byte* fifth, QuantBlock* out) {
  for (int i = 0; i < 32; ++i) {
    const int bit = Byte(fifth, i / 8) >> (i % 8) & 1;
    out->q[i] = static_cast<uint8_t>(out->q[i] | bit << 4);
  }
}

// m of q4_1 and q5_1, which is added: dmin * min is taken away.
void DecodeBlockMin(const std::byte* m, QuantBlock* out) {
  out->min[0] = 1;
  out->dmin = Half(m, 0) ^ 0x8000u;
}

// The twelve bytes of 6-bit scales and mins.
void DecodeScales(const std::byte* packed, QuantBlock* out) {
  for (int s = 0; s < 4; ++s) {
    out->scale[s] = Byte(packed, s) & 63;
    out->min[s] = Byte(packed, 4 + s) & 63;
  }
  for (int s = 4; s < 8; ++s) {
    const int low = Byte(packed, 4 + s);
    out->scale[s] = static_cast<int16_t>((low & 15) | (Byte(packed, s - 4) >> 6 << 4));
    out->min[s] = static_cast<uint8_t>((low >> 4) | (Byte(packed, s) >> 6 << 4));
  }
}

// The nibbles of q4_k and q5_k.
void DecodeNibbles(const std::byte* nibbles, QuantBlock* out) {
  for (int n = 0; n < 4; ++n) {
    for (int i = 0; i < 32; ++i) {
      const uint8_t both = Byte(nibbles, 32 * n + i);
      out->q[64 * n + i] = both & 15u;
      out->q[64 * n + 32 + i] = both >> 4;
    }
  }
}

void DecodeQ41(const std::byte* block, QuantBlock* out) {
  DecodeQ4(block + 4, out);
  DecodeBlockMin(block + 2, out);
}

void DecodeQ50(const std::byte* block, QuantBlock* out) {
  DecodeQ4(block + 6, out);
  AddFifthBits(block + 2, out);
}

void DecodeQ51(const std::byte* block, QuantBlock* out) {
  DecodeQ4(block + 8, out);
  AddFifthBits(block + 4, out);
  DecodeBlockMin(block + 2, out);
}

void DecodeQ4K(const std::byte* block, QuantBlock* out) {
  DecodeScales(block + 4, out);
  DecodeNibbles(block + 16, out);
}

void DecodeQ5K(const std::byte* block, QuantBlock* out) {
  DecodeScales(block + 4, out);
  DecodeNibbles(block + 48, out);
  for (int s = 0; s < 8; ++s) {
    for (int i = 0; i < 32; ++i) {
      const int fifth = (Byte(block, 16 + i) >> s) & 1;
      out->q[32 * s + i] = static_cast<uint8_t>(out->q[32 * s + i] | fifth << 4);
    }
  }
}

void DecodeQ6K(const std::byte* block, QuantBlock* out) {
  for (int half = 0; half < 2; ++half) {
    for (int g = 0; g < 4; ++g) {
      for (int i = 0; i < 32; ++i) {
        const uint8_t both = Byte(block, 64 * half + 32 * (g % 2) + i);
        const int low = g < 2 ? both & 15 : both >> 4;
        const int high = (Byte(block, 128 + 32 * half + i) >> (2 * g)) & 3;
        out->q[128 * half + 32 * g + i] = static_cast<uint8_t>(low | high << 4);
      }
    }
  }
  for (int s = 0; s < 16; ++s) out->scale[s] = SignedByte(block, 192 + s);
}

}  // namespace

void DecodeBlock(DType type, const std::byte* block, QuantBlock* out) {
  assert(IsBlockType(type));
  std::fill_n(out->scale, kMaxSubBlocks, int16_t{1});
  std::fill_n(out->min, kMaxSubBlocks, uint8_t{0});
  out->d = Half(block, ScaleOffset(type));
  out->dmin = HasMins(type) ? Half(block, ScaleOffset(type) + 2) : uint16_t{0};
  switch (type) {
    case DType::kQ8_0:
      return DecodeQ8(block, out);
    case DType::kQ4_0:
    case DType::kIQ4_NL:
      return DecodeQ4(block + 2, out);
    case DType::kQ4_1:
      return DecodeQ41(block, out);
    case DType::kQ5_0:
      return DecodeQ50(block, out);
    case DType::kQ5_1:
      return DecodeQ51(block, out);
    case DType::kQ4_K:
      return DecodeQ4K(block, out);
    case DType::kQ5_K:
      return DecodeQ5K(block, out);
    case DType::kQ6_K:
      return DecodeQ6K(block, out);
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;
  }
}

void Dequantize(DType type, const QuantBlock& block, float* out) {
  const float d = numerics::FromF16(block.d);
  const float dmin = numerics::FromF16(block.dmin);
  for (int i = 0; i < BlockElements(type); ++i) {
    const int s = i / SubBlockElements(type);
    out[i] = d * static_cast<float>(block.scale[s]) * static_cast<float>(LevelOf(type, block.q[i]));
    if (HasMins(type)) out[i] -= dmin * static_cast<float>(block.min[s]);
  }
}

void DequantizeBlock(DType type, const std::byte* block, float* out) {
  QuantBlock parts;
  DecodeBlock(type, block, &parts);
  Dequantize(type, parts, out);
}

}  // namespace kakeya
