// What one prompt says, before anybody decides where it stands.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_CONTENT_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_CONTENT_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "eval/recall/prompts/lexicon.h"
#include "eval/recall/prompts/prompt.h"
#include "eval/recall/prompts/random.h"
#include "text/tokenizer/tokenizer.h"

namespace kakeya {

// A value and what the counterfactual says in its place: other digits at every place, as many
// tokens.
struct RecallValue {
  std::string text;
  std::string edited;
};

// Draws keys and values that occur nowhere else: not in the surrounding text, not in one another.
class RecallWords {
 public:
  RecallWords(const Tokenizer* tokenizer, std::string_view surroundings, RecallRandom* random);

  // Errors: InvalidArgument when the surroundings leave nothing to draw.
  Result<std::string> Key(KeyKind kind);
  // As many as there are up to `most`, at least `least`.
  Result<std::vector<std::string>> LookAlikes(std::string_view key, size_t least, size_t most);
  Result<std::string> Digits();
  Result<RecallValue> Value();
  // All pairs, those first of which the surroundings know neither word: of common words no long
  // text is free.
  std::vector<SynonymPair> Synonyms();
  RecallRandom& random() { return *random_; }

 private:
  bool Claim(std::string_view word);  // false: it occurs somewhere

  const Tokenizer* tokenizer_;
  RecallRandom* random_;
  std::string surroundings_;  // lower case
  std::set<std::string> taken_;
};

struct RecallStatement {
  std::string text;
  std::string edited;  // with the counterfactual's values
  std::string reply;   // what the assistant says to it, in a chat
};

struct RecallQuestion {
  std::string text;
  std::vector<std::string> expected;
  std::vector<std::string> edited_expected;
};

struct PromptContent {
  std::vector<RecallStatement> needles;  // in the order of the text
  std::vector<RecallStatement> others;   // scattered, in this order
  std::vector<RecallQuestion> questions;
  std::string phrasing;  // the frame it was made of; empty where there are several
  int64_t gap = 0;       // tokens between one needle and the next, at least
  int64_t best_gap = 0;  // where the length allows it
};

Result<PromptContent> DraftSingle(RecallWords* words);
Result<PromptContent> DraftLookAlikes(RecallWords* words);
Result<PromptContent> DraftOtherWords(RecallWords* words);
Result<PromptContent> DraftFourValues(RecallWords* words);
Result<PromptContent> DraftFourQuestions(RecallWords* words);
Result<PromptContent> DraftChain(RecallWords* words);
Result<PromptContent> DraftJson(RecallWords* words);
Result<PromptContent> DraftChat(RecallWords* words, int64_t length);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_CONTENT_H_
