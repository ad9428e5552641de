// Files for tests: a folder that goes away, and safetensors built byte by byte.
#ifndef KAKEYA_FORMAT_TEST_FILES_H_
#define KAKEYA_FORMAT_TEST_FILES_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace kakeya::testing {

// A fresh folder, removed with all it holds.
class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "/kakeya-XXXXXX";
    const char* made = ::mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Writes the bytes and returns the file's path.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(File(name), std::ios::binary) << bytes;
    return File(name);
  }
  size_t FileCount() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::string path_;
};

// For EXPECT_PRED2, which prints both when they fail.
inline bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
inline bool StartsWith(const std::string& text, const std::string& start) {
  return text.starts_with(start);
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string LittleEndian64(uint64_t value) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

// The bytes of a safetensors file with this header text and data.
inline std::string RawSafetensors(const std::string& header, const std::string& data) {
  return LittleEndian64(header.size()) + header + data;
}

}  // namespace kakeya::testing

#endif  // KAKEYA_FORMAT_TEST_FILES_H_
