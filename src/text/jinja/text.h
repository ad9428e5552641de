// A string that remembers which of its bytes came from the user. Joining and cutting keep the
// ranges exact; whatever rewrites characters asks for Rewritten(), which marks the whole result.
#ifndef KAKEYA_TEXT_JINJA_TEXT_H_
#define KAKEYA_TEXT_JINJA_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

#include "text/segment.h"

namespace kakeya::jinja {

class Text {
 public:
  Text() = default;
  static Text Trusted(std::string text) { return Text(std::move(text), false); }
  static Text User(std::string text) { return Text(std::move(text), true); }

  const std::string& str() const { return text_; }
  size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  bool has_user() const { return !user_.empty(); }

  void Append(std::string_view trusted) { text_ += trusted; }
  void Append(const Text& other) { AppendSlice(other, 0, other.size()); }
  // REQUIRES: begin <= end <= other.size().
  void AppendSlice(const Text& other, size_t begin, size_t end);
  // Bytes [begin, end).
  Text Slice(size_t begin, size_t end) const;
  // Another text made out of this one: all of it is the user's when any of this is.
  Text Rewritten(std::string text) const { return Text(std::move(text), has_user()); }

  std::vector<Segment> Segments() const;

 private:
  struct Range {
    size_t begin;
    size_t end;
  };
  Text(std::string text, bool user);

  std::string text_;
  std::vector<Range> user_;  // sorted, not empty, not touching
};

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_TEXT_H_
