#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops.h"
#include "backend/ops_test_util.h"

namespace kakeya {
namespace {

using test::AllPools;
using test::BitEqual;
using test::ForEachTarget;
using test::RandomFloats;

struct Shape {
  int heads;
  int kv_heads;
  int head_dim;
  KvType type;
};

// K/V of a whole context in pages, made by StoreKv. Slots never written hold NaN.
class Context {
 public:
  Context(const Shape& shape, int64_t length, std::mt19937* rng) : shape_(shape), length_(length) {
    const int64_t width = int64_t{shape.kv_heads} * shape.head_dim;
    k_ = RandomFloats(length * width, rng);
    v_ = RandomFloats(length * width, rng);
    const size_t page_bytes = KvPageBytes(shape.type, shape.kv_heads, shape.head_dim);
    for (int64_t begin = 0; begin < length; begin += kChunk) {
      storage_.emplace_back(page_bytes, std::byte{0xff});  // NaN in every type, or its scales
      const int rows = static_cast<int>(std::min<int64_t>(kChunk, length - begin));
      const KvRows in{k_.data() + begin * width, v_.data() + begin * width, rows, shape.kv_heads,
                      shape.head_dim};
      StoreKv({Device::kRef, nullptr}, in, shape.type, storage_.back().data(), 0);
    }
  }

  int64_t length() const { return length_; }
  // Pages that hold anything of [0, sink) or [begin, length).
  std::vector<KvPage> Pages(int64_t sink, int64_t begin) const {
    std::vector<KvPage> pages;
    for (size_t i = 0; i < storage_.size(); ++i) {
      const int64_t first = static_cast<int64_t>(i) * kChunk;
      if (first < sink || first + kChunk > begin) {
        pages.push_back({first, const_cast<std::byte*>(storage_[i].data())});
      }
    }
    return pages;
  }
  // The stored (rounded) key or value.
  double Key(int64_t position, int kv_head, int d) const {
    return LoadKey(shape_.type, Head(position, kv_head), shape_.head_dim, position % kChunk, d);
  }
  double Value(int64_t position, int kv_head, int d) const {
    return LoadValue(shape_.type, Head(position, kv_head), shape_.head_dim, position % kChunk, d);
  }
  const Shape& shape() const { return shape_; }

 private:
  const void* Head(int64_t position, int kv_head) const {
    return storage_[static_cast<size_t>(position / kChunk)].data() +
           kv_head * KvHeadBytes(shape_.type, shape_.head_dim);
  }

  Shape shape_;
  int64_t length_;
  std::vector<float> k_;
  std::vector<float> v_;
  std::vector<std::vector<std::byte>> storage_;
};

// Queries over a context, and what each sees of it.
struct Case {
  std::vector<float> q;
  std::vector<RowView> views;

  int rows() const { return static_cast<int>(views.size()); }
};

// Causal rows from position `first` on, as a cache with sinks and a window of whole chunks has
// them; window 0 means full.
Case MakeCase(const Shape& shape, int64_t first, int rows, int64_t sink, int64_t window,
              std::mt19937* rng) {
  Case out;
  out.q = RandomFloats(int64_t{rows} * shape.heads * shape.head_dim, rng);
  for (int r = 0; r < rows; ++r) {
    const int64_t begin = window == 0 ? 0 : std::max<int64_t>(0, first + r - window + 1);
    out.views.push_back({sink, begin / kChunk * kChunk, first + r + 1});
  }
  return out;
}

// Rows that see anything that RowView allows of the first `length` positions: sliding windows that
// begin within chunks, sinks before windows of whole chunks, ends far behind the row.
Case RandomCase(const Shape& shape, int64_t length, int rows, std::mt19937* rng) {
  const auto below = [rng](int64_t n) { return static_cast<int64_t>((*rng)() % n); };
  Case out;
  out.q = RandomFloats(int64_t{rows} * shape.heads * shape.head_dim, rng);
  int64_t begin = below(length);
  for (int r = 0; r < rows; ++r) {
    // Most rows follow their neighbour as a sliding window does, some stand somewhere else.
    begin = below(4) == 0 ? below(length) : std::min(begin + 1, length - 1);
    RowView view{.begin = begin};
    if (below(3) == 0) {
      view.begin = begin / kChunk * kChunk;
      view.sink = below(std::min<int64_t>(length, 3 * kChunk));
    }
    const int64_t most =
        below(2) == 0 ? length - view.begin : std::min<int64_t>(100, length - view.begin);
    view.end = view.begin + 1 + below(most);
    out.views.push_back(view);
  }
  return out;
}

bool Sees(const RowView& view, int64_t position) {
  return position < view.end && (position < view.sink || position >= view.begin);
}

// Whether split attention gets its scratch.
enum class Scratch { kNone, kEnough };

// The rows [row, row + rows) over `pages`.
std::vector<float> AttendPages(const OpContext& context, const Shape& shape,
                               std::span<const KvPage> pages, const Case& c, int row, int rows,
                               Scratch scratch = Scratch::kEnough) {
  const int64_t width = int64_t{shape.heads} * shape.head_dim;
  std::vector<float> out(static_cast<size_t>(rows * width));
  const int64_t floats = AttentionScratchFloats(shape.heads, shape.kv_heads, shape.head_dim);
  std::vector<float> space(scratch == Scratch::kEnough ? static_cast<size_t>(floats) : 0, NAN);
  Attention(context, {.q = c.q.data() + row * width,
                      .out = out.data(),
                      .rows = rows,
                      .heads = shape.heads,
                      .kv_heads = shape.kv_heads,
                      .head_dim = shape.head_dim,
                      .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
                      .kv_type = shape.type,
                      .pages = pages,
                      .views = std::span(c.views).subspan(row, rows),
                      .scratch = space});
  return out;
}

// Over the pages that any of the rows sees.
std::vector<float> Attend(const OpContext& context, const Context& kv, const Case& c, int row,
                          int rows, Scratch scratch = Scratch::kEnough) {
  int64_t sink = 0;
  int64_t begin = kv.length();
  for (const RowView& view : std::span(c.views).subspan(row, rows)) {
    sink = std::max(sink, view.sink);
    begin = std::min(begin, view.begin);
  }
  const std::vector<KvPage> pages = kv.Pages(sink, begin);
  return AttendPages(context, kv.shape(), pages, c, row, rows, scratch);
}

const Shape kShapes[] = {
    {2, 2, 16, KvType::kF32},     {4, 2, 64, KvType::kBF16},     {3, 1, 24, KvType::kF16},
    {4, 1, 128, KvType::kBF16},   {1, 1, 8, KvType::kBF16},      {3, 1, 80, KvType::kF16},
    {1, 1, 256, KvType::kF32},    {4, 2, 64, KvType::kAffine8},  {2, 1, 128, KvType::kAffine4},
    {3, 1, 24, KvType::kAffine4}, {1, 1, 80, KvType::kAffine8},  {7, 1, 80, KvType::kAffine4},
    {2, 2, 8, KvType::kAffine4},  {5, 1, 256, KvType::kAffine4},
};

// Heads as large as they come, in every storage.
std::vector<Shape> LargeHeads() {
  std::vector<Shape> shapes;
  for (const KvType type : kKvTypes) {
    shapes.push_back({3, 1, 320, type});
    shapes.push_back({2, 1, 512, type});
  }
  return shapes;
}

std::vector<Shape> AllShapes() {
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  for (const Shape& shape : LargeHeads()) shapes.push_back(shape);
  return shapes;
}

// Every row of `c` against a softmax in double precision.
void ExpectNaiveSoftmax(const Context& kv, const Case& c) {
  const Shape& shape = kv.shape();
  const std::vector<float> out = Attend({Device::kRef, nullptr}, kv, c, 0, c.rows());
  for (int i = 0; i < c.rows() * shape.heads; ++i) {
    const RowView& view = c.views[i / shape.heads];
    const int kv_head = i % shape.heads / (shape.heads / shape.kv_heads);
    const float* q = c.q.data() + int64_t{i} * shape.head_dim;
    std::vector<double> sums(shape.head_dim, 0);
    double total = 0;
    for (int64_t p = 0; p < kv.length(); ++p) {
      if (!Sees(view, p)) continue;
      double score = 0;
      for (int d = 0; d < shape.head_dim; ++d) score += q[d] * kv.Key(p, kv_head, d);
      const double weight = std::exp(score / std::sqrt(double(shape.head_dim)));
      total += weight;
      for (int d = 0; d < shape.head_dim; ++d) sums[d] += weight * kv.Value(p, kv_head, d);
    }
    for (int d = 0; d < shape.head_dim; ++d) {
      ASSERT_NEAR(sums[d] / total, out[i * shape.head_dim + d], 4e-6)
          << "[0, " << view.sink << ") [" << view.begin << ", " << view.end << ")";
    }
  }
}

TEST(Attention, ReferenceAgreesWithANaiveSoftmax) {
  std::mt19937 rng(1);
  for (const Shape& shape : AllShapes()) {
    const Context kv(shape, 700, &rng);
    for (const auto& [sink, window] : {std::pair{0, 0}, {4, 100}, {70, 64}}) {
      ExpectNaiveSoftmax(kv, MakeCase(shape, 690, 3, sink, window, &rng));
    }
    ExpectNaiveSoftmax(kv, RandomCase(shape, 700, 6, &rng));
  }
}

// Full, windowed and sink + window visibility, decode and prefill, partial last pages whose other
// slots are NaN.
TEST(Attention, EqualsReferenceOnEveryTargetAndThreadCount) {
  std::mt19937 rng(2);
  const std::pair<int64_t, int> spans[] = {{0, 1}, {0, 30}, {63, 1}, {64, 2}, {130, 5}, {511, 3}};
  const std::pair<int, int> rules[] = {{0, 0}, {0, 64}, {4, 64}, {70, 200}};
  int turn = 0;
  for (const Shape& shape : AllShapes()) {
    ++turn;
    const Context kv(shape, 520, &rng);
    for (const auto& span : spans) {
      // Over the shapes every rule meets every span, without the full product.
      for (int i = 0; i < 2; ++i) {
        const int sink = rules[turn % 4].first;
        const int window = rules[turn++ % 4].second;
        const Case c = MakeCase(shape, span.first, span.second, sink, window, &rng);
        const std::vector<float> expected = Attend({Device::kRef, nullptr}, kv, c, 0, c.rows());
        for (const float value : expected) ASSERT_FALSE(std::isnan(value));
        ForEachTarget([&](const char* target) {
          for (ThreadPool* pool : {AllPools()[0], AllPools()[1], AllPools()[3]}) {
            const std::vector<float> out = Attend({Device::kCpu, pool}, kv, c, 0, c.rows());
            ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size()))
                << target << " first " << span.first << " rows " << span.second << " window "
                << window << " sink " << sink << " head_dim " << shape.head_dim;
          }
        });
      }
    }
  }
}

// More groups than one wave of split attention holds; tasks of one group and of several.
TEST(Attention, LongDecodeEqualsReference) {
  std::mt19937 rng(3);
  for (const Shape& shape : {Shape{2, 1, 16, KvType::kBF16}, {4, 4, 8, KvType::kAffine4}}) {
    const Context kv(shape, 9000, &rng);
    const Case c = MakeCase(shape, 8990, 2, 4, 0, &rng);
    const std::vector<float> expected = Attend({Device::kRef, nullptr}, kv, c, 0, 2);
    ForEachTarget([&](const char* target) {
      for (ThreadPool* pool : AllPools()) {
        for (const Scratch scratch : {Scratch::kEnough, Scratch::kNone}) {
          const std::vector<float> out = Attend({Device::kCpu, pool}, kv, c, 0, 2, scratch);
          ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << target;
        }
      }
    });
  }
}

// Slots that nobody sees hold NaN, also before a row's first one. The rows are many and few, so
// that both cuts into tasks meet every kind of view.
TEST(Attention, AnyViewsEqualReferenceOnEveryTarget) {
  std::mt19937 rng(8);
  for (const Shape& shape : AllShapes()) {
    const int64_t length = shape.head_dim > 256 ? 600 : 900;
    for (const int rows : {1, 3, 40}) {
      if (rows == 40 && shape.head_dim > 256 && shape.type != KvType::kBF16) continue;
      const Context kv(shape, length, &rng);
      const Case c = RandomCase(shape, length, rows, &rng);
      const std::vector<float> expected = Attend({Device::kRef, nullptr}, kv, c, 0, rows);
      for (const float value : expected) ASSERT_FALSE(std::isnan(value));
      ForEachTarget([&](const char* target) {
        for (ThreadPool* pool : {AllPools()[0], AllPools()[3]}) {
          const std::vector<float> out = Attend({Device::kCpu, pool}, kv, c, 0, rows);
          ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size()))
              << target << " rows " << rows << " head_dim " << shape.head_dim << " "
              << NameOf(shape.type);
        }
      });
    }
  }
}

// A chunk in which every slot that a row doesn't see is NaN, on both sides of what it sees.
TEST(Attention, NaNOnBothSidesOfAViewNeverReachesIt) {
  std::mt19937 rng(9);
  for (const KvType type : kKvTypes) {
    const Shape shape{2, 1, 80, type};
    const std::vector<float> k = RandomFloats(kChunk * shape.head_dim, &rng);
    const std::vector<float> v = RandomFloats(kChunk * shape.head_dim, &rng);
    for (const auto& slots : {std::pair{0, 64}, {1, 64}, {15, 17}, {16, 33}, {63, 64}}) {
      const int first = slots.first;
      const int end = slots.second;
      std::vector<std::byte> page(KvPageBytes(type, 1, shape.head_dim), std::byte{0xff});
      const KvRows in{k.data() + first * shape.head_dim, v.data() + first * shape.head_dim,
                      end - first, 1, shape.head_dim};
      StoreKv({Device::kRef, nullptr}, in, type, page.data(), first);
      const KvPage pages[] = {{kChunk, page.data()}};
      const Case c{.q = RandomFloats(2 * shape.heads * shape.head_dim, &rng),
                   .views = {2, {.begin = kChunk + first, .end = kChunk + end}}};
      const std::vector<float> expected =
          AttendPages({Device::kRef, nullptr}, shape, pages, c, 0, 2);
      for (const float value : expected) ASSERT_FALSE(std::isnan(value)) << first;
      ForEachTarget([&](const char* target) {
        const std::vector<float> out = AttendPages({Device::kCpu, nullptr}, shape, pages, c, 0, 2);
        ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << target << " " << first;
      });
    }
  }
}

// No scratch is needed for as many KV heads as make tiles enough, and otherwise it doesn't depend
// on the rows.
TEST(Attention, ScratchIsForFewKvHeads) {
  EXPECT_EQ(AttentionScratchFloats(64, 16, 128), 0);
  EXPECT_GT(AttentionScratchFloats(16, 8, 128), 0);
  EXPECT_GT(AttentionScratchFloats(24, 1, 512), AttentionScratchFloats(24, 1, 256));
}

TEST(Attention, ARowDoesNotDependOnItsNeighbours) {
  std::mt19937 rng(4);
  const Shape shape{4, 2, 16, KvType::kBF16};
  const Context kv(shape, 570, &rng);
  const int64_t width = int64_t{shape.heads} * shape.head_dim;
  for (const Case& c :
       {MakeCase(shape, 470, 100, 0, 0, &rng), MakeCase(shape, 470, 100, 4, 64, &rng),
        RandomCase(shape, 570, 100, &rng)}) {
    ForEachTarget([&](const char* target) {
      const OpContext context{Device::kCpu, AllPools()[1]};
      const std::vector<float> whole = Attend(context, kv, c, 0, c.rows());
      for (int row = 0; row < c.rows();) {
        const int count = std::min<int>(c.rows() - row, 1 + static_cast<int>(rng() % 40));
        const std::vector<float> piece = Attend(context, kv, c, row, count);
        ASSERT_TRUE(BitEqual(whole.data() + row * width, piece.data(), piece.size()))
            << target << " rows " << row << " + " << count;
        row += count;
      }
    });
  }
}

// A window that still reaches back to position 0 is the full rule.
TEST(Attention, WindowThatEvictsNothingEqualsFull) {
  std::mt19937 rng(5);
  const Shape shape{4, 2, 64, KvType::kF16};
  const Context kv(shape, 400, &rng);
  Case full = MakeCase(shape, 350, 50, 0, 0, &rng);
  Case window = full;
  for (RowView& view : window.views) view.sink = 4;
  const std::vector<float> a = Attend({Device::kCpu, nullptr}, kv, full, 0, 50);
  const std::vector<float> b = Attend({Device::kCpu, nullptr}, kv, window, 0, 50);
  EXPECT_TRUE(BitEqual(a.data(), b.data(), a.size()));
}

// What lies between sinks and window decides nothing, whether its pages are passed or not.
TEST(Attention, UnseenPagesDecideNothing) {
  std::mt19937 rng(6);
  const Shape shape{4, 2, 64, KvType::kBF16};
  const Context kv(shape, 2000, &rng);
  const Case c = MakeCase(shape, 1990, 1, 4, 64, &rng);
  const std::vector<float> few = Attend({Device::kCpu, nullptr}, kv, c, 0, 1);
  const std::vector<KvPage> all = kv.Pages(2000, 0);
  const std::vector<float> out = AttendPages({Device::kCpu, AllPools()[1]}, shape, all, c, 0, 1);
  EXPECT_TRUE(BitEqual(few.data(), out.data(), out.size()));
}

TEST(StoreKv, EqualsReferenceAndLeavesOtherSlotsAlone) {
  std::mt19937 rng(7);
  for (const Shape& shape : AllShapes()) {
    const int64_t width = int64_t{shape.kv_heads} * shape.head_dim;
    std::vector<float> k = RandomFloats(kChunk * width, &rng);
    std::vector<float> v = RandomFloats(kChunk * width, &rng);
    k[0] = NAN;
    k[1] = INFINITY;
    v[0] = 1e-7f;  // subnormal in F16
    v[1] = 1e30f;
    const size_t bytes = KvPageBytes(shape.type, shape.kv_heads, shape.head_dim);
    for (const auto& range : {std::pair{0, 64}, {0, 1}, {63, 1}, {17, 30}}) {
      const int first = range.first;
      const int rows = range.second;
      std::vector<std::byte> expected(bytes, std::byte{0x5a});
      const KvRows in{k.data(), v.data(), rows, shape.kv_heads, shape.head_dim};
      StoreKv({Device::kRef, nullptr}, in, shape.type, expected.data(), first);
      for (int64_t slot = 0; slot < kChunk; ++slot) {
        const bool written = slot >= first && slot < first + rows;
        const std::vector<std::byte> untouched(bytes, std::byte{0x5a});
        const auto at = static_cast<int>(slot);
        EXPECT_EQ(!written, LoadKey(shape.type, expected.data(), shape.head_dim, at, 2) ==
                                LoadKey(shape.type, untouched.data(), shape.head_dim, at, 2));
        EXPECT_EQ(!written, LoadValue(shape.type, expected.data(), shape.head_dim, at, 2) ==
                                LoadValue(shape.type, untouched.data(), shape.head_dim, at, 2));
      }
      ForEachTarget([&](const char* target) {
        for (ThreadPool* pool : AllPools()) {
          std::vector<std::byte> page(bytes, std::byte{0x5a});
          StoreKv({Device::kCpu, pool}, in, shape.type, page.data(), first);
          ASSERT_EQ(0, std::memcmp(expected.data(), page.data(), bytes)) << target;
        }
      });
    }
  }
}

}  // namespace
}  // namespace kakeya
