// What tokenizer.json says, checked and ready for use.
#ifndef KAKEYA_TEXT_TOKENIZER_TOKENIZER_CONFIG_H_
#define KAKEYA_TEXT_TOKENIZER_TOKENIZER_CONFIG_H_

#include <memory>

#include "base/status.h"
#include "format/json.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace kakeya {

// Errors: Corrupt or Unsupported, one line that names the place in the file.
Result<std::unique_ptr<const TokenizerParts>> ParseTokenizerJson(const Json& file);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_TOKENIZER_CONFIG_H_
