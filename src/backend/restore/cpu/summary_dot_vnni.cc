// Scores by byte products: AVX-512 VNNI multiplies 64 pairs of bytes and adds them by fours in one
// instruction. Its first factor has no sign: that suits summaries, which are kept 8 larger
// than they are; 8 times the query's sum is taken from the product.
#include <cstring>
#include <limits>

#include "backend/cpu/vnni.h"
#include "backend/cpu/vnni_target.h"
#include "backend/restore/cpu/summary_dot.h"

namespace kakeya::cpu {
namespace {

#if defined(KAKEYA_HAS_VNNI)

constexpr int kBytes = 64;  // in a vector
constexpr int kLanes32 = 16;

// The most of kSegments products, as the portable path finds it.
template <int kSegments>
KAKEYA_VNNI inline float MostOf(__m512i sums, int32_t offset, float row_scale,
                                const float* segment_scales) {
  const __m256i halves =
      _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
  __m128 most = _mm_set1_ps(-std::numeric_limits<float>::infinity());
  // The second of a maximum is taken where the first is no number.
  const auto join = [&](__m128i dots, const float* scales) KAKEYA_VNNI {
    const __m128 scale = _mm_mul_ps(_mm_set1_ps(row_scale), _mm_loadu_ps(scales));
    const __m128i whole = _mm_add_epi32(dots, _mm_set1_epi32(offset));
    most = _mm_max_ps(_mm_mul_ps(_mm_cvtepi32_ps(whole), scale), most);
  };
  const __m128i low = _mm256_castsi256_si128(halves);
  const __m128i high = _mm256_extracti128_si256(halves, 1);
  if constexpr (kSegments == 4) {
    join(_mm_add_epi32(low, high), segment_scales);
  } else {
    join(low, segment_scales);
    join(high, segment_scales + 4);
  }
  const __m128 pairs = _mm_max_ps(most, _mm_movehl_ps(most, most));
  return _mm_cvtss_f32(_mm_max_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
}

// kChunks chunks in a row against one query: what is loaded of the query serves them all.
template <int kSegments, int kVectors, int kChunks>
KAKEYA_VNNI inline void MostsOfRun(const SummaryQueries& queries, int row,
                                   const ChunkSummaries* chunks, float* mosts) {
  constexpr int kSteps = kSegments * kVectors / 2;  // packed vectors of a chunk
  const __m512i low_half = _mm512_set1_epi8(0xf);
  const int8_t* const spread = queries.spread + row * 2 * kSteps * kBytes;
  __m512i sums[kChunks][2];  // two of a chunk, to hide the latency
  KAKEYA_VNNI_UNROLL
  for (int c = 0; c < kChunks; ++c) sums[c][0] = sums[c][1] = _mm512_setzero_si512();
  KAKEYA_VNNI_UNROLL
  for (int v = 0; v < kSteps; ++v) {
    const __m512i first = _mm512_loadu_si512(spread + v * kBytes);
    const __m512i second = _mm512_loadu_si512(spread + (kSteps + v) * kBytes);
    KAKEYA_VNNI_UNROLL
    for (int c = 0; c < kChunks; ++c) {
      const __m512i packed = _mm512_loadu_si512(chunks[c].values + v * kBytes);
      const __m512i low = _mm512_and_si512(packed, low_half);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(packed, 4), low_half);
      sums[c][0] = _mm512_dpbusd_epi32(sums[c][0], low, first);
      sums[c][1] = _mm512_dpbusd_epi32(sums[c][1], high, second);
    }
  }
  KAKEYA_VNNI_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    mosts[c * queries.rows + row] =
        MostOf<kSegments>(_mm512_add_epi32(sums[c][0], sums[c][1]), queries.offsets[row],
                          queries.scales[row], chunks[c].scales);
  }
}

template <int kSegments, int kVectors>
KAKEYA_VNNI void Mosts(const SummaryQueries& queries, const ChunkSummaries* chunks, int count,
                       float* mosts) {
  constexpr int kRun = 4;
  int c = 0;
  for (; c + kRun <= count; c += kRun) {
    for (int row = 0; row < queries.rows; ++row) {
      MostsOfRun<kSegments, kVectors, kRun>(queries, row, chunks + c, mosts + c * queries.rows);
    }
  }
  for (; c < count; ++c) {
    for (int row = 0; row < queries.rows; ++row) {
      MostsOfRun<kSegments, kVectors, 1>(queries, row, chunks + c, mosts + c * queries.rows);
    }
  }
}

// Lanes are rows: kGroups times 16 of them.
template <int kSegments, int kVectors, int kGroups>
KAKEYA_VNNI uint32_t ScoresOfLanes(const SummaryQueries& queries, const ChunkSummaries& chunk,
                                   const ScoreTest& test, float* scores) {
  constexpr int kDim = kVectors * kBytes;
  constexpr int kHalf = kSegments * kDim / 2;
  const __m512i low_half = _mm512_set1_epi8(0xf);
  alignas(kBytes) uint8_t z[2 * kHalf];
  for (int i = 0; i < kHalf; i += kBytes) {
    const __m512i packed = _mm512_loadu_si512(chunk.values + i);
    _mm512_store_si512(z + i, _mm512_and_si512(packed, low_half));
    _mm512_store_si512(z + kHalf + i, _mm512_and_si512(_mm512_srli_epi16(packed, 4), low_half));
  }
  __m512i dots[kSegments][kGroups];
  KAKEYA_VNNI_UNROLL
  for (int g = 0; g < kGroups; ++g) {
    const __m512i offsets = _mm512_loadu_si512(queries.offsets + g * kLanes32);
    KAKEYA_VNNI_UNROLL
    for (int s = 0; s < kSegments; ++s) dots[s][g] = offsets;
  }
  for (int quad = 0; quad < kDim / 4; ++quad) {
    __m512i q[kGroups];
    KAKEYA_VNNI_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      q[g] = _mm512_loadu_si512(queries.quads + quad * kMaxScanRows * 4 + g * kBytes);
    }
    KAKEYA_VNNI_UNROLL
    for (int s = 0; s < kSegments; ++s) {
      int32_t four;
      std::memcpy(&four, z + (quad * kSegments + s) * 4, sizeof(four));
      const __m512i summary = _mm512_set1_epi32(four);
      KAKEYA_VNNI_UNROLL
      for (int g = 0; g < kGroups; ++g) {
        dots[s][g] = _mm512_dpbusd_epi32(dots[s][g], summary, q[g]);
      }
    }
  }
  uint32_t passing = 0;
  KAKEYA_VNNI_UNROLL
  for (int g = 0; g < kGroups; ++g) {
    const __m512 row_scales = _mm512_loadu_ps(queries.scales + g * kLanes32);
    __m512 best = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    KAKEYA_VNNI_UNROLL
    for (int s = 0; s < kSegments; ++s) {
      const __m512 scales = _mm512_mul_ps(row_scales, _mm512_set1_ps(chunk.scales[s]));
      best = _mm512_max_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(dots[s][g]), scales), best);
    }
    best = _mm512_add_ps(best, _mm512_loadu_ps(test.bias.data() + g * kLanes32));
    _mm512_storeu_ps(scores + g * kLanes32, best);
    const __m512 least = _mm512_loadu_ps(test.least.data() + g * kLanes32);
    const uint32_t lanes = _mm512_cmp_ps_mask(best, least, _CMP_GE_OQ);
    passing |= lanes << (g * kLanes32);
  }
  return passing;
}

template <int kSegments, int kVectors>
ScoreFn LanesOf(int rows) {
  return rows <= kLanes32 ? ScoresOfLanes<kSegments, kVectors, 1>
                          : ScoresOfLanes<kSegments, kVectors, 2>;
}

#endif

}  // namespace

ScoreFn FastestScores(int rows, int segments, int dim) {
#if defined(KAKEYA_HAS_VNNI)
  static_assert(kMaxScanRows == 2 * kLanes32);
  if (UseVnni()) {
    if (segments == 4 && dim == kBytes) return LanesOf<4, 1>(rows);
    if (segments == 4 && dim == 2 * kBytes) return LanesOf<4, 2>(rows);
    if (segments == 8 && dim == kBytes) return LanesOf<8, 1>(rows);
    if (segments == 8 && dim == 2 * kBytes) return LanesOf<8, 2>(rows);
  }
#endif
  (void)rows;
  (void)segments;
  (void)dim;
  return ScoresPortable;
}

MostFn FastestMosts(int segments, int dim) {
#if defined(KAKEYA_HAS_VNNI)
  if (UseVnni()) {
    if (segments == 4 && dim == kBytes) return Mosts<4, 1>;
    if (segments == 4 && dim == 2 * kBytes) return Mosts<4, 2>;
    if (segments == 8 && dim == kBytes) return Mosts<8, 1>;
    if (segments == 8 && dim == 2 * kBytes) return Mosts<8, 2>;
  }
#endif
  (void)segments;
  (void)dim;
  return MostsPortable;
}

}  // namespace kakeya::cpu
