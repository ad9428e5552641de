// What prompts are made of must be what training holds out; its sources are read to see that.
#include "eval/recall/prompts/lexicon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace kakeya {
namespace {

std::string TrainingSource(const std::string& name) {
  std::ifstream file(std::string(KAKEYA_SOURCE_DIR) + "/training/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

// The text from `begin` up to the line that closes the list.
std::string ListIn(const std::string& source, const std::string& begin) {
  const size_t at = source.find(begin);
  EXPECT_NE(at, std::string::npos) << begin;
  return source.substr(at, source.find("\n]", at) - at);
}

// A frame with its placeholders made equal: "{k} = {v};" and "{a} = {b};" are one.
std::string Bare(const std::string& frame) {
  std::string bare;
  for (size_t i = 0; i < frame.size(); ++i) {
    bare += frame[i];
    const size_t close = frame[i] == '{' ? frame.find('}', i) : std::string::npos;
    if (close != std::string::npos && close <= i + 2) i = close - 1;
  }
  return bare;
}

std::set<std::string> Stems(const std::string& text) {
  const std::set<std::string> function_words = {"the", "of",    "in",  "to",   "for",
                                                "did", "was",   "but", "must", "does",
                                                "be",  "which", "how", "what"};
  std::set<std::string> stems;
  std::string word;
  for (const char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else {
      if (!word.empty() && !function_words.contains(word)) stems.insert(word.substr(0, 4));
      word.clear();
    }
  }
  return stems;
}

TEST(RecallLexiconTest, TheHashIsThatOfTraining) {
  // zlib.crc32(key.lower().removeprefix("the ").encode()) % 8 == 0, by Python.
  for (const char* key : {"the amber kiosk", "ZZ-001", "QX-006", "QX-012", "The Mossy castle"}) {
    EXPECT_TRUE(IsHeldOutKey(key)) << key;
  }
  for (const char* key : {"the mossy lighthouse", "the gilded aqueduct", "QX-417", "Greta Volmarix",
                          "session_offset", "the red falcon"}) {
    EXPECT_FALSE(IsHeldOutKey(key)) << key;
  }
}

TEST(RecallLexiconTest, EveryKeyIsHeldOut) {
  for (const KeyKind kind : {KeyKind::kNoun, KeyKind::kPerson, KeyKind::kMachine,
                             KeyKind::kVariable, KeyKind::kIdentifier}) {
    RecallRandom random(7);
    std::set<std::string> keys;
    for (int i = 0; i < 500; ++i) {
      const std::string key = MakeKey(kind, &random);
      EXPECT_TRUE(IsHeldOutKey(key)) << key;
      keys.insert(key);
    }
    EXPECT_GT(keys.size(), 250u);
  }
}

TEST(RecallLexiconTest, LookAlikesDifferInOneWord) {
  const std::string key = "the mossy lighthouse";
  const std::vector<std::string> others = LookAlikesOf(key);
  EXPECT_GE(others.size(), 12u);
  for (const std::string& other : others) {
    EXPECT_TRUE(IsHeldOutKey(other)) << other;
    EXPECT_NE(other, key);
    EXPECT_TRUE(other.starts_with("the mossy ") || other.ends_with(" lighthouse")) << other;
  }
}

TEST(RecallLexiconTest, FactsAreStatedInFamiliesThatTrainingHoldsOut) {
  const std::string held_out = ListIn(TrainingSource("templates.py"), "HELD_OUT_FAMILIES = [");
  for (const RecallPhrasing& phrasing : FactPhrasings()) {
    EXPECT_NE(held_out.find('"' + std::string(phrasing.statement) + '"'), std::string::npos);
    EXPECT_NE(held_out.find('"' + std::string(phrasing.question) + '"'), std::string::npos);
  }
}

TEST(RecallLexiconTest, OtherWordsFollowPatternsThatTrainingHoldsOut) {
  const std::string held_out =
      ListIn(TrainingSource("lexicon.py"), "OTHER_WORDS_NUMBER_HELD_OUT = [");
  for (const RecallPhrasing& phrasing : OtherWordsPhrasings()) {
    EXPECT_NE(held_out.find('"' + std::string(phrasing.statement) + '"'), std::string::npos);
    EXPECT_NE(held_out.find('"' + std::string(phrasing.question) + '"'), std::string::npos);
  }
}

TEST(RecallLexiconTest, OurOwnWordingsAreNotThoseOfTraining) {
  std::set<std::string> frames;
  for (const ChainPhrasing& phrasing : ChainPhrasings()) {
    frames.insert({phrasing.first, phrasing.later, phrasing.question});
  }
  for (const RecallPhrasing& phrasing : FourValuesPhrasings()) {
    frames.insert({phrasing.statement, phrasing.question});
  }
  for (const char* question : JsonQuestions()) frames.insert(question);
  const std::string folder = std::string(KAKEYA_SOURCE_DIR) + "/training";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".py") continue;
    const std::string source = Bare(TrainingSource(entry.path().filename().string()));
    for (const std::string& frame : frames) {
      for (const char quote : {'"', '\''}) {
        EXPECT_EQ(source.find(quote + Bare(frame) + quote), std::string::npos)
            << entry.path() << ": " << frame;
      }
    }
  }
}

TEST(RecallLexiconTest, OtherWordsShareNoStem) {
  for (const RecallPhrasing& phrasing : OtherWordsPhrasings()) {
    for (const SynonymPair& pair : SynonymPairs()) {
      const std::set<std::string> said = Stems(Fill(phrasing.statement, pair.said, "12345"));
      for (const std::string& stem : Stems(Fill(phrasing.question, pair.asked))) {
        EXPECT_FALSE(said.contains(stem)) << stem << ": " << phrasing.question << pair.asked;
      }
    }
  }
}

TEST(RecallLexiconTest, FramesAreFilledWithKeyAndValue) {
  EXPECT_EQ(Fill("{K} is {v}, not {k}.", "the key", "12345"), "The key is 12345, not the key.");
  EXPECT_EQ(Fill("Which is {q}?", "doctor"), "Which is doctor?");
}

}  // namespace
}  // namespace kakeya
