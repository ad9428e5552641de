#include "text/gguf_text.h"

#include <gtest/gtest.h>

#include "format/gguf.h"
#include "format/test_files.h"
#include "text/model_text.h"
#include "text/tokenizer/gguf_pretokenizers.h"
#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

constexpr int32_t kEnd = 258;
constexpr int32_t kCall = 259;

class GgufTextTest : public ::testing::Test {
 protected:
  GgufTextTest() {
    AddToken(&file_, kEnd, "<|end|>", /*special=*/true);
    AddToken(&file_, kCall, "<call>", /*special=*/false);
  }

  Result<std::vector<std::string>> Export(const GgufTextOptions& options) {
    dir_.Write("tokenizer.json", file_.dump());
    dir_.Write("tokenizer_config.json", config_.dump());
    return AddTokenizer(dir_.path(), options, &metadata_);
  }
  // The folder's text as a GGUF file of nothing else.
  std::string Written(const GgufTextOptions& options) {
    const auto notes = Export(options);
    EXPECT_TRUE(notes.ok()) << notes.status().message();
    auto writer = GgufWriter::Create(dir_.File("m.gguf"), metadata_, {}, kGgufDefaultAlignment);
    EXPECT_TRUE(writer.ok() && writer->Commit().ok());
    return dir_.File("m.gguf");
  }
  std::string ErrorOf(const GgufTextOptions& options = {.vocab_size = 300}) {
    const auto notes = Export(options);
    return notes.ok() ? "no error" : notes.status().message();
  }

  testing::TempDir dir_;
  Json file_ = TokenizerJson({{"h", "e"}, {"l", "o"}});
  Json config_ = {{"eos_token", "<|end|>"}, {"chat_template", "{{ eos_token }}!"}};
  GgufMetadata metadata_;
};

TEST_F(GgufTextTest, TheFileEncodesAsTheFolderDoes) {
  for (const GgufRecipe& recipe : GgufRecipes()) {
    file_["pre_tokenizer"] = PreTokenizerSpec(recipe);
    file_["normalizer"] = recipe.nfc ? Json{{"type", "NFC"}} : Json();
    file_["model"]["ignore_merges"] = recipe.ignore_merges;
    const auto read = LoadTokenizer(Written({.vocab_size = 300}));
    ASSERT_TRUE(read.ok()) << read.status().message();
    const Tokenizer own = MakeTokenizer(file_);
    for (const char* text :
         {"hello 1234 world", "<call>he<|end|>lo", "e\u0301 \u00e9\n\n  x", "it's  12,345.67\t"}) {
      for (const bool special : {false, true}) {
        EXPECT_EQ(*read->Encode(text, {.parse_special = special}),
                  *own.Encode(text, {.parse_special = special}))
            << recipe.pre << ": " << text;
      }
    }
    EXPECT_TRUE(read->IsSpecial(kEnd));
    EXPECT_FALSE(read->IsSpecial(kCall));
  }
}

TEST_F(GgufTextTest, EndsAndChatTemplateAreKept) {
  const std::string path = Written({.vocab_size = 300, .eos_token_ids = {7, kEnd}});
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(**file->GetUnsigned("tokenizer.ggml.eos_token_id"), uint64_t{kEnd});
  EXPECT_EQ(**file->GetUnsigned("tokenizer.ggml.eot_token_id"), 7u);
  EXPECT_EQ(file->Metadata("tokenizer.ggml.eom_token_id"), nullptr);
  EXPECT_EQ(**file->GetBool("tokenizer.ggml.add_bos_token"), false);
  EXPECT_EQ((*file->GetStrings("tokenizer.ggml.tokens"))->size(), 300u);
  const auto chat = LoadChatSettings(path);
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(chat->source, "{{ eos_token }}!");
  EXPECT_EQ(chat->eos_token, "<|end|>");
}

TEST_F(GgufTextTest, WhatThePostProcessorPutsBeforeATextStaysThere) {
  file_["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "B"}}, {"Sequence": {"id": "A"}}],
      "special_tokens": {"B": {"ids": [258]}}})");
  const auto read = LoadTokenizer(Written({.vocab_size = 300}));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->Encode("x")->front(), kEnd);
}

TEST_F(GgufTextTest, MergesMayBeTextsWithAComment) {
  file_["model"]["merges"] = {"#version: 0.2", "h e", "l o"};
  const auto read = LoadTokenizer(Written({.vocab_size = 300}));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(Cut(*read, "helo"), "he|lo");
}

TEST_F(GgufTextTest, WhatGgufCannotSayIsNotedOrRefused) {
  AddToken(&file_, 260, "<pad>", /*special=*/true, {"lstrip"});
  const auto notes = Export({.vocab_size = 300, .eos_token_ids = {1, 2, 3, 4}});
  ASSERT_TRUE(notes.ok());
  ASSERT_EQ(notes->size(), 2u);
  EXPECT_PRED2(testing::Contains, (*notes)[0], "lstrip");
  EXPECT_PRED2(testing::Contains, (*notes)[1], "of 4 tokens that end a text");
  SetSplit(&file_, "[a-z]+");
  EXPECT_PRED2(testing::Contains, ErrorOf(), "tokenizer.json: its way to cut text into words");
}

TEST_F(GgufTextTest, AddedTokensBeyondTheEmbeddingAreLeftOutAndNoted) {
  AddToken(&file_, 300, "<pad>", /*special=*/true);
  config_["pad_token"] = "<pad>";
  const auto notes = Export({.vocab_size = 300});
  ASSERT_TRUE(notes.ok()) << notes.status().message();
  ASSERT_EQ(notes->size(), 1u);
  EXPECT_PRED2(testing::Contains, (*notes)[0], "added token '<pad>' has id 300");
  auto read = LoadTokenizer(Written({.vocab_size = 300}));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_TRUE(read->LimitIds(300).ok());
  EXPECT_EQ(Cut(*read, "helo<call>"), "he|lo|<call>");
  EXPECT_FALSE(read->IdOf("<pad>").has_value());
}

TEST_F(GgufTextTest, ATokenAroundEveryTextCannotBeLeftOut) {
  AddToken(&file_, 300, "<s>", /*special=*/true);
  file_["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "B"}}, {"Sequence": {"id": "A"}}],
      "special_tokens": {"B": {"ids": [300]}}})");
  EXPECT_PRED2(testing::Contains, ErrorOf(), "the text needs token '<s>', but that has id 300");
}

TEST_F(GgufTextTest, BadFoldersAreRefused) {
  EXPECT_PRED2(testing::Contains, ErrorOf({.vocab_size = 200}), "260 tokens");
  file_.erase("model");
  EXPECT_PRED2(testing::Contains, ErrorOf(), "tokenizer.json: key 'model' is missing");
}

TEST(GgufNoTokenizerTest, SaysSo) {
  testing::TempDir dir;
  GgufMetadata metadata;
  AddNoTokenizer({.vocab_size = 300, .eos_token_ids = {5}}, &metadata);
  auto writer = GgufWriter::Create(dir.File("m.gguf"), metadata, {}, kGgufDefaultAlignment);
  ASSERT_TRUE(writer.ok() && writer->Commit().ok());
  EXPECT_EQ(LoadTokenizer(dir.File("m.gguf")).status().code(), StatusCode::kNotFound);
  const auto file = GgufFile::Open(dir.File("m.gguf"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(**file->GetUnsigned("tokenizer.ggml.eos_token_id"), 5u);
}

}  // namespace
}  // namespace kakeya
