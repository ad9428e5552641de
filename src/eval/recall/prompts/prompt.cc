#include "eval/recall/prompts/prompt.h"

#include "eval/recall/prompts/haystack.h"
#include "eval/recall/prompts/layout.h"
#include "eval/recall/prompts/prompt_content.h"
#include "eval/recall/prompts/prompt_format.h"
#include "format/utf8.h"

namespace kakeya {
namespace {

Result<PromptContent> Draft(const RecallPromptSpec& spec, RecallWords* words) {
  switch (spec.task) {
    case RecallTask::kSingle:
      return DraftSingle(words);
    case RecallTask::kLookAlikes:
      return DraftLookAlikes(words);
    case RecallTask::kOtherWords:
      return DraftOtherWords(words);
    case RecallTask::kFourValues:
      return DraftFourValues(words);
    case RecallTask::kFourQuestions:
      return DraftFourQuestions(words);
    case RecallTask::kChain:
      return DraftChain(words);
    case RecallTask::kJson:
      return DraftJson(words);
    case RecallTask::kChat:
      return DraftChat(words, spec.length);
  }
  return InvalidArgument("there is no such task");
}

Status Check(const RecallPromptSpec& spec) {
  if (spec.length < 1 || spec.length > kMaxPromptTokens) {
    return InvalidArgument("a prompt has 1 to {} tokens, not {}", kMaxPromptTokens, spec.length);
  }
  if (!(spec.depth >= 0 && spec.depth <= 1)) {
    return InvalidArgument("a depth lies between 0 and 1, unlike {}", spec.depth);
  }
  if (spec.min_distance < 0 || spec.min_distance > kMaxPromptTokens) {
    return InvalidArgument("{} is no distance in tokens", spec.min_distance);
  }
  return OkStatus();
}

// Prompts of different lengths or tasks share nothing, though their seeds be the same.
uint64_t SeedOf(const RecallPromptSpec& spec) {
  uint64_t seed = spec.seed;
  for (const uint64_t part :
       {static_cast<uint64_t>(spec.task), static_cast<uint64_t>(spec.length)}) {
    seed = RecallRandom(seed ^ part).Next();
  }
  return seed;
}

}  // namespace

const char* NameOf(RecallTask task) {
  switch (task) {
    case RecallTask::kSingle:
      return "single";
    case RecallTask::kLookAlikes:
      return "look-alikes";
    case RecallTask::kOtherWords:
      return "other-words";
    case RecallTask::kFourValues:
      return "four-values";
    case RecallTask::kFourQuestions:
      return "four-questions";
    case RecallTask::kChain:
      return "chain";
    case RecallTask::kJson:
      return "json";
    case RecallTask::kChat:
      return "chat";
  }
  return "";
}

Result<RecallPromptMaker> RecallPromptMaker::Create(const Engine* engine, std::string haystack) {
  KAKEYA_RETURN_IF_ERROR(engine->tokenizer().status());
  if (haystack.empty()) return InvalidArgument("the haystack is empty");
  if (const size_t at = FindInvalidUtf8(haystack); at != haystack.size()) {
    return InvalidArgument("the haystack is not UTF-8 at byte {}", at);
  }
  if (const size_t nul = haystack.find('\0'); nul != std::string::npos) {
    return InvalidArgument("the haystack holds a NUL at byte {}: it is no text", nul);
  }
  return RecallPromptMaker(engine, std::move(haystack));
}

Result<RecallPrompt> RecallPromptMaker::Make(const RecallPromptSpec& spec) const {
  KAKEYA_RETURN_IF_ERROR(Check(spec));
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine_->tokenizer());
  const bool json = spec.task == RecallTask::kJson;
  const bool chat = spec.task == RecallTask::kChat;
  if (chat && !engine_->CheckChat().ok()) return engine_->CheckChat();
  RecallRandom random(SeedOf(spec));
  KAKEYA_ASSIGN_OR_RETURN(const Filler filler,
                          json ? MakeJsonPairs(*tokenizer, spec.length, &random)
                               : CutHaystack(*tokenizer, haystack_, spec.length, &random));
  RecallWords words(tokenizer, filler.text, &random);
  KAKEYA_ASSIGN_OR_RETURN(const PromptContent draft, Draft(spec, &words));
  if (chat) return LayOut(*tokenizer, ChatPromptFormat(engine_), filler, draft, spec, &random);
  return LayOut(*tokenizer, TextPromptFormat(tokenizer, json), filler, draft, spec, &random);
}

}  // namespace kakeya
