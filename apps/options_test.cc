#include "options.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>

namespace kakeya::cli {
namespace {

TEST(ParseBytesTest, UnitsArePowersOf1024InAnySpelling) {
  const std::map<std::string, uint64_t> sizes = {{"0", 0},
                                                 {"65536", 65536},
                                                 {"64KiB", 65536},
                                                 {"64k", 65536},
                                                 {"64 kB", 65536},
                                                 {"64Ki", 65536},
                                                 {"4MiB", 4 << 20},
                                                 {"4m", 4 << 20},
                                                 {"7 b", 7},
                                                 {"2G", 2ull << 30},
                                                 {"3TiB", 3ull << 40},
                                                 {"1PiB", 1ull << 50},
                                                 {"010", 10},
                                                 {"0008KiB", 8192},
                                                 {"000", 0},
                                                 {"4EiB", 1ull << 62},
                                                 {"4294967296k", 1ull << 42}};
  for (const auto& [text, bytes] : sizes) {
    const Result<uint64_t> parsed = ParseBytes(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status().message();
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytesTest, WhatIsNoNumberOfBytesIsRefusedAsItWasTyped) {
  for (const std::string text :
       {"", " ", "-5", "+5", "0x10", "1.5MiB", "MiB", "4XB", "4 M iB", "4M5", "1e3", "nan", "5EiB",
        "9999999TiB", "18446744073709551616", "99999999999999999999", "4611686018427387905"}) {
    const Result<uint64_t> parsed = ParseBytes(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().message(),
              "must be a number of bytes such as 65536, 64KiB or 4MiB: " + text);
  }
}

}  // namespace
}  // namespace kakeya::cli
