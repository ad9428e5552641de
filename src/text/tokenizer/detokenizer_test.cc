#include "text/tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "format/utf8.h"
#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

// Ids 0-255 are the bytes.
std::string PushBytes(StreamingDetokenizer* stream, std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += stream->Push(static_cast<uint8_t>(c));
  return out;
}

TEST(DetokenizerTest, CharacterComesOutWithItsLastByte) {
  const Tokenizer tokenizer = MakeTokenizer(TokenizerJson());
  StreamingDetokenizer stream(&tokenizer);
  EXPECT_EQ(PushBytes(&stream, "a\xf0\x9f\x98"), "a");
  EXPECT_EQ(PushBytes(&stream, "\x80"), "\U0001f600");
  EXPECT_EQ(stream.Flush(), "");
}

TEST(DetokenizerTest, FlushReplacesAnUnfinishedCharacter) {
  const Tokenizer tokenizer = MakeTokenizer(TokenizerJson());
  StreamingDetokenizer stream(&tokenizer);
  EXPECT_EQ(PushBytes(&stream, "\xe4\xbd"), "");
  EXPECT_EQ(stream.Flush(), "\ufffd");
  EXPECT_EQ(stream.Flush(), "");
}

TEST(DetokenizerTest, BrokenCharacterIsReplacedAsSoonAsItIsCertain) {
  const Tokenizer tokenizer = MakeTokenizer(TokenizerJson());
  StreamingDetokenizer stream(&tokenizer);
  EXPECT_EQ(PushBytes(&stream, "\xe4\xbd"), "");
  EXPECT_EQ(PushBytes(&stream, "x"), "\ufffdx");
}

TEST(DetokenizerTest, SpecialTokensAreSkippedWithoutBreakingACharacter) {
  Json file = TokenizerJson();
  AddToken(&file, 300, "<|end|>", /*special=*/true);
  const Tokenizer tokenizer = MakeTokenizer(file);
  StreamingDetokenizer skip(&tokenizer);
  EXPECT_EQ(PushBytes(&skip, "\xc3"), "");
  EXPECT_EQ(skip.Push(300), "");
  EXPECT_EQ(PushBytes(&skip, "\xa9"), "\u00e9");
  StreamingDetokenizer keep(&tokenizer, /*skip_special=*/false);
  EXPECT_EQ(keep.Push(300), "<|end|>");
}

TEST(DetokenizerTest, RandomIdsGiveValidUtf8AndAgreeWithDecode) {
  const Tokenizer tokenizer = MakeTokenizer(TokenizerJson({{"\xe2", "\x82"}, {"\x98", "\xf0"}}));
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids;
    // Mostly bytes at which characters begin, go on and break.
    for (size_t n = random() % 40; n > 0; --n) {
      ids.push_back(
          static_cast<int32_t>(random() % 4 == 0 ? random() % 262 : 0x80 + random() % 0x80));
    }
    StreamingDetokenizer stream(&tokenizer);
    std::string text;
    for (const int32_t id : ids) {
      text += stream.Push(id);
      ASSERT_EQ(FindInvalidUtf8(text), text.size());
    }
    text += stream.Flush();
    ASSERT_EQ(text, tokenizer.Decode(ids, true));
    ASSERT_EQ(FindInvalidUtf8(text), text.size());
  }
}

}  // namespace
}  // namespace kakeya
