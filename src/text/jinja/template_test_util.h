// Templates rendered for tests.
#ifndef KAKEYA_TEXT_JINJA_TEMPLATE_TEST_UTIL_H_
#define KAKEYA_TEXT_JINJA_TEMPLATE_TEST_UTIL_H_

#include <string>
#include <vector>

#include "text/chat_template.h"

namespace kakeya {

inline ChatInput OneMessage(const std::string& content) {
  ChatInput input;
  input.messages = Json::array({{{"role", "user"}, {"content", content}}});
  return input;
}

inline Result<std::vector<Segment>> RenderWith(const std::string& source, const ChatInput& input,
                                               const TemplateLimits& limits = {}) {
  KAKEYA_ASSIGN_OR_RETURN(const ChatTemplate parsed, ChatTemplate::Parse(source, limits));
  return parsed.Render(input);
}

inline std::string TextOf(const Result<std::vector<Segment>>& segments) {
  return segments.ok() ? JoinSegments(*segments) : "error: " + segments.status().message();
}

// What of the text is trusted, with everything else as '.'.
inline std::string Trusted(const std::string& source, const ChatInput& input) {
  const auto segments = RenderWith(source, input);
  if (!segments.ok()) return "error: " + segments.status().message();
  std::string out;
  for (const Segment& s : *segments) out += s.trusted ? s.text : std::string(s.text.size(), '.');
  return out;
}

// kOk where the template renders.
inline StatusCode CodeOf(const std::string& source, const ChatInput& input = OneMessage("x"),
                         const TemplateLimits& limits = {}) {
  return RenderWith(source, input, limits).status().code();
}

}  // namespace kakeya

#endif  // KAKEYA_TEXT_JINJA_TEMPLATE_TEST_UTIL_H_
