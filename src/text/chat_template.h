// A model's chat template: messages in, prompt out, exactly the text that transformers renders, but
// as segments that remember which characters the template itself wrote. Special tokens spelled
// inside a message stay text.
//
// The template comes from a model folder and the values from a request, so neither is trusted with
// the machine: a render has a budget of steps, bytes and nesting, and templates reach nothing but
// the values they were given.
//
// Thread safety: a ChatTemplate is immutable after Parse; Render may run on many threads at once.
#ifndef KAKEYA_TEXT_CHAT_TEMPLATE_H_
#define KAKEYA_TEXT_CHAT_TEMPLATE_H_

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "text/segment.h"

namespace kakeya {

struct ChatInput {
  Json messages = Json::array();  // objects: role, content (text or list of parts), tool_calls, ...
  Json tools;                     // array of tool schemas, or null
  bool add_generation_prompt = true;
  // More variables by name (chat_template_kwargs, such as enable_thinking). An object or null.
  Json variables;
  std::string bos_token;  // trusted text, as the template's own
  std::string eos_token;
  // What strftime_now() prints; a template that asks for the time without one fails.
  std::optional<std::tm> now;
};

struct TemplateLimits {
  int64_t max_steps = 10'000'000;     // evaluation steps; bulk work counts by its size
  size_t max_output = 16u << 20;      // bytes of the result, and of any single string or list
  size_t max_allocated = 512u << 20;  // bytes of all values a render makes, together
  int max_depth = 400;                // nested evaluations (recursive macros)
  size_t max_source = 1u << 20;       // bytes of the template
};

namespace jinja {
struct Template;
}

class ChatTemplate {
 public:
  // Errors: Corrupt "chat template line N: ..." for text that isn't a template of the language we
  // know, ResourceExhausted for one that is too long or too deeply nested.
  static Result<ChatTemplate> Parse(const std::string& source, const TemplateLimits& limits = {});

  // The prompt, as maximal runs of trusted and untrusted text. Text of messages, tools and
  // variables is untrusted (a `role` that is one of the well-known role words counts as the
  // template's own: some templates build their special tokens around it). Errors: InvalidArgument
  // when the input isn't shaped as said above, a variable's name is taken or not an identifier, the
  // template raises an exception or uses a value in a way it doesn't allow; ResourceExhausted when
  // a budget is spent.
  Result<std::vector<Segment>> Render(const ChatInput& input) const;

  // The source of a model's template. `chat_template.jinja` in `dir` wins (the newer layout of
  // model folders); otherwise `chat_template` of tokenizer_config.json, which is a text or a list
  // of {name, template}, where "tool_use" is taken for a chat with tools and "default" else.
  // Errors: NotFound when there is none.
  static Result<std::string> FromTokenizerConfig(const Json& tokenizer_config,
                                                 const std::string& dir, bool with_tools);

  // The text of `bos_token` or `eos_token` in tokenizer_config.json, a text or {"content": text};
  // "" when absent.
  static Result<std::string> TokenText(const Json& tokenizer_config, const char* key);

 private:
  ChatTemplate(std::shared_ptr<const jinja::Template> parsed, const TemplateLimits& limits)
      : template_(std::move(parsed)), limits_(limits) {}

  std::shared_ptr<const jinja::Template> template_;
  TemplateLimits limits_;
};

// The text of all segments.
std::string JoinSegments(const std::vector<Segment>& segments);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_CHAT_TEMPLATE_H_
