#include <cassert>

#include "backend/cpu/cpu.h"
#include "backend/numerics.h"
#include "backend/packed_layout.h"

namespace kakeya::cpu {

// A row of a packed table is a column of its block: a strided gather that no vector speeds up.
void EmbedRows(const PackedMatrix& table, std::span<const int32_t> ids, float* out) {
  for (const int32_t id : ids) {
    assert(id >= 0 && id < table.rows());
    if (IsBlockType(table.dtype())) {
      DequantizeRow(table, id, out);
      out += table.cols();
      continue;
    }
    const int64_t first = (id / kPackWidth) * table.cols() * kPackWidth + id % kPackWidth;
    for (int64_t c = 0; c < table.cols(); ++c) {
      *out++ = numerics::Load(table.dtype(), table.data(), first + c * kPackWidth);
    }
  }
}

}  // namespace kakeya::cpu
