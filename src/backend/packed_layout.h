// How a PackedMatrix of a block format lies in memory. A tile is one block of columns (32 or 256)
// of kPackWidth rows, "lanes"; the tiles of a group of rows follow each other by column, then come
// those of the next kPackWidth rows. In a tile, all in bytes:
//
//   scales   (sub-blocks, kPackWidth), a byte each; q6_k's are signed and per 16 columns.
//   mins     (sub-blocks / 2, kPackWidth, 2), a byte each; the k-quants' only.
//   d        (kPackWidth) F16
//   dmin     (kPackWidth) F16; q4_1's and q5_1's is -m.
//   quants   kPackWidth lanes times four columns fill a vector of 64 bytes: lane l's four lie at
//            4 l. Columns go by sub-blocks of 32, each of eight such quads.
//              q8_0: a vector per quad.
//              others: a vector per two quads: the low halves of its bytes are quad j, the high
//              ones quad j + 4 of the sub-block.
//            Higher bits precede the sub-blocks they belong to, a vector per quad j:
//              q5_k: bit s of a byte is bit 4 of sub-block s.
//              q5_0, q5_1: one vector; bit j of a byte is bit 4 of quad j.
//              q6_k: once per four sub-blocks: the bits 2 s and 2 s + 1 are bits 4 and 5 of
//              sub-block s of these four.
//
// A vector load then brings four columns of sixteen outputs, in the order that byte products want,
// and a tile is read from one end to the other. Lanes beyond the last row are zero with scale zero.
// The size is that of the file, but for scales of 6 bits kept in bytes (q4_k + 2.8 %, q5_k + 2.3
// %).
#ifndef KAKEYA_BACKEND_PACKED_LAYOUT_H_
#define KAKEYA_BACKEND_PACKED_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "backend/packed_matrix.h"
#include "backend/quant_format.h"
#include "base/tensor_view.h"

namespace kakeya {

// Bytes of a vector of quants: four columns of every lane.
inline constexpr int kQuadBytes = 4 * kPackWidth;
// Columns that go by together in every format.
inline constexpr int kSubColumns = 32;

// Bits of a weight beside its low four (q8_0: eight).
constexpr int HighBits(DType type) {
  switch (type) {
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
      return 1;
    case DType::kQ6_K:
      return 2;
    default:
      return 0;
  }
}

// Offsets into a tile, and its size.
struct TileLayout {
  int scales = 0;
  int mins = 0;
  int d = 0;
  int dmin = 0;
  int quants = 0;
  int bytes = 0;
};

// REQUIRES: IsBlockType(type).
constexpr TileLayout TileLayoutOf(DType type) {
  const int columns = BlockElements(type);
  const int bits = (type == DType::kQ8_0 ? 8 : 4) + HighBits(type);
  const int sub_scales = columns > kSubColumns ? columns / SubBlockElements(type) : 0;
  constexpr int kHalves = kPackWidth * static_cast<int>(sizeof(uint16_t));
  TileLayout out;
  out.mins = out.scales + kPackWidth * sub_scales;
  out.d = out.mins + (HasMins(type) ? kPackWidth * sub_scales : 0);  // a block's own min is dmin
  out.dmin = out.d + kHalves;
  out.quants = out.dmin + (HasMins(type) ? kHalves : 0);
  out.bytes = out.quants + kPackWidth * columns * bits / 8;
  return out;
}

// Bytes of the low bits of a sub-block, and of the higher bits of those that share them.
constexpr int LowBytes(DType type) {
  return kPackWidth * kSubColumns * (type == DType::kQ8_0 ? 8 : 4) / 8;
}
constexpr int HighBytes(DType type) {
  return BlockElements(type) == kSubColumns ? kQuadBytes : kPackWidth * kSubColumns;
}

// Where the bits of sub-block `sub` of 32 columns begin; HighOffset only where HighBits > 0.
constexpr int HighOffset(DType type, int sub) {
  const int sharers = 8 / HighBits(type);
  return TileLayoutOf(type).quants + sub / sharers * (HighBytes(type) + sharers * LowBytes(type));
}
constexpr int LowOffset(DType type, int sub) {
  const int before =
      HighBits(type) > 0 ? HighOffset(type, sub) + HighBytes(type) : TileLayoutOf(type).quants;
  const int index = HighBits(type) > 0 ? sub % (8 / HighBits(type)) : sub;
  return before + index * LowBytes(type);
}

// Writes the tile of up to kPackWidth rows. blocks[l] is lane l's block as the file has it; null
// for a missing row.
void PackTile(DType type, const std::byte* const (&blocks)[kPackWidth], std::byte* tile);

// Takes one lane of a tile apart again: what DecodeBlock made of it.
void DecodeLane(DType type, const std::byte* tile, int lane, QuantBlock* out);

// The tile that holds row `row` and the columns from `block` * BlockElements on.
inline const std::byte* TileOf(const PackedMatrix& w, int64_t row, int64_t block) {
  const int64_t tiles = w.cols() / BlockElements(w.dtype());
  return static_cast<const std::byte*>(w.data()) +
         (row / kPackWidth * tiles + block) * TileLayoutOf(w.dtype()).bytes;
}

// Row `row` as floats: writes w.cols() of them. REQUIRES: w is of a block format.
void DequantizeRow(const PackedMatrix& w, int64_t row, float* out);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_PACKED_LAYOUT_H_
