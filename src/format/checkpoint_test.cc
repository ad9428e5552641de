#include "format/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "format/gguf_test_util.h"
#include "format/json.h"
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
    for (const Checkpoint::Tensor& tensor : checkpoint.tensors()) names.push_back(tensor.name);
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
  EXPECT_EQ(checkpoint->Find("c"), nullptr);
  const Checkpoint moved = *std::move(checkpoint);
  ASSERT_NE(moved.Find("b"), nullptr);
  EXPECT_EQ(moved.Find("b")->name, "b");
  EXPECT_EQ(moved.Find("b")->file->path(), moved.path());
}

TEST_F(CheckpointTest, ShardsAreRead) {
  dir_.Write("one.safetensors", Bytes({"a", "c", "unlisted"}));
  dir_.Write("two.safetensors", Bytes({"b"}));
  WriteIndex(R"({"a":"one.safetensors","b":"two.safetensors","c":"one.safetensors"})");
  const Result<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(Names(*checkpoint), (std::vector<std::string>{"a", "c", "b"}));
  EXPECT_EQ(checkpoint->tensors().size(), 3u);
  ASSERT_EQ(checkpoint->unlisted().size(), 1u);
  EXPECT_EQ(checkpoint->unlisted()[0].name, "unlisted");
  EXPECT_EQ(checkpoint->Find("b")->file->path(), dir_.File("two.safetensors"));
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

// A GGUF file of one key and two vectors of one element, v and w.
std::string SmallGguf(const std::string& key, uint32_t value, uint32_t type_of_w = 0) {
  testing::GgufBuilder builder;
  builder.U32(key, value);
  builder.Tensor("v", {1}, 0, std::string(4, 'd'));
  builder.Tensor("w", {1}, type_of_w, std::string(4, 'd'));
  return builder.File();
}

TEST_F(CheckpointTest, GgufFileIsRead) {
  const std::string path = dir_.Write("m.gguf", SmallGguf("k", 1));
  EXPECT_TRUE(IsGgufPath(path));
  EXPECT_FALSE(IsGgufPath(dir_.path()));
  EXPECT_FALSE(IsGgufPath(dir_.File("none.gguf")));
  Result<Checkpoint> checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const Checkpoint moved = *std::move(checkpoint);
  EXPECT_EQ(Names(moved), (std::vector<std::string>{"v", "w"}));
  EXPECT_EQ(moved.file_count(), 1u);
  EXPECT_EQ(moved.bytes(), 8u);
  EXPECT_EQ(moved.path(), path);
  const Result<TensorView> view = moved.View(*moved.Find("w"));
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->dtype, DType::kF32);
  EXPECT_EQ(view->shape, std::vector<int64_t>{1});
  EXPECT_EQ(std::string(static_cast<const char*>(view->data), 4), "dddd");
}

TEST_F(CheckpointTest, TypeThatIsNotComputedIsRefusedWithTensorAndType) {
  const std::string path = dir_.Write("m.gguf", SmallGguf("k", 1, /*I32=*/26));
  const Result<Checkpoint> checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_PRED2(testing::StartsWith, checkpoint->View(*checkpoint->Find("w")).status().message(),
               path + ": tensor 'w' has type I32; this engine reads F32, F16");
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

TEST_F(CheckpointTest, LfsPointersAreNamedAsSuch) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
      "\nsize 1192135096\n";
  const std::string reason =
      ": is a Git LFS pointer, not the file of 1192135096 bytes that it stands for: 'git lfs pull' "
      "brings that";
  const std::string gguf = dir_.Write("m.gguf", pointer);
  EXPECT_EQ(Checkpoint::Open(gguf).status().message(), gguf + reason);
  const std::string json = dir_.Write("tokenizer.json", pointer);
  const Result<Json> read = ReadJsonFile(json);
  EXPECT_EQ(read.status().message(), json + reason);
  EXPECT_EQ(read.status().code(), StatusCode::kCorrupt);  // not missing: it won't do without
  dir_.Write("one.safetensors", pointer);
  WriteIndex(R"({"a":"one.safetensors"})");
  EXPECT_PRED2(testing::Contains, OpenError(), dir_.File("one.safetensors") + reason);
  dir_.Write("model.safetensors", pointer.substr(0, 60));
  EXPECT_EQ(OpenError(), dir_.File("model.safetensors") +
                             ": is a Git LFS pointer, not the file that it stands for: 'git lfs "
                             "pull' brings that");
}

}  // namespace
}  // namespace kakeya
