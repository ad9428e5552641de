// The vectorised operators. Each has one source, compiled once per instruction set; the best one
// that the machine has is chosen at run time. All give the bits of ref/.
#ifndef KAKEYA_BACKEND_CPU_CPU_H_
#define KAKEYA_BACKEND_CPU_CPU_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"

namespace kakeya::cpu {

void MatMul(ThreadPool* pool, const float* x, int rows, const PackedMatrix& w, float* out);
void EmbedRows(const PackedMatrix& table, std::span<const int32_t> ids, float* out);
void RmsNorm(ThreadPool* pool, const float* x, const float* weight, float eps, int rows, int dim,
             float* out);
void Rope(ThreadPool* pool, float* x, int rows, int heads, int head_dim, const float* cos,
          const float* sin);
void SwiGlu(ThreadPool* pool, const float* gate, const float* up, int64_t n, float* out);
void AddInPlace(ThreadPool* pool, float* x, const float* y, int64_t n);
void CopyRows(ThreadPool* pool, const float* x, int64_t stride, int64_t rows, int64_t cols,
              float* out);
void SplitQkv(ThreadPool* pool, const float* qkv, int rows, const QkvDims& dims, float* q, float* k,
              float* v);
bool AllWithin(ThreadPool* pool, const float* x, int64_t n, float largest);
void StoreKv(const KvRows& in, KvType type, void* page, int first_slot);
int64_t AttentionScratchFloats(int heads, int kv_heads, int head_dim);
void Attention(ThreadPool* pool, const AttentionArgs& args);
void AttendVisits(ThreadPool* pool, const VisitArgs& args,
                  std::span<const std::vector<PageVisit>> visits, float* state);
void FinishVisits(const VisitArgs& args, float* state, float* out);

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_CPU_CPU_H_
