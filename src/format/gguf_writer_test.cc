#include "format/gguf_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "format/gguf_test_util.h"
#include "format/test_files.h"

namespace kakeya {
namespace {

using testing::GgufBuilder;
using testing::TempDir;

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

GgufTensorSpec Spec(const std::string& name, const char* type, std::vector<int64_t> shape) {
  return {name, &GgufTypeNamed(type), std::move(shape)};
}

// All kinds of values and a tensor that needs padding, byte by byte.
TEST(GgufWriterTest, WritesTheBytesOfTheFormat) {
  const TempDir folder;
  const std::string path = folder.File("m.gguf");
  GgufMetadata metadata;
  metadata.SetString("general.architecture", "no one's");
  metadata.SetU32("number", 7);
  metadata.SetF32("real", 0.5f);
  metadata.SetBool("flag", true);
  metadata.SetStrings("words", std::vector<std::string>{"a", "", "bc"});
  metadata.SetI32s("types", std::vector<int32_t>{1, -3});
  const std::string matrix(2 * 34, 'q');
  const std::string vector(3 * 4, 'v');
  {
    auto writer = GgufWriter::Create(
        path, metadata, {Spec("matrix", "Q8_0", {2, 32}), Spec("vector", "F32", {3})}, 32);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    ASSERT_TRUE(writer->Write(AsBytes(matrix.substr(0, 10))).ok());
    ASSERT_TRUE(writer->Write(AsBytes(matrix.substr(10))).ok());
    ASSERT_TRUE(writer->Write(AsBytes(vector)).ok());
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE(writer->Commit().ok());
    EXPECT_EQ(writer->bytes_written(), std::filesystem::file_size(path));
  }
  GgufBuilder want;
  want.String("general.architecture", "no one's");
  want.U32("number", 7);
  want.F32("real", 0.5f);
  want.Bool("flag", true);
  want.Strings("words", {"a", "", "bc"});
  want.Integers("types", {1, -3});
  want.Tensor("matrix", {32, 2}, 8, matrix);
  want.Tensor("vector", {3}, 0, vector);
  want.data.resize(96 + 32);
  EXPECT_EQ(testing::ReadAll(path), want.File());
}

TEST(GgufWriterTest, ValuesOfAnotherFileAreKeptByteForByte) {
  const TempDir folder;
  GgufBuilder source;
  source.Pair("u8", 0, testing::Bytes(uint8_t{200}));
  source.Pair("i64", 11, testing::Bytes(int64_t{-5}));
  source.Strings("words", {"x", "yz"});
  source.U32("general.alignment", 64);
  source.alignment = 64;
  const std::string bytes = source.File();
  const auto header = ParseGgufHeader(AsBytes(bytes), bytes.size());
  ASSERT_TRUE(header.ok()) << header.status().message();
  GgufMetadata metadata;
  for (size_t i = 0; i < header->metadata.size(); ++i) {
    const auto [begin, end] = header->value_extents[i];
    metadata.SetRaw(header->metadata[i].first, bytes.substr(begin, end - begin));
  }
  metadata.SetU32("u8", 1);  // in its place
  const std::string path = folder.File("copy.gguf");
  {
    auto writer = GgufWriter::Create(path, metadata, {Spec("t", "F32", {1})}, 64);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    ASSERT_TRUE(writer->Write(AsBytes("1234")).ok());
    ASSERT_TRUE(writer->Commit().ok());
  }
  GgufBuilder want = source;
  want.pairs[0] = testing::Text("u8") + testing::Bytes(uint32_t{4}) + testing::Bytes(uint32_t{1});
  want.Tensor("t", {1}, 0, "1234");
  want.data.resize(64);
  EXPECT_EQ(testing::ReadAll(path), want.File());
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->Find("t")->begin % 64, 0u);
}

TEST(GgufWriterTest, WithoutCommitNothingIsLeft) {
  const TempDir folder;
  {
    auto writer = GgufWriter::Create(folder.File("m.gguf"), {}, {Spec("t", "F32", {4})}, 32);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Write(AsBytes("12345678")).ok());
  }
  EXPECT_EQ(folder.FileCount(), 0u);
}

}  // namespace
}  // namespace kakeya
