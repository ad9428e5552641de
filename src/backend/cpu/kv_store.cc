#include <cstdint>

#include "backend/cpu/cpu.h"
#include "backend/numerics.h"

namespace kakeya::cpu {
namespace {

// Elements of one (head, slot) of keys and values, rounded into the page.
template <typename T, typename Convert>
void StoreAs(const float* k, const float* v, int rows, int kv_heads, int head_dim, T* page,
             int first_slot, const Convert& convert) {
  for (int head = 0; head < kv_heads; ++head) {
    T* const keys = page + int64_t{2} * head * head_dim * kChunk;
    T* const values = keys + int64_t{head_dim} * kChunk;
    for (int row = 0; row < rows; ++row) {
      const int64_t source = (int64_t{row} * kv_heads + head) * head_dim;
      const int64_t slot = first_slot + row;
      for (int d = 0; d < head_dim; ++d) keys[d * kChunk + slot] = convert(k[source + d]);
      for (int d = 0; d < head_dim; ++d) values[slot * head_dim + d] = convert(v[source + d]);
    }
  }
}

}  // namespace

void StoreKv(ThreadPool* pool, const float* k, const float* v, int rows, int kv_heads, int head_dim,
             DType kv_dtype, void* page, int first_slot) {
  (void)pool;  // a page is written faster than a thread wakes
  switch (kv_dtype) {
    case DType::kF32:
      return StoreAs(k, v, rows, kv_heads, head_dim, static_cast<float*>(page), first_slot,
                     [](float value) { return value; });
    case DType::kF16:
      return StoreAs(k, v, rows, kv_heads, head_dim, static_cast<uint16_t*>(page), first_slot,
                     numerics::ToF16);
    case DType::kBF16:
      return StoreAs(k, v, rows, kv_heads, head_dim, static_cast<uint16_t*>(page), first_slot,
                     numerics::ToBF16);
  }
}

}  // namespace kakeya::cpu
