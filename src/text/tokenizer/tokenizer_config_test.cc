// tokenizer.json files that must be refused, and how.
#include "text/tokenizer/tokenizer_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

std::string Refusal(const std::function<void(Json*)>& spoil) {
  Json file = TokenizerJson({{"h", "e"}});
  spoil(&file);
  const auto tokenizer = Tokenizer::Parse(file);
  return tokenizer.ok() ? "accepted" : tokenizer.status().message();
}

std::string RefusalOfMember(const char* key, const char* json) {
  return Refusal([&](Json* file) { (*file)[key] = Json::parse(json); });
}

std::string RefusalOfModelMember(const char* key, const char* json) {
  return Refusal([&](Json* file) { (*file)["model"][key] = Json::parse(json); });
}

TEST(TokenizerConfigTest, AGoodFileIsAccepted) {
  EXPECT_EQ(Refusal([](Json*) {}), "accepted");
  EXPECT_EQ(RefusalOfMember("added_tokens", "null"), "accepted");
  EXPECT_EQ(RefusalOfModelMember("unk_token", "\"<unk>\""), "accepted");  // never needed
  EXPECT_EQ(Refusal([](Json* file) { (*file)["model"].erase("type"); }), "accepted");
}

TEST(TokenizerConfigTest, OtherModelsAreRefusedByName) {
  EXPECT_EQ(RefusalOfModelMember("type", "\"Unigram\""),
            "model: type 'Unigram' is not supported (byte-level BPE only)");
  EXPECT_EQ(RefusalOfModelMember("end_of_word_suffix", "\"</w>\""),
            "model: key 'end_of_word_suffix' is not supported");
  EXPECT_EQ(RefusalOfModelMember("dropout", "0.1"), "model: key 'dropout' is not supported");
  EXPECT_EQ(Refusal([](Json* file) { (*file)["model"]["vocab"].erase("h"); }),
            "model: merges[0]: 'h' is not in the vocabulary");
  const auto without_z_but = [](const char* key) {
    return Refusal([key](Json* file) {
      (*file)["model"]["vocab"].erase("z");
      if (key != nullptr) (*file)["model"][key] = true;
    });
  };
  EXPECT_EQ(without_z_but(nullptr), "accepted");
  EXPECT_EQ(without_z_but("byte_fallback"),
            "model.vocab: the vocabulary has no token for byte 0x7A (byte-level BPE only)");
}

TEST(TokenizerConfigTest, OtherPartsAreRefusedByName) {
  EXPECT_EQ(RefusalOfMember("normalizer", R"({"type": "BertNormalizer"})"),
            "normalizer: type 'BertNormalizer' is not supported");
  EXPECT_EQ(RefusalOfMember("pre_tokenizer", R"({"type": "Metaspace"})"),
            "pre_tokenizer: type 'Metaspace' is not supported");
  EXPECT_EQ(RefusalOfMember("decoder", R"({"type": "WordPiece"})"),
            "decoder: type 'WordPiece' is not supported here");
  EXPECT_EQ(RefusalOfMember("decoder", "null"), "accepted");
  EXPECT_EQ(RefusalOfMember("post_processor", R"({"type": "BertProcessing"})"),
            "post_processor: type 'BertProcessing' is not supported");
}

TEST(TokenizerConfigTest, WrongTypesAnywhereAreRefused) {
  for (const char* json : {"1", "\"x\"", "[]", "true"}) {
    for (const char* key : {"model", "normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
      EXPECT_EQ(RefusalOfMember(key, json).substr(0, 4), "key ") << key << json;
    }
    EXPECT_EQ(RefusalOfModelMember("vocab", json).substr(0, 18), "model: key 'vocab'") << json;
  }
  EXPECT_EQ(RefusalOfMember("added_tokens", "{}"),
            "key 'added_tokens' must be an array, is object");
  EXPECT_EQ(RefusalOfMember("added_tokens", "[7]"),
            "added_tokens[0]: key 'content' is wanted of something that is number, not an object");
  EXPECT_EQ(RefusalOfModelMember("merges", "{}"),
            "model: key 'merges' must be an array, is object");
  EXPECT_EQ(RefusalOfModelMember("ignore_merges", "1"),
            "model: key 'ignore_merges' must be true or false, is number");
}

TEST(TokenizerConfigTest, BadIdsAreRefused) {
  const auto with_id = [](const char* json) {
    return Refusal([&](Json* file) { (*file)["model"]["vocab"]["odd"] = Json::parse(json); });
  };
  EXPECT_EQ(with_id("300"), "accepted");  // a small hole
  EXPECT_EQ(with_id("-1"), "model.vocab: token 'odd': id -1 must lie in [0, 2056] (258 tokens)");
  EXPECT_EQ(with_id("2147483648"),
            "model.vocab: token 'odd': id 2147483648 must lie in [0, 2056] (258 tokens)");
  EXPECT_EQ(with_id("16000000"),
            "model.vocab: token 'odd': id 16000000 must lie in [0, 2056] (258 tokens)");
  EXPECT_NE(with_id("18446744073709551615"), "accepted");
  EXPECT_EQ(with_id("1.5"), "model.vocab: token 'odd': id must be an integer, is number");
  EXPECT_EQ(with_id("\"7\""), "model.vocab: token 'odd': id must be an integer, is string");
  EXPECT_EQ(with_id("65"), "model.vocab: token 'odd' has id 65, which another token has");
}

TEST(TokenizerConfigTest, BadMergesAreRefused) {
  EXPECT_EQ(RefusalOfModelMember("merges", R"([["h", "e"], ["q", "zz"]])"),
            "model: merges[1]: 'zz' is not in the vocabulary");
  EXPECT_EQ(RefusalOfModelMember("merges", R"(["x y"])"),
            "model: merges[0]: 'xy' is not in the vocabulary");
  EXPECT_EQ(RefusalOfModelMember("merges", R"(["he"])"),
            "model: merges[0]: 'he' is not two tokens with a space between");
  EXPECT_EQ(RefusalOfModelMember("merges", R"(["h e l"])"),
            "model: merges[0]: 'h e l' is not two tokens with a space between");
  EXPECT_EQ(RefusalOfModelMember("merges", R"([["h"]])"), "model: merges[0]: not a pair of tokens");
  EXPECT_EQ(RefusalOfModelMember("merges", "[3]"), "model: merges[0]: not a pair of tokens");
}

TEST(TokenizerConfigTest, BadAddedTokensAreRefused) {
  const auto with = [](std::vector<std::pair<int, std::string>> tokens) {
    return Refusal([&](Json* file) {
      for (const auto& [id, content] : tokens) AddToken(file, id, content, true);
    });
  };
  EXPECT_EQ(with({{104, "h"}}), "accepted");
  EXPECT_EQ(with({{105, "h"}}), "added_tokens[0]: 'h' has id 105, but also id 104");
  EXPECT_EQ(with({{104, "new"}}),
            "added_tokens[0]: token 'new' has id 104, which another token has");
  EXPECT_EQ(with({{300, "x1"}, {300, "x2"}}),
            "added_tokens[1]: token 'x2' has id 300, which another token has");
  EXPECT_EQ(with({{300, "x1"}, {300, "x1"}}), "added_tokens[1]: 'x1' is listed twice");
  EXPECT_EQ(with({{300, ""}}), "added_tokens[0]: content of 0 bytes, must lie in [1, 1024]");
  EXPECT_EQ(with({{-5, "x"}}), "added_tokens[0]: key 'id' is -5, must lie in [0, 16777215]");
  EXPECT_EQ(with({{1 << 23, "x"}}),
            "added_tokens[0]: id 8388608 must lie in [0, 2056] (258 tokens)");
}

TEST(TokenizerConfigTest, BadTemplatesAreRefused) {
  const auto with = [](const std::string& single, const std::string& special) {
    return RefusalOfMember("post_processor", (R"({"type": "TemplateProcessing", "single": )" +
                                              single + R"(, "special_tokens": )" + special + "}")
                                                 .c_str());
  };
  const std::string b = R"([{"SpecialToken": {"id": "B"}}, {"Sequence": {"id": "A"}}])";
  EXPECT_EQ(with(b, R"({"B": {"ids": [5]}})"), "accepted");
  EXPECT_EQ(with(b, "{}"), "post_processor: special token 'B' is not defined");
  EXPECT_EQ(with(b, R"({"B": {"ids": [257]}})"),
            "post_processor: special token 'B': id 257 has no token");
  EXPECT_EQ(with(b, R"({"B": {"ids": ["x"]}})"),
            "post_processor: special token 'B': id \"x\" has no token");
  EXPECT_EQ(with("[]", "{}"), "post_processor: 'single' doesn't hold the text");
  EXPECT_EQ(with("[{}]", "{}"), "post_processor: 'single' holds neither SpecialToken nor Sequence");
}

TEST(TokenizerConfigTest, FileErrorsNameTheFile) {
  EXPECT_EQ(Tokenizer::Load("/nonexistent/tokenizer.json").status().code(), StatusCode::kNotFound);
  const std::string path = testing::TempDir() + fmt::format("kakeya_{}_tokenizer.json", getpid());
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs(std::string(1 << 20, '[').c_str(), file);  // a million levels
  std::fclose(file);
  const auto tokenizer = Tokenizer::Load(path);
  std::remove(path.c_str());
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_TRUE(tokenizer.status().message().starts_with(path + ": "))
      << tokenizer.status().message();
  EXPECT_EQ(tokenizer.status().message().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace kakeya
