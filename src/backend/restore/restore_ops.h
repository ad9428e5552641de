// The operators of restoration, beside those of backend/ops.h: what turns a proposer's outputs into
// codes and summaries, finds recurrence, chooses chunks for queries, and computes keys and values
// from codes. One signature, several devices; callers pass the session's OpContext and never ask
// which device runs it.
//
// Bits. Dot products are of whole numbers: exact, whatever their order. Floats are combined in the
// one expression that each operator spells out, with sums over tokens ascending. So neither the
// device, nor the instruction set, nor how the work was cut ever shows in the bits. The scalar
// reference (restore/ref/) follows the same text.
//
// Thread safety: as in backend/ops.h.
#ifndef KAKEYA_BACKEND_RESTORE_RESTORE_OPS_H_
#define KAKEYA_BACKEND_RESTORE_RESTORE_OPS_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "backend/restore/best_chunks.h"
#include "backend/restore/restore_map.h"
#include "backend/restore/summary_layout.h"

namespace kakeya {

// --- Quantising and pooling activations -------------------------------------------------------

// In place of a token that there is not.
inline constexpr int32_t kNoToken = -1;

// What f_theta takes of each token's own embedding.
struct TokenFeatures {
  const int16_t* values = nullptr;  // (vocabulary, dim)
  const float* scales = nullptr;    // (vocabulary)
  int dim = 0;                      // 0: nothing is taken
};

// out (ids.size(), dim) = features of each id times its scale; zeros for kNoToken.
void GatherFeatures(const OpContext& context, const TokenFeatures& tokens,
                    std::span<const int32_t> ids, float* out);

// q (rows, dim) and scales (rows) = rows of x (rows, dim) in int8: QuantizeInt8 in quantize.h.
void QuantizeRows(const OpContext& context, const float* x, int rows, int dim, int8_t* q,
                  float* scales);

// Per segment of kChunk / segments tokens and pool head p: the mean of slice p of `projected`
// (kChunk, dim), weighted by a softmax of the segment's `logits` (kChunk, pool_heads). Over a
// segment's tokens ascending:
//   weight = Exp(logit - largest logit),  sum += weight,  mean += weight * value
// and then mean / sum; a product and its sum round twice. Gives int4 summaries, packed as
// PackSummaries does, and their scales (segments); a NaN as scale where there are no numbers.
void PoolSummaries(const OpContext& context, const SummaryShape& shape, const float* logits,
                   const float* projected, uint8_t* summaries, float* scales);

// --- Recurrence ----------------------------------------------------------------------------------

// Bounds of a RecurrenceShape: so many n-grams, so long, and so many tokens after one.
inline constexpr int kMaxRecurrenceLengths = 8;
inline constexpr int kMaxRecurrenceLength = 16;
inline constexpr int kMaxRecurrenceBuckets = 64;
inline constexpr int kMaxRecurrenceNext = 64;

// What is asked about exact recurrence; without lengths nothing.
struct RecurrenceShape {
  std::vector<int> lengths;  // of the n-grams, ascending
  int buckets = 0;  // of the number of earlier occurrences: 0, 1, ..., at least buckets - 1
  int next = 0;     // tokens after the latest of them

  bool used() const { return !lengths.empty(); }
};

// For position p and length n, an n-gram's earlier occurrences end at
//   occ_n(p) = { q : n - 1 <= q < p, ids[q - i] == ids[p - i] for i in [0, n) },
// and q* is the last of them for the largest n that has any.
struct ChunkRecurrence {
  // (kChunk, lengths): min(|occ_n(p)|, buckets - 1).
  std::array<uint8_t, size_t{kChunk} * kMaxRecurrenceLengths> buckets;
  // (kChunk, next): ids[q* + 1], ids[q* + 2], ... as far as they stand before p, else kNoToken.
  std::array<int32_t, size_t{kChunk} * kMaxRecurrenceNext> followers;
};

// What recurs in the last of these chunks of ids, (kChunk) each, which are a history from its
// start. REQUIRES: shape.used(); there is a chunk.
void FindRecurrence(const OpContext& context, const RecurrenceShape& shape,
                    std::span<const int32_t* const> chunks, ChunkRecurrence* out);

// x (kChunk, dim) += for each token one row of `counts` (lengths, buckets, dim) per length, by its
// bucket, lengths ascending.
void AddRecurrenceRows(const OpContext& context, const RecurrenceShape& shape,
                       const ChunkRecurrence& found, const float* counts, int dim, float* x);

// --- Choosing chunks -----------------------------------------------------------------------------

// Distances in chunks fall into this many buckets: bucket b holds [2^b, 2^(b + 1)), the last one
// everything beyond.
inline constexpr int kDistanceBuckets = 16;
// Rows that one call of these operators may have.
inline constexpr int kMaxScanRows = 32;
// Rows up to which a query is compared with several chunks at once, rather than one with many rows.
inline constexpr int kFewScanRows = 5;

// Some rows of selector queries in int8. Memory is the caller's; which of the layouts are filled in
// is the device's business.
struct SummaryQueries {
  int rows = 0;  // at most kMaxScanRows
  int dim = 0;   // of the summaries
  int segments = 0;
  int8_t* narrow = nullptr;  // (rows, dim)
  int16_t* wide = nullptr;   // (rows, dim): the same
  int8_t* spread = nullptr;  // (rows, dim / 4, segments, 4): the same, each four elements once per
                             // segment; for kFewScanRows rows
  int8_t* quads = nullptr;   // (dim / 4, kMaxScanRows, 4): the same; zeros at first
  int32_t* offsets = nullptr;   // (kMaxScanRows): -kInt4Bias times the sum of a row's elements
  float* scales = nullptr;      // (kMaxScanRows)
  float* thresholds = nullptr;  // (kMaxScanRows): what a score must reach; NaN: nothing is enough
};

// One KV head's part of the verifier's queries, and the map that makes selector queries of it.
struct SelectProjection {
  const float* q = nullptr;              // of row 0: (rows, inputs), `stride` apart
  int64_t stride = 0;                    // floats
  const PackedMatrix* weight = nullptr;  // (dim + 1, inputs); the last output is the threshold
  const float* bias = nullptr;           // (dim + 1)
  float min_share_log = 0;               // is added to the threshold
  float* gathered = nullptr;             // scratch: (rows, inputs)
  float* projected = nullptr;            // scratch: (rows, dim + 1)
};

// Fills in the queries of projection.q: MatMul with the weight, plus the bias, the first dim
// outputs by QuantizeInt8. A row whose scale or threshold is no number gets the threshold NaN. On
// the calling thread alone: so small a product is done before another is awake.
void ProjectQueries(const OpContext& context, const SelectProjection& projection,
                    SummaryQueries* queries);

// One chunk that may be chosen.
struct ChunkSummaries {
  int64_t chunk = 0;
  const uint8_t* values = nullptr;  // (segments * dim / 2), as PackSummaries packs them
  const float* scales = nullptr;    // (segments)
};

struct ScanArgs {
  const SummaryQueries* queries = nullptr;  // from ProjectQueries on the same device
  const float* distance = nullptr;          // (kDistanceBuckets): added to scores
  int64_t first_position = 0;               // row r stands at first_position + r
  // Row r sees the chunks before window_begin[r] / kChunk. (rows), multiples of kChunk, ascending.
  const int64_t* window_begin = nullptr;
  int64_t max_chunks = 0;  // per row, above 0
};

// Offers the chunks, descending, to each row's best (rows). A row's score of a chunk that it sees:
//   most over the segments of float(dot) * (row's scale * segment's scale), plus
//   distance[bucket of the chunks from the row's own to this]
// where a product that is no number counts for nothing; it must reach the row's threshold. However
// the chunks are cut into calls, the best are the same.
void ScanChunks(const OpContext& context, const ScanArgs& args,
                std::span<const ChunkSummaries> chunks, std::span<BestChunks> best);

// --- f_theta -------------------------------------------------------------------------------------

// What is kept of a chunk's tokens.
struct CodedChunk {
  const int32_t* ids = nullptr;        // (kChunk)
  const int8_t* codes = nullptr;       // (kChunk, code inputs of the map)
  const float* code_scales = nullptr;  // (kChunk)
};

// Keys k and values v (kChunk, head_dim) of a chunk. Every output is
//   (bias + code dot * (code's scale * weights' scale)) + the same of the token's features,
// without that of a half that has no inputs. Keys are those before the verifier's k_norm. REQUIRES:
// tokens.dim is the number of inputs of the map's second half.
void RestoreKv(const OpContext& context, const RestoreMap& map, const CodedChunk& chunk,
               const TokenFeatures& tokens, float* k, float* v);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_RESTORE_RESTORE_OPS_H_
