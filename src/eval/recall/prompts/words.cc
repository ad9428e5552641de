#include <algorithm>
#include <cctype>

#include "eval/recall/prompts/prompt_content.h"

namespace kakeya {
namespace {

constexpr int kDraws = 1000;  // until something fresh must have come

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

RecallWords::RecallWords(const Tokenizer* tokenizer, std::string_view surroundings,
                         RecallRandom* random)
    : tokenizer_(tokenizer), random_(random), surroundings_(Lower(surroundings)) {}

bool RecallWords::Claim(std::string_view word) {
  std::string bare = Lower(word);
  if (bare.starts_with("the ")) bare.erase(0, 4);
  if (surroundings_.find(bare) != std::string::npos) return false;
  const bool overlaps = std::any_of(taken_.begin(), taken_.end(), [&](const std::string& other) {
    return other.find(bare) != std::string::npos || bare.find(other) != std::string::npos;
  });
  if (!overlaps) taken_.insert(std::move(bare));
  return !overlaps;
}

Result<std::string> RecallWords::Key(KeyKind kind) {
  for (int i = 0; i < kDraws; ++i) {
    std::string key = MakeKey(kind, random_);
    if (Claim(key)) return key;
  }
  return InvalidArgument("the haystack contains every key that could be asked for");
}

Result<std::vector<std::string>> RecallWords::LookAlikes(std::string_view key, size_t least,
                                                         size_t most) {
  std::vector<std::string> candidates = LookAlikesOf(key);
  random_->Shuffle(&candidates);
  std::vector<std::string> keys;
  for (std::string& candidate : candidates) {
    if (keys.size() < most && Claim(candidate)) keys.push_back(std::move(candidate));
  }
  if (keys.size() < least) {
    return InvalidArgument("the haystack contains too many keys that look like \"{}\"", key);
  }
  return keys;
}

Result<std::string> RecallWords::Digits() {
  for (int i = 0; i < kDraws; ++i) {
    std::string digits = fmt::format("{:05}", random_->Below(100'000));
    if (Claim(digits)) return digits;
  }
  return InvalidArgument("the haystack contains every number that could be asked for");
}

Result<RecallValue> RecallWords::Value() {
  RecallValue value;
  KAKEYA_ASSIGN_OR_RETURN(value.text, Digits());
  const auto tokens = [&](const std::string& digits) {
    return tokenizer_->Encode(" " + digits, {.add_special_tokens = false});
  };
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokens(value.text));
  for (int i = 0; i < kDraws; ++i) {
    value.edited = value.text;
    for (char& c : value.edited) {
      c = static_cast<char>('0' + (c - '0' + 1 + static_cast<int>(random_->Below(9))) % 10);
    }
    KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> edited_ids, tokens(value.edited));
    if (edited_ids.size() == ids.size() && Claim(value.edited)) return value;
  }
  return InvalidArgument("the haystack contains every number that could be asked for");
}

std::vector<SynonymPair> RecallWords::Synonyms() {
  std::vector<SynonymPair> pairs(SynonymPairs().begin(), SynonymPairs().end());
  random_->Shuffle(&pairs);
  std::stable_partition(pairs.begin(), pairs.end(), [&](const SynonymPair& pair) {
    return surroundings_.find(pair.said) == std::string::npos &&
           surroundings_.find(pair.asked) == std::string::npos;
  });
  return pairs;
}

}  // namespace kakeya
