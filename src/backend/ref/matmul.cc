#include <cassert>
#include <cmath>

#include "backend/numerics.h"
#include "backend/ref/ref.h"

namespace kakeya::ref {
namespace {

int64_t PackedIndex(const PackedMatrix& w, int64_t r, int64_t c) {
  return ((r / kPackWidth) * w.cols() + c) * kPackWidth + r % kPackWidth;
}

}  // namespace

void MatMul(const float* x, int rows, const PackedMatrix& w, float* out) {
  for (int row = 0; row < rows; ++row) {
    for (int64_t n = 0; n < w.rows(); ++n) {
      float sum = 0;
      for (int64_t k = 0; k < w.cols(); ++k) {
        const float weight = numerics::Load(w.dtype(), w.data(), PackedIndex(w, n, k));
        sum = std::fma(x[row * w.cols() + k], weight, sum);
      }
      out[row * w.rows() + n] = sum;
    }
  }
}

void EmbedRows(const PackedMatrix& table, std::span<const int32_t> ids, float* out) {
  for (const int32_t id : ids) {
    assert(id >= 0 && id < table.rows());
    for (int64_t c = 0; c < table.cols(); ++c) {
      *out++ = numerics::Load(table.dtype(), table.data(), PackedIndex(table, id, c));
    }
  }
}

}  // namespace kakeya::ref
