#include "text/tokenizer/pretokenizer.h"

#include <gtest/gtest.h>

#include "text/tokenizer/pretokenizer_pattern.h"

namespace kakeya {
namespace {

Result<PreTokenizer> Parse(const std::string& json) {
  return PreTokenizer::Parse(Json::parse(json));
}

std::string Message(const std::string& json) {
  const auto result = Parse(json);
  return result.ok() ? "ok" : result.status().message();
}

// Words with '|' between.
std::string Words(const PreTokenizer& pre_tokenizer, std::string_view text) {
  RegexScratch scratch(text.size());
  std::deque<std::string> owned;
  std::vector<std::string_view> words;
  const Status status = pre_tokenizer.Split(text, &scratch, &owned, &words);
  if (!status.ok()) return "error: " + status.message();
  std::string out;
  for (const std::string_view word : words) out.append(out.empty() ? "" : "|").append(word);
  return out;
}

std::string SplitWords(const std::string& regex, const std::string& behavior, std::string_view text,
                       bool invert = false) {
  Json spec = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": ""}},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  spec["pretokenizers"][0]["pattern"]["Regex"] = regex;
  spec["pretokenizers"][0]["behavior"] = behavior;
  spec["pretokenizers"][0]["invert"] = invert;
  const auto result = PreTokenizer::Parse(spec);
  return result.ok() ? Words(*result, text) : result.status().message();
}

TEST(PreTokenizerTest, ByteLevelCutsAsGpt2Does) {
  const auto result = Parse(R"({"type": "ByteLevel", "add_prefix_space": false})");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(Words(*result, "It's 42  words,\n\n  ok"), "It|'s| 42| | words|,|\n\n | ok");
  EXPECT_EQ(Words(*result, ""), "");
}

TEST(PreTokenizerTest, ByteLevelPutsASpaceInFrontWhenAsked) {
  const auto result = Parse(R"({"type": "ByteLevel", "add_prefix_space": true})");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(Words(*result, "a b"), " a| b");
  EXPECT_EQ(Words(*result, " a b"), " a| b");
}

TEST(PreTokenizerTest, EveryBehaviorTreatsMatchesItsWay) {
  EXPECT_EQ(SplitWords("-", "Isolated", "a-b--c"), "a|-|b|-|-|c");
  EXPECT_EQ(SplitWords("-", "Removed", "a-b--c"), "a|b|c");
  EXPECT_EQ(SplitWords("-", "MergedWithPrevious", "a-b--c"), "a-|b-|-|c");
  EXPECT_EQ(SplitWords("-", "MergedWithNext", "a-b--c"), "a|-b|-|-c");
  EXPECT_EQ(SplitWords("-", "Contiguous", "a-b--c"), "a|-|b|--|c");
  EXPECT_EQ(SplitWords("[a-z]", "Removed", "a-b--c", /*invert=*/true), "a|b|c");
}

TEST(PreTokenizerTest, DigitsAndLiteralPatternsCut) {
  const auto result = Parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "Split", "pattern": {"String": ".*"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(Words(*result, "ab12.*c\u0663"), "ab|1|2|.*|c|\u0663");
}

TEST(PreTokenizerTest, EmptyMatchesCutWithoutLoopingForever) {
  EXPECT_EQ(SplitWords("x*", "Isolated", "axxb"), "a|xx|b");
  EXPECT_EQ(SplitWords("(?=b)", "Isolated", "abab"), "a|ba|b");
}

TEST(PreTokenizerTest, UnknownKindsAreRefusedByName) {
  EXPECT_EQ(Message(R"({"type": "Metaspace"})"),
            "pre_tokenizer: type 'Metaspace' is not supported");
  EXPECT_EQ(Message("null"),
            "pre_tokenizer doesn't end with ByteLevel: only byte-level BPE is supported");
  EXPECT_EQ(Message(R"({"type": "Sequence", "pretokenizers": [
                {"type": "ByteLevel", "add_prefix_space": false},
                {"type": "Digits", "individual_digits": true}]})"),
            "pre_tokenizer[1]: 'Digits' behind ByteLevel is not supported");
}

TEST(PreTokenizerTest, WrongTypesAreRefusedByKey) {
  EXPECT_EQ(Message(R"({"type": 3})"), "pre_tokenizer: key 'type' must be a string, is number");
  EXPECT_EQ(Message(R"({"type": "Split", "behavior": "Isolated"})"),
            "pre_tokenizer: key 'pattern' is missing");
  EXPECT_EQ(Message(R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Odd"})"),
            "pre_tokenizer: behavior 'Odd' is not supported");
  EXPECT_EQ(Message(R"({"type": "Sequence"})"), "pre_tokenizer: key 'pretokenizers' is missing");
  EXPECT_EQ(Message(R"({"type": "Sequence", "pretokenizers": [1]})"),
            "pre_tokenizer[0]: key 'type' is wanted of something that is number, not an object");
}

// What Oniguruma matches, checked against it by hand.
TEST(PreTokenizerTest, WhiteSpaceAndCaseFoldingAreThoseOfTheReference) {
  EXPECT_EQ(SplitWords(R"(\s+)", "Removed", "a\u0085b\u00a0c\u3000d\u180ee\u200bf\x1cg\x0bh"),
            "a|b|c|d\u180ee\u200bf\x1cg|h");
  EXPECT_EQ(SplitWords(R"(\S+)", "Removed", "a\u180eb c", false), " ");
  EXPECT_EQ(SplitWords("(?i:'s|'t)", "Isolated", "x'\u017f'T"), "x|'\u017f|'T");
  EXPECT_EQ(SplitWords("(?i:k)", "Isolated", "a\u212ab"), "a|\u212a|b");
  EXPECT_EQ(SplitWords(R"([\s\h]+)", "Isolated", "xaf 0g"), "x|af 0|g");
  EXPECT_EQ(SplitWords(R"(\u0041|\x42)", "Isolated", "xABx"), "x|A|B|x");
  EXPECT_EQ(SplitWords("^a|b$", "Isolated", "aa\na\nbb\nb"), "a|a\n|a|\nb|b|\n|b");
}

TEST(PreTokenizerTest, PatternsThatTheEnginesReadDifferentlyAreRefused) {
  for (const char* pattern : {R"(\w+)", R"(\bx)", R"(\1)", R"((a)\k<1>)", "(?<n>a)", "(?m:a)",
                              "a(?i)b", "(*FAIL)", "a{,2}", "a{2}+", "a{2}?", "[a[b]]", "[a&&b]",
                              R"(\Q.\E)", R"(\xe9)", "[a", "(?R)", "(?C1)", "a\\"}) {
    const auto result = TranslatePattern(pattern);
    ASSERT_FALSE(result.ok()) << pattern << " became " << *result;
    EXPECT_EQ(result.status().code(), StatusCode::kUnsupported);
  }
  EXPECT_FALSE(PretokenizerRegex::Compile("(a").ok());
  EXPECT_FALSE(PretokenizerRegex::Compile("*").ok());
  EXPECT_FALSE(PretokenizerRegex::Compile(std::string(kMaxPatternBytes + 1, 'a')).ok());
  EXPECT_FALSE(PretokenizerRegex::Compile(std::string(1000, '(') + std::string(1000, ')')).ok());
}

TEST(PreTokenizerTest, ExponentialPatternsEndInAnErrorOfOneLine) {
  const std::string text(40, 'a');
  const std::string words = SplitWords("(a*)*b|(?:a|aa)+c", "Isolated", text);
  EXPECT_EQ(words.substr(0, 13), "error: regex ") << words;
  EXPECT_EQ(words.find('\n'), std::string::npos);
}

// Polynomial patterns stay within the limits of a single start position.
TEST(PreTokenizerTest, PolynomialPatternsEndInAnErrorOfOneLine) {
  const std::string text(1 << 20, 'a');
  for (const char* pattern : {"a*a*b", "a*?a*?b", "a{0,}a{1,}b", "(?>a|b)*?(?=a*b)"}) {
    const std::string words = SplitWords(pattern, "Isolated", text + "cb");
    EXPECT_TRUE(words.starts_with("error: regex ")) << pattern << ": " << words.substr(0, 100);
    EXPECT_EQ(words.find('\n'), std::string::npos);
  }
}

TEST(PreTokenizerTest, DeepBacktrackingEndsInAnErrorOrAMatchButNeverInACrash) {
  const std::string text(1 << 20, 'a');
  const std::string words = SplitWords("(?:a|(?:b))*(?=a$)a", "Isolated", text);
  EXPECT_TRUE(words == text || words.starts_with("error: ")) << words.substr(0, 200);
}

}  // namespace
}  // namespace kakeya
