// Search for weights that are no numbers.
#ifndef KAKEYA_MODEL_FINITE_H_
#define KAKEYA_MODEL_FINITE_H_

#include <cstdint>

#include "base/tensor_view.h"
#include "base/thread_pool.h"

namespace kakeya {

// Index of the first NaN or infinity in row-major order, -1 when there is none. Looks at the
// exponents only and reads each byte once, at the speed of memory. In a block format a scale that
// is no number makes its whole block so, and the index is that of the block's first element. The
// data may be unaligned; the result doesn't depend on the pool, which may be null.
int64_t FindNonFinite(const TensorView& tensor, ThreadPool* pool);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_FINITE_H_
