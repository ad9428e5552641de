#include "text/tokenizer/unicode.h"

#include <gtest/gtest.h>

#include "format/utf8.h"

namespace kakeya {
namespace {

std::string Repaired(std::string_view bytes) {
  std::string out;
  EXPECT_EQ(AppendRepaired(bytes, /*keep_tail=*/false, &out), bytes.size());
  return out;
}

constexpr char kBad[] = "\xef\xbf\xbd";

TEST(UnicodeTest, EveryCharacterSurvivesEncodingAndDecoding) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code == 0xd800) code = 0xe000;
    std::string text;
    AppendUtf8(code, &text);
    ASSERT_EQ(FindInvalidUtf8(text), text.size()) << static_cast<uint32_t>(code);
    const DecodedChar at = DecodeCharAt(text, 0);
    const DecodedChar before = DecodeCharBefore("x" + text, text.size() + 1);
    ASSERT_EQ(at.code, code);
    ASSERT_EQ(at.length, text.size());
    ASSERT_EQ(before.code, code);
    ASSERT_EQ(Repaired(text), text);
  }
}

TEST(UnicodeTest, IllFormedBytesBecomeOneReplacementPerMaximalPart) {
  EXPECT_EQ(Repaired("a\x80z"), std::string("a") + kBad + "z");
  EXPECT_EQ(Repaired("\xe2\x82"), kBad);                                 // truncated: one
  EXPECT_EQ(Repaired("\xe2\x82z"), std::string(kBad) + "z");             // broken off: one
  EXPECT_EQ(Repaired("\xc0\xaf"), std::string(kBad) + kBad);             // overlong: each byte
  EXPECT_EQ(Repaired("\xed\xa0\x80"), std::string(kBad) + kBad + kBad);  // surrogate: each byte
  EXPECT_EQ(Repaired("\xf4\x90\x80\x80"), std::string(kBad) + kBad + kBad + kBad);
  EXPECT_EQ(Repaired("\xf0\x9f\x98\xf0\x9f\x98\x80"), std::string(kBad) + "\xf0\x9f\x98\x80");
}

TEST(UnicodeTest, AnOpenTailIsKeptOnlyWhereItCanStillBecomeACharacter) {
  std::string out;
  EXPECT_EQ(AppendRepaired("a\xf0\x9f\x98", /*keep_tail=*/true, &out), 1u);
  EXPECT_EQ(out, "a");
  out.clear();
  EXPECT_EQ(AppendRepaired("a\xed\xa0", /*keep_tail=*/true, &out), 3u);  // never a character
  EXPECT_EQ(out, std::string("a") + kBad + kBad);
}

TEST(UnicodeTest, WhiteSpaceIsTheUnicodeProperty) {
  int count = 0;
  for (char32_t code = 0; code < 0x110000; ++code) count += IsWhiteSpace(code) ? 1 : 0;
  EXPECT_EQ(count, 25);
  EXPECT_TRUE(IsWhiteSpace(0x85));
  EXPECT_FALSE(IsWhiteSpace(0x180e));
  EXPECT_FALSE(IsWhiteSpace(0x200b));
}

TEST(UnicodeTest, WordCharactersAreAlphabeticMarksDigitsAndConnectors) {
  for (const char32_t code : {U'a', U'Z', U'0', U'_', U'\u00e9', U'\u4e2d', U'\u0301', U'\u203f',
                              U'\u2160', U'\u24d0', U'\u200d'}) {
    EXPECT_TRUE(IsWordChar(code)) << static_cast<uint32_t>(code);
  }
  for (const char32_t code : {U' ', U'-', U'.', U'\u00b2', U'\u20ac', U'\u2028'}) {
    EXPECT_FALSE(IsWordChar(code)) << static_cast<uint32_t>(code);
  }
}

}  // namespace
}  // namespace kakeya
