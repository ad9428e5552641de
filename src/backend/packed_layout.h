// How a PackedMatrix of a block format lies in memory. A tile is one block of columns (32 or 256)
// of kPackWidth rows, "lanes"; the tiles of a group of rows follow each other by column, then come
// those of the next kPackWidth rows. In a tile, all in bytes:
//
//   quants   kPackWidth lanes times four columns fill a vector of 64 bytes: lane l's four lie at
//            4 l. Columns go by sub-blocks of 32, each of eight such quads.
//              q8_0: a vector per quad.
//              others: a vector per two quads: the low halves of its bytes are quad j, the high
//              ones quad j + 4 of the sub-block.
//   high     q5_k: a vector per quad j: bit s of a byte is bit 4 of sub-block s.
//            q6_k: a vector per quad j of four sub-blocks: its bits 2 s are bits 4 and 5 of
//            sub-block s, of the first four, then of the last four.
//   scales   (sub-blocks, kPackWidth), a byte each; q6_k's are signed and per 16 columns.
//   mins     (sub-blocks / 2, kPackWidth, 2), a byte each.
//   d        (kPackWidth) F16
//   dmin     (kPackWidth) F16
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

// Offsets into a tile, and its size.
struct TileLayout {
  int high = 0;
  int scales = 0;
  int mins = 0;
  int d = 0;
  int dmin = 0;
  int bytes = 0;
};

// REQUIRES: IsBlockType(type).
constexpr TileLayout TileLayoutOf(DType type) {
  const int columns = BlockElements(type);
  const int bits_low = type == DType::kQ8_0 ? 8 : 4;
  const int bits_high = type == DType::kQ5_K ? 1 : type == DType::kQ6_K ? 2 : 0;
  const bool has_scales = columns > kSubColumns;
  TileLayout out;
  out.high = kPackWidth * columns * bits_low / 8;
  out.scales = out.high + kPackWidth * columns * bits_high / 8;
  out.mins = out.scales + (has_scales ? kPackWidth * columns / SubBlockElements(type) : 0);
  out.d = out.mins + (HasMins(type) ? kPackWidth * columns / SubBlockElements(type) : 0);
  out.dmin = out.d + kPackWidth * static_cast<int>(sizeof(uint16_t));
  out.bytes = out.dmin + (HasMins(type) ? kPackWidth * static_cast<int>(sizeof(uint16_t)) : 0);
  return out;
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
