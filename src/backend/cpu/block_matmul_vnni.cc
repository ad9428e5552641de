// Products with block formats on AVX-512 VNNI, which multiplies 64 pairs of bytes and adds them by
// fours in one instruction: a vector holds four columns of sixteen outputs (packed_layout.h), so no
// sum crosses lanes. Its first factor has no sign: that suits the weights, which are packed with
// their bias; what the bias adds is in the offsets that the sums start from.
#include <cassert>
#include <cstring>

#include "backend/cpu/block_matmul.h"
#include "backend/cpu/vnni.h"
#include "backend/cpu/vnni_target.h"
#include "backend/packed_layout.h"

namespace kakeya::cpu {
namespace {

#if defined(KAKEYA_HAS_VNNI)

constexpr int kQuads = kSubColumns / 4;  // of a sub-block of 32 columns
constexpr int kHalfQuads = kQuads / 2;

// Asks for kBytes of weights, so far ahead that they are there in time. With few rows the processor
// runs ahead by itself; with more than these it is busy with sums.
constexpr int kAhead = 4096;
constexpr int kFewRows = 4;
template <int kRows, int kBytes>
KAKEYA_VNNI inline void Prefetch(const uint8_t* from) {
  if constexpr (kRows > kFewRows) {
    KAKEYA_VNNI_UNROLL
    for (int i = 0; i < kBytes; i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(from + kAhead + i), _MM_HINT_T0);
    }
  }
  (void)from;
}

// Four activations in every lane.
KAKEYA_VNNI inline __m512i Four(const void* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof(four));
  return _mm512_set1_epi32(four);
}

KAKEYA_VNNI inline __m512 Halves(const uint8_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

KAKEYA_VNNI inline __m512i Load(const uint8_t* from) { return _mm512_loadu_si512(from); }

// The quads j and j + 4 of sub-block `sub`, a byte per weight.
template <DType kType>
KAKEYA_VNNI inline void LoadQuads(const uint8_t* tile, int sub, int j, __m512i* low,
                                  __m512i* high) {
  const uint8_t* const from = tile + LowOffset(kType, sub) + j * kQuadBytes;
  if constexpr (kType == DType::kQ8_0) {
    *low = Load(from);
    *high = Load(from + kHalfQuads * kQuadBytes);
    return;
  }
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i both = Load(from);
  *low = _mm512_and_si512(both, nibble);
  *high = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
  if constexpr (kType == DType::kIQ4_NL) {
    const __m512i levels =
        _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(kIq4Bytes.data())));
    *low = _mm512_shuffle_epi8(levels, *low);
    *high = _mm512_shuffle_epi8(levels, *high);
  } else if constexpr (kType == DType::kQ5_0 || kType == DType::kQ5_1) {
    const __m512i fifth = Load(tile + HighOffset(kType, 0));
    const __m512i sixteen = _mm512_set1_epi8(16);
    const auto mask = [&](int quad) KAKEYA_VNNI {
      return _mm512_test_epi8_mask(fifth, _mm512_set1_epi8(static_cast<char>(1 << quad)));
    };
    *low = _mm512_mask_add_epi8(*low, mask(j), *low, sixteen);
    *high = _mm512_mask_add_epi8(*high, mask(j + kHalfQuads), *high, sixteen);
  } else if constexpr (kType == DType::kQ5_K) {
    const uint8_t* const upper = tile + HighOffset(kType, sub) + j * kQuadBytes;
    const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << sub));
    const __m512i sixteen = _mm512_set1_epi8(16);
    const __m512i fifth_low = Load(upper);
    const __m512i fifth_high = Load(upper + kHalfQuads * kQuadBytes);
    *low = _mm512_mask_add_epi8(*low, _mm512_test_epi8_mask(fifth_low, bit), *low, sixteen);
    *high = _mm512_mask_add_epi8(*high, _mm512_test_epi8_mask(fifth_high, bit), *high, sixteen);
  } else if constexpr (kType == DType::kQ6_K) {
    const __m128i shift = _mm_cvtsi32_si128(sub % 4 * 2);
    const __m512i pair = _mm512_set1_epi8(3);
    const uint8_t* const upper = tile + HighOffset(kType, sub) + j * kQuadBytes;
    const auto bits = [&](const uint8_t* vector) KAKEYA_VNNI {
      const __m512i two = _mm512_and_si512(_mm512_srl_epi16(Load(vector), shift), pair);
      return _mm512_slli_epi16(two, 4);
    };
    *low = _mm512_or_si512(*low, bits(upper));
    *high = _mm512_or_si512(*high, bits(upper + kHalfQuads * kQuadBytes));
  }
}

// low[r] and high[r] gain the dot products of row r with the first and the last 16 columns of a
// sub-block. x: row 0's activations of these columns; rows are `stride` apart.
template <DType kType, int kRows>
KAKEYA_VNNI inline void AddDots(const uint8_t* tile, int sub, const int8_t* x, int stride,
                                __m512i* low, __m512i* high) {
  KAKEYA_VNNI_UNROLL
  for (int j = 0; j < kHalfQuads; ++j) {
    __m512i first;
    __m512i last;
    LoadQuads<kType>(tile, sub, j, &first, &last);
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      low[r] = _mm512_dpbusd_epi32(low[r], first, Four(x + r * stride + 4 * j));
    }
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      high[r] = _mm512_dpbusd_epi32(high[r], last, Four(x + r * stride + 4 * (j + kHalfQuads)));
    }
  }
}

// One block of columns of a format with 32. b: the block's index at row 0.
template <DType kType, int kRows>
KAKEYA_VNNI inline void AddPlainBlock(const uint8_t* tile, const QuantTile& in, int64_t b,
                                      __m512* sums) {
  Prefetch<kRows, TileLayoutOf(kType).bytes>(tile);
  __m512i dots[kRows];
  KAKEYA_VNNI_UNROLL
  for (int r = 0; r < kRows; ++r) {
    dots[r] = _mm512_set1_epi32(OffsetsOf(kType) > 0 ? in.offsets[b + r] : 0);
  }
  AddDots<kType, kRows>(tile, 0, in.values + b * kSubColumns, kSubColumns, dots, dots);
  const __m512 d = Halves(tile + TileLayoutOf(kType).d);
  KAKEYA_VNNI_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(in.scales[b + r]));
    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r]), scale, sums[r]);
  }
  if constexpr (HasBlockMin(kType)) {
    const __m512 dmin = Halves(tile + TileLayoutOf(kType).dmin);
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      sums[r] = _mm512_fmadd_ps(dmin, _mm512_set1_ps(in.min_terms[b + r]), sums[r]);
    }
  }
}

// One sub-block of a k-quant: total[r] gains scale times dot.
template <DType kType, int kRows>
KAKEYA_VNNI inline void AddSubBlock(const uint8_t* tile, const QuantTile& in, int64_t b, int sub,
                                    __m512i* total) {
  constexpr int kSize = BlockElements(kType);
  constexpr int kPart = TileLayoutOf(kType).bytes / (kSize / kSubColumns);
  Prefetch<kRows, kPart>(tile + sub * kPart);
  const int8_t* const x = in.values + b * kSize + sub * kSubColumns;
  const uint8_t* const scales = tile + TileLayoutOf(kType).scales;
  const auto sixteen = [](const uint8_t* from) KAKEYA_VNNI {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  __m512i low[kRows];
  if constexpr (kType == DType::kQ6_K) {
    const int32_t* const offsets = in.offsets + b * OffsetsOf(kType) + 2 * sub;
    __m512i high[kRows];
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      low[r] = _mm512_set1_epi32(offsets[r * OffsetsOf(kType)]);
      high[r] = _mm512_set1_epi32(offsets[r * OffsetsOf(kType) + 1]);
    }
    AddDots<kType, kRows>(tile, sub, x, kSize, low, high);
    const __m512i first = _mm512_cvtepi8_epi32(sixteen(scales + 2 * sub * kPackWidth));
    const __m512i last = _mm512_cvtepi8_epi32(sixteen(scales + (2 * sub + 1) * kPackWidth));
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512i both =
          _mm512_add_epi32(_mm512_mullo_epi32(low[r], first), _mm512_mullo_epi32(high[r], last));
      total[r] = _mm512_add_epi32(total[r], both);
    }
  } else {
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) low[r] = _mm512_setzero_si512();
    AddDots<kType, kRows>(tile, sub, x, kSize, low, low);
    const __m512i scale = _mm512_cvtepu8_epi32(sixteen(scales + sub * kPackWidth));
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      total[r] = _mm512_add_epi32(total[r], _mm512_mullo_epi32(low[r], scale));
    }
  }
}

// What the mins of a block take away.
template <DType kType, int kRows>
KAKEYA_VNNI inline void AddMins(const uint8_t* tile, const QuantTile& in, int64_t b, __m512* sums) {
  constexpr int kPairs = kMinSums / 2;
  const uint8_t* const mins = tile + TileLayoutOf(kType).mins;
  const __m512 dmin = Halves(tile + TileLayoutOf(kType).dmin);
  __m512i pairs[kPairs];
  KAKEYA_VNNI_UNROLL
  for (int p = 0; p < kPairs; ++p) {
    pairs[p] = _mm512_cvtepu8_epi16(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mins + p * 2 * kPackWidth)));
  }
  KAKEYA_VNNI_UNROLL
  for (int r = 0; r < kRows; ++r) {
    __m512i dot = _mm512_setzero_si512();
    KAKEYA_VNNI_UNROLL
    for (int p = 0; p < kPairs; ++p) {
      dot = _mm512_dpwssd_epi32(dot, pairs[p], Four(in.sums + (b + r) * kMinSums + 2 * p));
    }
    const __m512 scale = _mm512_mul_ps(dmin, _mm512_set1_ps(in.scales[b + r]));
    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sums[r]);
  }
}

template <DType kType, int kRows>
KAKEYA_VNNI inline void AddKBlock(const uint8_t* tile, const QuantTile& in, int64_t b,
                                  __m512* sums) {
  __m512i total[kRows];
  KAKEYA_VNNI_UNROLL
  for (int r = 0; r < kRows; ++r) total[r] = _mm512_setzero_si512();
  for (int sub = 0; sub < BlockElements(kType) / kSubColumns; ++sub) {
    AddSubBlock<kType, kRows>(tile, in, b, sub, total);
  }
  const __m512 d = Halves(tile + TileLayoutOf(kType).d);
  KAKEYA_VNNI_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(in.scales[b + r]));
    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[r]), scale, sums[r]);
  }
  if constexpr (HasMins(kType)) AddMins<kType, kRows>(tile, in, b, sums);
}

// kRows rows times the outputs of the blocks [begin, end).
template <DType kType, int kRows>
KAKEYA_VNNI void MultiplyRows(const PackedMatrix& w, const QuantTile& in, int64_t begin,
                              int64_t end, float* out) {
  constexpr int kTileBytes = TileLayoutOf(kType).bytes;
  const int64_t columns = w.cols() / BlockElements(kType);
  const auto* tile = static_cast<const uint8_t*>(w.data()) + begin * columns * kTileBytes;
  for (int64_t block = begin; block < end; ++block) {
    __m512 sums[kRows];
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r] = _mm512_setzero_ps();
    for (int64_t c = 0; c < columns; ++c, tile += kTileBytes) {
      if constexpr (BlockElements(kType) == kSubColumns) {
        AddPlainBlock<kType, kRows>(tile, in, c * kRows, sums);
      } else {
        AddKBlock<kType, kRows>(tile, in, c * kRows, sums);
      }
    }
    const int64_t first = block * kPackWidth;
    const int64_t left = w.rows() - first;
    const __mmask16 lanes = left >= kPackWidth ? 0xffff : static_cast<__mmask16>((1 << left) - 1);
    KAKEYA_VNNI_UNROLL
    for (int r = 0; r < kRows; ++r)
      _mm512_mask_storeu_ps(out + r * w.rows() + first, lanes, sums[r]);
  }
}

// Calls MultiplyRows with in.rows in [1, kRows] as a compile-time constant.
template <DType kType, int kRows>
void Multiply(const PackedMatrix& w, const QuantTile& in, int64_t begin, int64_t end, float* out) {
  if constexpr (kRows == 1) {
    MultiplyRows<kType, 1>(w, in, begin, end, out);
  } else if (in.rows == kRows) {
    MultiplyRows<kType, kRows>(w, in, begin, end, out);
  } else {
    Multiply<kType, kRows - 1>(w, in, begin, end, out);
  }
}

// A block of sixteen rows, drafts to check, reads its weights in one pass. A row takes one register
// of integers, three of q6_k; what doesn't fit waits in the first cache, once per block of columns.
template <DType kType>
BlockKernel KernelOf() {
  constexpr int kMaxRows = kType == DType::kQ6_K ? 8 : 16;
  return {kMaxRows, false, Multiply<kType, kMaxRows>};
}

#endif

}  // namespace

BlockKernel VnniBlockKernel(DType type) {
#if defined(KAKEYA_HAS_VNNI)
  switch (type) {
    case DType::kQ8_0:
      return KernelOf<DType::kQ8_0>();
    case DType::kQ4_0:
      return KernelOf<DType::kQ4_0>();
    case DType::kQ4_1:
      return KernelOf<DType::kQ4_1>();
    case DType::kQ5_0:
      return KernelOf<DType::kQ5_0>();
    case DType::kQ5_1:
      return KernelOf<DType::kQ5_1>();
    case DType::kIQ4_NL:
      return KernelOf<DType::kIQ4_NL>();
    case DType::kQ4_K:
      return KernelOf<DType::kQ4_K>();
    case DType::kQ5_K:
      return KernelOf<DType::kQ5_K>();
    case DType::kQ6_K:
      return KernelOf<DType::kQ6_K>();
    default:
      break;
  }
#endif
  assert(false);
  (void)type;
  return {};
}

}  // namespace kakeya::cpu
