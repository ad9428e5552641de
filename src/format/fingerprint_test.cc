#include "format/fingerprint.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <string>

#include "format/test_files.h"

namespace kakeya {
namespace {

using testing::LittleEndian64;
using testing::RawSafetensors;

// Tensors b: BF16 [2, 1] "BBBB" and a: F32 [1] "AAAA", in this order.
std::string TwoTensors(const std::string& data = "BBBBAAAA", const std::string& shape = "[2,1]") {
  return RawSafetensors(R"({"b":{"dtype":"BF16","shape":)" + shape +
                            R"(,"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],)" +
                            R"("data_offsets":[4,8]}})",
                        data);
}

std::string FingerprintOf(const testing::TempDir& dir) {
  const Result<Checkpoint> checkpoint = Checkpoint::Open(dir.path());
  if (!checkpoint.ok()) return checkpoint.status().message();
  const Result<std::string> fingerprint = Fingerprint(*checkpoint);
  return fingerprint.ok() ? *fingerprint : fingerprint.status().message();
}

std::string FingerprintOf(const std::string& bytes) {
  const testing::TempDir dir;
  dir.Write("model.safetensors", bytes);
  return FingerprintOf(dir);
}

TEST(FingerprintTest, IsTheHashOfTheGrammarInItsHeader) {
  const std::string text = std::string("a\0F32\0", 6) + LittleEndian64(1) + "AAAA" +
                           std::string("b\0BF16\0", 7) + LittleEndian64(2) + LittleEndian64(1) +
                           "BBBB";
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  EXPECT_EQ(FingerprintOf(TwoTensors()), fmt::format("{:016x}{:016x}", hash.high64, hash.low64));
}

// XXH3-128 of nothing, seed 0, as the reference implementation's test vectors give it.
TEST(FingerprintTest, OfNoTensorsIsTheHashOfNothing) {
  EXPECT_EQ(FingerprintOf(RawSafetensors("{}", "")), "99aa06d3014798d86001c324468d497f");
}

TEST(FingerprintTest, EveryPartOfATensorShows) {
  const std::string same = FingerprintOf(TwoTensors());
  EXPECT_EQ(same.size(), 32u);
  EXPECT_NE(FingerprintOf(TwoTensors("BBBBAAAB")), same);
  EXPECT_NE(FingerprintOf(TwoTensors("BBBBAAAA", "[1,2]")), same);
  std::string renamed = TwoTensors();
  renamed[renamed.find("\"b\"") + 1] = 'c';
  EXPECT_NE(FingerprintOf(renamed), same);
}

TEST(FingerprintTest, HowTensorsAreSpreadOverFilesDoesNotShow) {
  const testing::TempDir dir;
  const auto one = [](const std::string& name, const std::string& about) {
    return RawSafetensors("{\"" + name + "\":{" + about + R"(,"data_offsets":[0,4]}})",
                          name == "a" ? "AAAA" : "BBBB");
  };
  dir.Write("1.safetensors", one("a", R"("dtype":"F32","shape":[1])"));
  dir.Write("2.safetensors", one("b", R"("dtype":"BF16","shape":[2,1])"));
  dir.Write("model.safetensors.index.json",
            R"({"weight_map":{"b":"2.safetensors","a":"1.safetensors"}})");
  EXPECT_EQ(FingerprintOf(dir), FingerprintOf(TwoTensors()));
}

TEST(FingerprintTest, OfATextIsItsHash) {
  EXPECT_EQ(FingerprintOfText(""), "99aa06d3014798d86001c324468d497f");  // XXH3-128's own vector
  EXPECT_NE(FingerprintOfText("a"), FingerprintOfText("b"));
  EXPECT_NE(FingerprintOfText("a"), FingerprintOfText(std::string_view("a\0", 2)));
}

}  // namespace
}  // namespace kakeya
