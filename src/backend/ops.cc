#include "backend/ops.h"

#include <algorithm>
#include <cassert>

#include "backend/cpu/cpu.h"
#include "backend/partial_softmax.h"
#include "backend/ref/ref.h"
#include "backend/visibility.h"

namespace kakeya {

void MatMul(const OpContext& context, const float* x, int rows, const PackedMatrix& w, float* out) {
  if (context.device == Device::kRef) return ref::MatMul(x, rows, w, out);
  cpu::MatMul(context.pool, x, rows, w, out);
}

void EmbedRows(const OpContext& context, const PackedMatrix& table, std::span<const int32_t> ids,
               float* out) {
  if (context.device == Device::kRef) return ref::EmbedRows(table, ids, out);
  cpu::EmbedRows(table, ids, out);
}

void RmsNorm(const OpContext& context, const float* x, const float* weight, float eps, int rows,
             int dim, float* out) {
  if (context.device == Device::kRef) return ref::RmsNorm(x, weight, eps, rows, dim, out);
  cpu::RmsNorm(context.pool, x, weight, eps, rows, dim, out);
}

void Rope(const OpContext& context, float* x, int rows, int heads, int head_dim, const float* cos,
          const float* sin) {
  if (context.device == Device::kRef) return ref::Rope(x, rows, heads, head_dim, cos, sin);
  cpu::Rope(context.pool, x, rows, heads, head_dim, cos, sin);
}

void SwiGlu(const OpContext& context, const float* gate, const float* up, int64_t n, float* out) {
  if (context.device == Device::kRef) return ref::SwiGlu(gate, up, n, out);
  cpu::SwiGlu(context.pool, gate, up, n, out);
}

void AddInPlace(const OpContext& context, float* x, const float* y, int64_t n) {
  if (context.device == Device::kRef) return ref::AddInPlace(x, y, n);
  cpu::AddInPlace(context.pool, x, y, n);
}

void CopyRows(const OpContext& context, const float* x, int64_t stride, int64_t rows, int64_t cols,
              float* out) {
  if (context.device == Device::kRef) return ref::CopyRows(x, stride, rows, cols, out);
  cpu::CopyRows(context.pool, x, stride, rows, cols, out);
}

void SplitQkv(const OpContext& context, const float* qkv, int rows, const QkvDims& dims, float* q,
              float* k, float* v) {
  if (context.device == Device::kRef) return ref::SplitQkv(qkv, rows, dims, q, k, v);
  cpu::SplitQkv(context.pool, qkv, rows, dims, q, k, v);
}

bool AllWithin(const OpContext& context, const float* x, int64_t n, float largest) {
  if (context.device == Device::kRef) return ref::AllWithin(x, n, largest);
  return cpu::AllWithin(context.pool, x, n, largest);
}

void StoreKv(const OpContext& context, const KvRows& in, KvType type, void* page, int first_slot) {
  assert(first_slot >= 0 && first_slot + in.rows <= kChunk);
  if (context.device == Device::kRef) return ref::StoreKv(in, type, page, first_slot);
  cpu::StoreKv(in, type, page, first_slot);  // a page is written faster than a thread wakes
}

int64_t AttentionScratchFloats(int heads, int kv_heads, int head_dim) {
  return cpu::AttentionScratchFloats(heads, kv_heads, head_dim);
}

void Attention(const OpContext& context, const AttentionArgs& args) {
  assert(static_cast<int>(args.views.size()) == args.rows);
  assert(std::all_of(args.views.begin(), args.views.end(), IsValid));
  if (context.device == Device::kRef) return ref::Attention(args);
  cpu::Attention(context.pool, args);
}

void BeginVisits(const VisitArgs& args, float* state) {
  // Two partials a query.
  const int64_t size = PartialSize(args.head_dim);
  for (int64_t i = 0; i < int64_t{2} * args.rows * args.heads; ++i) {
    state[i * size + kPartialEmpty] = 1;
  }
}

void AttendVisits(const OpContext& context, const VisitArgs& args,
                  std::span<const std::vector<PageVisit>> visits, float* state) {
  assert(args.rows <= 64 && static_cast<int>(visits.size()) == args.kv_heads);
  assert(static_cast<int>(args.views.size()) == args.rows);
  assert(std::all_of(args.views.begin(), args.views.end(), IsValid));
  if (context.device == Device::kRef) return ref::AttendVisits(args, visits, state);
  cpu::AttendVisits(context.pool, args, visits, state);
}

void FinishVisits(const OpContext& context, const VisitArgs& args, float* state, float* out) {
  if (context.device == Device::kRef) return ref::FinishVisits(args, state, out);
  cpu::FinishVisits(args, state, out);
}

}  // namespace kakeya
