// Products with block formats where VNNI isn't: pairs of 16-bit integers, which every instruction
// set multiplies and adds exactly. And the loop over tiles that all paths share.
#include "backend/cpu/block_matmul.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/guided_for.h"
#include "backend/cpu/targets.h"
#include "backend/cpu/vnni.h"
#include "backend/packed_layout.h"
#include "backend/ref/ref.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/block_matmul.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
// Lanes of one element can't hold pairs.
constexpr int kBlockRows = 0;
void PortableMultiply(const PackedMatrix&, const QuantTile&, int64_t, int64_t, float*) {}
#else

// Most rows of a tile.
constexpr int kBlockRows = 4;
constexpr int kQuads = kSubColumns / 4;
constexpr int kHalfQuads = kQuads / 2;

using I32 = hn::RebindToSigned<F>;
using I16 = hn::Repartition<int16_t, I32>;
using U16 = hn::Repartition<uint16_t, I32>;
using U8 = hn::Repartition<uint8_t, I32>;
using Int = hn::Vec<I32>;
using Bytes = hn::Vec<U8>;

// Sixteen sums of products of pairs. Highway may keep a lane's sum in two vectors.
struct Dots {
  Int low[kVecs];
  Int high[kVecs];
};

HWY_INLINE Dots ZeroDots() {
  Dots out;
  KAKEYA_UNROLL
  for (int v = 0; v < kVecs; ++v) out.low[v] = out.high[v] = hn::Zero(I32());
  return out;
}

HWY_INLINE Int SumOf(const Dots& dots, int v) {
  return hn::RearrangeToOddPlusEven(dots.low[v], dots.high[v]);
}

// Two 16-bit activations in every lane.
HWY_INLINE hn::Vec<I16> Pair(const int16_t* from) {
  int32_t two;
  std::memcpy(&two, from, sizeof(two));
  return hn::BitCast(I16(), hn::Set(I32(), two));
}

HWY_INLINE void AddPairs(hn::Vec<I16> weights, hn::Vec<I16> x, int v, Dots* dots) {
  dots->low[v] = hn::ReorderWidenMulAccumulate(I32(), weights, x, dots->low[v], dots->high[v]);
}

// Vector v of the quads j and j + 4 of sub-block `sub`, a byte per weight.
template <DType kType>
HWY_INLINE void LoadQuads(const uint8_t* tile, int sub, int j, int v, Bytes* low, Bytes* high) {
  const U8 u8;
  const U16 u16;
  const int at = v * kVecLanes * 4;
  const auto load = [&](const uint8_t* from) HWY_ATTR { return hn::LoadU(u8, from + at); };
  const auto shift_right = [&](Bytes bytes, int bits) HWY_ATTR {
    return hn::BitCast(u8, hn::ShiftRightSame(hn::BitCast(u16, bytes), bits));
  };
  const uint8_t* const from = tile + LowOffset(kType, sub) + j * kQuadBytes;
  if constexpr (kType == DType::kQ8_0) {
    *low = load(from);
    *high = load(from + kHalfQuads * kQuadBytes);
    return;
  }
  const Bytes nibble = hn::Set(u8, 15);
  const Bytes both = load(from);
  *low = hn::And(both, nibble);
  *high = hn::And(shift_right(both, 4), nibble);
  constexpr int kBits = HighBits(kType);
  if constexpr (kType == DType::kIQ4_NL) {
    const Bytes levels = hn::LoadDup128(u8, kIq4Bytes.data());
    *low = hn::TableLookupBytes(levels, *low);
    *high = hn::TableLookupBytes(levels, *high);
  } else if constexpr (BlockElements(kType) == kSubColumns && kBits > 0) {
    const auto fifth = hn::BitCast(u16, load(tile + HighOffset(kType, 0)));
    const Bytes sixteen = hn::Set(u8, 16);
    const auto bit = [&](auto shifted)
                         HWY_ATTR { return hn::And(hn::BitCast(u8, shifted), sixteen); };
    *low = hn::Or(*low, bit(hn::ShiftLeftSame(fifth, 4 - j)));
    *high = hn::Or(*high, bit(hn::ShiftRightSame(fifth, j)));
  } else if constexpr (kBits > 0) {
    constexpr int kSubs = 8 / kBits;  // whose bits share a vector
    const uint8_t* const upper = tile + HighOffset(kType, sub) + j * kQuadBytes;
    const Bytes mask = hn::Set(u8, (1 << kBits) - 1);
    const auto bits = [&](const uint8_t* vector) HWY_ATTR {
      const Bytes few = hn::And(shift_right(load(vector), sub % kSubs * kBits), mask);
      return hn::BitCast(u8, hn::ShiftLeft<4>(hn::BitCast(u16, few)));
    };
    *low = hn::Or(*low, bits(upper));
    *high = hn::Or(*high, bits(upper + kHalfQuads * kQuadBytes));
  }
}

// Dot products of a quad of every lane with four activations of each row.
template <int kRows>
HWY_INLINE void AddQuad(Bytes weights, const int16_t* x, int stride, int v, Dots* dots) {
  const U16 u16;
  const auto pairs = hn::BitCast(u16, weights);
  const auto even = hn::BitCast(I16(), hn::And(pairs, hn::Set(u16, 255)));
  const auto odd = hn::BitCast(I16(), hn::ShiftRight<8>(pairs));
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AddPairs(even, Pair(x + r * stride), v, dots + r);
    AddPairs(odd, Pair(x + r * stride + 2), v, dots + r);
  }
}

// low[r] and high[r] gain the dot products of row r with the first and the last 16 columns of a
// sub-block.
template <DType kType, int kRows>
HWY_INLINE void AddDots(const uint8_t* tile, int sub, const int16_t* x, int stride, Dots* low,
                        Dots* high) {
  for (int j = 0; j < kHalfQuads; ++j) {
    KAKEYA_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      Bytes first;
      Bytes last;
      LoadQuads<kType>(tile, sub, j, v, &first, &last);
      AddQuad<kRows>(first, x + 4 * j, stride, v, low);
      AddQuad<kRows>(last, x + 4 * (j + kHalfQuads), stride, v, high);
    }
  }
}

// sum += float(dot) * (d * scale).
HWY_INLINE void AddScaled(Int dot, Vec d, float scale, Vec* sum) {
  *sum = Fma(hn::ConvertTo(F(), dot), hn::Mul(d, hn::Set(F(), scale)), *sum);
}

// One block of columns of a format with 32.
template <DType kType, int kRows>
HWY_INLINE void AddPlainBlock(const uint8_t* tile, const QuantTile& in, int64_t b, Block* sums) {
  Dots dots[kRows];
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) dots[r] = ZeroDots();
  AddDots<kType, kRows>(tile, 0, in.wide + b * kSubColumns, kSubColumns, dots, dots);
  const Block d = LoadBlock(reinterpret_cast<const F16*>(tile + TileLayoutOf(kType).d));
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KAKEYA_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      Int dot = SumOf(dots[r], v);
      if constexpr (OffsetsOf(kType) > 0) dot = hn::Add(dot, hn::Set(I32(), in.offsets[b + r]));
      AddScaled(dot, d.v[v], in.scales[b + r], &sums[r].v[v]);
    }
  }
  if constexpr (HasBlockMin(kType)) {
    const Block dmin = LoadBlock(reinterpret_cast<const F16*>(tile + TileLayoutOf(kType).dmin));
    KAKEYA_UNROLL
    for (int r = 0; r < kRows; ++r) FmaInto(hn::Set(F(), in.min_terms[b + r]), dmin, sums + r);
  }
}

// Vector v of a row of integer scales.
template <DType kType>
HWY_INLINE Int Scales(const uint8_t* tile, int s, int v) {
  const uint8_t* const from = tile + TileLayoutOf(kType).scales + s * kPackWidth + v * kVecLanes;
  if constexpr (kType == DType::kQ6_K) {
    const hn::Rebind<int8_t, I32> narrow;
    return hn::PromoteTo(I32(), hn::LoadU(narrow, reinterpret_cast<const int8_t*>(from)));
  } else {
    return hn::PromoteTo(I32(), hn::LoadU(hn::Rebind<uint8_t, I32>(), from));
  }
}

// One sub-block of 32 columns of a k-quant: total[r] gains scale times dot.
template <DType kType, int kRows>
HWY_INLINE void AddSubBlock(const uint8_t* tile, const QuantTile& in, int64_t b, int sub,
                            Int (*total)[kVecs]) {
  constexpr int kSize = BlockElements(kType);
  constexpr bool kTwo = kType == DType::kQ6_K;  // scales, one per 16 columns
  Dots low[kRows];
  Dots high[kRows];
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = ZeroDots();
  const int16_t* const x = in.wide + b * kSize + sub * kSubColumns;
  AddDots<kType, kRows>(tile, sub, x, kSize, low, kTwo ? high : low);
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KAKEYA_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      Int dot = SumOf(low[r], v);
      if constexpr (kTwo) {
        const int32_t* const offsets = in.offsets + (b + r) * OffsetsOf(kType) + 2 * sub;
        const Int last = hn::Add(SumOf(high[r], v), hn::Set(I32(), offsets[1]));
        total[r][v] = hn::Add(total[r][v], hn::Mul(last, Scales<kType>(tile, 2 * sub + 1, v)));
        dot = hn::Add(dot, hn::Set(I32(), offsets[0]));
      }
      const Int scale = Scales<kType>(tile, kTwo ? 2 * sub : sub, v);
      total[r][v] = hn::Add(total[r][v], hn::Mul(dot, scale));
    }
  }
}

// What the mins of a block take away from row r.
template <DType kType>
HWY_INLINE void AddMins(const uint8_t* tile, const QuantTile& in, int64_t at, Block* sum) {
  const uint8_t* const mins = tile + TileLayoutOf(kType).mins;
  const Block dmin = LoadBlock(reinterpret_cast<const F16*>(tile + TileLayoutOf(kType).dmin));
  Dots dots = ZeroDots();
  for (int p = 0; p < kMinSums / 2; ++p) {
    KAKEYA_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      const uint8_t* const from = mins + 2 * (p * kPackWidth + v * kVecLanes);
      const auto pair = hn::PromoteTo(I16(), hn::LoadU(hn::Rebind<uint8_t, I16>(), from));
      AddPairs(pair, Pair(in.sums + at * kMinSums + 2 * p), v, &dots);
    }
  }
  KAKEYA_UNROLL
  for (int v = 0; v < kVecs; ++v) {
    AddScaled(SumOf(dots, v), dmin.v[v], in.scales[at], &sum->v[v]);
  }
}

template <DType kType, int kRows>
HWY_INLINE void AddKBlock(const uint8_t* tile, const QuantTile& in, int64_t b, Block* sums) {
  Int total[kRows][kVecs];
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KAKEYA_UNROLL
    for (int v = 0; v < kVecs; ++v) total[r][v] = hn::Zero(I32());
  }
  for (int sub = 0; sub < BlockElements(kType) / kSubColumns; ++sub) {
    AddSubBlock<kType, kRows>(tile, in, b, sub, total);
  }
  const Block d = LoadBlock(reinterpret_cast<const F16*>(tile + TileLayoutOf(kType).d));
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KAKEYA_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      AddScaled(total[r][v], d.v[v], in.scales[b + r], &sums[r].v[v]);
    }
    if constexpr (HasMins(kType)) AddMins<kType>(tile, in, b + r, &sums[r]);
  }
}

// kRows rows times the outputs of one block.
template <DType kType, int kRows>
HWY_NOINLINE void MultiplyRows(const PackedMatrix& w, const QuantTile& in, int64_t block,
                               float* out) {
  constexpr int kTileBytes = TileLayoutOf(kType).bytes;
  const int64_t columns = w.cols() / BlockElements(kType);
  const auto* tile = static_cast<const uint8_t*>(w.data()) + block * columns * kTileBytes;
  Block sums[kRows];
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = ZeroBlock();
  for (int64_t c = 0; c < columns; ++c, tile += kTileBytes) {
    if constexpr (BlockElements(kType) == kSubColumns) {
      AddPlainBlock<kType, kRows>(tile, in, c * kRows, sums);
    } else {
      AddKBlock<kType, kRows>(tile, in, c * kRows, sums);
    }
  }
  const int64_t first = block * kPackWidth;
  const int lanes = static_cast<int>(std::min<int64_t>(kPackWidth, w.rows() - first));
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) StorePart(sums[r], out + r * w.rows() + first, lanes);
}

// Calls MultiplyRows with in.rows in [1, kRows] as a compile-time constant.
template <DType kType, int kRows = kBlockRows>
HWY_INLINE void MultiplyBlock(const PackedMatrix& w, const QuantTile& in, int64_t block,
                              float* out) {
  if constexpr (kRows == 1) {
    MultiplyRows<kType, 1>(w, in, block, out);
  } else if (in.rows == kRows) {
    MultiplyRows<kType, kRows>(w, in, block, out);
  } else {
    MultiplyBlock<kType, kRows - 1>(w, in, block, out);
  }
}

void PortableMultiply(const PackedMatrix& w, const QuantTile& in, int64_t begin, int64_t end,
                      float* out) {
  for (int64_t block = begin; block < end; ++block) {
    switch (w.dtype()) {
      case DType::kQ8_0:
        MultiplyBlock<DType::kQ8_0>(w, in, block, out);
        break;
      case DType::kQ4_0:
        MultiplyBlock<DType::kQ4_0>(w, in, block, out);
        break;
      case DType::kQ4_1:
        MultiplyBlock<DType::kQ4_1>(w, in, block, out);
        break;
      case DType::kQ5_0:
        MultiplyBlock<DType::kQ5_0>(w, in, block, out);
        break;
      case DType::kQ5_1:
        MultiplyBlock<DType::kQ5_1>(w, in, block, out);
        break;
      case DType::kIQ4_NL:
        MultiplyBlock<DType::kIQ4_NL>(w, in, block, out);
        break;
      case DType::kQ4_K:
        MultiplyBlock<DType::kQ4_K>(w, in, block, out);
        break;
      case DType::kQ5_K:
        MultiplyBlock<DType::kQ5_K>(w, in, block, out);
        break;
      case DType::kQ6_K:
        MultiplyBlock<DType::kQ6_K>(w, in, block, out);
        break;
      default:
        HWY_DASSERT(false);
    }
  }
}

#endif

BlockKernel PortableKernelOfTarget() { return {kBlockRows, true, PortableMultiply}; }

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(PortableKernelOfTarget);

// Weights that stay in the second cache while all rows pass over them.
constexpr int64_t kPassBytes = 128 * 1024;
// Weights of the shortest task: taking it costs nothing beside reading them.
constexpr int64_t kLeastBytes = 64 * 1024;

}  // namespace

BlockKernel PortableBlockKernel() { return HWY_DYNAMIC_DISPATCH(PortableKernelOfTarget)(); }

void BlockMatMul(ThreadPool* pool, const float* x, int rows, const PackedMatrix& w, float* out) {
  const BlockKernel kernel = UseVnni() ? VnniBlockKernel(w.dtype()) : PortableBlockKernel();
  BlockMatMul(kernel, pool, x, rows, w, out);
}

void BlockMatMul(const BlockKernel& kernel, ThreadPool* pool, const float* x, int rows,
                 const PackedMatrix& w, float* out) {
  if (kernel.max_height == 0) return ref::MatMul(x, rows, w, out);
  thread_local QuantRows quantized;  // keeps its vectors between calls
  quantized.Quantize(pool, x, rows, w.cols(), w.dtype(), kernel.max_height, kernel.wide);
  const QuantRows& in = quantized;
  const int64_t block_bytes =
      std::max<int64_t>(1, w.cols() / BlockElements(w.dtype()) * TileLayoutOf(w.dtype()).bytes);
  const int64_t pass = std::max<int64_t>(1, kPassBytes / block_bytes);
  const auto multiply = [&](int64_t begin, int64_t end) {
    for (int tile = 0; tile < in.tiles(); ++tile) {
      kernel.run(w, in.Tile(tile), begin, end, out + in.FirstRow(tile) * w.rows());
    }
  };
  if (rows <= kGuidedRows) {
    GuidedFor(pool, w.blocks(), std::max<int64_t>(1, kLeastBytes / block_bytes),
              [&](int64_t begin, int64_t end) {
                for (; begin < end; begin += pass) multiply(begin, std::min(end, begin + pass));
              });
    return;
  }
  ParallelFor(pool, (w.blocks() + pass - 1) / pass, [&](int64_t task) {
    multiply(task * pass, std::min(w.blocks(), (task + 1) * pass));
  });
}

}  // namespace kakeya::cpu
#endif
