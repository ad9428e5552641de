#include "text/tokenizer/detokenizer.h"

#include "text/tokenizer/unicode.h"

namespace kakeya {

std::string StreamingDetokenizer::Push(int32_t id) {
  std::string text;
  if (skip_special_ && tokenizer_->IsSpecial(id)) return text;
  pending_ += tokenizer_->TokenBytes(id);
  pending_.erase(0, AppendRepaired(pending_, /*keep_tail=*/true, &text));
  return text;
}

std::string StreamingDetokenizer::Flush() {
  std::string text;
  AppendRepaired(pending_, /*keep_tail=*/false, &text);
  pending_.clear();
  return text;
}

}  // namespace kakeya
