#include "proposer/restorer_config.h"

#include <gtest/gtest.h>

#include <string>

#include "format/test_files.h"
#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using testing::Contains;

constexpr char kConfig[] = R"({"format": "kakeya-restorer", "version": 1,
 "verifier_fingerprint": "0123456789abcdef0123456789abcdef", "chunk": 64,
 "proposer": {"layers": 4, "hidden": 256, "heads": 4, "head_dim": 64, "ffn": 384,
              "rope_theta": 10000.0, "rms_norm_eps": 1e-6},
 "code_dim": 64, "token_dim": 32, "summary": {"segments": 4, "dim": 128, "pool_heads": 8},
 "selection": {"min_share_log": -5.5, "chunks": 8}, "max_distance": 8192,
 "verifier": {"layers": 3, "hidden": 24, "heads": 4, "kv_heads": 2, "head_dim": 16,
              "vocab_size": 97}})";

// kConfig with `from` replaced.
std::string Changed(const std::string& from, const std::string& to) {
  std::string text = kConfig;
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

std::string ErrorOf(const std::string& text) {
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return json.status().message();
  const Result<RestorerConfig> config = ParseRestorerConfig(*json);
  return config.ok() ? "no error" : config.status().message();
}

TEST(RestorerConfigTest, EveryKeyIsRead) {
  const Result<RestorerConfig> config = ParseRestorerConfig(*ParseJson(kConfig));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->verifier_fingerprint, test::kFingerprint);
  EXPECT_EQ(config->proposer.layers, 4);
  EXPECT_EQ(config->proposer.hidden, 256);
  EXPECT_EQ(config->proposer.heads, 4);
  EXPECT_EQ(config->proposer.head_dim, 64);
  EXPECT_EQ(config->proposer.ffn, 384);
  EXPECT_EQ(config->proposer.rope_theta, 10000);
  EXPECT_EQ(config->proposer.rms_norm_eps, 1e-6f);
  EXPECT_EQ(config->code_dim, 64);
  EXPECT_EQ(config->token_dim, 32);
  EXPECT_EQ(config->summary.segments, 4);
  EXPECT_EQ(config->summary.dim, 128);
  EXPECT_EQ(config->summary.pool_heads, 8);
  EXPECT_EQ(config->min_share_log, -5.5f);
  EXPECT_EQ(config->chunks, 8);
  EXPECT_EQ(config->max_distance, 8192);
  EXPECT_EQ(config->verifier, VerifierShape(test::TinyVerifierConfig()));
}

struct Fault {
  const char* from;
  const char* to;
  const char* message;
};

TEST(RestorerConfigTest, EveryFaultIsNamed) {
  const Fault faults[] = {
      {"kakeya-restorer", "other", "key 'format' is 'other'"},
      {R"("version": 1)", R"("version": 2)", "key 'version' is 2"},
      {R"("chunk": 64)", R"("chunk": 32)", "key 'chunk' is 32"},
      {"0123456789abcdef0", "0123456789ABCDEF0", "key 'verifier_fingerprint' is"},
      {"0123456789abcdef0", "", "key 'verifier_fingerprint' is"},
      {R"("layers": 4)", R"("layers": 0)", "proposer: key 'layers' is 0"},
      {R"("layers": 4)", R"("layers": 17)", "proposer: key 'layers' is 17"},
      {R"("hidden": 256)", R"("hidden": -1)", "proposer: key 'hidden' is -1"},
      {R"("hidden": 256)", R"("hidden": 1e3)", "proposer: key 'hidden' must be an integer"},
      {R"("heads": 4, "head_dim": 64)", R"("heads": 4, "head_dim": 60)", "key 'head_dim' is 60"},
      {R"("heads": 4, "head_dim": 64)", R"("heads": 4, "head_dim": 520)", "key 'head_dim' is 520"},
      {R"("ffn": 384)", R"("ffn": 99999999999)", "proposer: key 'ffn' is 99999999999"},
      {R"("rope_theta": 10000.0)", R"("rope_theta": 0)", "proposer: key 'rope_theta'"},
      {R"("rms_norm_eps": 1e-6)", R"("rms_norm_eps": 0)", "proposer: key 'rms_norm_eps'"},
      {R"("code_dim": 64)", R"("code_dim": 0)", "key 'code_dim' is 0"},
      {R"("token_dim": 32)", R"("token_dim": -1)", "key 'token_dim' is -1"},
      {R"("token_dim": 32)", R"("token_dim": 449)", "key 'token_dim' is 449"},
      {R"("segments": 4)", R"("segments": 5)", "summary: key 'segments' is 5"},
      {R"("dim": 128, "pool_heads": 8)", R"("dim": 128, "pool_heads": 7)", "'pool_heads' is 7"},
      {R"("dim": 128, "pool_heads": 8)", R"("dim": 2048, "pool_heads": 8)", "key 'dim' is 2048"},
      {R"("dim": 128, "pool_heads": 8)", R"("dim": 6, "pool_heads": 3)", "a multiple of 4"},
      {R"("min_share_log": -5.5)", R"("min_share_log": -1e9)", "selection: key 'min_share_log'"},
      {R"("chunks": 8)", R"("chunks": 0)", "selection: key 'chunks' is 0"},
      {R"("max_distance": 8192)", R"("max_distance": 8191)", "max_distance 8191"},
      {R"("max_distance": 8192)", R"("max_distance": 0)", "key 'max_distance' is 0"},
      {R"("kv_heads": 2)", R"("kv_heads": 3)", "verifier: key 'kv_heads' is 3"},
      {R"("vocab_size": 97)", R"("vocab_size": null)", "verifier: key 'vocab_size' is missing"},
      {R"("summary": {)", R"("summery": {)", "key 'summary' is missing"},
      {R"("selection": {"min_share_log": -5.5, "chunks": 8})", R"("selection": 3)",
       "'selection' must be"},
  };
  for (const Fault& fault : faults) {
    EXPECT_PRED2(Contains, ErrorOf(Changed(fault.from, fault.to)), fault.message);
  }
  EXPECT_PRED2(Contains, ErrorOf("[]"), "key 'format'");
}

constexpr char kRecurrence[] =
    R"("recurrence": {"lengths": [1, 2, 3, 5], "buckets": 8, "next": 6}, "code_dim": 64)";

TEST(RestorerConfigTest, RecurrenceIsReadWhereItIsThere) {
  EXPECT_FALSE(ParseRestorerConfig(*ParseJson(kConfig))->recurrence.used());
  const Result<RestorerConfig> config =
      ParseRestorerConfig(*ParseJson(Changed(R"("code_dim": 64)", kRecurrence)));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_TRUE(config->recurrence.used());
  EXPECT_EQ(config->recurrence.lengths, (std::vector<int>{1, 2, 3, 5}));
  EXPECT_EQ(config->recurrence.buckets, 8);
  EXPECT_EQ(config->recurrence.next, 6);
}

TEST(RestorerConfigTest, EveryFaultOfRecurrenceIsNamed) {
  const Fault faults[] = {
      {"[1, 2, 3, 5]", "[]", "recurrence: key 'lengths' has 0 elements, must have 1 to 8"},
      {"[1, 2, 3, 5]", "[1, 2, 3, 4, 5, 6, 7, 8, 9]", "key 'lengths' has 9 elements"},
      {"[1, 2, 3, 5]", "[1, 2, 2]", "recurrence: key 'lengths' holds 2, must be integers from 1"},
      {"[1, 2, 3, 5]", "[3, 1]", "key 'lengths' holds 1"},
      {"[1, 2, 3, 5]", "[0]", "key 'lengths' holds 0"},
      {"[1, 2, 3, 5]", "[17]", "key 'lengths' holds 17"},
      {"[1, 2, 3, 5]", "[18446744073709551615]", "key 'lengths' holds 18446744073709551615"},
      {"[1, 2, 3, 5]", "[1, 2.0]", "key 'lengths' holds 2.0"},
      {"[1, 2, 3, 5]", R"(["1\n"])", "key 'lengths' holds \"1\\n\", must"},
      {"[1, 2, 3, 5]", "3", "recurrence: key 'lengths' must be"},
      {R"("lengths")", R"("length")", "recurrence: key 'lengths' is missing"},
      {R"("buckets": 8)", R"("buckets": 1)", "recurrence: key 'buckets' is 1"},
      {R"("buckets": 8)", R"("buckets": 65)", "recurrence: key 'buckets' is 65"},
      {R"("next": 6)", R"("next": 0)", "recurrence: key 'next' is 0"},
      {R"("next": 6)", R"("next": 65)", "recurrence: key 'next' is 65"},
      {R"("token_dim": 32)", R"("token_dim": 0)", "recurrence: key 'token_dim' is 0"},
      {R"({"lengths": [1, 2, 3, 5], "buckets": 8, "next": 6})", "[]", "'recurrence' must be"},
  };
  const std::string whole = Changed(R"("code_dim": 64)", kRecurrence);
  for (const Fault& fault : faults) {
    std::string text = whole;
    const std::string from = fault.from;
    text.replace(text.find(from), from.size(), fault.to);
    EXPECT_PRED2(Contains, ErrorOf(text), fault.message);
  }
}

TEST(RestorerConfigTest, TokenDimMayBeZero) {
  EXPECT_EQ(ErrorOf(Changed(R"("token_dim": 32)", R"("token_dim": 0)")), "no error");
}

class LoadConfigTest : public ::testing::Test {
 protected:
  std::string LoadError(const std::string& fingerprint = test::kFingerprint) {
    const Result<RestorerConfig> config =
        LoadRestorerConfig(dir_.path(), test::TinyVerifierConfig(), fingerprint);
    return config.ok() ? "no error" : config.status().message();
  }
  testing::TempDir dir_;
};

TEST_F(LoadConfigTest, ErrorsNameTheFile) {
  EXPECT_PRED2(Contains, LoadError(), dir_.path() + "/config.json");
  dir_.Write("config.json", Changed(R"("chunks": 8)", R"("chunks": 0)"));
  EXPECT_PRED2(Contains, LoadError(), dir_.path() + "/config.json: selection: key 'chunks' is 0");
  dir_.Write("config.json", "{");
  EXPECT_PRED2(Contains, LoadError(), dir_.path() + "/config.json: ");
}

TEST_F(LoadConfigTest, AnotherVerifierIsRefused) {
  dir_.Write("config.json", kConfig);
  EXPECT_EQ(LoadError(), "no error");
  const std::string other = "ffffffffffffffffffffffffffffffff";
  EXPECT_EQ(LoadError(other), "the restorer in " + dir_.path() +
                                  " belongs to another verifier (fingerprint " +
                                  test::kFingerprint + ", this model has " + other + ")");
  dir_.Write("config.json", Changed(R"("vocab_size": 97)", R"("vocab_size": 98)"));
  EXPECT_PRED2(Contains, LoadError(), "config.json: key 'verifier' says layers 3");
}

}  // namespace
}  // namespace kakeya
