#include "text/tokenizer/added_tokens.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "text/tokenizer/unicode.h"

namespace kakeya {
namespace {

bool IsSingleWord(std::string_view text, size_t begin, size_t end) {
  const bool word_before = begin > 0 && IsWordChar(DecodeCharBefore(text, begin).code);
  const bool word_behind = end < text.size() && IsWordChar(DecodeCharAt(text, end).code);
  return !word_before && !word_behind;
}

size_t SkipSpaceBack(std::string_view text, size_t end, size_t stop) {
  while (end > stop) {
    const DecodedChar c = DecodeCharBefore(text, end);
    if (!IsWhiteSpace(c.code)) break;
    end -= c.length;
  }
  return end;
}

size_t SkipSpace(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const DecodedChar c = DecodeCharAt(text, begin);
    if (!IsWhiteSpace(c.code)) break;
    begin += c.length;
  }
  return begin;
}

}  // namespace

void TrustMap::Add(size_t begin, size_t end) {
  if (begin == end) return;
  assert(begin < end && (ranges_.empty() || ranges_.back().second <= begin));
  if (!ranges_.empty() && ranges_.back().second == begin) {
    ranges_.back().second = end;
  } else {
    ranges_.emplace_back(begin, end);
  }
}

bool TrustMap::Covers(size_t begin, size_t end) const {
  // The first range that ends behind `begin` is the only one that can hold it.
  const auto it = std::partition_point(
      ranges_.begin(), ranges_.end(), [begin](const auto& range) { return range.second <= begin; });
  return it != ranges_.end() && it->first <= begin && end <= it->second;
}

size_t TrustMap::NextBeginAfter(size_t offset) const {
  const auto it = std::partition_point(ranges_.begin(), ranges_.end(), [offset](const auto& range) {
    return range.first <= offset;
  });
  return it == ranges_.end() ? std::numeric_limits<size_t>::max() : it->first;
}

TrustMap TrustMap::Within(size_t begin, size_t end, const std::vector<TextEdit>& edits) const {
  TrustMap result;
  auto edit = edits.begin();
  size_t shift_old = 0;  // end of the last edit passed, in both texts
  size_t shift_new = 0;
  const auto skip_edits_before = [&](size_t offset) {
    for (; edit != edits.end() && edit->end <= offset; ++edit) {
      shift_old = edit->end;
      shift_new = edit->new_end;
    }
  };
  auto range = std::partition_point(ranges_.begin(), ranges_.end(),
                                    [begin](const auto& r) { return r.second <= begin; });
  for (; range != ranges_.end() && range->first < end; ++range) {
    size_t from = std::max(range->first, begin) - begin;
    size_t to = std::min(range->second, end) - begin;
    skip_edits_before(from);
    if (edit != edits.end() && edit->begin < from) from = edit->end;  // starts inside an edit
    skip_edits_before(from);
    if (from >= to) continue;
    const size_t new_from = from - shift_old + shift_new;
    skip_edits_before(to);
    if (edit != edits.end() && edit->begin < to) to = edit->begin;  // ends inside an edit
    const size_t new_to = to - shift_old + shift_new;
    if (new_from < new_to) result.Add(new_from, new_to);
  }
  return result;
}

void AddedTokenMatcher::Add(std::string_view pattern, const AddedToken* token) {
  assert(!pattern.empty());
  first_bytes_[static_cast<uint8_t>(pattern[0])] = true;
  uint32_t node = 0;
  for (const char byte : pattern) {
    const auto [edge, is_new] =
        edges_.try_emplace(Edge(node, byte), static_cast<uint32_t>(ends_.size()));
    if (is_new) ends_.push_back(nullptr);
    node = edge->second;
  }
  if (ends_[node] == nullptr) ends_[node] = token;
}

AddedTokenMatcher::Match AddedTokenMatcher::LongestAt(std::string_view text, size_t at,
                                                      size_t* reach) const {
  Match best;
  uint32_t node = 0;
  size_t i = at;
  for (; i < text.size(); ++i) {
    const auto edge = edges_.find(Edge(node, text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (ends_[node] != nullptr) best = {ends_[node], i + 1 - at};
  }
  *reach = std::max(*reach, i + 1);
  return best;
}

void AddedTokenMatcher::Split(std::string_view text, const TrustMap& trusted,
                              std::vector<TextPiece>* pieces) const {
  constexpr size_t kMaxCharBytes = 4;
  size_t done = 0;
  size_t reach = 0;
  for (size_t at = 0; at < text.size();) {
    if (!first_bytes_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const Match match = LongestAt(text, at, &reach);
    if (match.token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + match.length;
    at = end;
    if (match.token->special && !trusted.Covers(begin, end)) {
      // Text that only spells a token must not hide one that is meant and starts in its midst.
      at = std::min(end, trusted.NextBeginAfter(begin));
      continue;
    }
    if (match.token->single_word || match.token->rstrip) {
      reach = std::max(reach, (match.token->rstrip ? SkipSpace(text, end) : end) + kMaxCharBytes);
    }
    if (match.token->single_word && !IsSingleWord(text, begin, end)) continue;
    // Not where it takes white space along, nor where the token before has taken some of it.
    const size_t start = begin;
    if (match.token->lstrip) begin = SkipSpaceBack(text, begin, std::min(done, begin));
    if (match.token->rstrip) end = SkipSpace(text, end);
    if (done < begin) pieces->push_back({text.substr(done, begin - done), nullptr});
    const bool is_cut = begin == start && done <= begin;
    pieces->push_back({text.substr(begin, end - begin), match.token, is_cut ? reach : 0});
    done = end;
  }
  if (done < text.size()) pieces->push_back({text.substr(done), nullptr});
}

}  // namespace kakeya
