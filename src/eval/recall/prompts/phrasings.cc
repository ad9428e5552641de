// The phrasings of lexicon.h: data, and nothing else.
#include "eval/recall/prompts/lexicon.h"

namespace kakeya {
namespace {

// HELD_OUT_FAMILIES of training/templates.py, word for word.
constexpr RecallPhrasing kFacts[] = {
    {"The special magic number for {k} is {v}.", "What is the special magic number for {k}?"},
    {"The access code for {k} is {v}.", "What is the access code for {k}?"},
    {"Remember this: the vault number of {k} is {v}.", "What is the vault number of {k}?"},
    {"One of the gate codes is worth knowing: {k} answers to {v}.",
     "Which gate code does {k} answer to?"},
    {"Whoever wants to enter {k} must type {v} first.", "What must be typed to enter {k}?"},
    {"Engraved on the back of {k} one finds {v}.", "What is engraved on the back of {k}?"},
    {"{K} is registered under {v} in our books.", "Under which number is {k} registered?"},
    {"Please remember: {v} is the identity number used by {k}.",
     "Which identity number is used by {k}?"},
};

// OTHER_WORDS_NUMBER_HELD_OUT of training/lexicon.py, word for word.
constexpr RecallPhrasing kOtherWords[] = {
    {"Nobody but the {k} knows {v}.", "Which number does the {q} keep secret?"},
    {"The {k} paid {v} in taxes.", "How much did the {q} give to the state?"},
    {"The {k} was repaired for {v}.", "How much money did fixing the {q} take?"},
    {"{v} opens the locker of the {k}.", "What combination must be entered for the {q}?"},
};

// Training holds out no wording of these three; these are not among its own.
constexpr RecallPhrasing kFourValues[] = {
    {"One special magic number for {k} is {v}.",
     "What are all the special magic numbers for {k}, one after another?"},
    {"Among the gate codes of {k} is {v}.", "Which gate codes does {k} have, from first to last?"},
    {"A valid access code for {k} is {v}.",
     "What are all the access codes for {k}, from first to last?"},
};
constexpr ChainPhrasing kChains[] = {
    {"auto {k} = {v};", "auto {k} = {v};", "What value has {k}?"},
    {"static long {k} = {v};", "static long {k} = {v};", "What value has the variable {k}?"},
    {"Now {k} = {v}.", "Now {k} = {v}.", "Which value does the variable {k} contain?"},
    {"The variable {k} starts as {v}.", "The variable {k} becomes equal to {v}.",
     "What value has the variable {k}?"},
};
constexpr const char* kJsonQuestions[] = {
    "Which number is stored under \"{k}\"?",
    "What stands under \"{k}\"?",
    "Which number is filed under the key \"{k}\"?",
};

constexpr SynonymPair kSynonyms[] = {
    {"physician", "doctor"},
    {"attorney", "lawyer"},
    {"author", "writer"},
    {"instructor", "teacher"},
    {"policeman", "officer"},
    {"chef", "cook"},
    {"pilot", "aviator"},
    {"merchant", "trader"},
    {"sailor", "mariner"},
    {"thief", "burglar"},
    {"pupil", "student"},
    {"boss", "manager"},
    {"cobbler", "shoemaker"},
    {"janitor", "caretaker"},
    {"soldier", "trooper"},
    {"judge", "magistrate"},
    {"farmer", "grower"},
    {"barber", "hairdresser"},
    {"servant", "attendant"},
    {"architect", "designer"},
    {"banker", "financier"},
    {"scientist", "researcher"},
    {"gardener", "groundskeeper"},
    {"painter", "artist"},
    {"companion", "friend"},
    {"visitor", "guest"},
    {"landlord", "proprietor"},
    {"client", "customer"},
    {"rival", "competitor"},
    {"guide", "escort"},
    {"spy", "agent"},
    {"singer", "vocalist"},
    {"actor", "performer"},
    {"poet", "bard"},
    {"miner", "collier"},
    {"tailor", "dressmaker"},
    {"carpenter", "woodworker"},
    {"bookkeeper", "accountant"},
};

constexpr ChatExchange kSmallTalk[] = {
    {"Good evening.", "Good evening! What can I do for you?"},
    {"How are you today?", "I am well, thank you."},
    {"I will send you some more to read.", "Please do."},
    {"Are you still with me?", "Yes, please continue."},
    {"It is raining here.", "I hope it clears up soon."},
    {"Give me a moment.", "Take your time."},
    {"Here comes the next part.", "I am ready for it."},
    {"That was a long one.", "I have read all of it."},
};
constexpr const char* kAcknowledgements[] = {"I have made a note of it.", "I will keep it in mind.",
                                             "Noted, thank you."};
constexpr const char* kReactions[] = {"I have read this passage.", "Thank you, I have seen it.",
                                      "I see, please continue.", "That is interesting."};

}  // namespace

std::span<const RecallPhrasing> FactPhrasings() { return kFacts; }
std::span<const RecallPhrasing> FourValuesPhrasings() { return kFourValues; }
std::span<const RecallPhrasing> OtherWordsPhrasings() { return kOtherWords; }
std::span<const ChainPhrasing> ChainPhrasings() { return kChains; }
std::span<const char* const> JsonQuestions() { return kJsonQuestions; }
std::span<const SynonymPair> SynonymPairs() { return kSynonyms; }
std::span<const ChatExchange> SmallTalk() { return kSmallTalk; }
std::span<const char* const> Acknowledgements() { return kAcknowledgements; }
std::span<const char* const> Reactions() { return kReactions; }

}  // namespace kakeya
