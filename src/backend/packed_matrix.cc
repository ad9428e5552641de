#include "backend/packed_matrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#include "backend/packed_layout.h"

namespace kakeya {
namespace {

// Columns that one pass of a block copies: kPackWidth source rows of this many elements stay in L1.
constexpr int64_t kColumnTile = 64;

// Interleaves one block. `rows` holds the first byte of each source row, null for a missing one; a
// file promises no alignment.
template <typename T>
void PackBlock(const std::byte* const (&rows)[kPackWidth], int64_t cols, T* out) {
  for (int64_t begin = 0; begin < cols; begin += kColumnTile) {
    const int64_t end = std::min(begin + kColumnTile, cols);
    for (int lane = 0; lane < kPackWidth; ++lane) {
      const std::byte* source = rows[lane];
      for (int64_t c = begin; c < end; ++c) {
        T value = 0;
        if (source != nullptr) std::memcpy(&value, source + c * sizeof(T), sizeof(T));
        out[c * kPackWidth + lane] = value;
      }
    }
  }
}

// The same for a block format.
void PackTiles(DType type, const std::byte* const (&rows)[kPackWidth], int64_t cols,
               std::byte* out) {
  const int64_t tiles = cols / BlockElements(type);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const std::byte* blocks[kPackWidth];
    for (int lane = 0; lane < kPackWidth; ++lane) {
      blocks[lane] = rows[lane] == nullptr ? nullptr : rows[lane] + tile * BlockBytes(type);
    }
    PackTile(type, blocks, out + tile * TileLayoutOf(type).bytes);
  }
}

// Bytes of kPackWidth packed rows.
size_t PackedBlockBytes(DType type, int64_t cols) {
  if (!IsBlockType(type)) return static_cast<size_t>(cols) * kPackWidth * SizeOf(type);
  return static_cast<size_t>(cols / BlockElements(type)) *
         static_cast<size_t>(TileLayoutOf(type).bytes);
}

// First byte of every row of the stacked parts.
class StackedRows {
 public:
  StackedRows(std::span<const TensorView> parts, size_t row_bytes)
      : parts_(parts), row_bytes_(row_bytes) {
    for (const TensorView& part : parts) {
      first_.push_back(rows_);
      rows_ += part.shape[0];
    }
  }
  int64_t rows() const { return rows_; }
  // Null beyond the last row.
  const std::byte* Row(int64_t row) const {
    if (row >= rows_) return nullptr;
    const size_t part = std::upper_bound(first_.begin(), first_.end(), row) - first_.begin() - 1;
    return static_cast<const std::byte*>(parts_[part].data) + (row - first_[part]) * row_bytes_;
  }

 private:
  std::span<const TensorView> parts_;
  size_t row_bytes_;
  std::vector<int64_t> first_;  // row of the stack where each part starts
  int64_t rows_ = 0;
};

}  // namespace

Result<PackedMatrix> PackedMatrix::Pack(std::span<const TensorView> parts, MemoryBudget* budget,
                                        ThreadPool* pool, const char* what) {
  assert(!parts.empty());
  PackedMatrix out;
  out.dtype_ = parts[0].dtype;
  for (const TensorView& part : parts) {
    assert(part.shape.size() == 2 && part.dtype == parts[0].dtype &&
           part.shape[1] == parts[0].shape[1]);
    (void)part;
  }
  out.cols_ = parts[0].shape[1];
  const size_t row_bytes = RowBytes(out.dtype_, out.cols_);
  const StackedRows stack(parts, row_bytes);
  out.rows_ = stack.rows();
  const size_t block_bytes = PackedBlockBytes(out.dtype_, out.cols_);
  KAKEYA_ASSIGN_OR_RETURN(
      out.buffer_,
      budget->Allocate(MemoryTag::kWeights, static_cast<size_t>(out.blocks()) * block_bytes, what));
  std::byte* const data = out.buffer_.data();
  ParallelFor(pool, out.blocks(), [&](int64_t block) {
    const std::byte* rows[kPackWidth];
    for (int lane = 0; lane < kPackWidth; ++lane) rows[lane] = stack.Row(block * kPackWidth + lane);
    std::byte* const target = data + static_cast<size_t>(block) * block_bytes;
    if (IsBlockType(out.dtype_)) {
      PackTiles(out.dtype_, rows, out.cols_, target);
    } else if (SizeOf(out.dtype_) == 4) {
      PackBlock(rows, out.cols_, reinterpret_cast<uint32_t*>(target));
    } else {
      PackBlock(rows, out.cols_, reinterpret_cast<uint16_t*>(target));
    }
  });
  return out;
}

}  // namespace kakeya
