// A weight matrix (rows, cols) as the kernels read it: kPackWidth output rows interleaved, so that
// one vector load brings the same input column of several output rows and sums need no horizontal
// reduction. Element (r, c) lies at
//   ((r / kPackWidth) * cols + c) * kPackWidth + r % kPackWidth;
// rows beyond the last are zero. Block formats are interleaved too, as packed_layout.h says.
#ifndef KAKEYA_BACKEND_PACKED_MATRIX_H_
#define KAKEYA_BACKEND_PACKED_MATRIX_H_

#include <cstdint>
#include <span>

#include "base/memory_budget.h"
#include "base/status.h"
#include "base/tensor_view.h"
#include "base/thread_pool.h"

namespace kakeya {

inline constexpr int kPackWidth = 16;

// Immutable after Pack; safe to read from any thread.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Copies one or more matrices of equal dtype and column count, stacked by rows (e.g. q, k and v
  // projections, which then cost one product). A view of a block format holds the file's blocks,
  // row after row. REQUIRES: every view has two dimensions, the same dtype and the same shape[1],
  // which is a multiple of BlockElements(dtype). Errors: ResourceExhausted, naming `what`.
  static Result<PackedMatrix> Pack(std::span<const TensorView> parts, MemoryBudget* budget,
                                   ThreadPool* pool, const char* what);

  DType dtype() const { return dtype_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  const void* data() const { return buffer_.data(); }
  int64_t blocks() const { return (rows_ + kPackWidth - 1) / kPackWidth; }
  size_t bytes() const { return buffer_.size(); }

 private:
  DType dtype_ = DType::kF32;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  Buffer buffer_;
};

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_PACKED_MATRIX_H_
