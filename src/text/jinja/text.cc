#include "text/jinja/text.h"

#include <algorithm>
#include <cassert>

namespace kakeya::jinja {

Text::Text(std::string text, bool user) : text_(std::move(text)) {
  if (user && !text_.empty()) user_.push_back({0, text_.size()});
}

void Text::AppendSlice(const Text& other, size_t begin, size_t end) {
  assert(begin <= end && end <= other.size());
  assert(this != &other);
  const size_t base = text_.size();
  text_.append(other.text_, begin, end - begin);
  auto range = std::upper_bound(other.user_.begin(), other.user_.end(), begin,
                                [](size_t at, const Range& r) { return at < r.end; });
  for (; range != other.user_.end() && range->begin < end; ++range) {
    const size_t from = base + std::max(range->begin, begin) - begin;
    const size_t to = base + std::min(range->end, end) - begin;
    if (from == to) continue;
    if (!user_.empty() && user_.back().end == from) {
      user_.back().end = to;
    } else {
      user_.push_back({from, to});
    }
  }
}

Text Text::Slice(size_t begin, size_t end) const {
  Text out;
  out.AppendSlice(*this, begin, end);
  return out;
}

std::vector<Segment> Text::Segments() const {
  std::vector<Segment> out;
  size_t at = 0;
  for (const Range& range : user_) {
    if (at < range.begin) out.push_back({text_.substr(at, range.begin - at), true});
    out.push_back({text_.substr(range.begin, range.end - range.begin), false});
    at = range.end;
  }
  if (at < text_.size()) out.push_back({text_.substr(at), true});
  return out;
}

}  // namespace kakeya::jinja
