#include <cassert>
#include <cmath>
#include <vector>

#include "backend/numerics.h"
#include "backend/packed_layout.h"
#include "backend/quant_format.h"
#include "backend/ref/ref.h"

namespace kakeya::ref {
namespace {

int64_t PackedIndex(const PackedMatrix& w, int64_t r, int64_t c) {
  return ((r / kPackWidth) * w.cols() + c) * kPackWidth + r % kPackWidth;
}

// One row's activations, quantised in blocks as large as the weights'.
struct QuantRow {
  std::vector<int8_t> q;      // (cols)
  std::vector<float> scales;  // (cols / block)
};

QuantRow QuantizeRow(const float* x, int64_t cols, int block) {
  QuantRow out{std::vector<int8_t>(static_cast<size_t>(cols)), {}};
  for (int64_t c = 0; c < cols; c += block) {
    out.scales.push_back(numerics::QuantizeBlock(x + c, block, out.q.data() + c));
  }
  return out;
}

// sum, and what one block of weights adds to it.
float AddBlock(DType type, const QuantBlock& w, const int8_t* q, float scale, float sum) {
  int32_t dot = 0;
  int32_t mins = 0;
  for (int i = 0; i < BlockElements(type); ++i) {
    const int s = i / SubBlockElements(type);
    dot += w.scale[s] * LevelOf(type, w.q[i]) * q[i];
    mins += w.min[s] * q[i];
  }
  sum = std::fma(static_cast<float>(dot), numerics::FromF16(w.d) * scale, sum);
  if (!HasMins(type)) return sum;
  const float dmin = numerics::FromF16(w.dmin);
  if (HasBlockMin(type)) return std::fma(dmin, static_cast<float>(-mins) * scale, sum);
  return std::fma(static_cast<float>(-mins), dmin * scale, sum);
}

void BlockMatMul(const float* x, int rows, const PackedMatrix& w, float* out) {
  const int size = BlockElements(w.dtype());
  for (int row = 0; row < rows; ++row) {
    const QuantRow in = QuantizeRow(x + row * w.cols(), w.cols(), size);
    for (int64_t n = 0; n < w.rows(); ++n) {
      float sum = 0;
      for (int64_t b = 0; b < w.cols() / size; ++b) {
        QuantBlock block;
        DecodeLane(w.dtype(), TileOf(w, n, b), static_cast<int>(n % kPackWidth), &block);
        sum = AddBlock(w.dtype(), block, in.q.data() + b * size, in.scales[static_cast<size_t>(b)],
                       sum);
      }
      out[row * w.rows() + n] = sum;
    }
  }
}

}  // namespace

void MatMul(const float* x, int rows, const PackedMatrix& w, float* out) {
  if (IsBlockType(w.dtype())) return BlockMatMul(x, rows, w, out);
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
    if (IsBlockType(table.dtype())) {
      DequantizeRow(table, id, out);
      out += table.cols();
      continue;
    }
    for (int64_t c = 0; c < table.cols(); ++c) {
      *out++ = numerics::Load(table.dtype(), table.data(), PackedIndex(table, id, c));
    }
  }
}

}  // namespace kakeya::ref
