// What prompts are made of, and how far training doesn't know it.
//
// Keys: here only those are made whose hash IsHeldOutKey accepts. Training's keys are the others,
// but for the variables of its chains, whose names it draws from all. Phrasings: none stands word
// for word in training's sources but in its lists of held-out ones. Three facts differ from its
// frames by their attribute alone (which it holds out, too): the magic number and the access code
// in statement and question, the vault number in the question; so does the first of the four-values
// frames. Synonym pairs are training's own, in both directions: knowing that a physician is a
// doctor is not what is measured.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_LEXICON_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_LEXICON_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/recall/prompts/random.h"

namespace kakeya {

// One key text in eight, by CRC-32 of its lower-case form without a leading "the ".
bool IsHeldOutKey(std::string_view key);

enum class KeyKind {
  kNoun,        // "the mossy lighthouse"
  kPerson,      // "Greta Volmarix"
  kMachine,     // "QX-417"
  kVariable,    // "session_offset"
  kIdentifier,  // "session_offset_total" or longer: never too few
};
// REQUIRES: nothing; every kind has held-out keys.
std::string MakeKey(KeyKind kind, RecallRandom* random);
// `key` (of kind kNoun) with its adjective or noun replaced: all other held-out keys of this kind.
std::vector<std::string> LookAlikesOf(std::string_view key);

// Frames: {k} key, {K} key with a capital, {v} value, {q} the key in other words.
struct RecallPhrasing {
  const char* statement;
  const char* question;
};
std::string Fill(std::string_view frame, std::string_view key, std::string_view value = {});

std::span<const RecallPhrasing> FactPhrasings();        // one value of one key
std::span<const RecallPhrasing> FourValuesPhrasings();  // several values of one key, asked for all
std::span<const RecallPhrasing> OtherWordsPhrasings();  // the question says {q} for {k}
struct ChainPhrasing {
  const char* first;  // {k} holds the value {v}
  const char* later;  // {k} takes what {v} holds
  const char* question;
};
std::span<const ChainPhrasing> ChainPhrasings();
std::span<const char* const> JsonQuestions();

struct SynonymPair {
  const char* said;
  const char* asked;
};
// Words for the same thing, which a model must know to answer: training teaches these.
std::span<const SynonymPair> SynonymPairs();

struct ChatExchange {
  const char* user;
  const char* assistant;
};
std::span<const ChatExchange> SmallTalk();
std::span<const char* const> Acknowledgements();  // of a fact
std::span<const char* const> Reactions();         // to a pasted passage

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_LEXICON_H_
