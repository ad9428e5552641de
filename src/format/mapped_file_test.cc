#include "format/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "format/test_files.h"

namespace kakeya {
namespace {

constexpr size_t kBig = size_t{1} << 20;

size_t CountByte(std::span<const std::byte> bytes, char wanted) {
  size_t count = 0;
  for (std::byte b : bytes) count += b == static_cast<std::byte>(wanted);
  return count;
}

TEST(MappedFileTest, BytesAreTheFiles) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", "hello"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->data()), file->size()), "hello");
  EXPECT_EQ(file->path(), dir.File("f"));
  EXPECT_TRUE(file->CheckIntact().ok());
}

TEST(MappedFileTest, EmptyFileDirectoryAndFifoAreRefusedWithoutHanging) {
  testing::TempDir dir;
  const std::string fifo = dir.File("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_PRED2(testing::Contains, MappedFile::Open(dir.Write("e", "")).status().message(),
               "is empty");
  EXPECT_PRED2(testing::Contains, MappedFile::Open(dir.path()).status().message(),
               "is a directory");
  EXPECT_PRED2(testing::Contains, MappedFile::Open(fifo).status().message(), "not a regular file");
  EXPECT_EQ(MappedFile::Open(dir.File("none")).status().code(), StatusCode::kNotFound);
}

TEST(MappedFileTest, AdviceOnAnyRangeLeavesTheBytes) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(kBig + 5, 'x')));
  ASSERT_TRUE(file.ok());
  for (size_t begin : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, kBig + 5}) {
    for (size_t length : {size_t{0}, size_t{1}, size_t{5000}, file->size() - begin}) {
      if (begin + length > file->size()) continue;
      file->WillNeed(begin, length);
      file->DontNeed(begin, length);
    }
  }
  EXPECT_EQ(CountByte(file->bytes(), 'x'), kBig + 5);
}

TEST(MappedFileTest, DontNeedTakesPagesOutOfMemory) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(kBig, 'x')));
  ASSERT_TRUE(file.ok());
  // Resident pages of files, from the kernel's own count.
  const auto resident = [] {
    std::ifstream statm("/proc/self/statm");
    size_t total = 0, all = 0, shared = 0;
    statm >> total >> all >> shared;
    return shared * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  };
  ASSERT_EQ(CountByte(file->bytes(), 'x'), kBig);
  const size_t before = resident();
  file->DontNeed(0, kBig);
  EXPECT_LT(resident() + kBig / 2, before);
}

TEST(MappedFileTest, TruncationWhileMappedReadsZerosAndIsReported) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(kBig, 'x')));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(file->path().c_str(), 8192), 0);
  EXPECT_EQ(CountByte(file->bytes(), 'x'), 8192u);
  EXPECT_EQ(CountByte(file->bytes(), '\0'), kBig - 8192);
  const Status status = file->CheckIntact();
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_EQ(status.message(),
            file->path() + ": truncated to 8192 bytes while it was read, had 1048576");
}

TEST(MappedFileTest, FaultsInWorkerThreadsAreCaught) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(kBig, 'x')));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(file->path().c_str(), 0), 0);
  auto pool = ThreadPool::Create(4);
  ASSERT_TRUE(pool.ok());
  std::atomic<size_t> zeros{0};
  (*pool)->ParallelFor(256, [&](int64_t task) {
    zeros += CountByte(file->bytes().subspan(static_cast<size_t>(task) * 4096, 4096), '\0');
  });
  EXPECT_EQ(zeros, kBig);
  EXPECT_FALSE(file->CheckIntact().ok());
}

// Within the last page the kernel reads zeros without any signal: only the size tells.
TEST(MappedFileTest, TruncationInsideAPageIsReported) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(100, 'x')));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(file->path().c_str(), 50), 0);
  EXPECT_EQ(CountByte(file->bytes(), 'x'), 50u);
  EXPECT_PRED2(testing::Contains, file->CheckIntact().message(), "truncated to 50 bytes");
}

TEST(MappedFileTest, FileThatGrowsBackAfterAFaultIsStillReported) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(kBig, 'x')));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(file->path().c_str(), 0), 0);
  ASSERT_EQ(CountByte(file->bytes(), 'x'), 0u);
  ASSERT_EQ(::truncate(file->path().c_str(), kBig), 0);
  EXPECT_PRED2(testing::Contains, file->CheckIntact().message(), "a read failed");
}

TEST(MappedFileTest, WriteWhileMappedIsReported) {
  testing::TempDir dir;
  const Result<MappedFile> file = MappedFile::Open(dir.Write("f", std::string(100, 'x')));
  ASSERT_TRUE(file.ok());
  const timespec old_times[2] = {{1, 0}, {1, 0}};  // a clock tick may be as long as this test
  ASSERT_EQ(::utimensat(AT_FDCWD, file->path().c_str(), old_times, 0), 0);
  EXPECT_PRED2(testing::Contains, file->CheckIntact().message(), "was written to");
}

TEST(MappedFileTest, ClosedMappingsMakeRoomForNewOnes) {
  testing::TempDir dir;
  const std::string path = dir.Write("f", std::string(kBig, 'x'));
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(MappedFile::Open(path).ok()) << i;
}

TEST(MappedFileTest, MoveKeepsTheMappingGuarded) {
  testing::TempDir dir;
  Result<MappedFile> opened = MappedFile::Open(dir.Write("f", std::string(kBig, 'x')));
  ASSERT_TRUE(opened.ok());
  const MappedFile file = *std::move(opened);
  ASSERT_EQ(::truncate(file.path().c_str(), 0), 0);
  EXPECT_EQ(CountByte(file.bytes(), '\0'), kBig);
  EXPECT_FALSE(file.CheckIntact().ok());
}

// A bus error that isn't ours must still kill: hiding it would be worse.
TEST(MappedFileDeathTest, ForeignBusErrorsStillKill) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  testing::TempDir dir;
  const std::string path = dir.Write("f", std::string(kBig, 'x'));
  ASSERT_TRUE(MappedFile::Open(path).ok());
  EXPECT_DEATH(
      {
        std::FILE* file = std::fopen(path.c_str(), "r+");
        void* foreign = ::mmap(nullptr, kBig, PROT_READ, MAP_PRIVATE, ::fileno(file), 0);
        if (::truncate(path.c_str(), 0) == 0) {
          std::fprintf(stderr, "%d", *static_cast<volatile char*>(foreign));
        }
      },
      "");
  EXPECT_DEATH(::raise(SIGBUS), "");
}

}  // namespace
}  // namespace kakeya
