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
  const int first = HighOffset(type, sub) + lane * 4 + c % 4;
  if (BlockElements(type) == kSubColumns) return {first, quad};
  return {first + quad * kQuadBytes, sub % (8 / HighBits(type)) * HighBits(type)};
}

bool HasIntegerMins(DType type) { return TileLayoutOf(type).d > TileLayoutOf(type).mins; }

int HighMask(DType type) { return (1 << HighBits(type)) - 1; }

int MinPlace(int lane, int s) { return (s / 2 * kPackWidth + lane) * 2 + s % 2; }

uint32_t Quad(const uint8_t* q) {
  uint32_t four;
  std::memcpy(&four, q, sizeof(four));
  return four;
}

// Every byte of the tile that holds quants of this lane is written once. With the type known at
// compile time the loops unroll: loading a model is mostly this.
template <DType kType>
void PackQuants(const uint8_t* q, int lane, uint8_t* tile) {
  constexpr int kSubBlocks = BlockElements(kType) / kSubColumns;
  const auto store = [tile, lane](int vector, uint32_t four) {
    std::memcpy(tile + vector + lane * 4, &four, sizeof(four));
  };
  for (int sub = 0; sub < kSubBlocks; ++sub) {
    const uint8_t* const from = q + sub * kSubColumns;
    if constexpr (kType == DType::kQ8_0) {
      for (int j = 0; j < kQuads; ++j)
        store(LowOffset(kType, sub) + j * kQuadBytes, Quad(from + 4 * j));
      continue;
    }
    for (int j = 0; j < kQuads / 2; ++j) {
      const uint32_t low = Quad(from + 4 * j) & 0x0f0f0f0fu;
      const uint32_t high = Quad(from + 4 * (j + kQuads / 2)) & 0x0f0f0f0fu;
      store(LowOffset(kType, sub) + j * kQuadBytes, low | high << 4);
    }
  }
  if constexpr (HighBits(kType) > 0 && kSubBlocks == 1) {
    uint32_t bits = 0;
    for (int j = 0; j < kQuads; ++j) bits |= (Quad(q + 4 * j) >> 4 & 0x01010101u) << j;
    store(HighOffset(kType, 0), bits);
  } else if constexpr (HighBits(kType) > 0) {
    constexpr int kSharers = 8 / HighBits(kType);
    constexpr uint32_t kMask = 0x01010101u * ((1 << HighBits(kType)) - 1);
    for (int sub = 0; sub < kSubBlocks; sub += kSharers) {
      for (int j = 0; j < kQuads; ++j) {
        uint32_t bits = 0;
        for (int s = 0; s < kSharers; ++s) {
          const uint32_t four = Quad(q + (sub + s) * kSubColumns + 4 * j);
          bits |= (four >> 4 & kMask) << (s * HighBits(kType));
        }
        store(HighOffset(kType, sub) + j * kQuadBytes, bits);
      }
    }
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
  if (HasIntegerMins(type)) {
    for (int s = 0; s < sub_blocks; ++s) tile[layout.mins + MinPlace(lane, s)] = block.min[s];
  }
  std::memcpy(tile + layout.dmin + lane * 2, &block.dmin, sizeof(block.dmin));
}

template <DType kType>
void PackTileOf(const std::byte* const (&blocks)[kPackWidth], std::byte* tile) {
  auto* const out = reinterpret_cast<uint8_t*>(tile);
  for (int lane = 0; lane < kPackWidth; ++lane) {
    QuantBlock block;
    if (blocks[lane] != nullptr) {
      DecodeBlock(kType, blocks[lane], &block);
    } else {
      block = {};
    }
    PackQuants<kType>(block.q, lane, out);
    PackScales(kType, block, lane, out);
  }
}

}  // namespace

void PackTile(DType type, const std::byte* const (&blocks)[kPackWidth], std::byte* tile) {
  switch (type) {
    case DType::kQ8_0:
      return PackTileOf<DType::kQ8_0>(blocks, tile);
    case DType::kQ4_0:
      return PackTileOf<DType::kQ4_0>(blocks, tile);
    case DType::kQ4_1:
      return PackTileOf<DType::kQ4_1>(blocks, tile);
    case DType::kQ5_0:
      return PackTileOf<DType::kQ5_0>(blocks, tile);
    case DType::kQ5_1:
      return PackTileOf<DType::kQ5_1>(blocks, tile);
    case DType::kIQ4_NL:
      return PackTileOf<DType::kIQ4_NL>(blocks, tile);
    case DType::kQ4_K:
      return PackTileOf<DType::kQ4_K>(blocks, tile);
    case DType::kQ5_K:
      return PackTileOf<DType::kQ5_K>(blocks, tile);
    case DType::kQ6_K:
      return PackTileOf<DType::kQ6_K>(blocks, tile);
    default:
      assert(false);
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
    out->min[s] = HasIntegerMins(type) ? from[layout.mins + MinPlace(lane, s)]
                                       : static_cast<uint8_t>(HasBlockMin(type));
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
