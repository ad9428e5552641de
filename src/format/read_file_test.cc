#include "format/read_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "format/test_files.h"
#include "format/utf8.h"

namespace kakeya {
namespace {

constexpr size_t kMax = 1000;

TEST(Utf8Test, EveryCodePointIsValidAndSurrogatesAreNot) {
  for (uint32_t c = 0; c <= 0x110000; ++c) {
    std::string text;
    if (c < 0x80) {
      text = {static_cast<char>(c)};
    } else if (c < 0x800) {
      text = {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      text = {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
              static_cast<char>(0x80 | (c & 63))};
    } else {
      text = {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
              static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    }
    const bool valid = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
    ASSERT_EQ(FindInvalidUtf8("ab" + text), valid ? text.size() + 2 : 2) << c;
  }
}

TEST(Utf8Test, OverlongAndCutFormsAreFoundWhereTheyStart) {
  EXPECT_EQ(FindInvalidUtf8("x\xc0\x80"), 1u);
  EXPECT_EQ(FindInvalidUtf8("\xe0\x9f\xbf"), 0u);
  EXPECT_EQ(FindInvalidUtf8("\xf0\x8f\xbf\xbf"), 0u);
  EXPECT_EQ(FindInvalidUtf8("\xe2\x82\xac\xe2\x82"), 3u);
  EXPECT_EQ(FindInvalidUtf8("\x80"), 0u);
  EXPECT_EQ(FindInvalidUtf8("\xf5\x80\x80\x80"), 0u);
}

TEST(ReadFileTest, BytesComeBackAsTheyAre) {
  testing::TempDir dir;
  const std::string bytes("a\0\xff\n", 4);
  EXPECT_EQ(*ReadFileBytes(dir.Write("f", bytes), kMax), bytes);
  EXPECT_EQ(*ReadFileBytes(dir.Write("empty", ""), kMax), "");
}

TEST(ReadFileTest, LimitIsExact) {
  testing::TempDir dir;
  const std::string path = dir.Write("f", "12345");
  EXPECT_EQ(*ReadFileBytes(path, 5), "12345");
  EXPECT_EQ(ReadFileBytes(path, 4).status().code(), StatusCode::kResourceExhausted);
}

TEST(ReadFileTest, DirectoryFifoAndDeviceAreRefusedWithoutHanging) {
  testing::TempDir dir;
  const std::string fifo = dir.File("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ReadFileBytes(fifo, kMax).status().message(), fifo + ": not a regular file");
  EXPECT_PRED2(testing::Contains, ReadFileBytes(dir.path(), kMax).status().message(),
               "is a directory");
  EXPECT_PRED2(testing::Contains, ReadFileBytes("/dev/zero", kMax).status().message(),
               "not a regular file");
}

TEST(ReadFileTest, MissingAndImpossibleNamesAreErrors) {
  testing::TempDir dir;
  EXPECT_EQ(ReadFileBytes(dir.File("none"), kMax).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadFileBytes(dir.Write("f", "") + "/x", kMax).status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(ReadFileBytes("", kMax).ok());
  EXPECT_FALSE(ReadFileBytes(std::string("/dev/null\0x", 11), kMax).ok());
}

TEST(ReadTextFileTest, InvalidUtf8IsRefusedWithItsOffset) {
  testing::TempDir dir;
  EXPECT_EQ(*ReadTextFile(dir.Write("good", "a\u20ac"), kMax), "a\u20ac");
  const std::string bad = dir.Write("bad", "abc\xff");
  EXPECT_EQ(ReadTextFile(bad, kMax).status().message(), bad + ": not valid UTF-8 at byte 3");
}

TEST(ReadTextFileTest, DashReadsStandardInputToItsEnd) {
  testing::TempDir dir;
  const std::string text(3'000'000, 'x');
  const std::string path = dir.Write("in", text);
  const int saved = ::dup(STDIN_FILENO);
  const auto with_stdin = [&](size_t max) {
    const int in = ::open(path.c_str(), O_RDONLY);
    ::dup2(in, STDIN_FILENO);
    ::close(in);
    return ReadTextFile("-", max);
  };
  EXPECT_EQ(*with_stdin(text.size()), text);
  EXPECT_PRED2(testing::Contains, with_stdin(text.size() - 1).status().message(),
               "standard input: more than the limit");
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
}

}  // namespace
}  // namespace kakeya
