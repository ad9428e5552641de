#include "text/tokenizer/bos.h"

#include <algorithm>

namespace kakeya {

size_t DropRepeatedBos(std::optional<int32_t> bos, std::vector<int32_t>* ids) {
  if (!bos) return 0;
  const auto end = std::find_if(ids->begin(), ids->end(), [&](int32_t id) { return id != *bos; });
  if (end - ids->begin() < 2) return 0;
  const auto dropped = static_cast<size_t>(end - ids->begin() - 1);
  ids->erase(ids->begin() + 1, end);
  return dropped;
}

}  // namespace kakeya
