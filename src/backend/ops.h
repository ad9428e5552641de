// Every operator of the engine: one signature, several devices. Callers never ask which device runs
// it.
//
// Bits. Each operator fixes its order of reduction per output element, so that a result never
// depends on the number of rows, on neighbours, on the thread count or on the vector width:
//
//  (1) MatMul sums over k ascending, one fused multiply-add per step; with weights of a block
//      format, one or two per block (see there).
//
//  (2) Attention takes every element of K and V as F32, an affine one as fma(scale, q, bias), and
//      sums over the head dimension ascending per key, over visible keys ascending per chunk, over
//      chunks ascending per group of kChunksPerGroup, over groups ascending.
//
//  (3) AttendVisits sums in the order of Attention, whatever the rounds its visits come in.
//
//  (4) RmsNorm and the sum of a chunk's weights use kLanes interleaved partial sums, then a fixed
//      tree. An element's lane is its index, a weight's its slot in the chunk, whatever is visible.
//
// The scalar reference (ref/) spells the same order, so every device and every instruction set
// gives equal bits.
//
// Thread safety: operators are pure functions of their arguments; two may run at once if they don't
// share outputs and use different thread pools.
#ifndef KAKEYA_BACKEND_OPS_H_
#define KAKEYA_BACKEND_OPS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/kv_page.h"
#include "backend/packed_matrix.h"
#include "base/device.h"
#include "base/tensor_view.h"
#include "base/thread_pool.h"

namespace kakeya {

// Chunks whose partial attention is summed before it joins the total (512 keys: one task in a long
// decode).
inline constexpr int kChunksPerGroup = 8;
// Interleaved partial sums of a row reduction: lane l holds the elements l, l + kLanes, ...
inline constexpr int kLanes = 16;
// What attention is made for: query heads per KV head (and kMaxHeadDim elements of a head).
inline constexpr int kMaxGroup = 24;

// Where operators run. Copyable; the pool outlives it. Tensors that an operator is given lie in
// space().
struct OpContext {
  Device device = Device::kCpu;
  ThreadPool* pool = nullptr;  // null: the calling thread alone

  MemorySpace space() const { return SpaceOf(device); }
};

// One layer's keys and values of kChunk consecutive positions, the first a multiple of kChunk, as
// backend/kv_page.h lays them out. Slots that hold nothing visible may contain anything, NaN
// included: they never reach a result.
struct KvPage {
  int64_t first_position = 0;
  void* data = nullptr;
};

// What a row sees: of the positions below `end`, those below `sink` and those from `begin` on.
//
// `begin` may lie anywhere where sink == 0 (a sliding window goes by position), and `end` anywhere
// behind it: one past the row's own position where attention is causal, further where rows see what
// follows them. REQUIRES: 0 <= begin < end; sink == 0 or begin is a multiple of kChunk, so that a
// row never sees two runs of slots within one chunk.
struct RowView {
  int64_t sink = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

struct AttentionArgs {
  const float* q = nullptr;  // (rows, heads, head_dim), after norm and rotation
  float* out = nullptr;      // (rows, heads, head_dim)
  int rows = 0;
  int heads = 0;  // 1 to kMaxGroup times kv_heads; head h reads KV head h / (heads / kv_heads)
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 8, at most kMaxHeadDim
  float scale = 1;   // multiplies every score
  KvType kv_type = KvType::kBF16;
  // Pages in ascending order of first_position; every position that a row sees lies in one of them.
  std::span<const KvPage> pages;
  std::span<const RowView> views;  // (rows), in any order
  // AttentionScratchFloats() floats let few rows over many pages use all threads. With fewer (none)
  // the bits are the same.
  std::span<float> scratch = {};
};

// Which part of a visited page a row sees.
enum class VisitPart : uint8_t {
  kUpToEnd,  // all below the row's `end`: of restored chunks
  kWindow,   // [begin, end) of the row's view: of exact pages
  kSinks,    // those below the row's `sink` and `end`
};

// One KV head's page of one chunk, and the rows that attend to it.
struct PageVisit {
  int64_t first_position = 0;  // of the chunk
  const void* data = nullptr;  // this head of a page (backend/kv_page.h)
  uint64_t rows = 0;           // bit r: row r attends to `part` of it
  VisitPart part = VisitPart::kUpToEnd;
  bool far = false;  // its keys are rotated by their slot; queries come from q_far
};

// Attention where each row and KV head has its own chunks, which may come in several rounds.
struct VisitArgs {
  const float* q = nullptr;      // (rows, heads, head_dim), after norm and rotation
  const float* q_far = nullptr;  // the same rotated for far pages; null if there are none
  int rows = 0;                  // at most 64: the bits of PageVisit::rows
  int heads = 0;                 // as in AttentionArgs
  int kv_heads = 0;
  int head_dim = 0;
  float scale = 1;
  KvType kv_type = KvType::kBF16;
  std::span<const RowView> views;  // (rows)
};

// Floats that AttendVisits keeps per query between rounds.
inline constexpr int64_t AttentionStateFloats(int head_dim) {
  return int64_t{2} * (kLanes + (head_dim + kLanes - 1) / kLanes * kLanes);
}

// Floats of scratch that Attention can use, whatever the number of rows; 0 where there are KV heads
// enough to keep all threads busy without.
int64_t AttentionScratchFloats(int heads, int kv_heads, int head_dim);

// out (rows, w.rows()) = x (rows, w.cols()) times w transposed. F32 activations, weights in their
// stored type.
//
// Weights of a block format (backend/quant_format.h) meet activations that were quantised to 8
// bits, each row by itself, in blocks of the same columns: numerics::QuantizeBlock. Per output,
// over blocks ascending, with the block's weights q - bias, scale, min, d, dmin and the row's
// integers a and scale `da`:
//   dot  = sum over the block of scale * (q - bias) * a        exact, in 32 bits; iq4_nl: levels
//                                                              in place of q - bias
//   mins = sum over the block of min * a                       exact, in 32 bits
//   sum  = fma(float(dot), d * da, sum)
//   sum  = fma(float(-mins), dmin * da, sum)                   only q4_k, q5_k
//   sum  = fma(dmin, float(-mins) * da, sum)                   only q4_1, q5_1, whose min is 1 and
//                                                              dmin -m: one factor for all outputs
// float() rounds to nearest even. The integers are exact, so their order is free; the rest is
// spelled. A NaN or an infinity among a row's activations makes all of its outputs NaN.
void MatMul(const OpContext& context, const float* x, int rows, const PackedMatrix& w, float* out);

// out (ids.size(), table.cols()): one row of the table per id. REQUIRES: every id in [0,
// table.rows()).
void EmbedRows(const OpContext& context, const PackedMatrix& table, std::span<const int32_t> ids,
               float* out);

// out (rows, dim) = x / sqrt(mean(x^2) + eps) * weight. out may be x.
void RmsNorm(const OpContext& context, const float* x, const float* weight, float eps, int rows,
             int dim, float* out);

// Rotates x (rows, heads, head_dim) in place, halves convention (dimension d pairs with d +
// head_dim / 2), with cos and sin (rows, head_dim / 2). Rows that share a position are one row with
// more heads.
void Rope(const OpContext& context, float* x, int rows, int heads, int head_dim, const float* cos,
          const float* sin);

// out (n) = silu(gate) * up. out may be gate or up.
void SwiGlu(const OpContext& context, const float* gate, const float* up, int64_t n, float* out);

// x (n) += y (n).
void AddInPlace(const OpContext& context, float* x, const float* y, int64_t n);

// out (rows, cols) = the first cols elements of each row of x, rows `stride` elements apart.
// REQUIRES: they don't overlap.
void CopyRows(const OpContext& context, const float* x, int64_t stride, int64_t rows, int64_t cols,
              float* out);

// One row of queries, keys and values, side by side.
struct QkvDims {
  int64_t q = 0;
  int64_t kv = 0;  // of the keys, and of the values

  int64_t row() const { return q + 2 * kv; }
};
// qkv (rows, dims.row()) apart into q (rows, dims.q), k and v (rows, dims.kv).
void SplitQkv(const OpContext& context, const float* qkv, int rows, const QkvDims& dims, float* q,
              float* k, float* v);

// Whether each of x (n) is a number of at most this magnitude.
bool AllWithin(const OpContext& context, const float* x, int64_t n, float largest);

// Rows of keys and values, (rows, kv_heads, head_dim) each.
struct KvRows {
  const float* k = nullptr;
  const float* v = nullptr;
  int rows = 0;
  int kv_heads = 1;
  int head_dim = 0;
};
// Writes them, rounded to nearest even or quantised as backend/kv_page.h says, into the slots
// [first_slot, first_slot + in.rows) of one page. REQUIRES: first_slot + in.rows <= kChunk.
void StoreKv(const OpContext& context, const KvRows& in, KvType type, void* page, int first_slot);

// Softmax attention of args.rows queries over the visible positions, as described above.
void Attention(const OpContext& context, const AttentionArgs& args);

// Softmax attention over visits, in rounds: Begin, then Attend any number of times, then Finish.
// visits[h] are those of KV head h; over all rounds each head's come in ascending order of
// first_position, and a row has at most one visit per chunk, so cutting into rounds never shows in
// the bits. A row that visits all it sees gets the bits of Attention. state: (rows, heads,
// AttentionStateFloats(head_dim)). Finish writes out (rows, heads, head_dim) and uses the state up.
// REQUIRES: every row has seen some position before Finish.
void BeginVisits(const VisitArgs& args, float* state);
void AttendVisits(const OpContext& context, const VisitArgs& args,
                  std::span<const std::vector<PageVisit>> visits, float* state);
void FinishVisits(const OpContext& context, const VisitArgs& args, float* state, float* out);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_OPS_H_
