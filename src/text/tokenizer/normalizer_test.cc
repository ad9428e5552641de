#include "text/tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

std::string Normalized(const std::string& spec, std::string_view text) {
  const auto normalizer = Normalizer::Parse(Json::parse(spec));
  if (!normalizer.ok()) return "refused: " + normalizer.status().message();
  RegexScratch scratch(text.size());
  const auto result = normalizer->Run(text, &scratch);
  return result.ok() ? result->text : "error: " + result.status().message();
}

TEST(NormalizerTest, EveryKindDoesWhatItsNameSays) {
  EXPECT_EQ(Normalized(R"({"type": "NFD"})", "caf\u00e9 \ud55c"), "cafe\u0301 \u1112\u1161\u11ab");
  EXPECT_EQ(Normalized(R"({"type": "NFKC"})", "\ufb01\uff21e\u0301\u00b2"), "fiA\u00e92");
  EXPECT_EQ(Normalized(R"({"type": "NFKD"})", "\ufb01\u00e9\u00b4x"), "fie\u0301 \u0301x");
  EXPECT_EQ(Normalized(R"({"type": "Lowercase"})", "\u0130\u0391\u03a3 \u212a\u1e9eX"),
            "i\u0307\u03b1\u03c3 k\u00dfx");
  EXPECT_EQ(
      Normalized(R"({"type": "Strip", "strip_left": true, "strip_right": false})", "\u3000 x \n"),
      "x \n");
  EXPECT_EQ(Normalized(R"({"type": "Strip", "strip_left": true, "strip_right": true})", " \t "),
            "");
  EXPECT_EQ(Normalized(R"({"type": "StripAccents"})", "e\u0301\u0323x\u20dd"), "ex");
  EXPECT_EQ(Normalized(R"({"type": "Prepend", "prepend": "_"})", "x"), "_x");
  EXPECT_EQ(Normalized(R"({"type": "Prepend", "prepend": "_"})", ""), "");
}

TEST(NormalizerTest, ReplaceTakesAStringOrARegex) {
  EXPECT_EQ(
      Normalized(R"({"type": "Replace", "pattern": {"String": "a.a"}, "content": "-"})", "a.aba"),
      "-ba");
  EXPECT_EQ(Normalized(R"({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})",
                       "a   b c"),
            "a b c");
  EXPECT_EQ(
      Normalized(R"({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"})", "axxb"),
      "-a-b-");
  EXPECT_EQ(Normalized(R"({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"})", ""),
            "");
}

TEST(NormalizerTest, StepsOfASequenceFollowEachOther) {
  EXPECT_EQ(
      Normalized(R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"},
                    {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]})",
                 "\u00c9T\u00c9"),
      "ete");
}

TEST(NormalizerTest, WhatItDoesNotKnowIsRefusedByName) {
  EXPECT_EQ(Normalized(R"({"type": "Nmt"})", ""),
            "refused: normalizer: type 'Nmt' is not supported");
  EXPECT_EQ(Normalized(
                R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]})", ""),
            "refused: normalizer[1]: keys 'strip_left' and 'strip_right' are needed");
  EXPECT_EQ(Normalized(R"({"type": "Replace", "pattern": {}, "content": ""})", ""),
            "refused: normalizer: key 'pattern' must hold either 'Regex' or 'String'");
}

TEST(NormalizerTest, ATextThatGrowsWithoutEndIsAnError) {
  const std::string step =
      R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": "aaaaaaaa"})";
  std::string steps = step;
  for (int i = 0; i < 20; ++i) steps += ", " + step;
  EXPECT_EQ(Normalized(R"({"type": "Sequence", "normalizers": [)" + steps + "]}", "aaaa"),
            "error: the normalizer makes the text more than 64 times as long");
}

// A special token is recognised in normalized text only where the text it came from is trusted.
TEST(NormalizerTest, WhatIsTrustedStaysSoThroughEveryStep) {
  Json file = TokenizerJson();
  AddToken(&file, 300, "<end>", /*special=*/true);
  file["added_tokens"][0]["normalized"] = true;
  file["normalizer"] = Json::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "Replace", "pattern": {"String": "~~~"}, "content": "-"}, {"type": "NFKC"},
      {"type": "Lowercase"}]})");
  const Tokenizer tokenizer = MakeTokenizer(file);
  const std::vector<Segment> trusted = {{"~~~\u0130\ufb01<END>", true}, {"x", false}};
  EXPECT_EQ((*tokenizer.EncodeSegments(trusted)).rbegin()[1], 300);
  const std::vector<Segment> user = {{"\u0130~~~", true}, {"<END>", false}, {"\ufb01", true}};
  for (const int32_t id : *tokenizer.EncodeSegments(user)) EXPECT_NE(id, 300);
  const std::vector<Segment> half = {{"~~~<E", true}, {"ND>", false}};
  for (const int32_t id : *tokenizer.EncodeSegments(half)) EXPECT_NE(id, 300);
}

}  // namespace
}  // namespace kakeya
