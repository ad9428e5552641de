// The tokenizer that a GGUF file carries in its metadata.
#ifndef KAKEYA_TEXT_TOKENIZER_TOKENIZER_GGUF_H_
#define KAKEYA_TEXT_TOKENIZER_TOKENIZER_GGUF_H_

#include <memory>

#include "base/status.h"
#include "format/gguf.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace kakeya {

// Reads tokenizer.ggml.model "gpt2" (byte-level BPE) with the pre-tokenizers (tokenizer.ggml.pre)
// of gguf_pretokenizers.h; without that key, "default" and a note. Control tokens (token_type 3)
// become special tokens, user-defined ones (4) added tokens, unused ones (5) holes. The result
// encodes as the tokenizer.json of the model that was converted, NFC included, which a GGUF file
// doesn't mention. Errors, one line naming the file and the key: NotFound when the file has no
// tokenizer (no_vocab), Unsupported for another kind of tokenizer, Corrupt.
Result<std::unique_ptr<const TokenizerParts>> ParseGgufTokenizer(const GgufFile& file);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_TOKENIZER_GGUF_H_
