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
  EXPECT_EQ(Message("null"), "pre_tokenizer has no ByteLevel: only byte-level BPE is supported");
  EXPECT_EQ(Message(R"({"type": "Sequence", "pretokenizers": [
                {"type": "ByteLevel", "add_prefix_space": false},
                {"type": "ByteLevel", "add_prefix_space": false}]})"),
            "pre_tokenizer[1]: a second ByteLevel is not supported");
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

TEST(PreTokenizerTest, WordsAndTheirBoundariesAreThoseOfTheReference) {
  EXPECT_EQ(SplitWords(R"(\w+)", "Isolated", "a_1\u0301\u24b6-\u00b2\u200db"),
            "a_1\u0301\u24b6|-|\u00b2|\u200d|b");
  EXPECT_EQ(SplitWords(R"(\W+)", "Isolated", "a-+\u00bdb"), "a|-+|\u00bdb");
  EXPECT_EQ(SplitWords(R"([\w']+)", "Isolated", "it's \u00b2"), "it's| \u00b2");  // not in a class
  EXPECT_EQ(SplitWords(R"([\W_]+)", "Isolated", "ab_-c"), "ab|_-|c");
  EXPECT_EQ(SplitWords(R"([^\W\d]+)", "Isolated", "ab1_-c"), "ab|1|_|-|c");
  EXPECT_EQ(SplitWords(R"(\bx)", "Isolated", "xx x\u00b2x"), "x|x |x|\u00b2x");
  EXPECT_EQ(SplitWords(R"(\Bx)", "Isolated", "xx x"), "x|x| x");
}

TEST(PreTokenizerTest, ClassesInClassesAndScriptsAreThoseOfTheReference) {
  EXPECT_EQ(SplitWords("[a[bc]]+", "Isolated", "xabcd[]"), "x|abc|d[]");
  EXPECT_EQ(SplitWords("[^a[bc]]+", "Isolated", "xabcd[]"), "x|abc|d[]");
  EXPECT_EQ(SplitWords("[a-z&&[^aeiou]]+", "Isolated", "hello"), "h|e|ll|o");
  EXPECT_EQ(SplitWords("[^a-z&&[^aeiou]]+", "Isolated", "hello"), "h|e|ll|o");
  EXPECT_EQ(SplitWords("[x[^a]^]+", "Isolated", "aax^b"), "aa|x^b");
  EXPECT_EQ(SplitWords(R"(\p{Han}+)", "Isolated", "\u4e2d\u3001\u6587"), "\u4e2d|\u3001|\u6587");
  EXPECT_EQ(SplitWords(R"(\P{^Han}+)", "Isolated", "\u4e2dab"), "\u4e2d|ab");
}

std::string CutBy(const std::string& step, std::string_view text) {
  const auto result = Parse(R"({"type": "Sequence", "pretokenizers": [)" + step +
                            R"(, {"type": "ByteLevel", "add_prefix_space": false,
                                  "use_regex": false}]})");
  return result.ok() ? Words(*result, text) : result.status().message();
}

TEST(PreTokenizerTest, StepsWithoutAPatternCutAsTheReference) {
  EXPECT_EQ(CutBy(R"({"type": "WhitespaceSplit"})", " a,,b\u3000c\n"), "a,,b|c");
  EXPECT_EQ(CutBy(R"({"type": "Whitespace"})", " a,,b \u00b2x-$+"), "a|,,|b|\u00b2|x|-$+");
  EXPECT_EQ(CutBy(R"({"type": "BertPreTokenizer"})", "a,,b \u00b2x-\u3002"),
            "a|,|,|b|\u00b2x|-|\u3002");
  EXPECT_EQ(CutBy(R"({"type": "CharDelimiterSplit", "delimiter": "x"})", "axxb c"), "a|b c");
  EXPECT_EQ(CutBy(R"({"type": "FixedLength", "length": 2})", "a\n\u4e2db!"), "a\n|\u4e2db|!");
  EXPECT_EQ(CutBy(R"({"type": "Punctuation"})", "a,,b-$\u2026"), "a|,|,|b|-|$|\u2026");
  EXPECT_EQ(CutBy(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a,,b-$c"),
            "a|,,|b|-$|c");
}

TEST(PreTokenizerTest, UnicodeScriptsKeepTogetherWhatTheReferenceDoes) {
  EXPECT_EQ(CutBy(R"({"type": "UnicodeScripts"})", "  ab 1\u0431 \u65e5\u672c\u30fc\u306e\u30ab!"),
            "ab |1|\u0431 |\u65e5\u672c\u30fc\u306e\u30ab|!");
}

TEST(PreTokenizerTest, StepsBehindByteLevelSeeTheCharactersOfBytes) {
  const auto result = Parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
      {"type": "Digits", "individual_digits": true}]})");
  ASSERT_TRUE(result.ok()) << result.status().message();
  // The second byte of U+00B2 is written as U+00B2, which is a number.
  EXPECT_EQ(Words(*result, "a\u00b2 12"), "a\xc2|\xb2| |1|2");
}

TEST(PreTokenizerTest, PatternsThatTheEnginesReadDifferentlyAreRefused) {
  for (const char* pattern :
       {R"([\b])", R"(\R)",    R"(\1)",   R"((a)\k<1>)", "(?<n>a)",     "(?m:a)",  "a(?i)b",
        "(*FAIL)", "a{,2}",    "a{2}+",   "a{2}?",       "[[:alpha:]]", "[a-[b]]", "[[a]-b]",
        "[a&&]",   R"(\Q.\E)", R"(\xe9)", "[a",          "(?R)",        "(?C1)",   "a\\"}) {
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
