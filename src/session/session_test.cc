// The engine's invariants on whole models: tiny ones with random weights (tests/fixtures).
#include "session/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "decode/prefill.h"

namespace kakeya {
namespace {

constexpr const char* kModels[] = {"qwen3-window", "llama-rope3-window"};

std::unique_ptr<Engine> LoadEngine(const std::string& name, int threads = 2,
                                   Device device = Device::kCpu) {
  const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/" + name;
  Result<std::unique_ptr<Engine>> engine =
      Engine::Load(dir, {.threads = threads, .device = device});
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? *std::move(engine) : nullptr;
}

std::vector<int32_t> RandomIds(const Engine& engine, size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % engine.model().config.vocab_size);
  return ids;
}

KvPolicy Window(int64_t sink, int64_t window) {
  return {.kind = KvPolicy::Kind::kWindow, .sink = sink, .window = window};
}

// Logits after every position of ids, appended in pieces of the given sizes (the last one repeats).
std::vector<float> AllLogits(Engine* engine, const KvPolicy& policy, KvType type,
                             const std::vector<int32_t>& ids, const std::vector<int64_t>& pieces) {
  const ModelConfig& config = engine->model().config;
  Result<KvCache> cache = KvCache::Create(
      {config.num_layers, config.num_kv_heads, config.head_dim, type}, policy, &engine->budget());
  EXPECT_TRUE(cache.ok()) << cache.status().message();
  const int64_t total = static_cast<int64_t>(ids.size());
  Result<Workspace> workspace =
      Workspace::Create(config, total, /*restored=*/false, &engine->budget());
  EXPECT_TRUE(workspace.ok());
  std::vector<float> logits(total * config.vocab_size);
  for (int64_t done = 0, i = 0; done < total; ++i) {
    const int64_t wanted = pieces[std::min<size_t>(i, pieces.size() - 1)];
    const int64_t n = std::min(wanted, total - done);
    EXPECT_TRUE(cache->Stage(n).ok());
    EXPECT_TRUE(Forward(engine->context(), engine->model(), std::span(ids).subspan(done, n),
                        &*cache, nullptr, &*workspace)
                    .ok());
    cache->Commit(n);
    Logits(engine->context(), engine->model(), *workspace, 0, n,
           logits.data() + done * config.vocab_size);
    done += n;
  }
  return logits;
}

// Bits, not values: NaN would be equal to itself, 0 and -0 differ.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class InvarianceTest : public testing::TestWithParam<const char*> {};

TEST_P(InvarianceTest, LogitsDoNotDependOnHowTheTextWasCutUp) {
  const std::unique_ptr<Engine> engine = LoadEngine(GetParam());
  ASSERT_NE(engine, nullptr);
  const std::vector<int32_t> ids = RandomIds(*engine, 517, 1);
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64), Window(0, 1), Window(70, 130)}) {
    for (const KvType type : kKvTypes) {
      const std::vector<float> whole = AllLogits(engine.get(), policy, type, ids, {517});
      for (float logit : whole) ASSERT_TRUE(std::isfinite(logit));
      EXPECT_TRUE(SameBits(AllLogits(engine.get(), policy, type, ids, {1}), whole));
      EXPECT_TRUE(SameBits(AllLogits(engine.get(), policy, type, ids, {7}), whole));
      EXPECT_TRUE(SameBits(AllLogits(engine.get(), policy, type, ids, {64}), whole));
      EXPECT_TRUE(SameBits(AllLogits(engine.get(), policy, type, ids, {100, 1, 63, 200}), whole));
    }
  }
}

TEST_P(InvarianceTest, LogitsDoNotDependOnThreadsOrDevice) {
  const std::unique_ptr<Engine> engine = LoadEngine(GetParam(), 1);
  ASSERT_NE(engine, nullptr);
  const std::vector<int32_t> ids = RandomIds(*engine, 300, 2);
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    const std::vector<float> expected = AllLogits(engine.get(), policy, KvType::kBF16, ids, {128});
    for (int threads : {2, 3, 5}) {
      const std::unique_ptr<Engine> other = LoadEngine(GetParam(), threads);
      EXPECT_TRUE(SameBits(AllLogits(other.get(), policy, KvType::kBF16, ids, {128}), expected));
    }
    const std::unique_ptr<Engine> scalar = LoadEngine(GetParam(), 2, Device::kRef);
    EXPECT_TRUE(SameBits(AllLogits(scalar.get(), policy, KvType::kBF16, ids, {128}), expected));
  }
}

// The window's logits must differ from the full ones once something is evicted, and not before.
TEST_P(InvarianceTest, WindowEqualsFullUntilTheFirstChunkIsEvicted) {
  const std::unique_ptr<Engine> engine = LoadEngine(GetParam());
  ASSERT_NE(engine, nullptr);
  const std::vector<int32_t> ids = RandomIds(*engine, 200, 3);
  const std::vector<float> full = AllLogits(engine.get(), KvPolicy{}, KvType::kF32, ids, {64});
  const std::vector<float> window = AllLogits(engine.get(), Window(4, 64), KvType::kF32, ids, {64});
  const int64_t vocabulary = engine->model().config.vocab_size;
  const auto row = [&](const std::vector<float>& logits, int64_t i) {
    return std::vector(logits.begin() + i * vocabulary, logits.begin() + (i + 1) * vocabulary);
  };
  for (int64_t i = 0; i < 127; ++i) EXPECT_TRUE(SameBits(row(full, i), row(window, i))) << i;
  for (int64_t i = 127; i < 200; ++i) EXPECT_FALSE(SameBits(row(full, i), row(window, i))) << i;
}

INSTANTIATE_TEST_SUITE_P(Models, InvarianceTest, testing::ValuesIn(kModels));

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    engine_ = LoadEngine("qwen3-window");
    ASSERT_NE(engine_, nullptr);
  }
  Session NewSession(const KvPolicy& policy = {}) {
    return *Session::Create(engine_.get(), {.kv = policy});
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(SessionTest, AppendingBetweenGenerationsEqualsOneHistory) {
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    const std::vector<int32_t> first = RandomIds(*engine_, 90, 4);
    const std::vector<int32_t> second = RandomIds(*engine_, 70, 5);
    Session pieces = NewSession(policy);
    ASSERT_TRUE(pieces.Append(first).ok());
    const std::vector<int32_t> middle = pieces.Generate({.max_tokens = 20})->tokens;
    ASSERT_TRUE(pieces.Append(second).ok());
    const std::vector<int32_t> end = pieces.Generate({.max_tokens = 20})->tokens;

    Session whole = NewSession(policy);
    ASSERT_TRUE(whole.Append(first).ok());
    ASSERT_TRUE(whole.Append(middle).ok());
    ASSERT_TRUE(whole.Append(second).ok());
    EXPECT_EQ(whole.Generate({.max_tokens = 20})->tokens, end);
    EXPECT_EQ(whole.tokens(), pieces.tokens());
  }
}

TEST_F(SessionTest, SameSeedSameTokensAndOtherSeedOtherTokens) {
  const std::vector<int32_t> prompt = RandomIds(*engine_, 50, 6);
  const auto sample = [&](uint64_t seed) {
    Session session = NewSession();
    EXPECT_TRUE(session.Append(prompt).ok());
    return session.Generate({.max_tokens = 40, .sampling = {.temperature = 1, .seed = seed}})
        ->tokens;
  };
  EXPECT_EQ(sample(1), sample(1));
  EXPECT_NE(sample(1), sample(2));
}

TEST_F(SessionTest, WindowKeepsItsBytesWhileFullGrows) {
  const std::vector<int32_t> ids = RandomIds(*engine_, 250, 7);
  std::vector<size_t> window_bytes;
  std::vector<size_t> full_bytes;
  for (size_t n : {130u, 250u}) {
    for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
      Session session = NewSession(policy);
      ASSERT_TRUE(session.Append(std::span(ids).first(n)).ok());
      ASSERT_TRUE(session.Generate({.max_tokens = 2}).ok());
      auto& bytes = policy.kind == KvPolicy::Kind::kFull ? full_bytes : window_bytes;
      bytes.push_back(session.kv_usage().resident_bytes);
      EXPECT_GE(session.kv_usage().resident_bytes, session.cache().resident_bytes());
      EXPECT_GE(session.kv_usage().peak_bytes, session.kv_usage().resident_bytes);
    }
  }
  EXPECT_EQ(window_bytes[0], window_bytes[1]);
  EXPECT_LT(full_bytes[0], full_bytes[1]);
}

TEST_F(SessionTest, ContextLimitIsExact) {
  const int64_t limit = engine_->model().config.max_positions;
  for (int64_t n : {limit - 2, limit - 1}) {
    Session session = NewSession();
    ASSERT_TRUE(session.Append(RandomIds(*engine_, n, 8)).ok());
    const Result<Generation> generation = session.Generate({.max_tokens = 10});
    ASSERT_TRUE(generation.ok()) << generation.status().message();
    EXPECT_EQ(static_cast<int64_t>(generation->tokens.size()), limit - n);
    EXPECT_EQ(generation->stop, StopReason::kContext);
  }
  Session full = NewSession();
  ASSERT_TRUE(full.Append(RandomIds(*engine_, limit, 8)).ok());
  EXPECT_EQ(full.Generate({.max_tokens = 1}).status().code(), StatusCode::kInvalidArgument);
  Session window = NewSession(Window(4, 64));  // a bounded cache has no such limit
  ASSERT_TRUE(window.Append(RandomIds(*engine_, limit + 50, 8)).ok());
  EXPECT_TRUE(window.Generate({.max_tokens = 5}).ok());
}

TEST_F(SessionTest, InterruptKeepsWhatWasSaid) {
  Session session = NewSession();
  ASSERT_TRUE(session.Append(RandomIds(*engine_, 30, 9)).ok());
  int asked = 0;
  const auto generation =
      session.Generate({.max_tokens = 50, .interrupted = [&] { return ++asked > 8; }});
  ASSERT_TRUE(generation.ok());
  EXPECT_EQ(generation->stop, StopReason::kInterrupted);
  EXPECT_FALSE(generation->tokens.empty());
  EXPECT_LT(generation->tokens.size(), 50u);
  EXPECT_EQ(session.tokens().size(), 30 + generation->tokens.size());
}

TEST_F(SessionTest, SessionsCountTheirOwnBytesWithinTheEnginesLimit) {
  Session first = NewSession(Window(4, 64));
  Session second = NewSession(Window(4, 128));
  EXPECT_EQ(first.kv_usage().resident_bytes, first.cache().resident_bytes());
  EXPECT_EQ(second.kv_usage().resident_bytes, second.cache().resident_bytes());
  EXPECT_EQ(engine_->budget().used(MemoryTag::kKv),
            first.cache().resident_bytes() + second.cache().resident_bytes());

  const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/qwen3-window";
  const auto small = Engine::Load(dir, {.memory_limit = size_t{1} << 20});
  ASSERT_TRUE(small.ok()) << small.status().message();
  EXPECT_TRUE(Session::Create(small->get(), {.kv = Window(4, 64)}).ok());
  EXPECT_EQ(Session::Create(small->get(), {.kv = Window(4, 100000)}).status().code(),
            StatusCode::kResourceExhausted);
}

TEST_F(SessionTest, BadInputIsRefusedAndChangesNothing) {
  Session session = NewSession();
  EXPECT_FALSE(session.Generate({}).ok());  // empty
  const std::vector<int32_t> beyond = {1, 2, engine_->model().config.vocab_size};
  EXPECT_FALSE(session.Append(beyond).ok());
  const std::vector<int32_t> negative = {-1};
  EXPECT_FALSE(session.Append(negative).ok());
  EXPECT_TRUE(session.tokens().empty());
  const std::vector<int32_t> good = {1, 2, 3};
  ASSERT_TRUE(session.Append(good).ok());
  EXPECT_FALSE(session.Generate({.max_tokens = -1}).ok());
  EXPECT_FALSE(session.Generate({.sampling = {.temperature = -1}}).ok());
  EXPECT_EQ(session.tokens(), good);
  EXPECT_FALSE(Session::Create(engine_.get(), {.kv = Window(65, 64)}).ok());
  EXPECT_FALSE(Session::Create(engine_.get(), {.prefill_block = 0}).ok());
}

TEST(RestoreBufferTest, StopsGrowingWithTheChunksThatAQueryMayChoose) {
  const KvShape shape{.layers = 3, .kv_heads = 2, .head_dim = 16, .type = KvType::kBF16};
  const auto bytes = [&](int64_t chunks) { return RestoreBufferBytes({.chunks = chunks}, shape); };
  EXPECT_EQ(bytes(16), 2 * bytes(8));
  EXPECT_EQ(bytes(kAllChunks), bytes(8));
  EXPECT_EQ(bytes(int64_t{1} << 20), bytes(RestoreOptions::kMaxBufferedChunks));
  EXPECT_EQ(RestoreBufferBytes({.chunks = 8, .buffer_bytes = 77}, shape), 77u);
}

}  // namespace
}  // namespace kakeya
