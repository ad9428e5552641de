// The drafts of the tasks, one function each.
#include "eval/recall/prompts/prompt_content.h"

#include <array>

namespace kakeya {
namespace {

constexpr std::array kFactKeys = {KeyKind::kNoun, KeyKind::kNoun, KeyKind::kPerson,
                                  KeyKind::kMachine};
// More than a chunk of 64 lies between one needle and the next; two where there is room.
constexpr int64_t kLeastGap = 66;
constexpr int64_t kGoodGap = 130;
// Beyond what a proposer of a few chunks' sight could carry over.
constexpr int64_t kChainGap = 440;

RecallStatement State(const char* frame, const std::string& key, const RecallValue& value) {
  return {Fill(frame, key, value.text), Fill(frame, key, value.edited), {}};
}
RecallStatement Decoy(std::string text) { return {text, text, {}}; }

// One needle for one question.
Result<PromptContent> DraftFact(RecallWords* words, KeyKind kind, const RecallPhrasing& phrasing,
                                std::string* key) {
  KAKEYA_ASSIGN_OR_RETURN(*key, words->Key(kind));
  KAKEYA_ASSIGN_OR_RETURN(const RecallValue value, words->Value());
  PromptContent draft;
  draft.phrasing = phrasing.statement;
  draft.needles.push_back(State(phrasing.statement, *key, value));
  draft.questions.push_back({Fill(phrasing.question, *key), {value.text}, {value.edited}});
  return draft;
}

}  // namespace

Result<PromptContent> DraftSingle(RecallWords* words) {
  RecallRandom& random = words->random();
  const KeyKind kind = random.Pick<KeyKind>(kFactKeys);
  std::string key;
  return DraftFact(words, kind, random.Pick(FactPhrasings()), &key);
}

Result<PromptContent> DraftLookAlikes(RecallWords* words) {
  const RecallPhrasing& phrasing = words->random().Pick(FactPhrasings());
  std::string key;
  KAKEYA_ASSIGN_OR_RETURN(PromptContent draft, DraftFact(words, KeyKind::kNoun, phrasing, &key));
  const size_t most = 6 + words->random().Below(7);
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<std::string> others, words->LookAlikes(key, 6, most));
  for (const std::string& other : others) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string digits, words->Digits());
    draft.others.push_back(Decoy(Fill(phrasing.statement, other, digits)));
  }
  return draft;
}

// Every pattern is there once, about something else each: neither a number alone nor the only
// sentence out of place gives the answer away.
Result<PromptContent> DraftOtherWords(RecallWords* words) {
  RecallRandom& random = words->random();
  std::vector<RecallPhrasing> phrasings(OtherWordsPhrasings().begin(), OtherWordsPhrasings().end());
  random.Shuffle(&phrasings);
  const std::vector<SynonymPair> pairs = words->Synonyms();
  KAKEYA_ASSIGN_OR_RETURN(const RecallValue value, words->Value());
  PromptContent draft;
  draft.phrasing = phrasings[0].statement;
  draft.needles.push_back(State(phrasings[0].statement, pairs[0].said, value));
  draft.questions.push_back(
      {Fill(phrasings[0].question, pairs[0].asked), {value.text}, {value.edited}});
  for (size_t i = 1; i < phrasings.size(); ++i) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string digits, words->Digits());
    draft.others.push_back(Decoy(Fill(phrasings[i].statement, pairs[i].said, digits)));
  }
  return draft;
}

Result<PromptContent> DraftFourValues(RecallWords* words) {
  const RecallPhrasing& phrasing = words->random().Pick(FourValuesPhrasings());
  KAKEYA_ASSIGN_OR_RETURN(const std::string key,
                          words->Key(words->random().Pick<KeyKind>(kFactKeys)));
  PromptContent draft;
  draft.phrasing = phrasing.statement;
  draft.gap = kLeastGap;
  draft.best_gap = kGoodGap;
  draft.questions.push_back({Fill(phrasing.question, key), {}, {}});
  for (int i = 0; i < 4; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(const RecallValue value, words->Value());
    draft.needles.push_back(State(phrasing.statement, key, value));
    draft.questions[0].expected.push_back(value.text);
    draft.questions[0].edited_expected.push_back(value.edited);
  }
  return draft;
}

Result<PromptContent> DraftFourQuestions(RecallWords* words) {
  PromptContent draft;
  draft.gap = kLeastGap;
  draft.best_gap = kGoodGap;
  for (int i = 0; i < 4; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(PromptContent one, DraftSingle(words));
    draft.needles.push_back(std::move(one.needles[0]));
    draft.questions.push_back(std::move(one.questions[0]));
  }
  words->random().Shuffle(&draft.questions);
  return draft;
}

// The chain asked for, and two others of the same form.
Result<PromptContent> DraftChain(RecallWords* words) {
  const ChainPhrasing& phrasing = words->random().Pick(ChainPhrasings());
  PromptContent draft;
  draft.phrasing = phrasing.first;
  draft.gap = draft.best_gap = kChainGap;
  for (int i = 0; i < 3; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string first, words->Key(KeyKind::kVariable));
    KAKEYA_ASSIGN_OR_RETURN(const std::string later, words->Key(KeyKind::kVariable));
    const std::string copy = Fill(phrasing.later, later, first);
    if (i == 0) {
      KAKEYA_ASSIGN_OR_RETURN(const RecallValue value, words->Value());
      draft.needles = {State(phrasing.first, first, value), Decoy(copy)};
      draft.questions.push_back({Fill(phrasing.question, later), {value.text}, {value.edited}});
    } else {
      KAKEYA_ASSIGN_OR_RETURN(const std::string digits, words->Digits());
      draft.others.push_back(Decoy(Fill(phrasing.first, first, digits)));
      draft.others.push_back(Decoy(copy));
    }
  }
  return draft;
}

Result<PromptContent> DraftJson(RecallWords* words) {
  const RecallPhrasing phrasing{"  \"{k}\": \"{v}\"", words->random().Pick(JsonQuestions())};
  std::string key;
  KAKEYA_ASSIGN_OR_RETURN(PromptContent draft,
                          DraftFact(words, KeyKind::kIdentifier, phrasing, &key));
  draft.phrasing = phrasing.question;
  return draft;
}

// Small talk stands between the pasted passages; without it they would be one.
Result<PromptContent> DraftChat(RecallWords* words, int64_t length) {
  RecallRandom& random = words->random();
  KAKEYA_ASSIGN_OR_RETURN(PromptContent draft, DraftSingle(words));
  draft.needles[0].reply = random.Pick(Acknowledgements());
  for (int64_t i = 0; i < length / 256; ++i) {
    const ChatExchange& exchange = random.Pick(SmallTalk());
    draft.others.push_back(Decoy(exchange.user));
    draft.others.back().reply = exchange.assistant;
  }
  return draft;
}

}  // namespace kakeya
