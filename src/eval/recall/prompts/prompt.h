// One question whose answer lies far back: what `prove` asks, as token ids, with everything that
// its arms need to know about it.
//
// Keys and phrasings are held out of the training data of this repository as far as
// lexicon.h says.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "session/engine.h"

namespace kakeya {

enum class RecallTask {
  kSingle,         // one needle
  kLookAlikes,     // a needle among others whose keys differ in one word
  kOtherWords,     // asked for in words that share none with the needle
  kFourValues,     // four values of one key, wanted all
  kFourQuestions,  // four needles, asked for one after another
  kChain,          // a variable followed over two assignments, 440 tokens apart or more
  kJson,           // a value in a long JSON object of pairs
  kChat,           // a fact told early in a long chat
};
inline constexpr int kRecallTasks = 8;
// The longest prompt that is made.
inline constexpr int64_t kMaxPromptTokens = int64_t{1} << 21;
// "single", "look-alikes", "other-words", "four-values", "four-questions", "chain", "json", "chat".
const char* NameOf(RecallTask task);

// Positions [begin, end) of the context.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
};

// One question and what a right answer says: every one of `expected`, in this order.
struct RecallTurn {
  // Appended to what stands so far; ends where the answer begins. Before a later turn, only the
  // first line of what the model generated stays, without its line break.
  std::vector<int32_t> ids;
  std::vector<std::string> expected;  // e.g. {"48213"}
  // The same when the proposer's history holds edited_context instead. Empty: this task has none.
  std::vector<std::string> edited_expected;
};

struct RecallPrompt {
  std::vector<int32_t> context;     // everything before the first question
  std::vector<RecallTurn> turns;    // one, but for kFourQuestions
  std::vector<TokenRange> needles;  // of the context: what bears the answers, ascending
  // The context with the values in the needles edited and nothing else; of the same length. Empty:
  // this task has no counterfactual.
  std::vector<int32_t> edited_context;
  // The frame that its needle or question was made of; empty where there are several.
  std::string phrasing;
  double depth = 0;  // where the first needle begins: 0 begin, 1 end
};

struct RecallPromptSpec {
  RecallTask task = RecallTask::kSingle;
  // Tokens of context and first question together, hit within 2 %; the lines of kJson allow only
  // 16 tokens where that is more.
  int64_t length = 1024;
  // Wanted depth of the (first) needle, hit within 64 tokens; less deep where min_distance or the
  // needles after it need the room.
  double depth = 0.5;
  uint64_t seed = 0;         // of this prompt; the same spec and haystack give the same prompt
  int64_t min_distance = 0;  // tokens between the last needle's end and the question, at least
};

// Makes prompts out of a haystack: UTF-8 text, with or without newlines, cut at a place that the
// seed says, repeated when it is short.
class RecallPromptMaker {
 public:
  // Errors: InvalidArgument when the haystack is empty or not UTF-8; NotFound without a tokenizer.
  // REQUIRES: the engine outlives the maker.
  static Result<RecallPromptMaker> Create(const Engine* engine, std::string haystack);

  // Errors: InvalidArgument when the length leaves no room for needle, distance and question;
  // NotFound when kChat is asked of a model without chat template.
  Result<RecallPrompt> Make(const RecallPromptSpec& spec) const;

 private:
  RecallPromptMaker(const Engine* engine, std::string haystack)
      : engine_(engine), haystack_(std::move(haystack)) {}

  const Engine* engine_;
  std::string haystack_;
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_PROMPT_H_
