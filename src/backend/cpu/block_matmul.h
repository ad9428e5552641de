// Products with weights of a block format (the contract: MatMul in ops.h). Activations are
// quantised once per product into the layout below; then tiles of rows meet groups of sixteen
// outputs, on AVX-512 VNNI or on what Highway offers.
#ifndef KAKEYA_BACKEND_CPU_BLOCK_MATMUL_H_
#define KAKEYA_BACKEND_CPU_BLOCK_MATMUL_H_

#include <array>
#include <cstdint>
#include <vector>

#include "backend/packed_matrix.h"
#include "backend/quant_format.h"
#include "base/tensor_view.h"
#include "base/thread_pool.h"

namespace kakeya::cpu {

// iq4_nl's levels as bytes without a sign, to be looked up.
alignas(16) inline constexpr std::array<uint8_t, 16> kIq4Bytes = [] {
  std::array<uint8_t, 16> bytes{};
  for (uint8_t q = 0; q < 16; ++q) {
    bytes[q] = static_cast<uint8_t>(LevelOf(DType::kIQ4_NL, q) + QuantBias(DType::kIQ4_NL));
  }
  return bytes;
}();

// Sub-blocks of a k-quant's block whose sums meet mins.
inline constexpr int kMinSums = 8;

// Some rows of activations, quantised. A block of a row has the index b * rows + r, so that a tile
// is read from one end to the other.
struct QuantTile {
  int rows = 0;
  const int8_t* values = nullptr;    // (blocks, rows, block elements); what VNNI reads
  const int16_t* wide = nullptr;     // the same for the portable kernels: of every four, the order
                                     // is 0, 2, 1, 3
  const float* scales = nullptr;     // (blocks, rows)
  const int32_t* offsets = nullptr;  // (blocks, rows, OffsetsOf(type)): -bias times the sum of a
                                     // sub-block, what the biased weights add too much
  const int16_t* sums = nullptr;     // (blocks, rows, kMinSums): minus the sum of a sub-block;
                                     // k-quants with mins only
  const float* min_terms = nullptr;  // (blocks, rows): minus the sum of a block times its scale;
                                     // formats with a min per block only
};

// Sub-blocks of a block that need an offset.
constexpr int OffsetsOf(DType type) {
  return QuantBias(type) == 0 ? 0 : BlockElements(type) / SubBlockElements(type);
}

// All rows of a product, in tiles of nearly equal height. Reused from product to product.
class QuantRows {
 public:
  // Cuts x (rows, cols) into tiles of at most `max_height` rows and quantises it for weights of
  // `type`; `wide` says which layout of the values to make.
  void Quantize(ThreadPool* pool, const float* x, int rows, int64_t cols, DType type,
                int max_height, bool wide);

  int tiles() const { return tiles_; }
  // First row of a tile; of the one after the last: the number of rows.
  int FirstRow(int tile) const { return static_cast<int>(int64_t{tile} * rows_ / tiles_); }
  QuantTile Tile(int tile) const;

 private:
  DType type_ = DType::kQ8_0;
  int rows_ = 0;
  int tiles_ = 0;
  int64_t blocks_ = 0;  // of a row
  bool wide_ = false;
  std::vector<int8_t> values_;
  std::vector<int16_t> wide_values_;
  std::vector<float> scales_;
  std::vector<int32_t> offsets_;
  std::vector<int16_t> sums_;
  std::vector<float> min_terms_;
};

// One way to multiply.
struct BlockKernel {
  int max_height;  // most rows of a tile; 0: there is no kernel, the reference serves
  bool wide;       // which values it reads
  // out (in.rows, w.rows()), of the outputs of the blocks [begin, end).
  void (*run)(const PackedMatrix& w, const QuantTile& in, int64_t begin, int64_t end, float* out);
};

// REQUIRES: UseVnni().
BlockKernel VnniBlockKernel(DType type);

// For every machine; that of the chosen target.
BlockKernel PortableBlockKernel();

// out (rows, w.rows()) = x times w transposed, with the fastest kernel or a given one. REQUIRES: w
// is of a block format.
void BlockMatMul(ThreadPool* pool, const float* x, int rows, const PackedMatrix& w, float* out);
void BlockMatMul(const BlockKernel& kernel, ThreadPool* pool, const float* x, int rows,
                 const PackedMatrix& w, float* out);

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_CPU_BLOCK_MATMUL_H_
