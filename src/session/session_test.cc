// The engine's invariants on whole models: tiny ones with random weights (tests/fixtures).
#include "session/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "decode/prefill.h"
#include "format/test_files.h"
#include "session/scheduler.h"
#include "session/timeline_of.h"

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
  Timeline timeline =
      NewTimeline(*engine, {.kv = policy, .kv_type = type}, &engine->budget()).value();
  const Model& model = engine->model();
  std::vector<float> logits(ids.size() * static_cast<size_t>(model.config.vocab_size));
  const auto keep = [&](const float* hidden, int64_t first, int64_t rows) {
    Logits(engine->context(), model, hidden, rows, logits.data() + first * model.config.vocab_size);
    return OkStatus();
  };
  size_t done = 0;
  for (size_t i = 0; done < ids.size(); ++i) {
    const auto piece = static_cast<size_t>(pieces[std::min(i, pieces.size() - 1)]);
    done = std::min(done + piece, ids.size());
    EXPECT_TRUE(ReadBlocks(engine->context(), model, std::span(ids).first(done),
                           {.block = static_cast<int64_t>(piece), .after_block = keep},
                           &engine->budget(), &timeline)
                    .ok());
  }
  return logits;
}

// Bits, not values: NaN would be equal to itself, 0 and -0 differ.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class InvarianceTest : public ::testing::TestWithParam<const char*> {};

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

INSTANTIATE_TEST_SUITE_P(Models, InvarianceTest, ::testing::ValuesIn(kModels));

class SessionTest : public ::testing::Test {
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
      EXPECT_GE(session.kv_usage().resident_bytes, TimelineOf(&session).cache.resident_bytes());
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

// After a generation that read all and decided nothing, after an end-of-text token, and after the
// last token of a longer answer: what follows is what one uninterrupted call gives.
TEST_F(SessionTest, GeneratingWithNothingNewToReadGoesOnWhereItWas) {
  const std::vector<int32_t> prompt = RandomIds(*engine_, 150, 21);
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    for (const double temperature : {0.0, 1.0}) {
      const SamplingParams sampling{.temperature = temperature, .seed = 3};
      Session whole = NewSession(policy);
      ASSERT_TRUE(whole.Append(prompt).ok());
      const GenerateOptions all{.max_tokens = 30, .sampling = sampling, .ignore_eos = true};
      const std::vector<int32_t> expected = whole.Generate(all)->tokens;

      Session session = NewSession(policy);
      ASSERT_TRUE(session.Append(prompt).ok());
      std::vector<int32_t> tokens;
      for (const int64_t n : {0, 0, 1, 0, 7, 22}) {
        const Result<Generation> piece =
            session.Generate({.max_tokens = n, .sampling = sampling, .ignore_eos = true});
        ASSERT_TRUE(piece.ok()) << piece.status().message();
        EXPECT_EQ(static_cast<int64_t>(piece->tokens.size()), n);
        tokens.insert(tokens.end(), piece->tokens.begin(), piece->tokens.end());
      }
      EXPECT_EQ(tokens, expected);
    }
  }
}

TEST_F(SessionTest, GeneratingAgainBehindTheEndOfTextEndsAgain) {
  // The fixture with an end-of-text token, which it has not.
  testing::TempDir dir;
  const std::filesystem::path fixture =
      std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/qwen3-window";
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(fixture / name, dir.File(name));
  }
  dir.Write("generation_config.json", R"({"eos_token_id": 7})");
  const Result<std::unique_ptr<Engine>> with_eos = Engine::Load(dir.path(), {});
  ASSERT_TRUE(with_eos.ok()) << with_eos.status().message();
  const std::vector<int32_t> prompt = RandomIds(*engine_, 90, 22);
  int ended = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Session session = Session::Create(with_eos->get(), {}).value();
    ASSERT_TRUE(session.Append(prompt).ok());
    const GenerateOptions options{.max_tokens = 300, .sampling = {.temperature = 2, .seed = seed}};
    const Result<Generation> first = session.Generate(options);
    ASSERT_TRUE(first.ok());
    if (first->stop != StopReason::kEos) continue;  // by chance it didn't end
    ++ended;
    const std::vector<int32_t> history = session.tokens();
    const Result<Generation> second = session.Generate(options);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(second->stop, StopReason::kEos);
    EXPECT_TRUE(second->tokens.empty());
    EXPECT_EQ(session.tokens(), history);
  }
  EXPECT_GT(ended, 0);
}

TEST_F(SessionTest, WhatWasTakenBackIsForgotten) {
  const std::vector<int32_t> text = RandomIds(*engine_, 400, 23);
  const std::vector<int32_t> other = RandomIds(*engine_, 40, 24);
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    for (const int64_t n : {0, 1, 64, 200, 380, 399, 400}) {
      Session session = NewSession(policy);
      ASSERT_TRUE(session.Append(text).ok());
      ASSERT_TRUE(session.Generate({.max_tokens = 3}).ok());
      ASSERT_TRUE(session.Truncate(n).ok());
      EXPECT_EQ(static_cast<int64_t>(session.tokens().size()), n);
      EXPECT_GE(session.cached_tokens(), n >= 380 ? n - 1 : 0) << "a few tokens back";
      ASSERT_TRUE(session.Append(other).ok());
      Session fresh = NewSession(policy);
      ASSERT_TRUE(fresh.Append(std::span(text).first(static_cast<size_t>(n))).ok());
      ASSERT_TRUE(fresh.Append(other).ok());
      EXPECT_EQ(session.Generate({.max_tokens = 20})->tokens,
                fresh.Generate({.max_tokens = 20})->tokens)
          << n;
    }
  }
  Session session = NewSession();
  EXPECT_FALSE(session.Truncate(1).ok());
  EXPECT_FALSE(session.Truncate(-1).ok());
  EXPECT_TRUE(session.Truncate(0).ok());
}

// Taking back right to the end of what was read leaves no state to draw from: the last id is read
// again.
TEST_F(SessionTest, GeneratingRightBehindACutDrawsWhatWasDrawnThere) {
  const std::vector<int32_t> prompt = RandomIds(*engine_, 130, 25);
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    Session session = NewSession(policy);
    ASSERT_TRUE(session.Append(prompt).ok());
    const std::vector<int32_t> tokens = session.Generate({.max_tokens = 12})->tokens;
    for (const int64_t kept : {0, 1, 5, 11}) {
      ASSERT_TRUE(session.Truncate(130 + kept).ok());
      const std::vector<int32_t> again = session.Generate({.max_tokens = 12 - kept})->tokens;
      EXPECT_EQ(again, std::vector(tokens.begin() + kept, tokens.end()));
    }
  }
}

// At some alignments a ring holds what the query at the cut sees, but not what the one before it
// sees: then all is read again, in blocks of the usual size.
TEST_F(SessionTest, GeneratingBehindAnyCutDrawsWhatWasDrawnThere) {
  const std::vector<int32_t> prompt = RandomIds(*engine_, 130, 27);
  for (const KvPolicy& policy : {Window(4, 64), Window(0, 100), Window(4, 128)}) {
    Session whole = NewSession(policy);
    ASSERT_TRUE(whole.Append(prompt).ok());
    ASSERT_TRUE(whole.Generate({.max_tokens = 311, .ignore_eos = true}).ok());
    const std::vector<int32_t> text = whole.tokens();
    int read_anew = 0;
    for (size_t n = 130; n <= 440; ++n) {
      Session session = NewSession(policy);
      ASSERT_TRUE(session.Append(text).ok());
      ASSERT_TRUE(session.Generate({.max_tokens = 0}).ok());
      ASSERT_TRUE(session.Truncate(static_cast<int64_t>(n)).ok());
      const auto size = session.cached_tokens();
      const Result<Generation> next = session.Generate({.max_tokens = 1, .ignore_eos = true});
      ASSERT_TRUE(next.ok()) << next.status().message();
      EXPECT_EQ(next->tokens[0], text[n]) << n;
      EXPECT_GE(next->prefilled_tokens, 1);
      read_anew += size > 0 && next->prefilled_tokens > 1 ? 1 : 0;
    }
    EXPECT_GT(read_anew, 0) << "window " << policy.window;
  }
}

TEST_F(SessionTest, MoreThanTheContextIsRefusedAndTheSessionGoesOn) {
  const int64_t limit = engine_->model().config.max_positions;
  Session session = NewSession();
  const auto most = static_cast<size_t>(limit - 5);
  ASSERT_TRUE(session.Append(RandomIds(*engine_, most, 8)).ok());
  const Status status = session.Append(RandomIds(*engine_, 6, 9));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("context_length_exceeded"), std::string::npos);
  EXPECT_EQ(session.tokens().size(), most);
  EXPECT_EQ(session.Generate({.max_tokens = 2})->tokens.size(), 2u);
  EXPECT_TRUE(session.Append(RandomIds(*engine_, 3, 9)).ok());
  EXPECT_FALSE(session.Generate({.max_tokens = 1}).ok());  // full, but not stuck:
  ASSERT_TRUE(session.Truncate(limit - 8).ok());
  EXPECT_TRUE(session.Generate({.max_tokens = 1}).ok());
}

TEST_F(SessionTest, SessionsThatShareTheirStepsGetTheAnswersThatTheyGetAlone) {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::vector<int32_t>> expected;
  const KvPolicy policies[] = {KvPolicy{}, Window(4, 64), Window(0, 100)};
  const auto options = [](size_t i) {
    return GenerateOptions{.max_tokens = 10 + static_cast<int64_t>(7 * i % 30),
                           .sampling = {.temperature = i % 2 * 0.9, .seed = i}};
  };
  std::vector<Session> sessions;
  for (size_t i = 0; i < 7; ++i) {
    prompts.push_back(RandomIds(*engine_, 5 + 97 * i, static_cast<uint32_t>(i)));
    const SessionOptions kv{.kv = policies[i % 3], .prefill_block = 60};
    Session alone = Session::Create(engine_.get(), kv).value();
    ASSERT_TRUE(alone.Append(prompts[i]).ok());
    expected.push_back(alone.Generate(options(i))->tokens);
    sessions.push_back(Session::Create(engine_.get(), kv).value());
    ASSERT_TRUE(sessions[i].Append(prompts[i]).ok());
    ASSERT_TRUE(sessions[i].Start(options(i)).ok());
  }
  Scheduler scheduler(engine_.get());
  while (true) {
    std::vector<Session*> running;
    for (Session& session : sessions) {
      if (session.answering()) running.push_back(&session);
    }
    if (running.empty()) break;
    scheduler.Step(running);
  }
  for (size_t i = 0; i < sessions.size(); ++i) {
    EXPECT_EQ(sessions[i].Finish()->tokens, expected[i]) << "session " << i;
  }
}

TEST_F(SessionTest, ASessionThatNeedsTooMuchEndsNobodyElsesAnswer) {
  const std::vector<int32_t> prompt = RandomIds(*engine_, 40, 28);
  Session alone = NewSession(Window(4, 64));
  ASSERT_TRUE(alone.Append(prompt).ok());
  const std::vector<int32_t> expected = alone.Generate({.max_tokens = 20})->tokens;

  std::vector<Session> small;
  for (int i = 0; i < 3; ++i) small.push_back(NewSession(Window(4, 64)));
  Session large =
      Session::Create(engine_.get(), {.kv = Window(4, 64), .prefill_block = 1 << 16}).value();
  ASSERT_TRUE(large.Append(RandomIds(*engine_, 1 << 16, 29)).ok());
  // All memory is gone but for what some rows need.
  const auto taken = engine_->budget().Allocate(
      MemoryTag::kScratch, engine_->budget().available() - (size_t{1} << 20), "the rest");
  ASSERT_TRUE(taken.ok()) << taken.status().message();
  std::vector<Session*> running;
  for (Session& session : small) {
    ASSERT_TRUE(session.Append(prompt).ok());
    ASSERT_TRUE(session.Start({.max_tokens = 20}).ok());
    running.push_back(&session);
  }
  ASSERT_TRUE(large.Start({.max_tokens = 1}).ok());
  running.insert(running.begin() + 1, &large);
  Scheduler scheduler(engine_.get());
  while (!running.empty()) {
    scheduler.Step(running);
    std::erase_if(running, [](const Session* session) { return !session->answering(); });
  }
  for (Session& session : small) EXPECT_EQ(session.Finish()->tokens, expected);
  EXPECT_EQ(large.Finish().status().code(), StatusCode::kResourceExhausted);
}

TEST_F(SessionTest, RoomThatEarlierStepsWantedEndsNoAnswer) {
  Session wide = NewSession(Window(4, 64));
  ASSERT_TRUE(wide.Append(RandomIds(*engine_, 512, 29)).ok());
  ASSERT_TRUE(wide.Start({.max_tokens = 1}).ok());
  Session restored =
      Session::Create(engine_.get(),
                      {.kv = {.kind = KvPolicy::Kind::kRestored, .sink = 4, .window = 64},
                       .restore = {.restorer = IdentityRestorers({})}})
          .value();
  ASSERT_TRUE(restored.Append(RandomIds(*engine_, 40, 28)).ok());
  ASSERT_TRUE(restored.Start({.max_tokens = 3}).ok());
  Scheduler scheduler(engine_.get());
  Session* running = &wide;
  while (wide.answering()) scheduler.Step({&running, 1});
  // As many rows as that one had, and what restoration wants for each, is more than there is.
  const auto taken = engine_->budget().Allocate(MemoryTag::kScratch,
                                                engine_->budget().available() - 64, "the rest");
  ASSERT_TRUE(taken.ok()) << taken.status().message();
  running = &restored;
  while (restored.answering()) scheduler.Step({&running, 1});
  const Result<Generation> answer = restored.Finish();
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->tokens.size(), 3u);
}

TEST_F(SessionTest, SessionsCountTheirOwnBytesWithinTheEnginesLimit) {
  Session first = NewSession(Window(4, 64));
  Session second = NewSession(Window(4, 128));
  EXPECT_EQ(first.kv_usage().resident_bytes, TimelineOf(&first).cache.resident_bytes());
  EXPECT_EQ(second.kv_usage().resident_bytes, TimelineOf(&second).cache.resident_bytes());
  EXPECT_EQ(engine_->budget().used(MemoryTag::kKv),
            TimelineOf(&first).cache.resident_bytes() + TimelineOf(&second).cache.resident_bytes());

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
