// Byte-level BPE tokenizers from tokenizer.json or a GGUF file, as Qwen3, Llama 3 and GPT-2 use it.
//
// Text becomes ids in five steps, which are those of Hugging Face's `tokenizers`:
//   added tokens are cut out -> normalizer -> added tokens that match normalized text are cut out
//   -> pre-tokenizer (regexes) -> BPE on each word -> the post-processor's BOS/EOS.
// The file's truncation and padding sections are left alone: they are the caller's policy.
//
// Thread safety: immutable after Load; any number of threads may read.
// Invariants:
//   (1) every id that Encode returns is in [0, vocab_size()), below what LimitIds said, and has a
//       token;
//   (2) a special token comes out of Encode only from trusted text or from the post-processor
//       (but for one that is also the only token of a single byte);
//   (3) Decode and the concatenation of StreamingDetokenizer's output agree.
#ifndef KAKEYA_TEXT_TOKENIZER_TOKENIZER_H_
#define KAKEYA_TEXT_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "text/segment.h"

namespace kakeya {

class GgufFile;
struct TokenizerParts;
class TrustMap;

struct EncodeOptions {
  bool parse_special = false;      // special tokens spelled in the text are meant
  bool add_special_tokens = true;  // what the post-processor adds (BOS, EOS)
};

// A place before an added token where an encoded text may be cut: what stands on one side of it
// doesn't change the ids of the other.
struct CutPoint {
  size_t offset = 0;  // bytes before it
  size_t ids = 0;     // ids of these bytes
  // Every text that begins with the same `reach` bytes, equally trusted, has this cut and these
  // ids, too.
  size_t reach = 0;
};

// Longest text that Encode takes, in bytes.
inline constexpr size_t kMaxEncodeBytes = size_t{256} << 20;

class Tokenizer {
 public:
  // Errors: one line that says what is wrong and where in the file (Corrupt), or what this build
  // doesn't do (Unsupported).
  static Result<Tokenizer> Load(const std::string& tokenizer_json_path);
  static Result<Tokenizer> Parse(const Json& tokenizer_json);
  // From a GGUF file's metadata (text/tokenizer/tokenizer_gguf.h). Errors name the file and the
  // key; NotFound when it has no tokenizer.
  static Result<Tokenizer> FromGguf(const GgufFile& file);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // The model has embeddings for the ids below `end` only. Added tokens beyond (published files
  // have some) stay, and Encode refuses what would need them. Errors: Corrupt when a token of the
  // model's own vocabulary lies beyond: this is another model's tokenizer.
  Status LimitIds(int32_t end);

  // Errors: InvalidArgument with the byte offset when text isn't valid UTF-8 (NUL is a character
  // like any other), when it is longer than kMaxEncodeBytes, or needs a token beyond LimitIds;
  // ResourceExhausted when a regex of the file runs away on this text, or its normalizer makes it
  // too long.
  Result<std::vector<int32_t>> Encode(std::string_view text,
                                      const EncodeOptions& options = {}) const;

  // The segments are one text: words and tokens run across the borders. A special token is
  // recognised only where all of its bytes are trusted; options.parse_special trusts everything.
  // Added tokens that aren't special are recognised everywhere. `cuts`, if not null, becomes the
  // cut points in order; their ids are counted without what the post-processor adds.
  Result<std::vector<int32_t>> EncodeSegments(std::span<const Segment> segments,
                                              const EncodeOptions& options = {},
                                              std::vector<CutPoint>* cuts = nullptr) const;

  // Ids without a token give nothing; bytes that aren't UTF-8 give U+FFFD.
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const;

  // The bytes that a token stands for; empty for an id without one. Valid as long as this.
  std::string_view TokenBytes(int32_t id) const;
  // By its spelling in tokenizer.json ("<|im_end|>", "Ġthe").
  std::optional<int32_t> IdOf(std::string_view token) const;
  bool IsSpecial(int32_t id) const;
  // What the post-processor puts before every text, where that is one token.
  std::optional<int32_t> bos_id() const;
  // Largest id + 1. Ids below may have no token: published files have holes.
  int32_t vocab_size() const;
  // What a person should know of the file: one line each.
  const std::vector<std::string>& notes() const;

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerParts> parts);
  Result<std::vector<int32_t>> EncodeText(std::string_view text, const TrustMap& trusted,
                                          const EncodeOptions& options,
                                          std::vector<CutPoint>* cuts) const;

  int32_t id_limit_ = std::numeric_limits<int32_t>::max();
  std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_TOKENIZER_H_
