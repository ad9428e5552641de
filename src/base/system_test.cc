#include "base/system.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

TEST(SystemTest, NamesTheMachineInOneLine) {
  const std::string name = MachineName();
  EXPECT_EQ(name, MachineName());
  EXPECT_EQ(name.find('\n'), std::string::npos) << name;
  EXPECT_NE(name.find(", " + std::to_string(AvailableCores()) + " core"), std::string::npos)
      << name;
}

}  // namespace
}  // namespace kakeya
