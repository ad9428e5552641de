// out = x * w^T. Every output is one chain of fused multiply-adds over k ascending, so any tiling
// of rows and outputs gives the same bits; the tiles only decide how often a weight is loaded and
// how many chains hide each other's latency.
#include <algorithm>
#include <cassert>

#include "backend/cpu/block_matmul.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/guided_for.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/matmul.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/vector-inl.h"

#ifndef KAKEYA_BACKEND_CPU_MATMUL_TASK_
#define KAKEYA_BACKEND_CPU_MATMUL_TASK_
namespace kakeya::cpu {
namespace {

// One product, as a task needs it.
struct MatMulTask {
  const float* x;  // (rows, cols)
  int rows;
  const PackedMatrix* w;
  float* out;  // (rows, w->rows())
};

// Most blocks of outputs that one tile holds, and the unit in which tasks are cut.
constexpr int kMaxTileBlocks = 8;

}  // namespace
}  // namespace kakeya::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// The registers for sums are filled by kRows rows times TileBlocks(kRows) blocks of outputs. With
// two blocks a row, an input is broadcast for two multiply-adds.
constexpr int kMaxTileRows = kSumBlocks >= 16 ? kSumBlocks / 2 : kSumBlocks;

constexpr int TileBlocks(int rows) {
  const int blocks = kSumBlocks / rows;
  return blocks >= kMaxTileBlocks ? kMaxTileBlocks : blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1;
}

// kRows rows from `row` on times kBlocks blocks from `block` on.
template <int kRows, int kBlocks, typename T>
HWY_INLINE void Tile(const MatMulTask& task, const T* weights, int row, int64_t block) {
  const int64_t cols = task.w->cols();
  const int64_t outputs = task.w->rows();
  const float* const x = task.x + row * cols;
  const T* const w = weights + block * cols * kBlock;
  Block sums[kRows][kBlocks];
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) sums[r][b] = ZeroBlock();
  }
  for (int64_t k = 0; k < cols; ++k) {
    Block column[kBlocks];
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) column[b] = LoadBlock(w + (b * cols + k) * kBlock);
    KAKEYA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Vec input = hn::Set(F(), x[r * cols + k]);
      KAKEYA_UNROLL
      for (int b = 0; b < kBlocks; ++b) FmaInto(input, column[b], &sums[r][b]);
    }
  }
  KAKEYA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    float* const out = task.out + (row + r) * outputs;
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const int64_t first = (block + b) * kBlock;
      if (first + kBlock <= outputs) {
        StoreBlock(sums[r][b], out + first);
      } else {
        StorePart(sums[r][b], out + first, static_cast<int>(outputs - first));
      }
    }
  }
}

// Rows [row, row + kRows) of the blocks [begin, end).
template <int kRows, typename T>
HWY_NOINLINE void RowTile(const MatMulTask& task, const T* weights, int row, int64_t begin,
                          int64_t end) {
  constexpr int kBlocks = TileBlocks(kRows);
  int64_t block = begin;
  for (; block + kBlocks <= end; block += kBlocks) {
    Tile<kRows, kBlocks>(task, weights, row, block);
  }
  for (; block < end; ++block) Tile<kRows, 1>(task, weights, row, block);
}

// Calls RowTile with `rows` in [1, kRows] as a compile-time constant.
template <int kRows, typename T>
HWY_INLINE void RowTileOf(int rows, const MatMulTask& task, const T* weights, int row,
                          int64_t begin, int64_t end) {
  if constexpr (kRows == 1) {
    RowTile<1>(task, weights, row, begin, end);
  } else if (rows == kRows) {
    RowTile<kRows>(task, weights, row, begin, end);
  } else {
    RowTileOf<kRows - 1>(rows, task, weights, row, begin, end);
  }
}

template <typename T>
void AllRows(const MatMulTask& task, const T* weights, int64_t begin, int64_t end) {
  // Few blocks at a time, all rows over them: the weights are read from memory once.
  constexpr int64_t kStep = kMaxTileBlocks;
  for (int64_t block = begin; block < end; block += kStep) {
    const int64_t stop = std::min(end, block + kStep);
    int row = 0;
    while (row < task.rows) {
      // Tiles of nearly equal height: 13 rows make 7 + 6 and not 12 + 1.
      const int left = task.rows - row;
      const int tiles = (left + kMaxTileRows - 1) / kMaxTileRows;
      const int height = (left + tiles - 1) / tiles;
      RowTileOf<kMaxTileRows>(height, task, weights, row, block, stop);
      row += height;
    }
  }
}

void MatMulBlocks(const MatMulTask& task, int64_t begin, int64_t end) {
  WithElements(task.w->dtype(), task.w->data(),
               [&](const auto* weights) HWY_ATTR { AllRows(task, weights, begin, end); });
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(MatMulBlocks);

// Weights of a task, with few rows of the shortest: taking it costs nothing beside reading them.
constexpr int64_t kTaskBytes = 64 * 1024;

}  // namespace

void MatMul(ThreadPool* pool, const float* x, int rows, const PackedMatrix& w, float* out) {
  if (IsBlockType(w.dtype())) return BlockMatMul(pool, x, rows, w, out);
  const MatMulTask task{x, rows, &w, out};
  const int64_t block_bytes =
      std::max<int64_t>(1, w.cols() * kPackWidth * static_cast<int64_t>(SizeOf(w.dtype())));
  // In units of kMaxTileBlocks blocks.
  const int64_t units = (w.blocks() + kMaxTileBlocks - 1) / kMaxTileBlocks;
  const int64_t step = std::max<int64_t>(1, kTaskBytes / (block_bytes * kMaxTileBlocks));
  const auto multiply = [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(MatMulBlocks)
    (task, begin * kMaxTileBlocks, std::min(w.blocks(), end * kMaxTileBlocks));
  };
  if (rows <= kGuidedRows) return GuidedFor(pool, units, step, multiply);
  ParallelFor(pool, (units + step - 1) / step,
              [&](int64_t i) { multiply(i * step, std::min(units, (i + 1) * step)); });
}

}  // namespace kakeya::cpu
#endif
