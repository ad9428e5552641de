#include "text/tokenizer/incremental_encoder.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace kakeya {
namespace {

// What is left of a text while it is read from the left.
struct Rest {
  const std::vector<Segment>* segments;
  size_t segment = 0;
  size_t offset = 0;  // in the segment

  // Segments without text are skipped. Empty at the end.
  std::string_view Run() {
    while (segment < segments->size() && offset == (*segments)[segment].text.size()) {
      ++segment;
      offset = 0;
    }
    if (segment == segments->size()) return {};
    return std::string_view((*segments)[segment].text).substr(offset);
  }
  bool trusted() const { return (*segments)[segment].trusted; }
};

}  // namespace

size_t CommonBytes(const std::vector<Segment>& a, const std::vector<Segment>& b) {
  Rest left{&a};
  Rest right{&b};
  size_t common = 0;
  while (true) {
    const std::string_view x = left.Run();
    const std::string_view y = right.Run();
    if (x.empty() || y.empty() || left.trusted() != right.trusted()) return common;
    const size_t n = std::min(x.size(), y.size());
    const auto differ = std::mismatch(x.begin(), x.begin() + n, y.begin()).first;
    const auto same = static_cast<size_t>(differ - x.begin());
    common += same;
    if (same < n) return common;
    left.offset += n;
    right.offset += n;
  }
}

// The beginning of the text is a cut, too.
CutPoint IncrementalEncoder::LastCutWithin(size_t common) const {
  const auto behind = std::partition_point(
      cuts_.begin(), cuts_.end(), [common](const CutPoint& cut) { return cut.reach <= common; });
  return behind == cuts_.begin() ? CutPoint{} : *(behind - 1);
}

Result<std::vector<int32_t>> IncrementalEncoder::EncodeFrom(size_t offset,
                                                            const std::vector<Segment>& text,
                                                            std::vector<CutPoint>* cuts) {
  std::vector<Segment> tail;
  for (const Segment& segment : text) {
    const size_t skipped = std::min(offset, segment.text.size());
    offset -= skipped;
    if (skipped == segment.text.size()) continue;
    tail.push_back({segment.text.substr(skipped), segment.trusted});
    encoded_bytes_ += tail.back().text.size();
  }
  return tokenizer_->EncodeSegments(tail, {.add_special_tokens = false}, cuts);
}

Result<std::vector<int32_t>> IncrementalEncoder::Encode(std::vector<Segment> text) {
  CutPoint from = LastCutWithin(CommonBytes(text_, text));
  std::vector<CutPoint> cuts;
  Result<std::vector<int32_t>> ids = EncodeFrom(from.offset, text, &cuts);
  if (!ids.ok() && from.offset > 0) {
    // The budget for regexes grows with the text, and errors name places in the whole of it.
    from = {};
    ids = EncodeFrom(0, text, &cuts);
  }
  if (!ids.ok()) return ids.status();
  text_ = std::move(text);
  ids_.resize(from.ids);
  ids_.insert(ids_.end(), ids->begin(), ids->end());
  // The cut itself comes again as the first of the tail.
  std::erase_if(cuts_, [&](const CutPoint& cut) { return cut.offset >= from.offset; });
  for (const CutPoint& cut : cuts) {
    cuts_.push_back({from.offset + cut.offset, from.ids + cut.ids,
                     std::max(from.reach, from.offset + cut.reach)});
  }
  return ids_;
}

}  // namespace kakeya
