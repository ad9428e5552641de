#include "format/model_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "format/test_files.h"

namespace kakeya {
namespace {

class ModelPathTest : public ::testing::Test {
 protected:
  std::string Resolved(const std::string& path) {
    const Result<std::string> resolved = ResolveModelPath(path);
    return resolved.ok() ? *resolved : resolved.status().message();
  }
  testing::TempDir dir_;
};

TEST_F(ModelPathTest, FileOfAFolderMeansTheFolder) {
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
        "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"}) {
    EXPECT_EQ(Resolved(dir_.Write(name, "x")), dir_.path()) << name;
  }
  EXPECT_EQ(Resolved(dir_.path()), dir_.path());
  EXPECT_EQ(Resolved(dir_.path() + "/"), dir_.path() + "/");
  const std::string before = std::filesystem::current_path().string();
  std::filesystem::current_path(dir_.path());
  EXPECT_EQ(Resolved("config.json"), ".");
  std::filesystem::current_path(before);
}

TEST_F(ModelPathTest, OtherFilesAreTakenForGgufFiles) {
  for (const char* name : {"m.gguf", "sha256-abc", "notes.json"}) {
    const std::string path = dir_.Write(name, "x");
    EXPECT_EQ(Resolved(path), path);
    EXPECT_TRUE(IsGgufPath(path));
  }
  EXPECT_FALSE(IsGgufPath(dir_.path()));
}

TEST_F(ModelPathTest, FolderOfOneGgufFileMeansTheFile) {
  EXPECT_EQ(Resolved(dir_.path()), dir_.path());  // what is missing is said later
  dir_.Write("mmproj-m-f16.gguf", "x");
  dir_.Write("README.md", "x");
  EXPECT_EQ(Resolved(dir_.path()), dir_.path());
  const std::string file = dir_.Write("m-q8.gguf", "x");
  EXPECT_EQ(Resolved(dir_.path()), file);
  dir_.Write("config.json", "{}");
  EXPECT_EQ(Resolved(dir_.path()), dir_.path());
}

TEST_F(ModelPathTest, PartsOfAGgufFileAreOneModel) {
  const std::string second = dir_.Write("m-00002-of-00003.gguf", "x");
  dir_.Write("m-00003-of-00003.gguf", "x");
  EXPECT_EQ(Resolved(dir_.path()), second);  // that the first is missing is said on opening
  const std::string first = dir_.Write("m-00001-of-00003.gguf", "x");
  EXPECT_EQ(Resolved(dir_.path()), first);
}

TEST_F(ModelPathTest, FolderOfSeveralGgufFilesAsksForOne) {
  dir_.Write("m-q4.gguf", "x");
  dir_.Write("m-q8.gguf", "x");
  EXPECT_EQ(Resolved(dir_.path()),
            dir_.path() +
                ": holds no config.json, but 2 models in GGUF files: name one of them (m-q4.gguf, "
                "m-q8.gguf)");
  dir_.Write("z-00001-of-00002.gguf", "x");
  EXPECT_PRED2(testing::Contains, Resolved(dir_.path()),
               "3 models in GGUF files: name one of them (m-q4.gguf, m-q8.gguf, ...)");
}

TEST_F(ModelPathTest, NothingIsNoModel) {
  EXPECT_EQ(Resolved(dir_.File("none")),
            dir_.File("none") + ": is not a model folder, nor a GGUF file");
  EXPECT_EQ(Resolved(""), "'': is not a model folder, nor a GGUF file");
}

}  // namespace
}  // namespace kakeya
