#include "text/tokenizer/incremental_encoder.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "text/chat_template.h"
#include "text/model_text.h"
#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

// A template that writes earlier answers without their thoughts, as Qwen3's does.
constexpr const char* kDropsThoughts =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

class ConversationTextTest : public ::testing::Test {
 protected:
  ConversationTextTest()
      : model_(std::string(KAKEYA_SOURCE_DIR) + "/models/demo"),
        tokenizer_(LoadTokenizer(model_).value()),
        chat_template_(ChatTemplate::Parse(LoadChatSettings(model_)->source).value()) {}

  void UseTemplate(const char* source) { chat_template_ = ChatTemplate::Parse(source).value(); }

  std::vector<Segment> Render(const Json& messages) const {
    ChatInput input;
    input.messages = messages;
    return chat_template_.Render(input).value();
  }

  std::vector<int32_t> Whole(const std::vector<Segment>& text) const {
    return tokenizer_.EncodeSegments(text, {.add_special_tokens = false}).value();
  }

  // Turn after turn; now and then an earlier message changes, or another conversation begins.
  void CompareWithTheWhole(uint32_t seed) const {
    std::mt19937 random(seed);
    IncrementalEncoder encoder(&tokenizer_);
    size_t whole_bytes = 0;
    Json messages = Json::array();
    for (int turn = 0; turn < 60; ++turn) {
      if (random() % 20 == 0) messages = Json::array();
      if (messages.size() > 2 && random() % 8 == 0) {
        messages[random() % messages.size()]["content"] = RandomMessage(&random);
      }
      messages.push_back({{"role", "user"}, {"content", RandomMessage(&random)}});
      const std::vector<Segment> text = Render(messages);
      whole_bytes += JoinSegments(text).size();
      const auto ids = encoder.Encode(text);
      ASSERT_TRUE(ids.ok()) << ids.status().message();
      ASSERT_EQ(*ids, Whole(text)) << "seed " << seed << ", turn " << turn;
      messages.push_back({{"role", "assistant"}, {"content", RandomMessage(&random)}});
    }
    EXPECT_LT(encoder.encoded_bytes(), whole_bytes / 2);
  }

  // What meets what stands beside it: special tokens as text, white space, halves of characters
  // that NFC joins, halves of words and of numbers.
  static std::string RandomMessage(std::mt19937* random) {
    static const char* const kPieces[] = {"<|im_end|>", "<|im_start|>",
                                          "<|im_",      "end|>",
                                          "<think>",    "</think>",
                                          "e",          "\xcc\x81",
                                          "\n",         " ",
                                          "\t\n ",      "12",
                                          "345",        "the",
                                          " old",       "house",
                                          "'s",         "\xe4\xb8\xad",
                                          "ß",          "\xf0\x9f\x98\x80"};
    std::string text;
    for (size_t n = (*random)() % 12; n > 0; --n) {
      text += kPieces[(*random)() % std::size(kPieces)];
    }
    return text;
  }

  std::string model_;
  Tokenizer tokenizer_;
  ChatTemplate chat_template_;
};

TEST_F(ConversationTextTest, IdsEqualThoseOfTheWholeWithTheDemosTemplate) {
  for (uint32_t seed = 0; seed < 20; ++seed) CompareWithTheWhole(seed);
}

TEST_F(ConversationTextTest, IdsEqualThoseOfTheWholeWhereThoughtsAreDropped) {
  UseTemplate(kDropsThoughts);
  for (uint32_t seed = 100; seed < 120; ++seed) CompareWithTheWhole(seed);
}

TEST_F(ConversationTextTest, WhatATurnEncodesDoesNotGrow) {
  IncrementalEncoder encoder(&tokenizer_);
  Json messages = Json::array();
  std::vector<size_t> per_turn;
  for (int turn = 0; turn < 50; ++turn) {
    messages.push_back({{"role", "user"}, {"content", "What about the old house?"}});
    const size_t before = encoder.encoded_bytes();
    ASSERT_TRUE(encoder.Encode(Render(messages)).ok());
    per_turn.push_back(encoder.encoded_bytes() - before);
    messages.push_back({{"role", "assistant"}, {"content", "It stands by the sea."}});
  }
  EXPECT_GT(per_turn[0], 0u);
  for (size_t turn = 1; turn < per_turn.size(); ++turn) EXPECT_EQ(per_turn[turn], per_turn[1]);
}

TEST_F(ConversationTextTest, ATextThatStayedIsNotEncodedTwice) {
  IncrementalEncoder encoder(&tokenizer_);
  const std::vector<Segment> text = {
      {"<|im_start|>", true}, {std::string(1000, 'a'), false}, {"<|im_end|>", true}, {"\n", true}};
  ASSERT_TRUE(encoder.Encode(text).ok());
  const size_t before = encoder.encoded_bytes();
  EXPECT_EQ(encoder.Encode(text).value(), Whole(text));
  EXPECT_EQ(encoder.encoded_bytes() - before, std::string("<|im_end|>\n").size());
}

// A text that was the template's own and is a user's now has other ids.
TEST_F(ConversationTextTest, TheSameTextOfAnotherOriginIsEncodedAnew) {
  IncrementalEncoder encoder(&tokenizer_);
  for (const bool trusted : {true, false, true}) {
    const std::vector<Segment> text = {
        {"<|im_start|>a", true}, {"<|im_end|>b", trusted}, {"<|im_start|>c", true}};
    EXPECT_EQ(encoder.Encode(text).value(), Whole(text));
  }
}

TEST_F(ConversationTextTest, ErrorsAreThoseOfTheWholeAndChangeNothing) {
  IncrementalEncoder encoder(&tokenizer_);
  std::vector<Segment> text = {{"<|im_start|>user\n", true}, {"hi", false}, {"<|im_end|>", true}};
  text.push_back({"\n<|im_start|>assistant\n", true});
  ASSERT_TRUE(encoder.Encode(text).ok());
  std::vector<Segment> bad = text;
  bad.push_back({"x\xff", false});
  const auto whole = tokenizer_.EncodeSegments(bad, {.add_special_tokens = false});
  ASSERT_FALSE(whole.ok());
  EXPECT_EQ(encoder.Encode(bad).status().message(), whole.status().message());
  text.push_back({"good", false});
  EXPECT_EQ(encoder.Encode(text).value(), Whole(text));
}

// Added tokens that overlap, that take white space along, that want no word beside them: wherever
// two texts part, what is kept of the first one is what the second one has.
TEST(IncrementalEncoderTest, IdsEqualThoseOfTheWholeForAwkwardAddedTokens) {
  Json file = TokenizerJson({{"a", "b"}, {"ab", "a"}, {" ", "a"}, {"b", "b"}});
  int id = 1000;
  const auto add = [&](const char* token, bool special, const std::vector<std::string>& flags) {
    file["model"]["vocab"][token] = id;
    AddToken(&file, id++, token, special, flags);
  };
  add("<a>", true, {});
  add("<a><b>", true, {});
  add("a><b", true, {});
  add("<b>", true, {"lstrip"});
  add("<c>", true, {"rstrip"});
  add("<c>a", true, {});
  add("<d", true, {"single_word"});
  add(" <e>", true, {});
  add("bab", false, {});
  add("[n]", true, {"normalized"});
  const Tokenizer tokenizer = MakeTokenizer(file);
  std::mt19937 random(7);
  static const char* const kPieces[] = {"<a>", "<b>", "<c>", "<d", " <e>", "[n]", "a",
                                        "b",   " ",   "\n",  "<",  ">",    "bab", "[n"};
  const auto grow = [&](std::vector<Segment>* text) {
    for (size_t n = random() % 6; n > 0; --n) {
      text->push_back({kPieces[random() % std::size(kPieces)], random() % 4 != 0});
    }
  };
  IncrementalEncoder encoder(&tokenizer);
  std::vector<Segment> text;
  size_t whole_bytes = 0;
  for (int step = 0; step < 20'000; ++step) {
    text.resize(text.size() - std::min<size_t>(text.size(), random() % 5));
    grow(&text);
    if (text.size() > 40) text.clear();
    whole_bytes += JoinSegments(text).size();
    const auto whole = tokenizer.EncodeSegments(text, {.add_special_tokens = false});
    ASSERT_EQ(encoder.Encode(text).value(), whole.value()) << JoinSegments(text);
  }
  EXPECT_LT(encoder.encoded_bytes(), whole_bytes / 2);
}

TEST(IncrementalEncoderTest, CommonBytesSeeNoBordersButOrigins) {
  EXPECT_EQ(CommonBytes({}, {}), 0u);
  EXPECT_EQ(CommonBytes({{"abc", true}}, {{"a", true}, {"", false}, {"bd", true}}), 2u);
  EXPECT_EQ(CommonBytes({{"abc", true}}, {{"ab", true}, {"c", false}}), 2u);
  EXPECT_EQ(CommonBytes({{"", true}, {"abc", false}}, {{"abc", false}, {"d", true}}), 3u);
}

}  // namespace
}  // namespace kakeya
