#include "format/gguf_split.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "format/gguf_test_util.h"
#include "format/test_files.h"

namespace kakeya {
namespace {

using testing::Bytes;
using testing::GgufBuilder;

// Part `part` of `count`, with tensors of one element each: what gguf-split writes.
GgufBuilder Part(uint16_t part, uint16_t count, const std::vector<std::string>& tensors,
                 int32_t total) {
  GgufBuilder b;
  if (part == 1) b.String("general.architecture", "qwen3");
  if (part == 1) b.Strings("tokenizer.ggml.tokens", {"a", "b"});
  b.Pair("split.no", 2, Bytes(static_cast<uint16_t>(part - 1)));
  b.Pair("split.count", 2, Bytes(count));
  b.Pair("split.tensors.count", 5, Bytes(total));
  for (const std::string& name : tensors) b.Tensor(name, {1}, 0, name + name + name + name);
  return b;
}

class GgufSplitTest : public ::testing::Test {
 protected:
  // m-00001-of-00003.gguf to m-00003-of-00003.gguf with the tensors a; b, c; d.
  void SetUp() override {
    Write(1, Part(1, 3, {"a"}, 4));
    Write(2, Part(2, 3, {"b", "c"}, 4));
    Write(3, Part(3, 3, {"d"}, 4));
  }
  std::string Path(int part) const {
    return dir_.File("m-0000" + std::to_string(part) + "-of-00003.gguf");
  }
  void Write(int part, const GgufBuilder& builder) {
    dir_.Write("m-0000" + std::to_string(part) + "-of-00003.gguf", builder.File());
  }
  // What opening says, whichever part is named.
  std::string OpenError(int named = 1) {
    const Result<Checkpoint> model = Checkpoint::Open(Path(named));
    return model.ok() ? "no error" : model.status().message();
  }

  testing::TempDir dir_;
};

TEST_F(GgufSplitTest, AnyPartOpensAll) {
  for (int named = 1; named <= 3; ++named) {
    Result<Checkpoint> opened = Checkpoint::Open(Path(named));
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    const Checkpoint model = *std::move(opened);
    EXPECT_EQ(model.file_count(), 3u);
    EXPECT_EQ(model.path(), Path(1));
    EXPECT_EQ(model.bytes(), 16u);
    std::string found;
    for (const Checkpoint::Tensor& tensor : model.tensors()) {
      found.append(reinterpret_cast<const char*>(tensor.data()), tensor.bytes());
    }
    EXPECT_EQ(found, "aaaabbbbccccdddd");
    EXPECT_EQ(model.Find("c")->file->path(), Path(2));

    const Result<GgufFile> file = GgufFile::Open(Path(named));
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(*file->GetString("general.architecture"), "qwen3");
    EXPECT_EQ(file->GetStrings("tokenizer.ggml.tokens")->value(),
              (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(file->Data(*file->Find("d")).data(),
              file->parts()[2].data() + file->Find("d")->begin);
  }
}

TEST_F(GgufSplitTest, FirstPartMayHoldMetadataAlone) {
  Write(1, Part(1, 3, {}, 3));
  Write(2, Part(2, 3, {"b", "c"}, 3));
  Write(3, Part(3, 3, {"d"}, 3));
  EXPECT_EQ(OpenError(2), "no error");
}

TEST_F(GgufSplitTest, MissingPartIsNamed) {
  std::filesystem::remove(Path(2));
  for (const int named : {1, 3}) {
    EXPECT_EQ(OpenError(named), Path(named) + ": part 2 of 3 is missing: " + Path(2));
  }
}

TEST_F(GgufSplitTest, PartUnderAnotherNameIsRefused) {
  std::filesystem::rename(Path(1), dir_.File("model.gguf"));
  EXPECT_EQ(Checkpoint::Open(dir_.File("model.gguf")).status().message(),
            dir_.File("model.gguf") +
                ": is one of 3 files (key 'split.count'), but not named as such "
                "(NAME-00001-of-00003.gguf): the others can't be found");
}

TEST_F(GgufSplitTest, PartsInTheWrongPlaceAreRefused) {
  Write(2, Part(3, 3, {"b", "c"}, 4));
  EXPECT_EQ(OpenError(), Path(2) + ": key 'split.no' is 2, not 1: the name says which part it is");
  Write(2, Part(2, 4, {"b", "c"}, 4));
  EXPECT_EQ(OpenError(),
            Path(2) + ": key 'split.count' is 4, not 3: the name says how many parts there are");
  GgufBuilder whole;
  whole.Tensor("b", {1}, 0, "bbbb");
  Write(2, whole);
  EXPECT_EQ(OpenError(), Path(2) +
                             ": key 'split.count' is missing: the name says how many parts "
                             "there are");
}

TEST_F(GgufSplitTest, PartOfAnotherModelIsRefused) {
  Write(2, Part(2, 3, {"b", "c"}, 5));
  EXPECT_EQ(OpenError(), Path(2) + ": key 'split.tensors.count' is 5, not 4: " + Path(1) +
                             " says so, is that another model?");
  GgufBuilder other = Part(2, 3, {"b", "c"}, 4);
  other.String("general.architecture", "llama");
  Write(2, other);
  EXPECT_EQ(OpenError(3), Path(2) +
                              ": is a part of another model: key 'general.architecture' differs "
                              "from that of " +
                              Path(1));
}

TEST_F(GgufSplitTest, TensorInTwoPartsIsRefused) {
  Write(3, Part(3, 3, {"b"}, 4));
  EXPECT_EQ(OpenError(), Path(3) + ": tensor 'b' is in " + Path(2) + ", too");
}

TEST_F(GgufSplitTest, PartsThatDoNotHoldAllTensorsAreRefused) {
  for (int part = 1; part <= 3; ++part) {
    Write(part,
          Part(static_cast<uint16_t>(part), 3, {std::string(1, static_cast<char>('a' + part))}, 4));
  }
  EXPECT_EQ(OpenError(2), Path(1) +
                              ": key 'split.tensors.count' is 4, not 3: so many tensors are "
                              "in the 3 parts");
}

TEST_F(GgufSplitTest, CountsThatAreNoCountsAreRefused) {
  GgufBuilder b;
  b.String("split.count", "3");
  Write(1, b);
  EXPECT_EQ(OpenError(), Path(1) + ": key 'split.count' must be an integer");
  b = GgufBuilder();
  b.Pair("split.count", 5, Bytes(int32_t{-3}));
  Write(1, b);
  EXPECT_EQ(OpenError(), Path(1) + ": key 'split.count' is -3");
}

TEST_F(GgufSplitTest, BrokenPartIsNamed) {
  dir_.Write("m-00003-of-00003.gguf", "GGUX");
  EXPECT_PRED2(testing::StartsWith, OpenError(), Path(3) + ": ");
}

TEST(GgufSplitNameTest, PartsAreToldByTheirNames) {
  const std::optional<GgufSplitName> name = ParseGgufSplitName("dir/m-00002-of-00012.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "dir/m");
  EXPECT_EQ(name->part, 2u);
  EXPECT_EQ(name->count, 12u);
  EXPECT_EQ(name->Path(12), "dir/m-00012-of-00012.gguf");
  for (const char* other :
       {"", "m.gguf", "-00001-of-00002.gguf", "m-0001-of-0002.gguf", "m-00003-of-00002.gguf",
        "m-00000-of-00002.gguf", "m-0000x-of-00002.gguf", "m-00001-of-00002.GGUF",
        "m_00001-of-00002.gguf", "m-00001_of-00002.gguf", "m-00001-of-00002.gguf.part"}) {
    EXPECT_FALSE(ParseGgufSplitName(other)) << other;
  }
}

}  // namespace
}  // namespace kakeya
