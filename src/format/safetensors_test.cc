#include "format/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "format/test_files.h"

namespace kakeya {
namespace {

using testing::LittleEndian64;
using testing::RawSafetensors;

// What the parser says of these bytes as a whole file.
std::string ErrorOf(const std::string& file) {
  const auto header = ParseSafetensorsHeader(std::as_bytes(std::span(file)), file.size());
  return header.ok() ? "no error" : header.status().message();
}

std::string ErrorOf(const std::string& header, size_t data_bytes) {
  return ErrorOf(RawSafetensors(header, std::string(data_bytes, 'd')));
}

// One tensor "t" that fills the data, with some members replaced.
std::string Entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"("t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

TEST(SafetensorsTest, EntriesComeInTheOrderOfTheirData) {
  testing::TempDir dir;
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[4,12]},)"
                             R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )";
  const std::string path = dir.Write(
      "m", RawSafetensors(header, std::string("\0\0\x80\x3f", 4) + std::string("abcdefgh")));
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->entries().size(), 2u);
  EXPECT_EQ(file->entries()[0].name, "a");
  EXPECT_EQ(file->entries()[1].name, "b");
  EXPECT_EQ(file->entries()[1].begin, 8 + header.size() + 4);
  EXPECT_EQ(file->entries()[1].shape, (std::vector<int64_t>{2, 2}));
  ASSERT_EQ(file->metadata().size(), 1u);
  EXPECT_EQ(file->metadata()[0], (std::pair<std::string, std::string>("format", "pt")));
  EXPECT_EQ(file->Find("c"), nullptr);

  const Result<TensorView> a = file->View(*file->Find("a"));
  ASSERT_TRUE(a.ok());
  float value;
  std::memcpy(&value, a->data, sizeof(value));
  EXPECT_EQ(value, 1.0f);
  EXPECT_EQ(a->dtype, DType::kF32);
  const Result<TensorView> b = file->View(*file->Find("b"));
  EXPECT_EQ(std::memcmp(b->data, "abcdefgh", 8), 0);
}

TEST(SafetensorsTest, EveryTruncationIsRefused) {
  const std::string header = "{" + Entry("F16", "[3]", "[0,6]") +
                             R"(,"u":{"dtype":"F32","shape":[2],"data_offsets":[6,14]}})";
  const std::string file = RawSafetensors(header, std::string(14, 'd'));
  ASSERT_EQ(ErrorOf(file), "no error");
  for (size_t n = 0; n < file.size(); ++n) EXPECT_NE(ErrorOf(file.substr(0, n)), "no error") << n;
  EXPECT_PRED2(testing::Contains, ErrorOf(file.substr(0, file.size() - 1)),
               "tensor 'u': data ends at 14, the file's at 13");
}

TEST(SafetensorsTest, EveryTruncatedFileIsRefusedByName) {
  testing::TempDir dir;
  const std::string file =
      RawSafetensors("{" + Entry("F16", "[3]", "[0,6]") + "}", std::string(6, 'd'));
  for (size_t n = 0; n < file.size(); ++n) {
    const std::string path = dir.Write("m", file.substr(0, n));
    const Result<SafetensorsFile> opened = SafetensorsFile::Open(path);
    ASSERT_FALSE(opened.ok()) << n;
    EXPECT_PRED2(testing::StartsWith, opened.status().message(), path + ": ");
    EXPECT_EQ(opened.status().message().find('\n'), std::string::npos);
  }
}

TEST(SafetensorsTest, HeaderLengthBeyondLimitOrFileIsRefused) {
  EXPECT_PRED2(testing::Contains, ErrorOf(LittleEndian64(100'000'001) + "{}"),
               "above the limit of 100000000");
  EXPECT_PRED2(testing::Contains, ErrorOf(LittleEndian64(UINT64_MAX) + "{}"), "above the limit");
  EXPECT_PRED2(testing::Contains, ErrorOf(LittleEndian64(uint64_t{1} << 63) + "{}"),
               "above the limit");
  EXPECT_PRED2(testing::Contains, ErrorOf(LittleEndian64(3) + "{}"), "beyond the end of the file");
  EXPECT_PRED2(testing::Contains, ErrorOf(LittleEndian64(0) + "{}"), "doesn't start with '{'");
  EXPECT_PRED2(testing::Contains, ErrorOf(std::string("GGUF\3\0\0\0", 8)),
               "not a safetensors file?");
}

TEST(SafetensorsTest, HeaderThatIsNoCleanJsonObjectIsRefused) {
  EXPECT_PRED2(testing::Contains, ErrorOf("[]", 0), "doesn't start with '{'");
  EXPECT_PRED2(testing::Contains, ErrorOf(" {}", 0), "doesn't start with '{'");
  EXPECT_PRED2(testing::Contains, ErrorOf("\xef\xbb\xbf{}", 0), "doesn't start with '{'");
  EXPECT_PRED2(testing::Contains, ErrorOf("{\"\xff\":1}", 0), "header at offset 8");
  EXPECT_PRED2(testing::Contains, ErrorOf("{}x", 0), "header at offset 8");
  EXPECT_PRED2(testing::Contains, ErrorOf(std::string("{}\0\0", 4), 0), "zero byte");
  EXPECT_EQ(ErrorOf("{}", 0), "no error");
}

TEST(SafetensorsTest, DuplicateNamesAndKeysAreRefused) {
  const std::string entry = Entry("U8", "[1]", "[0,1]");
  EXPECT_PRED2(testing::Contains, ErrorOf("{" + entry + "," + entry + "}", 1), "'t' appears twice");
  EXPECT_PRED2(testing::Contains,
               ErrorOf(R"({"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
               "'dtype' appears twice");
  EXPECT_PRED2(testing::Contains, ErrorOf(R"({"__metadata__":{},"__metadata__":{}})", 0), "twice");
}

TEST(SafetensorsTest, MetadataHoldsStringsOnly) {
  EXPECT_EQ(ErrorOf(R"({"__metadata__":{"a":"b"}})", 0), "no error");
  EXPECT_EQ(ErrorOf(R"({"__metadata__":{"a":1}})", 0),
            "__metadata__ key 'a' must be a string, is number");
  EXPECT_NE(ErrorOf(R"({"__metadata__":{"a":{"b":"c"}}})", 0), "no error");
  EXPECT_NE(ErrorOf(R"({"__metadata__":"a"})", 0), "no error");
  EXPECT_NE(ErrorOf(R"({"__metadata__":null})", 0), "no error");
}

TEST(SafetensorsTest, EntriesWithWrongMembersAreRefused) {
  for (const char* bad : {
           R"({"t":1})",
           R"({"t":[]})",
           R"({"t":{}})",
           R"({"t":{"shape":[1],"data_offsets":[0,1]}})",
           R"({"t":{"dtype":"U8","data_offsets":[0,1]}})",
           R"({"t":{"dtype":"U8","shape":[1]}})",
           R"({"t":{"dtype":3,"shape":[1],"data_offsets":[0,1]}})",
           R"({"t":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})",
           R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0]}})",
           R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})",
           R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1.0]}})",
           R"({"t":{"dtype":"U8","shape":[1],"data_offsets":["0",1]}})",
           R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})",
       }) {
    EXPECT_PRED2(testing::StartsWith, ErrorOf(bad, 1), "tensor 't': ") << bad;
  }
  EXPECT_PRED2(testing::Contains, ErrorOf("{" + Entry("U9", "[1]", "[0,1]") + "}", 1),
               "tensor 't': unknown dtype 'U9'");
}

TEST(SafetensorsTest, NegativeFractionalAndTooManyDimensionsAreRefused) {
  for (const char* shape :
       {"[-1]", "[1.0]", "[1e0]", "[null]", "[true]", "[\"1\"]", "[[1]]", "[18446744073709551616]",
        "[9223372036854775808]", "[1,1,1,1,1,1,1,1,1]"}) {
    EXPECT_PRED2(testing::StartsWith, ErrorOf("{" + Entry("U8", shape, "[0,1]") + "}", 1),
                 "tensor 't': ")
        << shape;
  }
  EXPECT_EQ(ErrorOf("{" + Entry("U8", "[1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1), "no error");
}

TEST(SafetensorsTest, OverflowingShapesAreRefusedEvenWithAZeroBehind) {
  for (const char* shape : {"[9223372036854775807,2]", "[4294967296,4294967296]",
                            "[9223372036854775807]", "[4611686018427387904,4,0]"}) {
    EXPECT_PRED2(testing::Contains, ErrorOf("{" + Entry("F32", shape, "[0,0]") + "}", 0),
                 "too large to exist")
        << shape;
  }
}

TEST(SafetensorsTest, OffsetsMustMatchTheShape) {
  EXPECT_PRED2(testing::Contains, ErrorOf("{" + Entry("F32", "[2]", "[0,4]") + "}", 4),
               "tensor 't': data_offsets [0, 4] are 4 bytes, F32 [2] needs 8");
  EXPECT_PRED2(testing::Contains, ErrorOf("{" + Entry("F32", "[1]", "[4,0]") + "}", 4),
               "run backwards");
  EXPECT_NE(ErrorOf("{" + Entry("F32", "[1]", "[-4,0]") + "}", 4), "no error");
  EXPECT_NE(
      ErrorOf("{" + Entry("U8", "[1]", "[18446744073709551615,18446744073709551616]") + "}", 4),
      "no error");
}

TEST(SafetensorsTest, HolesOverlapsAndTrailingBytesAreRefused) {
  const std::string first = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  const auto second = [&](int begin) {
    return "{" + first + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[)" +
           std::to_string(begin) + "," + std::to_string(begin + 2) + "]}}";
  };
  EXPECT_EQ(ErrorOf(second(4), 6), "no error");
  EXPECT_EQ(ErrorOf(second(5), 7),
            "tensor 'b': data begins at 5, leaving a hole after the end of the one before at 4");
  EXPECT_EQ(ErrorOf(second(3), 5),
            "tensor 'b': data begins at 3, overlapping the end of the one before at 4");
  EXPECT_PRED2(testing::Contains, ErrorOf(second(4), 7), "1 bytes at offset");
  EXPECT_PRED2(testing::Contains, ErrorOf("{" + Entry("U8", "[1]", "[1,2]") + "}", 2), "hole");
  EXPECT_NE(ErrorOf("{}", 1), "no error");
  EXPECT_NE(ErrorOf("{" + Entry("U8", "[99999]", "[0,99999]") + "}", 2), "no error");
}

TEST(SafetensorsTest, EmptyTensorsAreFine) {
  EXPECT_EQ(ErrorOf(R"({"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},)"
                    R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                    R"("c":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}})",
                    2),
            "no error");
}

TEST(SafetensorsTest, KnownTypesAreListedAndRefusedWhenUsed) {
  testing::TempDir dir;
  const std::string path =
      dir.Write("m", RawSafetensors("{" + Entry("F8_E4M3", "[2]", "[0,2]") + "}", "dd"));
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->entries()[0].type, "F8_E4M3");
  const Result<TensorView> view = file->View(file->entries()[0]);
  EXPECT_EQ(view.status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(view.status().message(),
            path + ": tensor 't' has type F8_E4M3; this engine reads F32, F16 and BF16");
}

TEST(SafetensorsTest, TypesOfHalfABytePackWholeBytesOnly) {
  EXPECT_EQ(ErrorOf("{" + Entry("F4", "[4]", "[0,2]") + "}", 2), "no error");
  EXPECT_PRED2(testing::Contains, ErrorOf("{" + Entry("F4", "[3]", "[0,2]") + "}", 2),
               "whole bytes");
}

TEST(SafetensorsTest, MessagesShowHostileNamesOnOneLine) {
  const std::string error = ErrorOf("{\"a\\n\\u001b[31m\":1}", 0);
  EXPECT_PRED2(testing::StartsWith, error, "tensor 'a??[31m': ");
}

TEST(SafetensorsTest, HeaderMemoryStaysInProportion) {
  // Half a million elements in an object's value: refused long before they are all built.
  std::string header = "{\"t\":[0";
  for (int i = 0; i < 500'000; ++i) header += ",0";
  EXPECT_PRED2(testing::Contains, ErrorOf(header + "]}", 0), "more than");
}

TEST(SafetensorsTest, FileTruncatedAfterOpeningReadsAsZerosAndIsReported) {
  testing::TempDir dir;
  const std::string path = dir.Write(
      "m",
      RawSafetensors("{" + Entry("U8", "[100000]", "[0,100000]") + "}", std::string(100'000, 'd')));
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
  EXPECT_EQ(file->file().bytes().back(), std::byte{0});
  EXPECT_PRED2(testing::Contains, file->file().CheckIntact().message(), "truncated to 4096 bytes");
}

TEST(WriteSafetensorsTest, WhatIsWrittenReadsBack) {
  testing::TempDir dir;
  const std::vector<float> floats = {1, -2, 3.5f, 0, 5, 6};
  const std::vector<uint16_t> halves = {1, 2, 3};
  const std::vector<std::pair<std::string, TensorView>> tensors = {
      {"logits", {DType::kF32, {2, 3}, floats.data()}},
      {"ids \"quoted\" \u00e9", {DType::kBF16, {3}, halves.data()}},
      {"empty", {DType::kF16, {0, 4}, nullptr}}};
  const std::string path = dir.File("out.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, tensors).ok());
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->entries().size(), 3u);
  for (const auto& [name, tensor] : tensors) {
    const SafetensorsEntry* entry = file->Find(name);
    ASSERT_NE(entry, nullptr) << name;
    const Result<TensorView> view = file->View(*entry);
    EXPECT_EQ(view->dtype, tensor.dtype);
    EXPECT_EQ(view->shape, tensor.shape);
    if (tensor.bytes() > 0) {
      EXPECT_EQ(std::memcmp(view->data, tensor.data, tensor.bytes()), 0);
    }
  }
  EXPECT_EQ(file->entries()[0].begin % 8, 0u);
  EXPECT_EQ(dir.FileCount(), 1u);

  // Written again, the bytes are the same.
  const std::string bytes = testing::ReadAll(path);
  ASSERT_TRUE(WriteSafetensors(path, tensors).ok());
  EXPECT_EQ(testing::ReadAll(path), bytes);
}

TEST(WriteSafetensorsTest, FailureNamesTheTarget) {
  testing::TempDir dir;
  const Status status = WriteSafetensors(dir.File("no/x"), {});
  EXPECT_PRED2(testing::StartsWith, status.message(), dir.File("no/x") + ": cannot write");
}

}  // namespace
}  // namespace kakeya
