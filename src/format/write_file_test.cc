#include "format/write_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "format/test_files.h"

namespace kakeya {
namespace {

using Naming = AtomicFile::Naming;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::set<std::string> NamesIn(const testing::TempDir& dir) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

// Early and late names alike.
class AtomicFileTest : public ::testing::TestWithParam<Naming> {
 protected:
  Result<AtomicFile> Create(const std::string& path) {
    return AtomicFile::Create(path, GetParam());
  }
  Status Write(const std::string& path, const std::string& text) {
    KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, Create(path));
    KAKEYA_RETURN_IF_ERROR(file.Write(Bytes(text)));
    return file.Commit();
  }
  testing::TempDir dir_;
};
INSTANTIATE_TEST_SUITE_P(Naming, AtomicFileTest, ::testing::Values(Naming::kLate, Naming::kEarly));

TEST_P(AtomicFileTest, TargetAppearsWhole) {
  Result<AtomicFile> file = Create(dir_.File("f"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_TRUE(file->Write(Bytes("new text")).ok());
  EXPECT_FALSE(std::filesystem::exists(dir_.File("f")));
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(testing::ReadAll(dir_.File("f")), "new text");
  EXPECT_EQ(NamesIn(dir_), std::set<std::string>{"f"});
}

TEST_P(AtomicFileTest, AnOlderTargetIsReplacedAtOnce) {
  const std::string path = dir_.Write("f", "old");
  Result<AtomicFile> file = Create(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_TRUE(file->Write(Bytes("new text")).ok());
  EXPECT_EQ(testing::ReadAll(path), "old");
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(testing::ReadAll(path), "new text");
  EXPECT_EQ(NamesIn(dir_), std::set<std::string>{"f"});
}

TEST_P(AtomicFileTest, ATargetThatCameMeanwhileIsReplacedToo) {
  Result<AtomicFile> file = Create(dir_.File("f"));
  ASSERT_TRUE(file.ok());
  dir_.Write("f", "of another process");
  ASSERT_TRUE(file->Write(Bytes("new")).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(testing::ReadAll(dir_.File("f")), "new");
  EXPECT_EQ(NamesIn(dir_), std::set<std::string>{"f"});
}

TEST_P(AtomicFileTest, PermissionsAreThoseOfAnyNewFile) {
  ASSERT_TRUE(Write(dir_.File("f"), "text").ok());
  const mode_t mask = ::umask(0);
  ::umask(mask);
  struct stat info;
  ASSERT_EQ(::stat(dir_.File("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST_P(AtomicFileTest, AbandonedFileLeavesNoTrace) {
  dir_.Write("old", "old");
  for (const char* name : {"f", "old"}) {
    Result<AtomicFile> file = Create(dir_.File(name));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Write(Bytes("new")).ok());
  }
  EXPECT_EQ(NamesIn(dir_), std::set<std::string>{"old"});
}

TEST_P(AtomicFileTest, AFailedCommitLeavesNoTrace) {
  {
    Result<AtomicFile> file = Create(dir_.File("f"));
    ASSERT_TRUE(file.ok());
    std::filesystem::create_directory(dir_.File("f"));  // nothing replaces a folder
    EXPECT_PRED2(testing::StartsWith, file->Commit().message(),
                 dir_.File("f") + ": cannot rename: ");
  }
  EXPECT_EQ(NamesIn(dir_), std::set<std::string>{"f"});
}

TEST_P(AtomicFileTest, FullDiskIsAnErrorAndLeavesTheOldFile) {
  const std::string path = dir_.Write("f", "old");
  rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  auto* old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old_limit;
  limit.rlim_cur = 1 << 16;  // a file can't grow beyond this: write() fails half way
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const Status status = Write(path, std::string(1 << 20, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_PRED2(testing::StartsWith, status.message(), path + ": cannot write: ");
  EXPECT_EQ(testing::ReadAll(path), "old");
  EXPECT_EQ(dir_.FileCount(), 1u);
}

TEST_P(AtomicFileTest, DevicesFoldersAndMissingFoldersAreRefused) {
  EXPECT_EQ(Write("/dev/full", "x").message(), "/dev/full: exists and is not a regular file");
  EXPECT_FALSE(Write(dir_.path(), "x").ok());
  EXPECT_FALSE(Write(dir_.path() + "/", "x").ok());
  EXPECT_FALSE(Write("", "x").ok());
  EXPECT_PRED2(testing::Contains, Write(dir_.File("no/f"), "x").message(), "No such file");
  EXPECT_EQ(dir_.FileCount(), 0u);
}

TEST_P(AtomicFileTest, ANameThatIsTooLongIsRefusedBeforeAnythingIsWritten) {
  for (const size_t length : {230, 255, 300}) {  // the first leaves no room for a temporary name
    const std::string path = dir_.File(std::string(length, 'n'));
    EXPECT_EQ(Create(path).status().message(), path + ": cannot write: File name too long");
  }
  EXPECT_TRUE(Write(dir_.File(std::string(200, 'n')), "x").ok());
}

TEST_P(AtomicFileTest, EverySignalThatEndsTheProcessLeavesNoTrace) {
  dir_.Write("old", "old");
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGXCPU,
                           SIGSEGV, SIGBUS, SIGABRT, SIGRTMIN + 1}) {
    const auto die = [&] {
      for (int other = 1; other <= SIGRTMAX; ++other) ::signal(other, SIG_DFL);  // sanitizers'
      RemoveTemporariesOnSignals();
      Result<AtomicFile> file = Create(dir_.File("f"));
      Result<AtomicFile> old = Create(dir_.File("old"));
      if (file.ok() && file->Write(Bytes("half")).ok() && old.ok()) ::raise(number);
      ::_exit(1);
    };
    EXPECT_EXIT(die(), ::testing::KilledBySignal(number), "");
    EXPECT_EQ(NamesIn(dir_), std::set<std::string>{"old"}) << number;
  }
}

TEST(TemporaryNameTest, ASignalInTheInstantOfReplacingLeavesNoTrace) {
  testing::TempDir dir;
  const auto die = [&] {
    ::signal(SIGTERM, SIG_DFL);
    RemoveTemporariesOnSignals();
    const Result<TemporaryName> name =
        TemporaryName::Make(dir.File("f"), [&](const std::string& path) {
          std::ofstream(path) << "whole";
          return 0;
        });
    if (name.ok() && std::filesystem::exists(name->path())) ::raise(SIGTERM);
    ::_exit(1);
  };
  EXPECT_EXIT(die(), ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EQ(dir.FileCount(), 0u);
}

TEST(TemporaryNameTest, AnIgnoredSignalStaysIgnored) {
  const auto run = [] {
    ::signal(SIGHUP, SIG_IGN);  // as nohup does
    RemoveTemporariesOnSignals();
    ::raise(SIGHUP);
    ::_exit(7);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(7), "");
}

TEST(TemporaryNameTest, ATakenNameIsNotRemovedAndAnotherIsTried) {
  testing::TempDir dir;
  std::string first;
  const Result<TemporaryName> name =
      TemporaryName::Make(dir.File("f"), [&](const std::string& path) {
        std::ofstream(path) << "x";
        if (!first.empty()) return 0;
        first = path;
        return EEXIST;
      });
  ASSERT_TRUE(name.ok());
  EXPECT_NE(name->path(), first);
  EXPECT_EQ(dir.FileCount(), 2u);  // the first is another's
}

TEST(TemporaryNameTest, NextRunRemovesWhatKilledProcessesLeft) {
  testing::TempDir dir;
  const auto die = [&] {
    const Result<AtomicFile> file = AtomicFile::Create(dir.File("f"), Naming::kEarly);
    if (file.ok()) ::raise(SIGKILL);
    ::_exit(1);
  };
  EXPECT_EXIT(die(), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(dir.FileCount(), 1u);
  dir.Write("f.tmp-17-0", "left by a process of this number long ago");
  ASSERT_TRUE(WriteTextFile(dir.File("f"), "new").ok());
  EXPECT_EQ(NamesIn(dir), std::set<std::string>{"f"});
}

TEST(TemporaryNameTest, FilesOfLivingProcessesAndOtherNamesStay) {
  testing::TempDir dir;
  Result<AtomicFile> living = AtomicFile::Create(dir.File("f"), Naming::kEarly);
  ASSERT_TRUE(living.ok());
  for (const char* name : {"g.tmp-1-2", "f.tmp-1", "f.tmp-1-", "f.tmp-x-1", "f.tmp-1-2.txt"}) {
    dir.Write(name, "x");
  }
  std::filesystem::create_directory(dir.File("f.tmp-3-4"));
  std::filesystem::create_symlink(dir.File("g.tmp-1-2"), dir.File("f.tmp-5-6"));
  const std::set<std::string> before = NamesIn(dir);
  ASSERT_EQ(before.size(), 8u);
  RemoveStaleTemporaries(dir.File("f"));
  EXPECT_EQ(NamesIn(dir), before);
  ASSERT_TRUE(living->Write(Bytes("text")).ok());
  ASSERT_TRUE(living->Commit().ok());
  EXPECT_EQ(testing::ReadAll(dir.File("f")), "text");
}

}  // namespace
}  // namespace kakeya
