#include "backend/packed_layout.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace kakeya {
namespace {

constexpr int kQuads = kSubColumns / 4;  // of a sub-block of 32

// Where the low bits of column c of a lane lie, and by how much they are shifted.
struct Place {
  int at;
  int shift;
};

Place LowPlace(DType type, int lane, int c) {
  const int first = LowOffset(type, c / kSubColumns) + lane * 4 + c % 4;
  const int quad = c % kSubColumns / 4;
  if (type == DType::kQ8_0) return {first + quad * kQuadBytes, 0};
  return {first + quad % (kQuads / 2) * kQuadBytes, quad < kQuads / 2 ? 0 : 4};
}

// The same for the bits above the fourth.
Place HighPlace(DType type, int lane, int c) {
  const int sub = c / kSubColumns;
  const int quad = c % kSubColumns / 4;
  const int at = HighOffset(type, sub) + quad * kQuadBytes + lane * 4 + c % 4;
  return {at, sub % (8 / HighBits(type)) * HighBits(type)};
}

int HighMask(DType type) { return (1 << HighBits(type)) - 1; }

int MinPlace(int lane, int s) { return (s / 2 * kPackWidth + lane) * 2 + s % 2; }

void PackQuants(DType type, const QuantBlock& block, int lane, uint8_t* tile) {
  const int columns = BlockElements(type);
  if (type == DType::kQ8_0) {
    for (int quad = 0; quad < kQuads; ++quad) {
      std::memcpy(tile + LowOffset(type, 0) + quad * kQuadBytes + lane * 4, block.q + quad * 4, 4);
    }
    return;
  }
  // Four columns at a time: they are neighbours in the block and in the tile.
  const int high_mask = HighMask(type);
  const auto add = [tile](int at, uint32_t four) {
    uint32_t bytes;
    std::memcpy(&bytes, tile + at, sizeof(bytes));
    bytes |= four;
    std::memcpy(tile + at, &bytes, sizeof(bytes));
  };
  for (int c = 0; c < columns; c += 4) {
    uint32_t four;
    std::memcpy(&four, block.q + c, sizeof(four));
    const Place low = LowPlace(type, lane, c);
    add(low.at, (four & 0x0f0f0f0fu) << low.shift);
    if (high_mask == 0) continue;
    const Place high = HighPlace(type, lane, c);
    const uint32_t bits = (four >> 4) & (0x01010101u * static_cast<uint32_t>(high_mask));
    add(high.at, bits << high.shift);
  }
}

void PackScales(DType type, const QuantBlock& block, int lane, uint8_t* tile) {
  const TileLayout layout = TileLayoutOf(type);
  const int sub_blocks = BlockElements(type) / SubBlockElements(type);
  if (layout.mins > layout.scales) {
    for (int s = 0; s < sub_blocks; ++s) {
      tile[layout.scales + s * kPackWidth + lane] = static_cast<uint8_t>(block.scale[s]);
    }
  }
  std::memcpy(tile + layout.d + lane * 2, &block.d, sizeof(block.d));
  if (!HasMins(type)) return;
  for (int s = 0; s < sub_blocks; ++s) tile[layout.mins + MinPlace(lane, s)] = block.min[s];
  std::memcpy(tile + layout.dmin + lane * 2, &block.dmin, sizeof(block.dmin));
}

}  // namespace

void PackTile(DType type, const std::byte* const (&blocks)[kPackWidth], std::byte* tile) {
  auto* const out = reinterpret_cast<uint8_t*>(tile);
  std::memset(out, 0, static_cast<size_t>(TileLayoutOf(type).bytes));
  for (int lane = 0; lane < kPackWidth; ++lane) {
    if (blocks[lane] == nullptr) continue;
    QuantBlock block;
    DecodeBlock(type, blocks[lane], &block);
    PackQuants(type, block, lane, out);
    PackScales(type, block, lane, out);
  }
}

void DecodeLane(DType type, const std::byte* tile, int lane, QuantBlock* out) {
  assert(lane >= 0 && lane < kPackWidth);
  const auto* const from = reinterpret_cast<const uint8_t*>(tile);
  const TileLayout layout = TileLayoutOf(type);
  const int low_mask = type == DType::kQ8_0 ? 255 : 15;
  for (int c = 0; c < BlockElements(type); ++c) {
    const Place low = LowPlace(type, lane, c);
    int q = from[low.at] >> low.shift & low_mask;
    if (HighMask(type) != 0) {
      const Place high = HighPlace(type, lane, c);
      q |= (from[high.at] >> high.shift & HighMask(type)) << 4;
    }
    out->q[c] = static_cast<uint8_t>(q);
  }
  const bool has_scales = layout.mins > layout.scales;
  const int sub_blocks = std::min(kMaxSubBlocks, BlockElements(type) / SubBlockElements(type));
  for (int s = 0; s < sub_blocks; ++s) {
    const uint8_t scale = has_scales ? from[layout.scales + s * kPackWidth + lane] : 1;
    out->scale[s] = type == DType::kQ6_K ? static_cast<int8_t>(scale) : int16_t{scale};
    out->min[s] = HasMins(type) ? from[layout.mins + MinPlace(lane, s)] : uint8_t{0};
  }
  std::memcpy(&out->d, from + layout.d + lane * 2, sizeof(out->d));
  out->dmin = 0;
  if (HasMins(type)) std::memcpy(&out->dmin, from + layout.dmin + lane * 2, sizeof(out->dmin));
}

void DequantizeRow(const PackedMatrix& w, int64_t row, float* out) {
  const DType type = w.dtype();
  QuantBlock block;
  for (int64_t c = 0; c < w.cols(); c += BlockElements(type)) {
    DecodeLane(type, TileOf(w, row, c / BlockElements(type)), static_cast<int>(row % kPackWidth),
               &block);
    Dequantize(type, block, out + c);
  }
}

}  // namespace kakeya
