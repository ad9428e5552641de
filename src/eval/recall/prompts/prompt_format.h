// The outward form of a prompt: raw text, a JSON object, or a chat. A form turns pieces of text
// into token ids; where the pieces are cut is the layout's business.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_FORMAT_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_FORMAT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "eval/recall/prompts/prompt_content.h"
#include "session/engine.h"

namespace kakeya {

// A stretch of filler, or (when `statement` is set) what is said between two.
struct RecallPiece {
  std::string_view filler;
  const RecallStatement* statement = nullptr;
};

struct ComposedPrompt {
  std::vector<int32_t> ids;  // all of it, with the first question
  int64_t split = 0;         // where the question begins
};

class PromptFormat {
 public:
  virtual ~PromptFormat() = default;
  // With the statements as they are, or with the counterfactual's values in them. Pure.
  virtual Result<ComposedPrompt> Compose(std::span<const RecallPiece> pieces,
                                         std::string_view question, bool edited) const = 0;
  // A question that follows an answer.
  virtual Result<std::vector<int32_t>> ComposeLater(std::string_view question) const = 0;
};

// "...\nQuestion: ...\nAnswer:". The pieces stand on lines of their own or between sentences.
class TextPromptFormat : public PromptFormat {
 public:
  TextPromptFormat(const Tokenizer* tokenizer, bool json) : tokenizer_(tokenizer), json_(json) {}
  Result<ComposedPrompt> Compose(std::span<const RecallPiece> pieces, std::string_view question,
                                 bool edited) const override;
  Result<std::vector<int32_t>> ComposeLater(std::string_view question) const override;

 private:
  const Tokenizer* tokenizer_;
  bool json_;  // the pieces are lines of one object
};

// Through the model's own chat template: statements and passages are the user's messages.
class ChatPromptFormat : public PromptFormat {
 public:
  explicit ChatPromptFormat(const Engine* engine) : engine_(engine) {}
  Result<ComposedPrompt> Compose(std::span<const RecallPiece> pieces, std::string_view question,
                                 bool edited) const override;
  Result<std::vector<int32_t>> ComposeLater(std::string_view question) const override;

 private:
  const Engine* engine_;
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_FORMAT_H_
