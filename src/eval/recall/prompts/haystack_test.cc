// Any text is a haystack: these are the odd ones.
#include "eval/recall/prompts/haystack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "eval/recall/prompts/prompt.h"
#include "eval/recall/prompts/prompt_content.h"

namespace kakeya {
namespace {

// Loaded once for all tests.
const Engine& Demo() {
  static const std::unique_ptr<Engine> kEngine = [] {
    Result<std::unique_ptr<Engine>> loaded =
        Engine::Load(std::string(KAKEYA_SOURCE_DIR) + "/models/demo", {.threads = 1});
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return *std::move(loaded);
  }();
  return *kEngine;
}
const Tokenizer& DemoTokenizer() { return **Demo().tokenizer(); }

Result<RecallPrompt> Make(const std::string& haystack) {
  KAKEYA_ASSIGN_OR_RETURN(const RecallPromptMaker maker,
                          RecallPromptMaker::Create(&Demo(), haystack));
  return maker.Make({.length = 1024, .seed = 5});
}

TEST(RecallHaystackTest, OddTextsMakeWholePrompts) {
  std::string one_line;
  for (int i = 0; i < 3000; ++i) one_line += static_cast<char>('a' + i * i % 23);
  std::string cjk;
  for (int i = 0; i < 400; ++i) cjk += "\u8a18\u61b6";
  for (const std::string& haystack :
       {std::string("x"), std::string("7"), std::string("\u00e9"), one_line, cjk,
        std::string("e\u0301 decomposed. "), std::string("a\n\n\n"), std::string("\1\2"),
        std::string("<|im_end|> <|endoftext|> "), std::string("End. \"Quote.\" (Aside.) ")}) {
    const Result<RecallPrompt> prompt = Make(haystack);
    ASSERT_TRUE(prompt.ok()) << haystack.substr(0, 20) << ": " << prompt.status().message();
    const size_t total = prompt->context.size() + prompt->turns[0].ids.size();
    EXPECT_GE(total, 1004u);
    EXPECT_LE(total, 1044u);
    for (const int32_t id : prompt->context) EXPECT_FALSE(DemoTokenizer().IsSpecial(id));
    const std::string text = DemoTokenizer().Decode(prompt->context, false);
    EXPECT_EQ(text.find("\uFFFD"), std::string::npos) << "a character was cut";
    EXPECT_NE(text.find(prompt->turns[0].expected[0]), std::string::npos);
  }
}

TEST(RecallHaystackTest, TextThatCannotServeIsRefused) {
  EXPECT_EQ(Make("").status().code(), StatusCode::kInvalidArgument);
  const Status broken = Make("fine so far \xff\xfe").status();
  EXPECT_EQ(broken.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(broken.message().find("byte 12"), std::string::npos) << broken.message();
  // Every number that could be asked for.
  std::string numbers;
  for (int i = 0; i < 100'000; ++i) numbers += fmt::format("{:05}\n", i);
  RecallRandom random(1);
  EXPECT_EQ(RecallWords(&DemoTokenizer(), numbers, &random).Value().status().code(),
            StatusCode::kInvalidArgument);
}

TEST(RecallHaystackTest, AModelWithoutTokenizerIsRefused) {
  const Result<std::unique_ptr<Engine>> bare = Engine::Load(
      std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/qwen3-window", {.threads = 1});
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(RecallPromptMaker::Create(bare->get(), "text").status().code(), StatusCode::kNotFound);
}

TEST(RecallHaystackTest, ATextWithANulIsRefused) {
  const Result<RecallPrompt> prompt = Make(std::string("Some text.\0More text.", 21));
  EXPECT_EQ(prompt.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(prompt.status().message().find("NUL at byte 10"), std::string::npos);
}

TEST(RecallHaystackTest, AKeyOrValueOfTheHaystackIsNeverUsed) {
  const auto draw = [](const std::string& surroundings) {
    RecallRandom random(11);
    RecallWords words(&DemoTokenizer(), surroundings, &random);
    const Result<std::string> key = words.Key(KeyKind::kNoun);
    const Result<RecallValue> value = words.Value();
    EXPECT_TRUE(key.ok() && value.ok());
    return std::pair(*key, *value);
  };
  const auto [key, value] = draw("nothing of that");
  const auto [same_key, same_value] = draw("nothing of that either");
  EXPECT_EQ(key, same_key);
  const auto [other_key, unused] = draw("THE " + key.substr(4) + " was mentioned");
  EXPECT_NE(key, other_key);
  const auto [again, other_value] = draw("here is 9" + value.text + "9 already");
  EXPECT_NE(value.text, other_value.text);
  const auto [once_more, other_edit] = draw("and there is " + value.edited);
  EXPECT_NE(value.edited, other_edit.edited);
}

TEST(RecallHaystackTest, OffsetsAreThoseOfTheText) {
  RecallRandom random(2);
  const Result<Filler> filler =
      CutHaystack(DemoTokenizer(), "Some e\u0301 text. And more\nof it. ", 500, &random);
  ASSERT_TRUE(filler.ok());
  EXPECT_GE(filler->tokens(), 500);
  EXPECT_EQ(filler->offsets.front(), 0u);
  EXPECT_EQ(filler->offsets.back(), filler->text.size());
  EXPECT_TRUE(std::is_sorted(filler->offsets.begin(), filler->offsets.end()));
}

TEST(RecallHaystackTest, ACutPrefersTheEndOfASentence) {
  const std::string text = "One two. \"Three four.\" Five six\nseven \u00e9\u00e9";
  EXPECT_EQ(CutNear(text, 0, 5, 12), 9u);         // after "two. "
  EXPECT_EQ(CutNear(text, 12, 15, 25), 23u);      // after the quote
  EXPECT_EQ(CutNear(text, 24, 25, 34), 32u);      // after the line
  EXPECT_EQ(CutNear(text, 33, 34, 38), 38u);      // after "seven "
  EXPECT_EQ(CutNear(text, 39, 39, 39 + 1), 40u);  // between two characters
  EXPECT_EQ(CutNear(text, 3, 3, 3), 3u);
}

}  // namespace
}  // namespace kakeya
