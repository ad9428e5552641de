#include "format/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "format/test_files.h"

namespace kakeya {
namespace {

// A file of one-byte tensors.
std::string Bytes(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += (i > 0 ? ",\"" : "\"") + names[i] +
              R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  return testing::RawSafetensors(header + "}", std::string(names.size(), 'd'));
}

class CheckpointTest : public ::testing::Test {
 protected:
  void WriteIndex(const std::string& weight_map) {
    dir_.Write("model.safetensors.index.json",
               R"({"metadata":{},"weight_map":)" + weight_map + "}");
  }
  std::string OpenError() {
    const Result<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
    return checkpoint.ok() ? "no error" : checkpoint.status().message();
  }
  static std::vector<std::string> Names(const Checkpoint& checkpoint) {
    std::vector<std::string> names;
    checkpoint.ForEach([&](const Checkpoint::Location& l) { names.push_back(l.entry->name); });
    return names;
  }

  testing::TempDir dir_;
};

TEST_F(CheckpointTest, SingleFileIsRead) {
  dir_.Write("model.safetensors", Bytes({"a", "b"}));
  Result<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(Names(*checkpoint), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(checkpoint->bytes(), 2u);
  EXPECT_EQ(checkpoint->Find("c").entry, nullptr);
  const Checkpoint moved = *std::move(checkpoint);
  EXPECT_EQ(moved.Find("b").entry->name, "b");
  EXPECT_EQ(moved.Find("b").file, &moved.files()[0]);
}

TEST_F(CheckpointTest, ShardsAreRead) {
  dir_.Write("one.safetensors", Bytes({"a", "c", "unlisted"}));
  dir_.Write("two.safetensors", Bytes({"b"}));
  WriteIndex(R"({"a":"one.safetensors","b":"two.safetensors","c":"one.safetensors"})");
  const Result<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(Names(*checkpoint), (std::vector<std::string>{"a", "c", "b"}));
  EXPECT_EQ(checkpoint->size(), 3u);
  EXPECT_EQ(checkpoint->Find("b").file->file().path(), dir_.File("two.safetensors"));
}

TEST_F(CheckpointTest, FolderWithoutWeightsSaysWhatIsMissing) {
  EXPECT_EQ(OpenError(),
            dir_.path() + ": holds neither model.safetensors nor model.safetensors.index.json");
}

TEST_F(CheckpointTest, ModelThatIsADirectoryIsRefused) {
  ASSERT_EQ(::mkdir(dir_.File("model.safetensors").c_str(), 0700), 0);
  EXPECT_PRED2(testing::Contains, OpenError(), "is a directory");
}

TEST_F(CheckpointTest, MissingShardIsRefused) {
  WriteIndex(R"({"a":"one.safetensors"})");
  EXPECT_PRED2(testing::Contains, OpenError(), "one.safetensors: no such file");
}

TEST_F(CheckpointTest, ShardsOutsideTheFolderAreRefused) {
  dir_.Write("one.safetensors", Bytes({"a"}));
  for (const char* name :
       {"../one.safetensors", "/etc/passwd", "..", ".", "", "sub/one.safetensors",
        "./one.safetensors", "..\\\\one.safetensors", "one.safetensors\\u0000"}) {
    WriteIndex(R"({"a":")" + std::string(name) + "\"}");
    EXPECT_PRED2(testing::Contains, OpenError(), "which is not a file of this folder") << name;
  }
}

TEST_F(CheckpointTest, TensorThatIsNotInItsShardIsRefused) {
  dir_.Write("one.safetensors", Bytes({"a"}));
  WriteIndex(R"({"a":"one.safetensors","b":"one.safetensors"})");
  EXPECT_PRED2(testing::Contains, OpenError(), "index.json: tensor 'b' is not in one.safetensors");
}

TEST_F(CheckpointTest, BrokenIndexIsRefused) {
  for (const char* map : {"{}", "[]", "null", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}"}) {
    WriteIndex(map);
    EXPECT_PRED2(testing::Contains, OpenError(), "model.safetensors.index.json: ") << map;
  }
  dir_.Write("model.safetensors.index.json", "[]");
  EXPECT_PRED2(testing::Contains, OpenError(), "model.safetensors.index.json: ");
  WriteIndex(R"({"a":"x","a":"y"})");
  EXPECT_PRED2(testing::Contains, OpenError(), "appears twice");
}

TEST_F(CheckpointTest, BrokenShardIsNamed) {
  dir_.Write("one.safetensors", "abc");
  WriteIndex(R"({"a":"one.safetensors"})");
  EXPECT_PRED2(testing::Contains, OpenError(), "one.safetensors: 3 bytes are too few");
}

TEST_F(CheckpointTest, ShardThatShrinksIsReported) {
  dir_.Write("one.safetensors", Bytes({"a"}));
  WriteIndex(R"({"a":"one.safetensors"})");
  const Result<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_TRUE(checkpoint->CheckIntact().ok());
  ASSERT_EQ(::truncate(dir_.File("one.safetensors").c_str(), 10), 0);
  EXPECT_PRED2(testing::Contains, checkpoint->CheckIntact().message(),
               "one.safetensors: truncated");
}

}  // namespace
}  // namespace kakeya
