#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "backend/ops.h"
#include "backend/ops_test_util.h"

namespace kakeya {
namespace {

using test::AllPools;
using test::BitEqual;
using test::ForEachTarget;
using test::RandomFloats;

constexpr int kChunks = 9;

struct Shape {
  int heads;
  int kv_heads;
  int head_dim;
  KvType type;
};
const Shape kShapes[] = {{4, 2, 64, KvType::kBF16},     {3, 1, 24, KvType::kF16},
                         {2, 2, 16, KvType::kF32},      {4, 2, 64, KvType::kAffine8},
                         {2, 1, 128, KvType::kAffine4}, {3, 1, 24, KvType::kAffine4},
                         {2, 1, 512, KvType::kBF16},    {1, 1, 320, KvType::kAffine8}};

std::vector<std::byte> RandomPage(const Shape& shape, int kv_heads, std::mt19937* rng) {
  std::vector<std::byte> page(KvPageBytes(shape.type, kv_heads, shape.head_dim));
  const int64_t n = int64_t{kChunk} * kv_heads * shape.head_dim;
  const std::vector<float> k = RandomFloats(n, rng);
  const std::vector<float> v = RandomFloats(n, rng);
  StoreKv({Device::kRef, nullptr}, {k.data(), v.data(), kChunk, kv_heads, shape.head_dim},
          shape.type, page.data(), 0);
  return page;
}

// Random pages of every KV head and chunk, queries, and who visits what.
struct Case {
  Shape shape;
  int rows;
  std::vector<RowView> views = {};  // (rows)
  std::vector<float> q = {};
  std::vector<float> q_far = {};
  std::vector<std::vector<std::byte>> pages = {};  // of (kv_head, chunk)
  std::vector<std::vector<PageVisit>> visits = {};

  size_t PageIndex(int kv_head, int64_t chunk) const { return kv_head * kChunks + chunk; }
  VisitArgs Args(int row, int count) const {
    const int64_t offset = int64_t{row} * shape.heads * shape.head_dim;
    return {.q = q.data() + offset,
            .q_far = q_far.data() + offset,
            .rows = count,
            .heads = shape.heads,
            .kv_heads = shape.kv_heads,
            .head_dim = shape.head_dim,
            .scale = 0.3f,
            .kv_type = shape.type,
            .views = std::span(views).subspan(row, count)};
  }
};

Case MakeCase(const Shape& shape, int rows, std::mt19937* rng) {
  Case c{.shape = shape, .rows = rows};
  const int64_t first = std::min<int64_t>(kChunk * (kChunks - 1) + 5, kChunk * kChunks - rows);
  for (int row = 0; row < rows; ++row) {
    // The last two chunks are exact: from a chunk's begin on, and somewhere within.
    const bool sliding = row % 3 == 2;
    const int64_t begin = int64_t{kChunk} * (kChunks - 2) + (sliding ? (*rng)() % 70 : 0);
    const int64_t end = std::max(first + row + 1, begin + 1);
    c.views.push_back({.sink = sliding ? 0 : 4, .begin = begin, .end = end});
  }
  const int64_t n = int64_t{rows} * shape.heads * shape.head_dim;
  c.q = RandomFloats(n, rng);
  c.q_far = RandomFloats(n, rng);
  c.visits.resize(shape.kv_heads);
  const uint64_t all = rows == 64 ? ~uint64_t{0} : (uint64_t{1} << rows) - 1;
  for (int head = 0; head < shape.kv_heads; ++head) {
    for (int64_t chunk = 0; chunk < kChunks; ++chunk) {
      c.pages.push_back(RandomPage(shape, 1, rng));
    }
    // Chunk 0 as sinks for some rows, whole and far for others; then random subsets; the windows
    // last.
    const auto visit = [&](int64_t chunk, uint64_t visitors, VisitPart part, bool far) {
      c.visits[head].push_back({.first_position = chunk * kChunk,
                                .data = c.pages[c.PageIndex(head, chunk)].data(),
                                .rows = visitors & all,
                                .part = part,
                                .far = far});
    };
    const uint64_t mask = ((*rng)() << 8) ^ (uint64_t{(*rng)()} << 32) ^ (*rng)();
    visit(0, mask, VisitPart::kSinks, false);
    visit(0, ~mask, VisitPart::kUpToEnd, true);
    for (int64_t chunk = 1; chunk + 2 < kChunks; ++chunk) {
      const uint64_t some = (uint64_t{(*rng)()} << 32) ^ (*rng)();
      visit(chunk, some, VisitPart::kUpToEnd, false);
      if (chunk % 2 == 0) visit(chunk, ~some, VisitPart::kUpToEnd, true);
    }
    visit(kChunks - 2, all, VisitPart::kWindow, false);
    visit(kChunks - 1, all, VisitPart::kWindow, false);
  }
  return c;
}

// Rows [row, row + count) in rounds of at most `round` visits per KV head.
std::vector<float> Attend(const OpContext& context, const Case& c, int row, int count,
                          size_t round) {
  const VisitArgs args = c.Args(row, count);
  std::vector<float> state(count * c.shape.heads * AttentionStateFloats(c.shape.head_dim), NAN);
  std::vector<float> out(int64_t{count} * c.shape.heads * c.shape.head_dim);
  BeginVisits(args, state.data());
  for (size_t done = 0; done < c.visits[0].size(); done += round) {
    std::vector<std::vector<PageVisit>> part(c.visits.size());
    for (size_t head = 0; head < part.size(); ++head) {
      for (size_t i = done; i < std::min(done + round, c.visits[head].size()); ++i) {
        part[head].push_back(c.visits[head][i]);
        part[head].back().rows >>= row;
      }
    }
    AttendVisits(context, args, part, state.data());
  }
  FinishVisits(context, args, state.data(), out.data());
  return out;
}

// Whoever visits everything attends as with all pages at once, whatever the rounds.
TEST(Visits, VisitingEveryChunkGivesTheBitsOfAttention) {
  std::mt19937 rng(7);
  constexpr int kRows = 6;
  constexpr int kManyChunks = 2 * kChunksPerGroup + 3;
  for (const Shape& shape : kShapes) {
    const size_t head_bytes = KvHeadBytes(shape.type, shape.head_dim);
    std::vector<std::vector<std::byte>> stored;
    std::vector<KvPage> pages;
    std::vector<std::vector<PageVisit>> visits(shape.kv_heads);
    for (int64_t chunk = 0; chunk < kManyChunks; ++chunk) {
      stored.push_back(RandomPage(shape, shape.kv_heads, &rng));
      pages.push_back({chunk * kChunk, stored.back().data()});
      for (int head = 0; head < shape.kv_heads; ++head) {
        visits[head].push_back({.first_position = chunk * kChunk,
                                .data = stored.back().data() + head * head_bytes,
                                .rows = (uint64_t{1} << kRows) - 1,
                                .part = VisitPart::kWindow});
      }
    }
    const int64_t n = int64_t{kRows} * shape.heads * shape.head_dim;
    const std::vector<float> q = RandomFloats(n, &rng);
    // Causal rows, one that slides, and one that sees what follows it.
    std::vector<RowView> views;
    for (int row = 0; row < kRows; ++row) {
      views.push_back({.end = int64_t{kManyChunks} * kChunk - kRows + row + 1});
    }
    views[1].begin = 9 * kChunk + 37;
    views[2].end = int64_t{kManyChunks} * kChunk;
    for (const Device device : {Device::kRef, Device::kCpu}) {
      const OpContext context{device, nullptr};
      std::vector<float> expected(n);
      Attention(context, {.q = q.data(),
                          .out = expected.data(),
                          .rows = kRows,
                          .heads = shape.heads,
                          .kv_heads = shape.kv_heads,
                          .head_dim = shape.head_dim,
                          .scale = 0.3f,
                          .kv_type = shape.type,
                          .pages = pages,
                          .views = views});
      const VisitArgs args{.q = q.data(),
                           .rows = kRows,
                           .heads = shape.heads,
                           .kv_heads = shape.kv_heads,
                           .head_dim = shape.head_dim,
                           .scale = 0.3f,
                           .kv_type = shape.type,
                           .views = views};
      for (const size_t round : {size_t{1}, size_t{5}, size_t{8}, size_t{100}}) {
        std::vector<float> state(int64_t{kRows} * shape.heads *
                                 AttentionStateFloats(shape.head_dim));
        std::vector<float> out(n);
        BeginVisits(args, state.data());
        for (size_t done = 0; done < visits[0].size(); done += round) {
          std::vector<std::vector<PageVisit>> part(shape.kv_heads);
          for (int head = 0; head < shape.kv_heads; ++head) {
            const size_t end = std::min(done + round, visits[head].size());
            part[head].assign(visits[head].begin() + done, visits[head].begin() + end);
          }
          AttendVisits(context, args, part, state.data());
        }
        FinishVisits(context, args, state.data(), out.data());
        EXPECT_TRUE(BitEqual(out.data(), expected.data(), n)) << "rounds of " << round;
      }
    }
  }
}

// What F32 may err by here. q and k are normal, so a dot product of i terms has the size sqrt(i),
// and rounding it errs by u * sqrt(i / 3) (u: 2^-24), or a little less; all roundings of one score,
// by u * d / sqrt(6), times the scale of 0.3. The largest of the 50,000 scores of a case is 4 such
// deviations off: u * d / 2. What comes out moves by that times how far the values lie from their
// mean, 1 to 2. So u * d, and a third more for other random numbers.
double Tolerance(int head_dim) { return 8e-8 * head_dim; }

TEST(Visits, ReferenceAgreesWithANaiveSoftmax) {
  std::mt19937 rng(1);
  for (const Shape& shape : kShapes) {
    const Case c = MakeCase(shape, 40, &rng);
    const std::vector<float> out = Attend({Device::kRef, nullptr}, c, 0, c.rows, 100);
    for (int query = 0; query < c.rows * shape.heads; ++query) {
      const int row = query / shape.heads;
      const int kv_head = query % shape.heads / (shape.heads / shape.kv_heads);
      std::vector<double> sums(shape.head_dim, 0);
      double total = 0;
      for (const PageVisit& visit : c.visits[kv_head]) {
        if ((visit.rows >> row & 1) == 0) continue;
        const void* const page =
            c.pages[c.PageIndex(kv_head, visit.first_position / kChunk)].data();
        const float* q = (visit.far ? c.q_far : c.q).data() + int64_t{query} * shape.head_dim;
        for (int slot = 0; slot < kChunk; ++slot) {
          const int64_t position = visit.first_position + slot;
          const RowView& view = c.views[row];
          if (position >= (visit.part == VisitPart::kSinks ? view.sink : view.end)) continue;
          if (visit.part == VisitPart::kWindow && position < view.begin) continue;
          double score = 0;
          for (int d = 0; d < shape.head_dim; ++d) {
            score += q[d] * LoadKey(shape.type, page, shape.head_dim, slot, d);
          }
          const double weight = std::exp(score * 0.3);
          total += weight;
          for (int d = 0; d < shape.head_dim; ++d) {
            sums[d] += weight * LoadValue(shape.type, page, shape.head_dim, slot, d);
          }
        }
      }
      for (int d = 0; d < shape.head_dim; ++d) {
        ASSERT_NEAR(sums[d] / total, out[query * shape.head_dim + d], Tolerance(shape.head_dim));
      }
    }
  }
}

TEST(Visits, EqualsReferenceOnEveryTargetThreadCountRoundAndCutOfRows) {
  std::mt19937 rng(2);
  for (const Shape& shape : kShapes) {
    for (const int rows : {1, 7, 64}) {
      const Case c = MakeCase(shape, rows, &rng);
      const std::vector<float> expected = Attend({Device::kRef, nullptr}, c, 0, rows, 100);
      const int64_t width = int64_t{shape.heads} * shape.head_dim;
      ForEachTarget([&](const char* target) {
        for (ThreadPool* pool : {AllPools()[0], AllPools()[1], AllPools()[3]}) {
          for (const size_t round : {1, 3, 100}) {
            const std::vector<float> out = Attend({Device::kCpu, pool}, c, 0, rows, round);
            ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << target;
          }
        }
        for (int row = 0; row < rows; row += 5) {
          const int count = std::min(5, rows - row);
          const std::vector<float> out = Attend({Device::kCpu, nullptr}, c, row, count, 2);
          ASSERT_TRUE(BitEqual(expected.data() + row * width, out.data(), out.size())) << target;
        }
      });
    }
  }
}

}  // namespace
}  // namespace kakeya
