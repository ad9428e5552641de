// The scalar truth: every operator spelled as its contract in ops.h says, one element at a time.
// For tests; slow on purpose.
#ifndef KAKEYA_BACKEND_REF_REF_H_
#define KAKEYA_BACKEND_REF_REF_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"

namespace kakeya::ref {

void MatMul(const float* x, int rows, const PackedMatrix& w, float* out);
void EmbedRows(const PackedMatrix& table, std::span<const int32_t> ids, float* out);
void RmsNorm(const float* x, const float* weight, float eps, int rows, int dim, float* out);
void Rope(float* x, int rows, int heads, int head_dim, const float* cos, const float* sin);
void SwiGlu(const float* gate, const float* up, int64_t n, float* out);
void AddInPlace(float* x, const float* y, int64_t n);
void CopyRows(const float* x, int64_t stride, int64_t rows, int64_t cols, float* out);
void SplitQkv(const float* qkv, int rows, const QkvDims& dims, float* q, float* k, float* v);
bool AllWithin(const float* x, int64_t n, float largest);
void StoreKv(const KvRows& in, KvType type, void* page, int first_slot);
void Attention(const AttentionArgs& args);
void AttendVisits(const VisitArgs& args, std::span<const std::vector<PageVisit>> visits,
                  float* state);
void FinishVisits(const VisitArgs& args, float* state, float* out);

}  // namespace kakeya::ref

#endif  // KAKEYA_BACKEND_REF_REF_H_
