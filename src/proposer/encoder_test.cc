#include "proposer/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "backend/restore/quantize.h"
#include "proposer/reference_proposer.h"

namespace kakeya {
namespace {

using test::HistoryBytes;
using test::RandomIds;
using test::ReferenceProposer;
using test::Row;
using test::Rows;
using test::TinyModels;

// Values that the whole numbers stand for are those wanted, up to half a step and float's own
// error.
void ExpectQuantised(const Row& wanted, const int8_t* q, float scale, int limit) {
  double most = 0;
  for (const double value : wanted) most = std::max(most, std::fabs(value));
  EXPECT_NEAR(scale, most / limit, 1e-5 * most);
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(q[i] * double{scale}, wanted[i], 0.502 * scale + 1e-5 * most);
  }
}

RestorerConfig LocalConfig() { return test::TinyRestorerConfig(TinyModels::Shape()); }
RestorerConfig RecurrentConfig() { return test::RecurrentConfig(TinyModels::Shape()); }

class EncoderTest : public testing::TestWithParam<bool> {
 protected:
  static bool recurrent() { return GetParam(); }
  // Of so few different ones, if recurrence matters, that all kinds of it occur.
  static std::vector<int32_t> Ids(int64_t n, uint32_t seed) {
    return RandomIds(n, seed, recurrent() ? 7 : 97);
  }
  TinyModels models_{recurrent() ? RecurrentConfig() : LocalConfig()};
};
INSTANTIATE_TEST_SUITE_P(, EncoderTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) {
                           return info.param ? "Recurrent" : "Local";
                         });

TEST_P(EncoderTest, CodesAndSummariesAreThoseOfTheFormulas) {
  const RestorerConfig& config = models_.restorer.config;
  const std::vector<int32_t> ids = Ids(3 * kChunk, 1);
  const auto restorer = models_.Learned();
  ASSERT_TRUE(restorer->Extend({}, ids).ok());
  const ReferenceProposer reference(models_.verifier, models_.restorer);
  const Rows states = reference.States(ids);
  for (int64_t chunk = 0; chunk < 3; ++chunk) {
    const ChunkRecord record = restorer->history().At(chunk);
    for (int t = 0; t < kChunk; ++t) {
      ExpectQuantised(test::Times(models_.restorer.code, states[chunk * kChunk + t]),
                      record.codes + t * config.code_dim, record.code_scales[t], kInt8Limit);
    }
    const Rows summaries = reference.Summaries(states, chunk * kChunk);
    for (int s = 0; s < config.summary.segments; ++s) {
      ExpectQuantised(summaries[s], test::SummaryOf(record, config, s).data(),
                      record.summary_scales[s], kInt4Limit);
    }
  }
}

// Bytes kept of the ids, told in pieces of this size.
std::vector<uint8_t> KeptBytes(TinyModels* models, const OpContext& context,
                               const std::vector<int32_t>& ids, size_t piece) {
  const auto restorer = models->Learned();
  for (size_t done = 0; done < ids.size(); done += piece) {
    const size_t n = std::min(piece, ids.size() - done);
    EXPECT_TRUE(restorer->Extend(context, {ids.data() + done, n}).ok());
  }
  EXPECT_EQ(restorer->size(), static_cast<int64_t>(ids.size()));
  return HistoryBytes(restorer->history(), models->restorer.config);
}

TEST_P(EncoderTest, NeitherCutsNorThreadsNorDevicesShow) {
  const std::vector<int32_t> ids = Ids(11 * kChunk + 17, 2);
  const std::vector<uint8_t> want = KeptBytes(&models_, {}, ids, ids.size());
  for (const size_t piece : {1, 7, 64, 65, 100}) {
    EXPECT_EQ(KeptBytes(&models_, {}, ids, piece), want) << "in pieces of " << piece;
  }
  EXPECT_EQ(KeptBytes(&models_, {.device = Device::kRef}, ids, 512), want);
  for (ThreadPool* pool : test::AllPools()) {
    EXPECT_EQ(KeptBytes(&models_, {.pool = pool}, ids, ids.size()), want);
    EXPECT_EQ(KeptBytes(&models_, {.pool = pool}, ids, kChunk), want);
  }
}

TEST_P(EncoderTest, EveryInstructionSetGivesTheSameBits) {
  const std::vector<int32_t> ids = Ids(3 * kChunk, 3);
  const std::vector<uint8_t> want = KeptBytes(&models_, {.device = Device::kRef}, ids, 64);
  test::ForEachTarget([&](const char* target) {
    EXPECT_EQ(KeptBytes(&models_, {}, ids, ids.size()), want) << target;
  });
}

// Chunks whose codes or summaries differ.
std::vector<int64_t> Differing(const History& a, const History& b, const RestorerConfig& config) {
  std::vector<int64_t> out;
  for (int64_t chunk = 0; chunk < a.chunks(); ++chunk) {
    const ChunkRecord x = a.At(chunk);
    const ChunkRecord y = b.At(chunk);
    const bool same =
        std::equal(x.codes, x.codes + kChunk * config.code_dim, y.codes) &&
        std::equal(x.code_scales, x.code_scales + kChunk, y.code_scales) &&
        std::equal(x.summaries, x.summaries + config.summary.segments * config.summary.dim / 2,
                   y.summaries);
    if (!same) out.push_back(chunk);
  }
  return out;
}

TEST(LocalEncoderTest, AnIdReachesItsOwnChunkAndTheNextLayersOnes) {
  TinyModels models;
  const RestorerConfig& config = models.restorer.config;
  ASSERT_EQ(config.proposer.layers, 2);
  const std::vector<int32_t> ids = RandomIds(10 * kChunk, 4);
  const auto before = models.Learned();
  ASSERT_TRUE(before->Extend({}, ids).ok());
  for (const int64_t position : {int64_t{0}, int64_t{4 * kChunk}, int64_t{5 * kChunk - 1}}) {
    std::vector<int32_t> changed = ids;
    changed[position] = (changed[position] + 1) % 97;
    const auto after = models.Learned();
    ASSERT_TRUE(after->Extend({}, changed).ok());
    const int64_t chunk = position / kChunk;
    EXPECT_EQ(Differing(before->history(), after->history(), config),
              (std::vector<int64_t>{chunk, chunk + 1, chunk + 2}));
  }
}

TEST(RecurrentEncoderTest, AnIdReachesWhateverRepeatsItAndNothingBefore) {
  TinyModels models(RecurrentConfig());
  // A token that stands in the chunks 2 and 8 alone, and what follows it there.
  std::vector<int32_t> ids = RandomIds(10 * kChunk, 4, 7);
  const size_t first = 2 * kChunk + 20;
  ids[first] = ids[8 * kChunk + 30] = 96;
  const auto before = models.Learned();
  ASSERT_TRUE(before->Extend({}, ids).ok());
  for (const size_t position : {first, first + 1}) {
    std::vector<int32_t> changed = ids;
    changed[position] = 95;
    const auto after = models.Learned();
    ASSERT_TRUE(after->Extend({}, changed).ok());
    const std::vector<int64_t> differing =
        Differing(before->history(), after->history(), models.restorer.config);
    ASSERT_FALSE(differing.empty());
    EXPECT_EQ(differing.front(), 2);
    EXPECT_EQ(std::count(differing.begin(), differing.end(), 8), 1);
  }
}

}  // namespace
}  // namespace kakeya
