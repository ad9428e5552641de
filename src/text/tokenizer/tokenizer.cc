#include "text/tokenizer/tokenizer.h"

#include <deque>
#include <limits>
#include <utility>

#include "format/utf8.h"
#include "text/tokenizer/tokenizer_config.h"
#include "text/tokenizer/tokenizer_gguf.h"
#include "text/tokenizer/unicode.h"

namespace kakeya {
namespace {

// The state of one Encode call.
class Encoder {
 public:
  Encoder(const TokenizerParts& parts, size_t text_bytes)
      : parts_(parts), regex_scratch_(text_bytes) {}

  // `cuts` may be null.
  Status Run(std::string_view text, const TrustMap& trusted, std::vector<CutPoint>* cuts) {
    std::vector<TextPiece> pieces;
    parts_.raw_matcher.Split(text, trusted, &pieces);
    for (const TextPiece& piece : pieces) {
      const auto offset = static_cast<size_t>(piece.text.data() - text.data());
      if (piece.token != nullptr) {
        if (cuts != nullptr && piece.cut_reach > 0) {
          cuts->push_back({offset, ids_.size(), piece.cut_reach});
        }
        ids_.push_back(piece.token->id);
        continue;
      }
      KAKEYA_RETURN_IF_ERROR(AddNormalized(piece.text, offset, trusted));
    }
    return OkStatus();
  }

  std::vector<int32_t> TakeIds() { return std::move(ids_); }

 private:
  // `text` starts at `offset` of the text that `trusted` is about.
  Status AddNormalized(std::string_view text, size_t offset, const TrustMap& trusted) {
    NormalizedText normal;
    const size_t raw_size = text.size();
    if (!parts_.normalizer.LeavesAlone(text)) {
      KAKEYA_ASSIGN_OR_RETURN(normal, parts_.normalizer.Run(text, &regex_scratch_));
      text = normal.text;
    }
    if (!parts_.has_normalized) return AddPlain(text);
    TrustMap meant = trusted.Within(offset, offset + raw_size, {});
    for (const auto& edits : normal.edits) meant = meant.Within(0, SIZE_MAX, edits);
    std::vector<TextPiece> pieces;
    parts_.normalized_matcher.Split(text, meant, &pieces);
    for (const TextPiece& piece : pieces) {
      if (piece.token != nullptr) {
        ids_.push_back(piece.token->id);
      } else {
        KAKEYA_RETURN_IF_ERROR(AddPlain(piece.text));
      }
    }
    return OkStatus();
  }

  Status AddPlain(std::string_view text) {
    std::deque<std::string> owned;
    KAKEYA_RETURN_IF_ERROR(parts_.pre_tokenizer.Split(text, &regex_scratch_, &owned, &words_));
    for (const std::string_view word : words_) {
      if (parts_.ignore_merges) {
        const auto id = parts_.table.IdOfBytes(word);
        if (id.has_value() && !parts_.is_special[static_cast<size_t>(*id)]) {
          ids_.push_back(*id);
          continue;
        }
      }
      parts_.bpe.Encode(word, &bpe_scratch_, &ids_);
    }
    return OkStatus();
  }

  const TokenizerParts& parts_;
  RegexScratch regex_scratch_;
  BpeScratch bpe_scratch_;
  std::vector<std::string_view> words_;
  std::vector<int32_t> ids_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::Load(const std::string& tokenizer_json_path) {
  KAKEYA_ASSIGN_OR_RETURN(const Json file, ReadJsonFile(tokenizer_json_path));
  Result<Tokenizer> tokenizer = Parse(file);
  if (!tokenizer.ok()) return tokenizer.status().WithContext(tokenizer_json_path);
  return tokenizer;
}

Result<Tokenizer> Tokenizer::Parse(const Json& tokenizer_json) {
  KAKEYA_ASSIGN_OR_RETURN(auto parts, ParseTokenizerJson(tokenizer_json));
  return Tokenizer(std::move(parts));
}

Result<Tokenizer> Tokenizer::FromGguf(const GgufFile& file) {
  KAKEYA_ASSIGN_OR_RETURN(auto parts, ParseGgufTokenizer(file));
  return Tokenizer(std::move(parts));
}

Status Tokenizer::LimitIds(int32_t end) {
  KAKEYA_RETURN_IF_ERROR(CheckVocabularyFits(*parts_, end));
  id_limit_ = end;
  return OkStatus();
}

Result<std::vector<int32_t>> Tokenizer::EncodeText(std::string_view text, const TrustMap& trusted,
                                                   const EncodeOptions& options,
                                                   std::vector<CutPoint>* cuts) const {
  if (text.size() > kMaxEncodeBytes) {
    return InvalidArgument("text of {} bytes is longer than the limit of {}", text.size(),
                           kMaxEncodeBytes);
  }
  if (const size_t bad = FindInvalidUtf8(text); bad != text.size()) {
    return InvalidArgument("text is not valid UTF-8 at byte {}", bad);
  }
  Encoder encoder(*parts_, text.size());
  KAKEYA_RETURN_IF_ERROR(encoder.Run(text, trusted, cuts));
  std::vector<int32_t> ids = encoder.TakeIds();
  if (options.add_special_tokens) {
    ids.insert(ids.begin(), parts_->prefix_ids.begin(), parts_->prefix_ids.end());
    ids.insert(ids.end(), parts_->suffix_ids.begin(), parts_->suffix_ids.end());
  }
  KAKEYA_RETURN_IF_ERROR(CheckIdsFit(*parts_, ids, id_limit_));
  return ids;
}

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view text,
                                               const EncodeOptions& options) const {
  TrustMap trusted;
  if (options.parse_special) trusted.Add(0, text.size());
  return EncodeText(text, trusted, options, nullptr);
}

Result<std::vector<int32_t>> Tokenizer::EncodeSegments(std::span<const Segment> segments,
                                                       const EncodeOptions& options,
                                                       std::vector<CutPoint>* cuts) const {
  if (cuts != nullptr) cuts->clear();
  std::string text;
  TrustMap trusted;
  for (const Segment& segment : segments) {
    const size_t begin = text.size();
    text += segment.text;
    if (segment.trusted || options.parse_special) trusted.Add(begin, text.size());
  }
  return EncodeText(text, trusted, options, cuts);
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!skip_special || !IsSpecial(id)) bytes += TokenBytes(id);
  }
  std::string text;
  text.reserve(bytes.size());
  AppendRepaired(bytes, /*keep_tail=*/false, &text);
  return text;
}

std::string_view Tokenizer::TokenBytes(int32_t id) const { return parts_->table.Bytes(id); }

std::optional<int32_t> Tokenizer::IdOf(std::string_view token) const {
  if (FindInvalidUtf8(token) != token.size()) return std::nullopt;
  return parts_->table.IdOfSpelling(token);
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < parts_->is_special.size() &&
         parts_->is_special[static_cast<size_t>(id)];
}

std::optional<int32_t> Tokenizer::bos_id() const {
  if (parts_->prefix_ids.size() != 1) return std::nullopt;
  return parts_->prefix_ids[0];
}

int32_t Tokenizer::vocab_size() const { return parts_->table.end_id(); }

const std::vector<std::string>& Tokenizer::notes() const { return parts_->notes; }

}  // namespace kakeya
