#include <cmath>

#include "backend/numerics.h"
#include "backend/ref/ref.h"

namespace kakeya::ref {

void RmsNorm(const float* x, const float* weight, float eps, int rows, int dim, float* out) {
  for (int row = 0; row < rows; ++row) {
    const float* in = x + int64_t{row} * dim;
    float sums[kLanes] = {};
    for (int i = 0; i < dim; ++i) sums[i % kLanes] = std::fma(in[i], in[i], sums[i % kLanes]);
    const float mean = numerics::TreeSum(sums) / static_cast<float>(dim);
    const float inverse = 1.0f / std::sqrt(mean + eps);
    for (int i = 0; i < dim; ++i) out[int64_t{row} * dim + i] = in[i] * inverse * weight[i];
  }
}

void Rope(float* x, int rows, int heads, int head_dim, const float* cos, const float* sin) {
  const int half = head_dim / 2;
  for (int row = 0; row < rows; ++row) {
    for (int head = 0; head < heads; ++head) {
      float* low = x + (int64_t{row} * heads + head) * head_dim;
      float* high = low + half;
      for (int d = 0; d < half; ++d) {
        const float c = cos[row * half + d];
        const float s = sin[row * half + d];
        const float a = low[d];
        const float b = high[d];
        low[d] = std::fma(a, c, -(b * s));
        high[d] = std::fma(b, c, a * s);
      }
    }
  }
}

void SwiGlu(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = numerics::Silu(gate[i]) * up[i];
}

void AddInPlace(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void CopyRows(const float* x, int64_t stride, int64_t rows, int64_t cols, float* out) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < cols; ++i) out[row * cols + i] = x[row * stride + i];
  }
}

void SplitQkv(const float* qkv, int rows, const QkvDims& dims, float* q, float* k, float* v) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* const in = qkv + row * dims.row();
    for (int64_t i = 0; i < dims.q; ++i) q[row * dims.q + i] = in[i];
    for (int64_t i = 0; i < dims.kv; ++i) k[row * dims.kv + i] = in[dims.q + i];
    for (int64_t i = 0; i < dims.kv; ++i) v[row * dims.kv + i] = in[dims.q + dims.kv + i];
  }
}

bool AllWithin(const float* x, int64_t n, float largest) {
  for (int64_t i = 0; i < n; ++i) {
    if (!(std::fabs(x[i]) <= largest)) return false;  // NaN compares with nothing
  }
  return true;
}

}  // namespace kakeya::ref
