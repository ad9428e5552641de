// BestSegments by byte products: AVX-512 VNNI multiplies 64 pairs of bytes and adds them by fours
// in one instruction. Highway has no such operation, hence intrinsics, in a file of their own and
// chosen at run time.
#include "proposer/summary_dot.h"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of its own intrinsics (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#endif

namespace kakeya {
namespace {

#if defined(__x86_64__)

constexpr int kSegments = 4;  // that share one reduction
constexpr int kBytes = 64;    // in a vector

// {sum of a, of b, of c, of d}.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"), always_inline)) inline __m128i
SumOfFour(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all =
      _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// The first factor of the instruction has no sign: 128 is added to every summary, and 128 times the
// query's sum taken from the product.
template <int kVectors>
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void BestOfFour(
    const SummaryQueries& queries, const ChunkSummaries& chunk, float* best) {
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i z[kSegments][kVectors];
  for (int s = 0; s < kSegments; ++s) {
    for (int v = 0; v < kVectors; ++v) {
      const int8_t* const from = chunk.values + (s * kVectors + v) * kBytes;
      z[s][v] = _mm512_xor_si512(_mm512_loadu_si512(from), sign);
    }
  }
  const __m128 segment_scales = _mm_loadu_ps(chunk.scales);
  for (int r = 0; r < queries.rows; ++r) {
    __m512i sums[kSegments];
    for (int s = 0; s < kSegments; ++s) sums[s] = _mm512_setzero_si512();
    for (int v = 0; v < kVectors; ++v) {
      const __m512i q = _mm512_loadu_si512(queries.narrow + (r * kVectors + v) * kBytes);
      for (int s = 0; s < kSegments; ++s) sums[s] = _mm512_dpbusd_epi32(sums[s], z[s][v], q);
    }
    const __m128i dots = _mm_sub_epi32(SumOfFour(sums[0], sums[1], sums[2], sums[3]),
                                       _mm_set1_epi32(128 * queries.sums[r]));
    const __m128 scales = _mm_mul_ps(_mm_set1_ps(queries.scales[r]), segment_scales);
    const __m128 products = _mm_mul_ps(_mm_cvtepi32_ps(dots), scales);
    const __m128 pairs = _mm_max_ps(products, _mm_movehl_ps(products, products));
    best[r] = _mm_cvtss_f32(_mm_max_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }
}

bool HasVnni() {
  static const bool kHas = __builtin_cpu_supports("avx512vnni") != 0 &&
                           __builtin_cpu_supports("avx512bw") != 0 &&
                           __builtin_cpu_supports("avx512vl") != 0;
  return kHas;
}

#endif

}  // namespace

void BestSegments(const SummaryQueries& queries, const ChunkSummaries& chunk, float* best) {
#if defined(__x86_64__)
  if (HasVnni() && chunk.segments == kSegments) {
    if (chunk.dim == kBytes) return BestOfFour<1>(queries, chunk, best);
    if (chunk.dim == 2 * kBytes) return BestOfFour<2>(queries, chunk, best);
  }
#endif
  BestSegmentsPortable(queries, chunk, best);
}

}  // namespace kakeya
