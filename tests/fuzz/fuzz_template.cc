// The input is a chat template; it is rendered over a fixed conversation under small budgets.
// Whatever it is, the engine answers with text or with one line of error.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "text/chat_template.h"

namespace {

kakeya::ChatInput Conversation() {
  using kakeya::Json;
  kakeya::ChatInput input;
  input.messages = Json::array({
      {{"role", "system"}, {"content", "Be <|im_end|> brief."}},
      {{"role", "user"}, {"content", Json::array({{{"type", "text"}, {"text", "h\u00e9llo"}}})}},
      {{"role", "assistant"},
       {"content", "<think>\nhm\n</think>\n\nyes"},
       {"tool_calls",
        Json::array({{{"function", {{"name", "f"}, {"arguments", {{"a", 1}, {"b", -2.5}}}}}}})}},
      {{"role", "tool"}, {"content", nullptr}},
  });
  input.tools = Json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
  input.variables = {{"enable_thinking", false}};
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.now = std::tm{};
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const kakeya::ChatInput input = Conversation();
  kakeya::TemplateLimits limits;
  limits.max_steps = 50'000;
  limits.max_output = 1u << 18;
  limits.max_allocated = 1u << 22;
  const std::string source(reinterpret_cast<const char*>(data), size);
  const auto parsed = kakeya::ChatTemplate::Parse(source, limits);
  if (!parsed.ok()) return 0;
  const auto segments = parsed->Render(input);
  if (!segments.ok()) {
    if (segments.status().message().find('\n') != std::string::npos) std::abort();
    return 0;
  }
  if (kakeya::JoinSegments(*segments).size() > limits.max_output) std::abort();
  return 0;
}
