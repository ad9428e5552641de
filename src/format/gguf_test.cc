#include "format/gguf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/gguf_test_util.h"
#include "format/test_files.h"

namespace kakeya {
namespace {

using testing::Bytes;
using testing::LittleEndian64;
using testing::Text;
using Builder = testing::GgufBuilder;

std::string ErrorOf(const std::string& file) {
  const auto header = ParseGgufHeader(std::as_bytes(std::span(file)), file.size());
  return header.ok() ? "no error" : header.status().message();
}

// Two keys, an F32 vector of 3 and a Q8_0 matrix of 2 rows of 32.
Builder Small() {
  Builder b;
  b.Pair("general.architecture", 8, Text("qwen3"));
  b.Pair("n", 4, Bytes(uint32_t{7}));
  b.Tensor("norm", {3}, 0, 0);
  b.Tensor("w", {32, 2}, 8, 32);
  b.data = std::string(32 + 68, 'd');
  return b;
}

TEST(GgufTest, HeaderIsRead) {
  testing::TempDir dir;
  Builder b = Small();
  b.Pair("i", 5, Bytes(int32_t{-3}));
  b.Pair("f", 6, Bytes(0.5f));
  b.Pair("yes", 7, std::string(1, '\1'));
  b.Pair("words", 9, Bytes(uint32_t{8}) + LittleEndian64(2) + Text("ab") + Text(""));
  b.Pair("types", 9,
         Bytes(uint32_t{5}) + LittleEndian64(2) + Bytes(int32_t{1}) + Bytes(int32_t{-6}));
  b.Pair("scores", 9, Bytes(uint32_t{6}) + LittleEndian64(1) + Bytes(1.5f));
  b.Pair("none", 9, Bytes(uint32_t{6}) + LittleEndian64(0));
  const Result<GgufFile> file = GgufFile::Open(dir.Write("m.gguf", b.File()));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->header().version, 3u);
  EXPECT_EQ(file->GetString("general.architecture").value(), "qwen3");
  EXPECT_EQ(file->GetUnsigned("n").value(), 7u);
  EXPECT_EQ(file->GetNumber("i").value(), -3.0);
  EXPECT_EQ(file->GetNumber("f").value(), 0.5);
  EXPECT_EQ(file->GetBool("yes").value(), true);
  EXPECT_EQ(file->GetStrings("words").value(), (std::vector<std::string>{"ab", ""}));
  EXPECT_EQ(file->GetIntegers("types").value(), (std::vector<int64_t>{1, -6}));
  EXPECT_EQ(file->GetFloats("scores").value(), (std::vector<float>{1.5f}));
  EXPECT_TRUE(file->GetFloats("none").value()->empty());
  EXPECT_FALSE(file->GetUnsigned("missing").value().has_value());
  EXPECT_FALSE(file->GetStrings("missing").value().has_value());

  const GgufTensor* w = file->Find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<int64_t>{2, 32}));  // outermost first
  EXPECT_EQ(w->type, &GgufTypeNamed("Q8_0"));
  EXPECT_EQ(w->end - w->begin, 68u);
  EXPECT_EQ(w->begin % 32, 0u);
  EXPECT_EQ(file->Data(*w).size(), 68u);
  EXPECT_EQ(file->Find("norm")->end - file->Find("norm")->begin, 12u);
  EXPECT_EQ(file->Find("v"), nullptr);
}

TEST(GgufTest, ValuesOfAnotherTypeAreRefusedByKey) {
  testing::TempDir dir;
  Builder b = Small();
  b.Pair("i", 5, Bytes(int32_t{-3}));
  b.Pair("big", 9, Bytes(uint32_t{10}) + LittleEndian64(1) + LittleEndian64(UINT64_MAX));
  b.Pair("u8", 9, Bytes(uint32_t{0}) + LittleEndian64(1) + "x");
  b.Pair("bad", 8, Text("\xff"));
  b.Pair("bads", 9, Bytes(uint32_t{8}) + LittleEndian64(2) + Text("a") + Text("\xc3"));
  const std::string path = dir.Write("m.gguf", b.File());
  const Result<GgufFile> file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->GetUnsigned("i").status().message(), path + ": key 'i' is -3");
  EXPECT_EQ(file->GetUnsigned("general.architecture").status().message(),
            path + ": key 'general.architecture' must be an integer");
  EXPECT_EQ(file->GetString("n").status().message(), path + ": key 'n' must be a string");
  EXPECT_EQ(file->GetBool("n").status().message(), path + ": key 'n' must be a bool");
  EXPECT_EQ(file->GetFloats("n").status().message(), path + ": key 'n' must be an array");
  EXPECT_EQ(file->GetFloats("u8").status().message(), path + ": key 'u8' must hold f32, holds u8");
  EXPECT_EQ(file->GetStrings("u8").status().message(),
            path + ": key 'u8' must hold strings, holds u8");
  EXPECT_EQ(file->GetIntegers("bads").status().message(),
            path + ": key 'bads' must hold integers, holds string");
  EXPECT_EQ(file->GetIntegers("big").status().message(),
            path + ": key 'big' element 0 is 18446744073709551615");
  EXPECT_EQ(file->GetString("bad").status().message(), path + ": key 'bad' isn't UTF-8");
  EXPECT_EQ(file->GetStrings("bads").status().message(),
            path + ": key 'bads' element 1 isn't UTF-8");
}

TEST(GgufTest, EveryTruncationIsRefused) {
  const std::string file = Small().File();
  ASSERT_EQ(ErrorOf(file), "no error");
  for (size_t n = 0; n < file.size(); ++n) EXPECT_NE(ErrorOf(file.substr(0, n)), "no error") << n;
  testing::TempDir dir;
  const std::string path = dir.Write("m", file.substr(0, file.size() - 1));
  const Result<GgufFile> opened = GgufFile::Open(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_PRED2(testing::StartsWith, opened.status().message(), path + ": tensor 'w': data of 68");
}

TEST(GgufTest, OtherMagicAndVersionsAreRefused) {
  std::string file = Small().File();
  file[0] = 'g';
  EXPECT_PRED2(testing::Contains, ErrorOf(file), "no GGUF file");
  Builder b = Small();
  for (const uint32_t version : {0u, 1u, 4u}) {
    b.version = version;
    EXPECT_EQ(ErrorOf(b.File()),
              fmt::format("GGUF version {}; this engine reads 2 and 3", version));
  }
  b.version = 0x03000000;
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "big-endian");
  b.version = 2;
  EXPECT_EQ(ErrorOf(b.File()), "no error");
}

TEST(GgufTest, CountsBeyondTheFileAreRefusedBeforeAnythingIsAllocated) {
  const Builder b = Small();
  for (const uint64_t n : {uint64_t{1} << 63, UINT64_MAX, uint64_t{1000}}) {
    EXPECT_PRED2(testing::Contains, ErrorOf(b.Header(n, 2)), "tensors (offset 8) don't fit");
    EXPECT_PRED2(testing::Contains, ErrorOf(b.Header(2, n)), "keys (offset 16) don't fit");
  }
}

TEST(GgufTest, StringsAndArraysBeyondTheFileAreRefused) {
  Builder b;
  b.Pair("k", 8, LittleEndian64(uint64_t{1} << 40) + "abc");
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "key 'k': value at offset");
  for (const uint32_t type : {0u, 4u, 8u, 12u}) {
    for (const uint64_t n : {uint64_t{1} << 40, uint64_t{1} << 61, UINT64_MAX}) {
      b.pairs.clear();
      b.Pair("k", 9, Bytes(type) + LittleEndian64(n) + "abc");
      EXPECT_NE(ErrorOf(b.File()), "no error") << type << " " << n;
    }
  }
  b.pairs = {LittleEndian64(uint64_t{1} << 40) + "key"};
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "key at offset 24");
}

TEST(GgufTest, UnknownValueTypesAndNestedArraysAreRefused) {
  Builder b;
  b.Pair("k", 13, "0123456789");
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "key 'k': unknown value type 13");
  b.pairs.clear();
  b.Pair("k", 9, Bytes(uint32_t{13}) + LittleEndian64(1) + "0");
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "unknown array type 13");
  b.pairs.clear();
  b.Pair("k", 9, Bytes(uint32_t{9}) + LittleEndian64(1) + "0123456789012");
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "array of arrays");
  b.pairs.clear();
  b.Pair("k", 7, "\2");
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "a bool of 2");
}

TEST(GgufTest, DuplicatesAreRefused) {
  Builder b = Small();
  b.Pair("n", 4, Bytes(uint32_t{7}));
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "key 'n' at offset");
  b = Small();
  b.Tensor("w", {1}, 0, 128);
  b.data.resize(200);
  EXPECT_EQ(ErrorOf(b.File()), "tensor 'w' comes twice");
}

TEST(GgufTest, AlignmentMustBeAReasonablePowerOfTwo) {
  for (const uint32_t alignment : {0u, 3u, 48u, uint32_t{1} << 31}) {
    Builder b = Small();
    b.Pair("general.alignment", 4, Bytes(alignment));
    EXPECT_EQ(
        ErrorOf(b.File()),
        fmt::format("key 'general.alignment' is {}, not a power of two up to 1048576", alignment));
  }
  Builder b = Small();
  b.Pair("general.alignment", 8, Text("32"));
  EXPECT_EQ(ErrorOf(b.File()), "key 'general.alignment' must be an unsigned integer");
  b = Builder();
  b.Pair("general.alignment", 4, Bytes(uint32_t{64}));
  b.alignment = 64;
  b.Tensor("a", {1}, 0, 0);
  b.Tensor("b", {1}, 0, 64);
  b.data = std::string(68, 'd');
  EXPECT_EQ(ErrorOf(b.File()), "no error");
}

std::string TensorError(const std::vector<uint64_t>& dims, uint32_t type) {
  Builder b;
  b.Tensor("t", dims, type, 0);
  b.data = std::string(4096, 'd');
  return ErrorOf(b.File());
}

TEST(GgufTest, ImpossibleShapesAreRefused) {
  EXPECT_EQ(TensorError({4, 4}, 0), "no error");
  EXPECT_PRED2(testing::Contains, TensorError({}, 0), "0 dimensions");
  EXPECT_PRED2(testing::Contains, TensorError({1, 1, 1, 1, 1}, 0), "5 dimensions");
  EXPECT_PRED2(testing::Contains, TensorError({4, 0}, 0), "dimension 1 is 0");
  EXPECT_PRED2(testing::Contains, TensorError({UINT64_MAX}, 0), "dimension 0 is -1");
  EXPECT_PRED2(testing::Contains, TensorError({INT64_MAX, 2}, 24), "too large to exist");
  EXPECT_PRED2(testing::Contains, TensorError({uint64_t{1} << 62}, 0), "too large to exist");
  EXPECT_PRED2(testing::Contains, TensorError({uint64_t{1} << 32, uint64_t{1} << 32}, 0),
               "too large to exist");
  EXPECT_PRED2(testing::Contains, TensorError({33}, 8), "rows of 33 elements");
  EXPECT_PRED2(testing::Contains, TensorError({128, 2}, 12), "blocks of 256 that Q4_K has");
  EXPECT_PRED2(testing::Contains, TensorError({4}, 4), "unknown tensor type 4");
  EXPECT_PRED2(testing::Contains, TensorError({4}, UINT32_MAX), "unknown tensor type");
  EXPECT_PRED2(testing::Contains, TensorError({uint64_t{1} << 60}, 24), "beyond the end");
}

TEST(GgufTest, OffsetsMustFollowEachOther) {
  const auto error = [](uint64_t first, uint64_t second) {
    Builder b;
    b.Tensor("a", {8}, 0, first);   // 32 bytes
    b.Tensor("b", {9}, 0, second);  // 36 bytes
    b.data = std::string(256, 'd');
    return ErrorOf(b.File());
  };
  EXPECT_EQ(error(0, 32), "no error");
  EXPECT_EQ(error(64, 0), "no error");  // in any order
  EXPECT_PRED2(testing::Contains, error(0, 0), "overlapping");
  EXPECT_PRED2(testing::Contains, error(0, 33), "unaligned");
  EXPECT_PRED2(testing::Contains, error(0, 64), "leaving a hole");
  EXPECT_PRED2(testing::Contains, error(32, 64), "leaving a hole");
  EXPECT_PRED2(testing::Contains, error(0, UINT64_MAX - 31), "leaving a hole");
}

TEST(GgufTest, NamesInMessagesAreBounded) {
  Builder b;
  b.Tensor(std::string(65, 'x'), {1}, 0, 0);
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "is 65 bytes long, more than 64");
  b = Builder();
  b.Pair(std::string("a\nb\0", 4), 13, "0123456789");
  EXPECT_PRED2(testing::Contains, ErrorOf(b.File()), "key 'a?b?'");
}

}  // namespace
}  // namespace kakeya
