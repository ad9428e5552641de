#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/gguf_test_util.h"
#include "format/test_files.h"
#include "text/model_text.h"
#include "text/tokenizer/gguf_pretokenizers.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/tokenizer_test_util.h"

namespace kakeya {
namespace {

using testing::GgufBuilder;

// Ids 0-255 are the bytes, 256 "he", 257 "llo" with its steps before it, then what a test adds.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges = {"h e", "l o", "l lo"};

  Vocabulary() {
    for (int byte = 0; byte < 256; ++byte) Add(SpellBytes(std::string(1, static_cast<char>(byte))));
    Add("he");
    Add("lo");
    Add("llo");
  }
  int32_t Add(const std::string& token, int32_t type = 1) {
    tokens.push_back(token);
    types.push_back(type);
    return static_cast<int32_t>(tokens.size()) - 1;
  }
  GgufBuilder File(const std::string& pre = "qwen2") const {
    GgufBuilder b;
    b.String("tokenizer.ggml.model", "gpt2");
    b.String("tokenizer.ggml.pre", pre);
    b.Strings("tokenizer.ggml.tokens", tokens);
    b.Integers("tokenizer.ggml.token_type", types);
    b.Strings("tokenizer.ggml.merges", merges);
    return b;
  }
};

class TokenizerGgufTest : public ::testing::Test {
 protected:
  Result<Tokenizer> Load(const GgufBuilder& builder) {
    return LoadTokenizer(dir_.Write("m.gguf", builder.File()));
  }
  std::string ErrorOf(const GgufBuilder& builder) {
    const Result<Tokenizer> tokenizer = Load(builder);
    if (tokenizer.ok()) return "no error";
    const std::string start = dir_.File("m.gguf") + ": ";
    EXPECT_PRED2(testing::StartsWith, tokenizer.status().message(), start);
    return tokenizer.status().message().substr(start.size());
  }

  testing::TempDir dir_;
};

TEST_F(TokenizerGgufTest, TypesDecideWhatATokenIs) {
  Vocabulary v;
  const int32_t hole = v.Add("[PAD259]", 5);
  const int32_t control = v.Add("<|end|>", 3);
  const int32_t defined = v.Add("<think>", 4);
  const Result<Tokenizer> t = Load(v.File());
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->Encode("hello").value(), (std::vector<int32_t>{256, 258}));
  EXPECT_EQ(t->Encode("<think><|end|>").value()[0], defined);
  EXPECT_NE(t->Encode("<think><|end|>").value()[1], control);  // a person's text stays text
  EXPECT_EQ(t->Encode("<think><|end|>", {.parse_special = true}).value(),
            (std::vector<int32_t>{defined, control}));
  EXPECT_TRUE(t->IsSpecial(control));
  EXPECT_FALSE(t->IsSpecial(defined));
  EXPECT_EQ(t->TokenBytes(hole), "");
  EXPECT_FALSE(t->IdOf("[PAD259]").has_value());
}

TEST_F(TokenizerGgufTest, BeginningOfTextIsAsTheFileSays) {
  Vocabulary v;
  const int32_t bos = v.Add("<s>", 3);
  GgufBuilder b = v.File("llama-bpe");
  EXPECT_EQ(Load(b)->Encode("a").value().size(), 1u);  // no id, no token
  b.U32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos));
  EXPECT_EQ(Load(b)->Encode("a").value()[0], bos);
  b.Bool("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(Load(b)->Encode("a").value().size(), 1u);
  b = v.File("qwen2");
  b.U32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos));
  EXPECT_EQ(Load(b)->Encode("a").value().size(), 1u);
  b.U32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(bos));
  b.Bool("tokenizer.ggml.add_eos_token", true);
  EXPECT_EQ(Load(b)->Encode("a").value()[1], bos);
}

TEST_F(TokenizerGgufTest, FilesWithoutATokenizerAreNotFound) {
  GgufBuilder none;
  EXPECT_EQ(Load(none).status().code(), StatusCode::kNotFound);
  none.String("tokenizer.ggml.model", "no_vocab");
  EXPECT_EQ(Load(none).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ErrorOf(none), "the file has no tokenizer: only --ids works");
}

TEST_F(TokenizerGgufTest, OtherKindsAreRefusedWithWhatWorks) {
  GgufBuilder b;
  b.String("tokenizer.ggml.model", "llama");
  EXPECT_EQ(Load(b).status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(
      ErrorOf(b),
      "tokenizer.ggml.model 'llama' (SentencePiece) is not supported (only gpt2 is): only --ids "
      "works");
  EXPECT_EQ(ErrorOf(Vocabulary().File("gemma4")),
            "tokenizer.ggml.pre 'gemma4' is not supported: only --ids works");
}

TEST_F(TokenizerGgufTest, AMissingPreTokenizerIsTheDefaultAndANote) {
  Vocabulary v;
  GgufBuilder b;
  b.String("tokenizer.ggml.model", "gpt2");
  b.Strings("tokenizer.ggml.tokens", v.tokens);
  b.Strings("tokenizer.ggml.merges", v.merges);
  const Result<Tokenizer> without = Load(b);
  ASSERT_TRUE(without.ok()) << without.status().message();
  ASSERT_EQ(without->notes().size(), 1u);
  EXPECT_PRED2(testing::Contains, without->notes()[0], "key 'tokenizer.ggml.pre' is missing");
  const Result<Tokenizer> named = Load(v.File("default"));
  ASSERT_TRUE(named.ok()) << named.status().message();
  EXPECT_TRUE(named->notes().empty());
  const std::string text = "hello, it's 12345 <= $3!";
  EXPECT_EQ(without->Encode(text).value(), named->Encode(text).value());
}

// The words of a text, with '|' between, where every word is a token or two.
TEST_F(TokenizerGgufTest, PreTokenizersCutAsTheirNamesSay) {
  const auto words = [](const char* pre, const char* text) {
    const GgufRecipe* recipe = FindGgufRecipe(pre);
    EXPECT_NE(recipe, nullptr) << pre;
    const auto cutter = PreTokenizer::Parse(PreTokenizerSpec(*recipe));
    if (!cutter.ok()) return cutter.status().message();
    RegexScratch scratch(100);
    std::deque<std::string> owned;
    std::vector<std::string_view> list;
    EXPECT_TRUE(cutter->Split(text, &scratch, &owned, &list).ok());
    std::string out;
    for (const std::string_view word : list) out.append(out.empty() ? "" : "|").append(word);
    return out;
  };
  EXPECT_EQ(words("default", "it's 12345 a<=b!"), "it|'|s| |123|45| a|<=|b|!");
  EXPECT_EQ(words("falcon", "it's 12345 a`b"), "it|'|s| |123|45| a|`|b");
  EXPECT_EQ(words("smaug-bpe", "It'S 12345\n\n x"), "It|'S| |123|45|\n\n| x");
  EXPECT_EQ(words("smollm", "it's 12"), "it|'s| |1|2");
  EXPECT_EQ(words("deepseek-llm", "caf\u00e9 \u4e2d\u6587 123\r\n"),
            "caf|\u00e9| |\u4e2d\u6587| |123|\r|\n");  // its punctuation includes a-z
  EXPECT_EQ(words("deepseek-coder", "a+b 12\n"), "a|+|b| |1|2|\n");
  EXPECT_EQ(words("deepseek-v3", "x.foo 12345 \u4e2da\u0301"), "x|.foo| |123|45| |\u4e2d|a\u0301");
  EXPECT_EQ(words("tekken", "HelloWorld 12/"), "Hello|World| |1|2|/");
  EXPECT_EQ(words("gpt-4o", "don't STOP 1234"), "don't| STOP| |123|4");
  EXPECT_EQ(words("kimi-k2", "ab\u4e2d\u6587Cd's 1234"), "ab|\u4e2d\u6587|Cd's| |123|4");
  EXPECT_EQ(words("tiny_aya", "1234567 ab"), "1|234|567| ab");
  EXPECT_EQ(words("superbpe", "a b 1234567"), "a b |1|234|567");
  EXPECT_EQ(words("bloom", "a b,c (d)"), "a| b|,|c| (|d|)");
  EXPECT_EQ(words("viking", "a b12"), "a| b|1|2");
  EXPECT_EQ(words("chameleon", "a,b    c"), "a|,|b|    |c");
  EXPECT_EQ(words("qwen35", "a\u0301b 12"), "a\u0301b| |1|2");
  EXPECT_EQ(words("bailingmoe", "a\n\nb"), "a|\n\n|b");
  EXPECT_EQ(words("exaone-moe", "\uac00 \ub098 1"), "\uac00 \ub098| |1");
  EXPECT_EQ(words("minicpm5", "12345 a"), "123|45| a");
}

TEST_F(TokenizerGgufTest, EveryPreTokenizerLoadsAndLosesNothing) {
  const Vocabulary v;
  const std::string text = "It's \u4e2d\u6587, \uac00\u0301  12345\u0663 \U0001f600\r\n\n  x!<=";
  for (const GgufRecipe& recipe : GgufRecipes()) {
    const Result<Tokenizer> t = Load(v.File(std::string(recipe.pre)));
    ASSERT_TRUE(t.ok()) << recipe.pre << ": " << t.status().message();
    EXPECT_EQ(t->Decode(*t->Encode(text), true), text) << recipe.pre;
  }
}

TEST_F(TokenizerGgufTest, FaultsAreNamedByKeyAndElement) {
  Vocabulary v;
  v.merges.push_back("he zzz");
  EXPECT_EQ(ErrorOf(v.File()), "tokenizer.ggml.merges[3]: 'zzz' is not in the vocabulary");
  v = Vocabulary();
  v.Add("he");
  EXPECT_EQ(ErrorOf(v.File()), "tokenizer.ggml.tokens[259]: 'he' has id 256 already");
  v = Vocabulary();
  v.types[3] = 7;
  EXPECT_EQ(ErrorOf(v.File()),
            "tokenizer.ggml.token_type[3] is 7, not one of the types 1 to 5 of a byte-level "
            "vocabulary");
  v = Vocabulary();
  v.types.pop_back();
  EXPECT_EQ(ErrorOf(v.File()),
            "'tokenizer.ggml.token_type' has 258 entries, but 'tokenizer.ggml.tokens' has 259");
  GgufBuilder b = Vocabulary().File();
  b.Pair("tokenizer.ggml.scores", 9,
         testing::Bytes(uint32_t{0}) + testing::LittleEndian64(1) + "x");
  EXPECT_EQ(ErrorOf(b), "key 'tokenizer.ggml.scores' must hold f32, holds u8");
}

TEST_F(TokenizerGgufTest, ChatSettingsComeFromTheMetadata) {
  Vocabulary v;
  const int32_t end = v.Add("<|end|>", 3);
  GgufBuilder b = v.File();
  b.U32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(end));
  EXPECT_EQ(LoadChatSettings(dir_.Write("m.gguf", b.File())).status().code(),
            StatusCode::kNotFound);
  b.String("tokenizer.chat_template", "{{ eos_token }}");
  const Result<ChatSettings> chat = LoadChatSettings(dir_.Write("m.gguf", b.File()));
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(chat->source, "{{ eos_token }}");
  EXPECT_EQ(chat->bos_token, "");
  EXPECT_EQ(chat->eos_token, "<|end|>");
}

}  // namespace
}  // namespace kakeya
