#include "base/build_id.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace kakeya {
namespace {

TEST(BuildIdTest, IsTheHashThatStandsInTheProgramsFile) {
  const std::string id = BuildId();
  ASSERT_EQ(id.size(), 40u) << id;  // SHA-1
  EXPECT_EQ(id, BuildId());
  std::string bytes;
  for (size_t i = 0; i < id.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(id.substr(i, 2), nullptr, 16));
  }
  std::ostringstream file;
  file << std::ifstream("/proc/self/exe", std::ios::binary).rdbuf();
  EXPECT_NE(file.str().find(bytes), std::string::npos);
}

}  // namespace
}  // namespace kakeya
