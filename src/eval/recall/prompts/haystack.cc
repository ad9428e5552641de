#include "eval/recall/prompts/haystack.h"

#include <algorithm>
#include <set>

#include "eval/recall/prompts/lexicon.h"
#include "format/utf8.h"

namespace kakeya {
namespace {

bool BeginsCharacter(std::string_view text, size_t at) {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

// How good a place to cut lies between text[at - 1] and text[at].
enum class CutQuality { kNone, kCharacter, kWord, kSentence };
CutQuality QualityAt(std::string_view text, size_t at) {
  if (!BeginsCharacter(text, at)) return CutQuality::kNone;
  if (at == 0 || text[at - 1] == '\n') return CutQuality::kSentence;
  if (text[at - 1] != ' ') return CutQuality::kCharacter;
  size_t last = at - 1;
  while (last > 0 && (text[last - 1] == '"' || text[last - 1] == '\'' || text[last - 1] == ')')) {
    --last;
  }
  const bool stop = last > 0 && std::string_view(".!?").find(text[last - 1]) != std::string::npos;
  return stop ? CutQuality::kSentence : CutQuality::kWord;
}

// `bytes` bytes from `start` on, round and round, up to a whole character. A haystack that doesn't
// end with its line gets a line break before it begins again.
std::string Take(std::string_view haystack, size_t start, size_t bytes) {
  std::string text;
  text.reserve(bytes + 1);
  for (size_t at = start; text.size() < bytes; at = 0) {
    text += haystack.substr(at, bytes - text.size());
    if (text.size() < bytes && text.back() != '\n') text += '\n';
  }
  // The last character may be cut short: what is left out again begins where it begins.
  text.resize(FindInvalidUtf8(text));
  return text;
}

// Text that the ids stand for: what tokenising made of it (NFC), so that offsets are exact.
Filler FillerOf(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  Filler filler;
  filler.offsets = TokenOffsets(tokenizer, ids);
  filler.text.reserve(filler.offsets.back());
  for (const int32_t id : ids) filler.text += tokenizer.TokenBytes(id);
  return filler;
}

}  // namespace

std::vector<size_t> TokenOffsets(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::vector<size_t> offsets(ids.size() + 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    offsets[i + 1] = offsets[i] + tokenizer.TokenBytes(ids[i]).size();
  }
  return offsets;
}

Result<Filler> CutHaystack(const Tokenizer& tokenizer, std::string_view haystack, int64_t tokens,
                           RecallRandom* random) {
  const size_t anywhere = random->Below(haystack.size());
  const size_t until = std::min(haystack.size() - 1, anywhere + 4096);
  size_t start = anywhere;  // the first sentence from here on, else the character
  while (start < until && QualityAt(haystack, start) != CutQuality::kSentence) ++start;
  if (QualityAt(haystack, start) != CutQuality::kSentence) {
    start = anywhere;
    while (!BeginsCharacter(haystack, start)) --start;
  }
  const size_t wanted = static_cast<size_t>(tokens);
  const size_t most = std::min(kMaxEncodeBytes, wanted * 64 + 4096);
  for (size_t bytes = std::min(most, wanted * 4 + 1024);; bytes = std::min(most, bytes * 2)) {
    const std::string text = Take(haystack, start, bytes);
    KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                            tokenizer.Encode(text, {.add_special_tokens = false}));
    if (ids.size() >= wanted) return FillerOf(tokenizer, ids);
    if (bytes == most) {
      return InvalidArgument("{} bytes of the haystack are only {} tokens of {} wanted",
                             text.size(), ids.size(), tokens);
    }
  }
}

Result<Filler> MakeJsonPairs(const Tokenizer& tokenizer, int64_t tokens, RecallRandom* random) {
  std::set<std::string> keys;
  std::string text;
  const auto add_pairs = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      std::string key = MakeKey(KeyKind::kIdentifier, random);
      while (!keys.insert(key).second) key = MakeKey(KeyKind::kIdentifier, random);
      text += fmt::format("  \"{}\": \"{:05}\",\n", key, random->Below(100'000));
    }
  };
  add_pairs(tokens / 16 + 8);
  for (;;) {
    KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                            tokenizer.Encode(text, {.add_special_tokens = false}));
    const int64_t missing = tokens - static_cast<int64_t>(ids.size());
    if (missing <= 0) {
      Filler filler = FillerOf(tokenizer, ids);
      filler.lines = true;
      return filler;
    }
    add_pairs(missing / 8 + 8);
  }
}

size_t CutNear(std::string_view text, size_t lowest, size_t wanted, size_t highest) {
  size_t best = wanted;
  CutQuality best_quality = CutQuality::kNone;
  const auto distance = [&](size_t at) { return at < wanted ? wanted - at : at - wanted; };
  for (size_t at = lowest; at <= highest; ++at) {
    const CutQuality quality = QualityAt(text, at);
    if (quality > best_quality || (quality == best_quality && distance(at) < distance(best))) {
      best = at;
      best_quality = quality;
    }
  }
  return best;
}

}  // namespace kakeya
