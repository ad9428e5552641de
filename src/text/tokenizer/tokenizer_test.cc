#include "text/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

constexpr int kEos = 300;
constexpr int kThink = 301;

// Bytes, a few merges, a special token and a plain added one.
Json ChatJson() {
  Json file = TokenizerJson({{"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}});
  AddToken(&file, kEos, "<|end|>", /*special=*/true);
  AddToken(&file, kThink, "<think>", /*special=*/false);
  return file;
}

EncodeOptions ParseSpecial() { return {.parse_special = true}; }

TEST(TokenizerTest, MergesJoinWithinWords) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  EXPECT_EQ(Cut(tokenizer, "hello hell"), "hello| |hell");
  EXPECT_EQ(Cut(tokenizer, ""), "");
  EXPECT_EQ(tokenizer.vocab_size(), kThink + 1);
}

TEST(TokenizerTest, SpecialTokenTextStaysTextUnlessAskedFor) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  EXPECT_EQ(Cut(tokenizer, "a<|end|>"), "a|<|||e|n|d|||>");
  EXPECT_EQ(Cut(tokenizer, "a<|end|>", ParseSpecial()), "a|<|end|>");
  EXPECT_EQ(Cut(tokenizer, "x<think>y"), "x|<think>|y");
}

TEST(TokenizerTest, SegmentsAreOneTextAndOnlyTrustedOnesMeanSpecialTokens) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  const auto encode = [&](std::vector<Segment> segments) {
    return *tokenizer.EncodeSegments(segments);
  };
  EXPECT_EQ(encode({{"he", true}, {"llo", false}}), *tokenizer.Encode("hello"));
  EXPECT_EQ(encode({{"<|end|>", true}}), std::vector<int32_t>{kEos});
  EXPECT_EQ(encode({{"<|end|>", false}}), *tokenizer.Encode("<|end|>"));
  // Split over a border it counts only when both sides are trusted.
  EXPECT_EQ(encode({{"<|e", true}, {"", false}, {"nd|>", true}}), std::vector<int32_t>{kEos});
  EXPECT_EQ(encode({{"<|e", false}, {"nd|>", true}}), *tokenizer.Encode("<|end|>"));
  EXPECT_EQ(encode({{"<|e", true}, {"nd|>", false}}), *tokenizer.Encode("<|end|>"));
  EXPECT_EQ(encode({{"<thi", true}, {"nk>", false}}), std::vector<int32_t>{kThink});
}

TEST(TokenizerTest, UserTextCannotHideATrustedSpecialToken) {
  Json file = ChatJson();
  AddToken(&file, 302, "x<|end|>y", /*special=*/true);
  const Tokenizer tokenizer = MakeTokenizer(file);
  const std::vector<Segment> segments = {{"x", false}, {"<|end|>", true}, {"y", false}};
  EXPECT_EQ(*tokenizer.EncodeSegments(segments), (std::vector<int32_t>{'x', kEos, 'y'}));
}

TEST(TokenizerTest, TrustFollowsTheTextThroughNormalization) {
  Json file = TokenizerJson();
  file["normalizer"] = Json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}]})");
  AddToken(&file, kEos, "\u00e9nd", /*special=*/true, {"normalized"});
  const Tokenizer tokenizer = MakeTokenizer(file);
  const auto has_end = [&](std::vector<Segment> segments) {
    const auto ids = *tokenizer.EncodeSegments(segments);
    return std::find(ids.begin(), ids.end(), kEos) != ids.end();
  };
  EXPECT_TRUE(has_end({{"o\u0308", false}, {"e\u0301nd", true}, {"o\u0308", false}}));
  EXPECT_TRUE(has_end({{"o\u0308 e\u0301nd", true}}));
  EXPECT_FALSE(has_end({{"e\u0301nd", false}, {" o\u0308", true}}));
  EXPECT_FALSE(has_end({{"e", false}, {"\u0301nd", true}}));
  EXPECT_FALSE(has_end({{"e\u0301n", true}, {"d", false}}));
}

TEST(TokenizerTest, SpellingASpecialTokenByItsMergesDoesNotMakeIt) {
  Json file = TokenizerJson({{"E", "O"}, {"EO", "S"}});
  AddToken(&file, 257, "EOS", /*special=*/true);
  EXPECT_EQ(Cut(MakeTokenizer(file), "EOS"), "EO|S");
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(Cut(MakeTokenizer(file), "EOS"), "EO|S");
  EXPECT_EQ(Cut(MakeTokenizer(file), "EOS", ParseSpecial()), "EOS");
}

TEST(TokenizerTest, AddedTokenFlagsAreHonoured) {
  Json file = TokenizerJson();
  AddToken(&file, 300, "<w>", false, {"single_word"});
  AddToken(&file, 301, "<l>", false, {"lstrip"});
  AddToken(&file, 302, "<r>", false, {"rstrip"});
  AddToken(&file, 303, "<ll", false);
  AddToken(&file, 304, "<lll>", false);
  const Tokenizer tokenizer = MakeTokenizer(file);
  EXPECT_EQ(Cut(tokenizer, "a <w>."), "a| |<w>|.");
  EXPECT_EQ(Cut(tokenizer, "a<w>"), "a|<|w|>");
  EXPECT_EQ(Cut(tokenizer, "<w>_"), "<|w|>|_");
  EXPECT_EQ(Cut(tokenizer, "a \t<l>b"), "a|<l>|b");
  EXPECT_EQ(Cut(tokenizer, "a<r>\u3000\nb"), "a|<r>|b");
  EXPECT_EQ(Cut(tokenizer, "<lll><ll>"), "<lll>|<ll|>");  // the longest at each place
}

TEST(TokenizerTest, IgnoreMergesTakesWholeWordsThatAreTokens) {
  Json file = TokenizerJson({{"a", "b"}});
  file["model"]["vocab"]["xyz"] = 257;
  EXPECT_EQ(Cut(MakeTokenizer(file), "xyz"), "x|y|z");
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(Cut(MakeTokenizer(file), "xyz"), "xyz");
}

TEST(TokenizerTest, OldMergesAndCommentLinesAreRead) {
  Json file = TokenizerJson({{"h", "e"}, {" ", "he"}});
  file["model"]["merges"] = {"#version: 0.2", "h e", "\u0120 he"};
  EXPECT_EQ(Cut(MakeTokenizer(file), "he he"), "he| he");
}

TEST(TokenizerTest, PostProcessorPutsTokensAroundTheText) {
  Json file = ChatJson();
  file["post_processor"] = Json::parse(R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
      {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "B", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "E", "type_id": 0}}],
       "pair": [], "special_tokens": {"B": {"id": "B", "ids": [300], "tokens": ["B"]},
        "E": {"id": "E", "ids": [301, 65], "tokens": ["E"]}}}]})");
  const Tokenizer tokenizer = MakeTokenizer(file);
  EXPECT_EQ(*tokenizer.Encode("z"), (std::vector<int32_t>{300, 'z', 301, 65}));
  EXPECT_EQ(*tokenizer.Encode("z", {.add_special_tokens = false}), std::vector<int32_t>{'z'});
}

TEST(TokenizerTest, InvalidUtf8IsRefusedWithItsOffset) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80"}) {
    const auto ids = tokenizer.Encode(std::string("ab") + bad);
    ASSERT_FALSE(ids.ok());
    EXPECT_EQ(ids.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(ids.status().message(), "text is not valid UTF-8 at byte 2");
  }
}

TEST(TokenizerTest, NulIsACharacterLikeAnyOther) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  const std::string text("a\0b", 3);
  const auto ids = *tokenizer.Encode(text);
  EXPECT_EQ(ids, (std::vector<int32_t>{'a', 0, 'b'}));
  EXPECT_EQ(tokenizer.Decode(ids, true), text);
}

TEST(TokenizerTest, DecodeSkipsSpecialTokensAndRepairsBytes) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  const std::vector<int32_t> ids = {'a', kEos, 0xe4, kThink, 'b', 299, -1, 1 << 30};
  EXPECT_EQ(tokenizer.Decode(ids, true), "a\ufffd<think>b");
  EXPECT_EQ(tokenizer.Decode(ids, false), "a<|end|>\ufffd<think>b");
}

TEST(TokenizerTest, TokensAreFoundByTheirSpelling) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  EXPECT_EQ(tokenizer.IdOf("<|end|>"), kEos);
  EXPECT_EQ(tokenizer.IdOf("hello"), 259);
  EXPECT_EQ(tokenizer.IdOf("\u0120"), ' ');
  EXPECT_EQ(tokenizer.IdOf(" "), std::nullopt);
  EXPECT_EQ(tokenizer.IdOf("\xff"), std::nullopt);
  EXPECT_TRUE(tokenizer.IsSpecial(kEos));
  EXPECT_FALSE(tokenizer.IsSpecial(kThink));
  EXPECT_FALSE(tokenizer.IsSpecial(-1));
  EXPECT_EQ(tokenizer.TokenBytes(259), "hello");
  EXPECT_EQ(tokenizer.TokenBytes(280), "");  // a hole
}

TEST(TokenizerTest, ThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = MakeTokenizer(ChatJson());
  const std::string text = "hello <think> h\u00e9llo 123";
  const auto want = *tokenizer.Encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) wrong[t] += *tokenizer.Encode(text) == want ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

// Published files have added tokens that no embedding was trained for.
TEST(TokenizerTest, AddedTokensBeyondTheEmbeddingAreRefusedOnlyWhereTheyAreNeeded) {
  Json file = TokenizerJson();
  AddToken(&file, 256, "<pad>", /*special=*/true);
  AddToken(&file, 257, "<tool>", /*special=*/false);
  Tokenizer tokenizer = MakeTokenizer(file);
  ASSERT_TRUE(tokenizer.LimitIds(256).ok());
  EXPECT_EQ(tokenizer.Encode("a<pad>")->size(), 6u);  // a person's text stays text
  const auto special = tokenizer.Encode("a<pad>", {.parse_special = true});
  ASSERT_FALSE(special.ok());
  EXPECT_EQ(special.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(special.status().message(),
            "the text needs token '<pad>', but that has id 256, and the model only 256 embeddings");
  const std::vector<Segment> rendered = {{"<pad>", true}, {"a", false}};
  EXPECT_FALSE(tokenizer.EncodeSegments(rendered).ok());
  EXPECT_FALSE(tokenizer.Encode("<tool>").ok());
  ASSERT_TRUE(tokenizer.LimitIds(257).ok());
  EXPECT_TRUE(tokenizer.Encode("<pad>", {.parse_special = true}).ok());
  EXPECT_FALSE(tokenizer.Encode("<tool>").ok());
}

TEST(TokenizerTest, AVocabularyBeyondTheEmbeddingIsAnotherModels) {
  Tokenizer tokenizer = MakeTokenizer(TokenizerJson({{"h", "e"}}));
  EXPECT_TRUE(tokenizer.LimitIds(257).ok());
  EXPECT_EQ(tokenizer.LimitIds(256).message(),
            "the tokenizer has 257 tokens, but the model only 256 embeddings");
}

// BAD_INPUTS: runs of one character, the text at which quadratic tokenizers stop.
TEST(TokenizerTest, AMegabyteOfOneCharacterTakesNearLinearTime) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (size_t n = 1; n <= 64; n *= 2) {
    merges.emplace_back(std::string(n, ' '), std::string(n, ' '));
    merges.emplace_back(std::string(n, 'a'), std::string(n, 'a'));
  }
  Json file = TokenizerJson(merges);
  SetSplit(&file, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                  R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
  const Tokenizer tokenizer = MakeTokenizer(file);
  for (const char* piece : {" ", "a", "1", "'", "\n", " \n", "\u0301", " a"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += piece;
    for (const char* end : {"", "x"}) {
      const auto start = std::chrono::steady_clock::now();
      const auto ids = tokenizer.Encode(text + end);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      ASSERT_TRUE(ids.ok()) << ids.status().message();
      EXPECT_EQ(tokenizer.Decode(*ids, true), text + end);
      EXPECT_LT(seconds.count(), 10.0);  // measured below 0.3; sanitizers slow it tenfold
    }
  }
}

// The same for every other kind of step: quadratic time would be minutes here, too.
TEST(TokenizerTest, EveryStepTakesNearLinearTimeForOneCharacter) {
  const char* const normalizers[] = {
      R"({"type": "NFD"})",
      R"({"type": "NFKC"})",
      R"({"type": "NFKD"})",
      R"({"type": "Lowercase"})",
      R"({"type": "Strip", "strip_left": true, "strip_right": true})",
      R"({"type": "StripAccents"})",
      R"({"type": "Prepend", "prepend": "_"})",
      R"({"type": "Replace", "pattern": {"String": " "}, "content": "_"})",
      R"({"type": "Replace", "pattern": {"Regex": "\\w+"}, "content": "_"})"};
  const char* const steps[] = {
      R"({"type": "WhitespaceSplit"})",
      R"({"type": "Whitespace"})",
      R"({"type": "Punctuation"})",
      R"({"type": "UnicodeScripts"})",
      R"({"type": "BertPreTokenizer"})",
      R"({"type": "FixedLength", "length": 5})",
      R"({"type": "CharDelimiterSplit", "delimiter": "a"})",
      R"({"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\\b\\w+\\b|[\\W_]+"}})"};
  std::vector<Json> files;
  for (const char* normalizer : normalizers) {
    files.push_back(TokenizerJson());
    files.back()["normalizer"] = Json::parse(normalizer);
  }
  for (const char* step : steps) {
    files.push_back(TokenizerJson());
    files.back()["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {Json::parse(step), Json::parse(R"({"type": "ByteLevel", "add_prefix_space": false,
                                             "use_regex": false})")}}};
  }
  for (const Json& file : files) {
    const Tokenizer tokenizer = MakeTokenizer(file);
    for (const char* piece : {" ", "A", "1,", "\u0301", "\ufdfa"}) {
      std::string text;
      while (text.size() < (1u << 18)) text += piece;
      const auto start = std::chrono::steady_clock::now();
      const auto ids = tokenizer.Encode(text + "x");
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      ASSERT_TRUE(ids.ok()) << ids.status().message();
      EXPECT_LT(seconds.count(), 10.0) << file["normalizer"] << file["pre_tokenizer"] << piece;
    }
  }
}

}  // namespace
}  // namespace kakeya
