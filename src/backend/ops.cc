#include "backend/ops.h"

#include <cassert>

#include "backend/ref/ref.h"

namespace kakeya {

void MatMul(const OpContext& context, const float* x, int rows, const PackedMatrix& w, float* out) {
  (void)context;
  ref::MatMul(x, rows, w, out);
}

void EmbedRows(const OpContext& context, const PackedMatrix& table, std::span<const int32_t> ids,
               float* out) {
  (void)context;
  ref::EmbedRows(table, ids, out);
}

void RmsNorm(const OpContext& context, const float* x, const float* weight, float eps, int rows,
             int dim, float* out) {
  (void)context;
  ref::RmsNorm(x, weight, eps, rows, dim, out);
}

void Rope(const OpContext& context, float* x, int rows, int heads, int head_dim, const float* cos,
          const float* sin) {
  (void)context;
  ref::Rope(x, rows, heads, head_dim, cos, sin);
}

void SwiGlu(const OpContext& context, const float* gate, const float* up, int64_t n, float* out) {
  (void)context;
  ref::SwiGlu(gate, up, n, out);
}

void AddInPlace(const OpContext& context, float* x, const float* y, int64_t n) {
  (void)context;
  ref::AddInPlace(x, y, n);
}

void StoreKv(const OpContext& context, const float* k, const float* v, int rows, int kv_heads,
             int head_dim, DType kv_dtype, void* page, int first_slot) {
  assert(first_slot >= 0 && first_slot + rows <= kChunk);
  (void)context;
  ref::StoreKv(k, v, rows, kv_heads, head_dim, kv_dtype, page, first_slot);
}

void Attention(const OpContext& context, const AttentionArgs& args) {
  (void)context;
  ref::Attention(args);
}

}  // namespace kakeya
