#include "format/json.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include "format/test_files.h"

namespace kakeya {
namespace {

std::string ErrorOf(const std::string& text, const JsonLimits& limits = {}) {
  const Result<Json> value = ParseJson(text, limits);
  return value.ok() ? "no error" : value.status().message();
}

TEST(JsonTest, KeysKeepTheOrderOfTheText) {
  const Result<Json> value = ParseJson(R"({"z":1,"a":[true,null,-2,2.5,"x"],"m":{"y":{},"b":[]}})");
  ASSERT_TRUE(value.ok()) << value.status().message();
  EXPECT_EQ(value->dump(), R"({"z":1,"a":[true,null,-2,2.5,"x"],"m":{"y":{},"b":[]}})");
}

TEST(JsonTest, ScalarsAreValues) {
  EXPECT_EQ(ParseJson(" 7 ")->get<int>(), 7);
  EXPECT_EQ(ParseJson("\"\\u00e9\\ud83d\\ude00\"")->get<std::string>(), "\u00e9\U0001f600");
  EXPECT_TRUE(ParseJson("null")->is_null());
}

TEST(JsonTest, DuplicateKeysAreRefusedInSmallAndLargeObjects) {
  EXPECT_EQ(ErrorOf(R"({"a":1,"b":2,"a":3})"), "byte 19: key 'a' appears twice in an object");
  std::string large = "{";
  for (int i = 0; i < 100; ++i) large += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_PRED2(testing::Contains, ErrorOf(large + "\"k42\":0}"), "key 'k42' appears twice");
  EXPECT_TRUE(ParseJson(large + "\"k\":0}").ok());
  EXPECT_PRED2(testing::Contains, ErrorOf(R"({"a":1,"\u0061":2})"), "key 'a' appears twice");
  EXPECT_TRUE(ParseJson(R"([{"a":1},{"a":{"a":2}}])").ok());
}

TEST(JsonTest, DepthIsCappedBeforeAnythingIsBuilt) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(ParseJson(nested(64)).ok());
  EXPECT_EQ(ErrorOf(nested(65)), "byte 65: nested deeper than 64 levels");
  EXPECT_PRED2(testing::Contains, ErrorOf(std::string(1'000'000, '[')), "nested deeper");
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  EXPECT_PRED2(testing::Contains, ErrorOf(objects), "nested deeper");
}

TEST(JsonTest, TrailingBytesAreRefused) {
  EXPECT_PRED2(testing::Contains, ErrorOf("{} {}"), "byte 4");
  EXPECT_NE(ErrorOf("[1]x"), "no error");
  EXPECT_NE(ErrorOf("1 2"), "no error");
  EXPECT_EQ(ErrorOf(std::string("{}\0garbage", 10)), "byte 2: a zero byte");
  EXPECT_EQ(ErrorOf(std::string("{}\0", 3)), "byte 2: a zero byte");
}

TEST(JsonTest, EveryTruncationIsRefused) {
  const std::string text = R"({"a":[1,2.5e3,"\u00e9x"],"b":{"c":true,"d":null}})";
  ASSERT_TRUE(ParseJson(text).ok());
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_NE(ErrorOf(text.substr(0, n)), "no error") << n;
  }
}

TEST(JsonTest, InvalidUtf8AndLoneSurrogatesAreRefused) {
  for (const char* bad : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"",
                          "\"\xf4\x90\x80\x80\"", "\"\xc3\"", "\"\\ud800\"", "\"\\udc00\""}) {
    EXPECT_NE(ErrorOf(bad), "no error") << bad;
  }
}

TEST(JsonTest, NumbersOutOfRangeAreRefused) {
  EXPECT_PRED2(testing::Contains, ErrorOf("1e999"), "number overflow");
  EXPECT_PRED2(testing::Contains, ErrorOf("[-1e999]"), "number overflow");
  EXPECT_NE(ErrorOf("NaN"), "no error");
  EXPECT_NE(ErrorOf("01"), "no error");
  EXPECT_NE(ErrorOf("+1"), "no error");
  EXPECT_EQ(ParseJson("18446744073709551615")->get<uint64_t>(), UINT64_MAX);
}

TEST(JsonTest, MessagesAreOneShortPrintableLine) {
  const std::string error = ErrorOf("[\"" + std::string(1'000'000, 'x') + "\n\x1b[31m\"]");
  EXPECT_LT(error.size(), 250u);
  EXPECT_EQ(error.find('\n'), std::string::npos);
  const std::string key = ErrorOf("{\"a\\nb\":1,\"a\\nb\":2}");
  EXPECT_PRED2(testing::Contains, key, "'a?b'");
}

TEST(JsonTest, TextAndValueCountAreLimited) {
  EXPECT_EQ(ParseJson("[1,2,3]", {.max_bytes = 6}).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(ParseJson("[1,2,3]", {.max_values = 4}).ok());
  EXPECT_PRED2(testing::Contains, ErrorOf("[1,2,3]", {.max_values = 3}), "more than 3 values");
}

// Insertion into the library's ordered objects is quadratic: this text would take minutes.
TEST(JsonTest, LargeVocabularyParsesInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) {
    text += (i > 0 ? ",\"token" : "\"token") + std::to_string(i) + "\":" + std::to_string(i);
  }
  text += "}";
  const auto start = std::chrono::steady_clock::now();
  const Result<Json> value = ParseJson(text);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->size(), 300'000u);
  EXPECT_LT(seconds.count(), 10)
      << "0.2 s in a release build; the bound leaves room for sanitizers";
}

TEST(JsonFileTest, ErrorsNameTheFile) {
  testing::TempDir dir;
  const std::string bad = dir.Write("bad.json", "{");
  EXPECT_PRED2(testing::Contains, ReadJsonFile(bad).status().message(), bad + ": byte ");
  EXPECT_PRED2(testing::Contains, ReadJsonFile(dir.path()).status().message(), "is a directory");
  EXPECT_EQ(ReadJsonFile(dir.File("none")).status().code(), StatusCode::kNotFound);
  const std::string good = dir.Write("good.json", "[1]");
  EXPECT_TRUE(ReadJsonFile(good).ok());
  EXPECT_PRED2(testing::Contains, ReadJsonFile(good, {.max_bytes = 2}).status().message(),
               "3 bytes, more than the limit of 2");
}

TEST(JsonFileTest, EmptyFileIsRefused) {
  testing::TempDir dir;
  EXPECT_FALSE(ReadJsonFile(dir.Write("empty.json", "")).ok());
}

class JsonAccessTest : public ::testing::Test {
 protected:
  Json object_ = *ParseJson(
      R"({"i":-5,"u":9223372036854775808,"d":2.5,"f":3.0,"s":"x","b":true,"o":{},"a":[],"n":null})");
};

TEST_F(JsonAccessTest, ValuesOfTheRightTypeAreRead) {
  EXPECT_EQ(*GetInt(object_, "i", -10, 10), -5);
  EXPECT_EQ(*GetDouble(object_, "d", 0, 3), 2.5);
  EXPECT_EQ(*GetDouble(object_, "i", -9, 0), -5.0);
  EXPECT_EQ(*GetString(object_, "s"), "x");
  EXPECT_EQ(**FindBool(object_, "b"), true);
  EXPECT_NE(*FindObject(object_, "o"), nullptr);
  EXPECT_NE(*FindArray(object_, "a"), nullptr);
}

TEST_F(JsonAccessTest, AbsentAndNullAreNothing) {
  for (const char* key : {"n", "absent"}) {
    EXPECT_FALSE(FindInt(object_, key, 0, 1)->has_value());
    EXPECT_FALSE(FindDouble(object_, key, 0, 1)->has_value());
    EXPECT_FALSE(FindBool(object_, key)->has_value());
    EXPECT_FALSE(FindString(object_, key)->has_value());
    EXPECT_EQ(*FindObject(object_, key), nullptr);
    EXPECT_EQ(*FindArray(object_, key), nullptr);
    EXPECT_EQ(GetInt(object_, key, 0, 1).status().message(),
              "key '" + std::string(key) + "' is missing");
    EXPECT_FALSE(GetString(object_, key).ok());
    EXPECT_FALSE(GetDouble(object_, key, 0, 1).ok());
  }
}

TEST_F(JsonAccessTest, NegativeAndHugeIntegersNeverWrap) {
  EXPECT_EQ(GetInt(object_, "i", 0, 10).status().message(), "key 'i' is -5, must lie in [0, 10]");
  EXPECT_PRED2(testing::Contains, GetInt(object_, "u", INT64_MIN, INT64_MAX).status().message(),
               "9223372036854775808");
}

TEST_F(JsonAccessTest, WrongTypesAreErrorsThatNameTheKey) {
  EXPECT_EQ(GetInt(object_, "f", 0, 10).status().message(),
            "key 'f' must be an integer, is number");
  EXPECT_FALSE(GetInt(object_, "s", 0, 10).ok());
  EXPECT_FALSE(GetInt(object_, "b", 0, 10).ok());
  EXPECT_FALSE(GetDouble(object_, "s", 0, 10).ok());
  EXPECT_FALSE(GetString(object_, "i").ok());
  EXPECT_FALSE(FindBool(object_, "i").ok());
  EXPECT_FALSE(FindObject(object_, "a").ok());
  EXPECT_FALSE(FindArray(object_, "o").ok());
  EXPECT_FALSE(GetInt(Json::array(), "i", 0, 1).ok());
}

// What Python's json.dumps writes for numbers that JSON doesn't have.
TEST(JsonPythonNumbersTest, AreReadWhereTheyAreWanted) {
  const std::string text =
      R"({"a": Infinity, "b": [NaN,-Infinity, 0e0, 1.5], "s": "\"NaN, Infinity: ", "n": NaN})";
  const Result<Json> json = ParseJson(text, {.python_numbers = true});
  ASSERT_TRUE(json.ok()) << json.status().message();
  EXPECT_EQ((*json)["a"], std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan((*json)["b"][0].get<double>()));
  EXPECT_EQ((*json)["b"][1], -std::numeric_limits<double>::infinity());
  EXPECT_EQ((*json)["b"][2], 0.0);
  EXPECT_EQ((*json)["b"][3], 1.5);
  EXPECT_EQ((*json)["s"], "\"NaN, Infinity: ");
  EXPECT_TRUE(std::isnan((*json)["n"].get<double>()));
  EXPECT_TRUE(std::isnan(ParseJson("NaN", {.python_numbers = true})->get<double>()));
  EXPECT_FALSE(ParseJson(text).ok());  // elsewhere they are errors
}

TEST(JsonPythonNumbersTest, OtherWordsAreErrorsWithTheirOffset) {
  for (const char* text : {"[nan]", "[Infinit]", "[1NaN]", "[NaN1]", "[NaNNaN]", "[--Infinity]",
                           "[+Infinity]", "[NaN", "{NaN: 1}", "[inf]", "[\"\\\"NaN]"}) {
    EXPECT_FALSE(ParseJson(text, {.python_numbers = true}).ok()) << text;
  }
  EXPECT_PRED2(testing::StartsWith,
               ParseJson(R"({"a":NaN,"a":1})", {.python_numbers = true}).status().message(),
               "byte 15: key 'a' appears twice");
}

TEST(JsonPythonNumbersTest, AreOutOfEveryRange) {
  const Result<Json> json =
      ParseJson(R"({"x": Infinity, "y": -Infinity, "z": NaN})", {.python_numbers = true});
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(FindDouble(*json, "x", 0, 1).status().message(),
            "key 'x' is Infinity, must lie in [0, 1]");
  EXPECT_EQ(FindDouble(*json, "y", 0, 1).status().message(),
            "key 'y' is -Infinity, must lie in [0, 1]");
  EXPECT_EQ(FindDouble(*json, "z", 0, 1).status().message(), "key 'z' is NaN, must lie in [0, 1]");
  EXPECT_EQ(FindInt(*json, "x", 0, 1).status().message(), "key 'x' must be an integer, is number");
}

}  // namespace
}  // namespace kakeya
