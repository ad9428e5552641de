#include "text/tokenizer/tokenizer_parts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "format/quote.h"

namespace kakeya {
namespace {

Result<int32_t> MergeToken(const TokenTable& table, std::string_view spelling) {
  const auto id = table.IdOfSpelling(spelling);
  if (!id.has_value()) return Corrupt("{} is not in the vocabulary", Quoted(spelling));
  return *id;
}

Status BuildMatchers(TokenizerParts* parts) {
  RegexScratch scratch(kMaxAddedTokenBytes * parts->added.size());
  // Special tokens first: where two tokens look alike once normalized, they win.
  for (const bool special : {true, false}) {
    for (const AddedToken& token : parts->added) {
      if (token.special != special) continue;
      if (!token.normalized) {
        parts->raw_matcher.Add(token.content, &token);
        continue;
      }
      KAKEYA_ASSIGN_OR_RETURN(const NormalizedText pattern,
                              parts->normalizer.Run(token.content, &scratch));
      if (pattern.text.empty()) continue;  // it stands for nothing
      parts->normalized_matcher.Add(pattern.text, &token);
      parts->has_normalized = true;
    }
  }
  return OkStatus();
}

}  // namespace

Result<BpeMerge> MergeOf(std::string_view left, std::string_view right, const TokenTable& table) {
  BpeMerge result;
  KAKEYA_ASSIGN_OR_RETURN(result.left, MergeToken(table, left));
  KAKEYA_ASSIGN_OR_RETURN(result.right, MergeToken(table, right));
  KAKEYA_ASSIGN_OR_RETURN(result.result, MergeToken(table, std::string(left).append(right)));
  return result;
}

Result<BpeMerge> ParseMergeLine(std::string_view line, const TokenTable& table) {
  const size_t space = line.find(' ');
  if (space == line.npos || line.find(' ', space + 1) != line.npos) {
    return Corrupt("{} is not two tokens with a space between", Quoted(line));
  }
  return MergeOf(line.substr(0, space), line.substr(space + 1), table);
}

Result<std::array<int32_t, 256>> FindByteIds(const TokenTable& table,
                                             std::optional<int32_t> unknown, bool all_needed) {
  std::array<int32_t, 256> ids;
  int missing = 0;
  int last_missing = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const char bytes = static_cast<char>(byte);
    const auto id = table.IdOfBytes(std::string_view(&bytes, 1));
    ids[static_cast<size_t>(byte)] = id ? *id : unknown.value_or(BpeModel::kDropped);
    const bool occurs = byte != 0xc0 && byte != 0xc1 && byte < 0xf5;  // in UTF-8
    if (!id && occurs) {
      ++missing;
      last_missing = byte;
    }
  }
  constexpr int kMostMissing = 192;  // any more, and it is no byte-level vocabulary
  if (missing > kMostMissing || (missing > 0 && all_needed)) {
    return Unsupported("the vocabulary has no token for byte 0x{:02X} (byte-level BPE only)",
                       last_missing);
  }
  return ids;
}

Status IndexAddedTokens(TokenizerParts* parts) {
  parts->is_special.assign(static_cast<size_t>(parts->table.end_id()), false);
  for (const AddedToken& token : parts->added) {
    if (token.special) parts->is_special[static_cast<size_t>(token.id)] = true;
  }
  return BuildMatchers(parts);
}

Status CheckVocabularyFits(const TokenizerParts& parts, int32_t end) {
  const int32_t tokens = parts.table.end_id();
  if (tokens <= end) return OkStatus();
  std::vector<bool> added(static_cast<size_t>(tokens), false);
  for (const AddedToken& token : parts.added) added[static_cast<size_t>(token.id)] = true;
  for (int32_t id = end; id < tokens; ++id) {
    if (!parts.table.Has(id) || added[static_cast<size_t>(id)]) continue;
    return Corrupt("the tokenizer has {} tokens, but the model only {} embeddings", tokens, end);
  }
  return OkStatus();
}

Status CheckIdsFit(const TokenizerParts& parts, std::span<const int32_t> ids, int32_t end) {
  if (parts.table.end_id() <= end) return OkStatus();
  const auto beyond = std::find_if(ids.begin(), ids.end(), [end](int32_t id) { return id >= end; });
  if (beyond == ids.end()) return OkStatus();
  return InvalidArgument(
      "the text needs token {}, but that has id {}, and the model only {} "
      "embeddings",
      Quoted(parts.table.Bytes(*beyond)), *beyond, end);
}

void BuildBpe(const std::array<int32_t, 256>& byte_ids, std::vector<BpeMerge> merges,
              TokenizerParts* parts) {
  // Text that spells a special token must not become it by way of its letters.
  std::erase_if(merges, [parts](const BpeMerge& merge) {
    return parts->is_special[static_cast<size_t>(merge.result)];
  });
  parts->bpe = BpeModel(byte_ids, merges);
}

}  // namespace kakeya
