#include "text/tokenizer/normal_form.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

std::string Nfc(std::string_view text) {
  std::vector<TextEdit> edits;
  return Normalize(NormalForm::kNfc, text, &edits);
}

TEST(NormalFormTest, ComposesAndReorders) {
  EXPECT_EQ(Nfc("cafe\u0301"), "caf\u00e9");
  EXPECT_EQ(Nfc("s\u0307\u0323"), "\u1e69");         // marks in the wrong order
  EXPECT_EQ(Nfc("\u1112\u1161\u11ab"), "\ud55c");    // Hangul
  EXPECT_EQ(Nfc("\u212b \u2126"), "\u00c5 \u03a9");  // singletons
  EXPECT_EQ(Nfc("\u0958"), "\u0915\u093c");          // excluded from composition
  EXPECT_EQ(Nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(Nfc("\ufb01"), "\ufb01");  // compatibility only
}

// The character before the first final consonant: utf8proc 2.8 drops it.
TEST(NormalFormTest, HangulFillerBeforeTheFinalsSurvives) {
  EXPECT_EQ(Nfc("\uaca8\u11a7x"), "\uaca8\u11a7x");
  EXPECT_EQ(Nfc("\u11a7\u1100\u1161\u11a7\u11a8"), "\u11a7\uac00\u11a7\u11a8");
}

TEST(NormalFormTest, PlainTextIsLeftAlone) {
  for (const char* text :
       {"", "plain ASCII\r\n", "caf\u00e9 \u00fc\u00df", "\u4f60\u597d", "\U0001f600"}) {
    std::vector<TextEdit> edits;
    EXPECT_EQ(Normalize(NormalForm::kNfc, text, &edits), text);
    EXPECT_TRUE(edits.empty()) << text;
  }
  EXPECT_TRUE(IsCertainlyNfc("caf\u00e9"));
  EXPECT_FALSE(IsCertainlyNfc("cafe\u0301"));
}

TEST(NormalFormTest, OtherFormsAreThoseOfTheStandard) {
  std::vector<TextEdit> edits;
  const std::string text = "\u1e69\ufb01\u2460\uac01 \ufdfa\u01c4";
  EXPECT_EQ(Normalize(NormalForm::kNfd, text, &edits),
            "s\u0323\u0307\ufb01\u2460\u1100\u1161\u11a8 \ufdfa\u01c4");
  const std::string arabic =
      "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 "
      "\u0648\u0633\u0644\u0645";
  EXPECT_EQ(Normalize(NormalForm::kNfkc, text, &edits), "\u1e69fi1\uac01 " + arabic + "D\u017d");
  EXPECT_EQ(Normalize(NormalForm::kNfkd, text, &edits),
            "s\u0323\u0307fi1\u1100\u1161\u11a8 " + arabic + "DZ\u030c");
}

TEST(NormalFormTest, EditsSayWhichBytesMoved) {
  std::vector<TextEdit> edits;
  const std::string text = "ab e\u0301 cd o\u0308!";
  const std::string normal = Normalize(NormalForm::kNfc, text, &edits);
  ASSERT_EQ(edits.size(), 2u);
  EXPECT_EQ(text.substr(edits[0].begin, edits[0].end - edits[0].begin), "e\u0301");
  EXPECT_EQ(normal.substr(edits[1].new_begin, edits[1].new_end - edits[1].new_begin), "\u00f6");
  EXPECT_EQ(text.substr(edits[1].end), normal.substr(edits[1].new_end));
}

TEST(NormalFormTest, AMillionMarksOnOneLetterAreSortedInTime) {
  std::string text = "a";
  for (int i = 0; i < 250'000; ++i) text += "\u0301\u0323";  // classes 230 and 220: all misplaced
  const std::string normal = Nfc(text);
  EXPECT_EQ(normal.substr(0, 5), "\u1ea1\u0323");
  EXPECT_EQ(normal.substr(normal.size() - 2), "\u0301");
  EXPECT_EQ(Nfc(normal), normal);
}

}  // namespace
}  // namespace kakeya
