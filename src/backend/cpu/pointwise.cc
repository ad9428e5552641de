// The operators between the products: RmsNorm, Rope, SwiGlu, AddInPlace, and what moves rows about.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "backend/cpu/cpu.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/pointwise.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

void RmsNormRow(const float* x, const float* weight, float eps, int dim, float* out) {
  const int whole = dim / kBlock * kBlock;
  Block sums = ZeroBlock();
  const auto add_squares = [&](const Block& in) HWY_ATTR {
    KAKEYA_UNROLL
    for (int i = 0; i < kVecs; ++i) sums.v[i] = Fma(in.v[i], in.v[i], sums.v[i]);
  };
  for (int i = 0; i < whole; i += kBlock) add_squares(LoadBlock(x + i));
  if (whole < dim) add_squares(LoadPart(x + whole, dim - whole));
  const float mean = TreeSum(sums) / static_cast<float>(dim);
  const float inverse = 1.0f / std::sqrt(mean + eps);
  const Vec scale = hn::Set(F(), inverse);
  for (int i = 0; i < whole; i += kVecLanes) {
    hn::StoreU(hn::Mul(hn::Mul(LoadVec(x + i), scale), LoadVec(weight + i)), F(), out + i);
  }
  for (int i = whole; i < dim; ++i) out[i] = x[i] * inverse * weight[i];
}

void RopeRow(float* x, int heads, int head_dim, const float* cos, const float* sin) {
  const int half = head_dim / 2;
  const int whole = half / kVecLanes * kVecLanes;
  for (int head = 0; head < heads; ++head) {
    float* const low = x + int64_t{head} * head_dim;
    float* const high = low + half;
    for (int d = 0; d < whole; d += kVecLanes) {
      const Vec c = LoadVec(cos + d);
      const Vec s = LoadVec(sin + d);
      const Vec a = LoadVec(low + d);
      const Vec b = LoadVec(high + d);
      hn::StoreU(Fma(a, c, hn::Neg(hn::Mul(b, s))), F(), low + d);
      hn::StoreU(Fma(b, c, hn::Mul(a, s)), F(), high + d);
    }
    for (int d = whole; d < half; ++d) {
      const float a = low[d];
      const float b = high[d];
      low[d] = std::fma(a, cos[d], -(b * sin[d]));
      high[d] = std::fma(b, cos[d], a * sin[d]);
    }
  }
}

void SwiGluRange(const float* gate, const float* up, int64_t n, float* out) {
  const Vec one = hn::Set(F(), 1.0f);
  int64_t i = 0;
  for (; i + kVecLanes <= n; i += kVecLanes) {
    const Vec g = LoadVec(gate + i);
    const Vec silu = hn::Div(g, hn::Add(one, Exp(hn::Neg(g))));
    hn::StoreU(hn::Mul(silu, LoadVec(up + i)), F(), out + i);
  }
  for (; i < n; ++i) out[i] = numerics::Silu(gate[i]) * up[i];
}

void AddRange(float* x, const float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kVecLanes <= n; i += kVecLanes) {
    hn::StoreU(hn::Add(LoadVec(x + i), LoadVec(y + i)), F(), x + i);
  }
  for (; i < n; ++i) x[i] += y[i];
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(RmsNormRow);
HWY_EXPORT(RopeRow);
HWY_EXPORT(SwiGluRange);
HWY_EXPORT(AddRange);

// Elements that are worth another thread: fewer are done before it has woken.
constexpr int64_t kTaskElements = 16 * 1024;

// Calls body(begin, end) over [0, items), each item of `size` elements, in tasks of about
// kTaskElements.
template <typename Body>
void OverItems(ThreadPool* pool, int64_t items, int64_t size, const Body& body) {
  const int64_t step = std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, size));
  const int64_t tasks = (items + step - 1) / step;
  ParallelFor(pool, tasks, [&](int64_t i) { body(i * step, std::min(items, (i + 1) * step)); });
}

}  // namespace

void RmsNorm(ThreadPool* pool, const float* x, const float* weight, float eps, int rows, int dim,
             float* out) {
  OverItems(pool, rows, dim, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      HWY_DYNAMIC_DISPATCH(RmsNormRow)(x + row * dim, weight, eps, dim, out + row * dim);
    }
  });
}

void Rope(ThreadPool* pool, float* x, int rows, int heads, int head_dim, const float* cos,
          const float* sin) {
  const int64_t size = int64_t{heads} * head_dim;
  const int64_t half = head_dim / 2;
  OverItems(pool, rows, size, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      HWY_DYNAMIC_DISPATCH(RopeRow)
      (x + row * size, heads, head_dim, cos + row * half, sin + row * half);
    }
  });
}

void SwiGlu(ThreadPool* pool, const float* gate, const float* up, int64_t n, float* out) {
  OverItems(pool, n, 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(SwiGluRange)(gate + begin, up + begin, end - begin, out + begin);
  });
}

void AddInPlace(ThreadPool* pool, float* x, const float* y, int64_t n) {
  OverItems(pool, n, 1, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddRange)(x + begin, y + begin, end - begin);
  });
}

void CopyRows(ThreadPool* pool, const float* x, int64_t stride, int64_t rows, int64_t cols,
              float* out) {
  OverItems(pool, rows, cols, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::copy_n(x + row * stride, cols, out + row * cols);
    }
  });
}

void SplitQkv(ThreadPool* pool, const float* qkv, int rows, const QkvDims& dims, float* q, float* k,
              float* v) {
  OverItems(pool, rows, dims.row(), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* const in = qkv + row * dims.row();
      std::copy_n(in, dims.q, q + row * dims.q);
      std::copy_n(in + dims.q, dims.kv, k + row * dims.kv);
      std::copy_n(in + dims.q + dims.kv, dims.kv, v + row * dims.kv);
    }
  });
}

bool AllWithin(ThreadPool* pool, const float* x, int64_t n, float largest) {
  const auto most = std::bit_cast<uint32_t>(largest);
  std::atomic<bool> within{true};
  OverItems(pool, n, 1, [&](int64_t begin, int64_t end) {
    // Magnitudes compared as whole numbers, without a branch: the compiler makes vectors of it.
    uint32_t beyond = 0;
    for (int64_t i = begin; i < end; ++i) {
      beyond |= (std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu) > most ? 1 : 0;
    }
    if (beyond != 0) within.store(false, std::memory_order_relaxed);
  });
  return within;
}

}  // namespace kakeya::cpu
#endif
