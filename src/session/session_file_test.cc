// A session that was saved and loaded goes on as if nothing had happened; whatever else a file
// holds is refused in one line.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>

#include "format/test_files.h"
#include "proposer/restorer_model.h"
#include "session/session.h"
#include "session/timeline_of.h"

namespace kakeya {
namespace {

const std::string kFixtures = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/";

std::unique_ptr<Engine> LoadEngine(const std::string& restorer = "restorer_tiny",
                                   const std::string& model = kFixtures + "models/qwen3-window") {
  return Engine::Load(model, {.threads = 2,
                              .restorer_dir = restorer.empty() ? restorer : kFixtures + restorer})
      .value();
}

std::vector<int32_t> RandomIds(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % 80);
  return ids;
}

SessionOptions WithPolicy(KvPolicy::Kind kind, RestorerFactory restorer = {}) {
  return {.kv = {.kind = kind, .sink = 4, .window = 64},
          .restore = {.chunks = 3, .restorer = std::move(restorer)}};
}

// What the session answers next, and the state that it ends in, bit for bit.
struct Answered {
  std::vector<int32_t> tokens;
  std::vector<float> hidden;
};

Answered Answer(Session* session, double temperature, int64_t tokens = 40) {
  const Result<Generation> out =
      session->Generate({.max_tokens = tokens,
                         .sampling = {.temperature = temperature, .seed = 7},
                         .ignore_eos = true});
  EXPECT_TRUE(out.ok()) << out.status().message();
  if (!out.ok()) return {};
  return {out->tokens, TimelineOf(session).hidden};
}

void ExpectSame(const Answered& a, const Answered& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  ASSERT_EQ(a.hidden.size(), b.hidden.size());
  EXPECT_EQ(std::memcmp(a.hidden.data(), b.hidden.data(), a.hidden.size() * sizeof(float)), 0);
}

struct Kind {
  const char* name;
  const char* restorer_dir;
  SessionOptions options;
};

class SessionFileTest : public ::testing::TestWithParam<Kind> {
 protected:
  Session NewSession(size_t tokens) {
    Session session = Session::Create(engine_.get(), GetParam().options).value();
    EXPECT_TRUE(session.Append(RandomIds(tokens, 1)).ok());
    Answer(&session, 0, 10);
    return session;
  }
  // The same session, in an engine that has never seen it.
  Session SavedAndLoaded(const Session& session) {
    const Status saved = session.Save(path_);
    EXPECT_TRUE(saved.ok()) << saved.message();
    Result<Session> loaded = Session::Load(other_.get(), GetParam().options, path_);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(loaded->tokens(), session.tokens());
    EXPECT_EQ(loaded->cached_tokens(), session.cached_tokens());
    return *std::move(loaded);
  }
  // Both go on in the same way, here and after more text.
  static void ExpectBothGoOnAlike(Session* a, Session* b) {
    ExpectSame(Answer(a, 0), Answer(b, 0));
    const std::vector<int32_t> more = RandomIds(150, 2);
    ASSERT_TRUE(a->Append(more).ok() && b->Append(more).ok());
    ExpectSame(Answer(a, 0.8), Answer(b, 0.8));
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("session");
  const std::unique_ptr<Engine> engine_ = LoadEngine(GetParam().restorer_dir);
  const std::unique_ptr<Engine> other_ = LoadEngine(GetParam().restorer_dir);
};

TEST_P(SessionFileTest, ALoadedSessionGoesOnToTheSameBits) {
  for (const size_t tokens : {1, 63, 100, 700}) {
    Session session = NewSession(tokens);
    Session loaded = SavedAndLoaded(session);
    EXPECT_EQ(loaded.kv_usage().resident_bytes, session.kv_usage().resident_bytes);
    ExpectBothGoOnAlike(&session, &loaded);
    if (tokens == 700 && GetParam().options.kv.kind == KvPolicy::Kind::kRestored) {
      EXPECT_GT(loaded.restore_usage().chunks, 0);  // else nothing of the restorer mattered
    }
  }
}

TEST_P(SessionFileTest, TokensThatWereNotReadYetAreSavedToo) {
  Session session = NewSession(333);
  ASSERT_TRUE(session.Append(RandomIds(90, 3)).ok());
  ASSERT_LT(session.cached_tokens(), static_cast<int64_t>(session.tokens().size()) - 80);
  Session loaded = SavedAndLoaded(session);
  ExpectBothGoOnAlike(&session, &loaded);
}

TEST_P(SessionFileTest, ASessionThatWasCutIsSavedAsItIs) {
  for (const int64_t n : {0, 130, 390}) {  // the ring has lost what the first two want
    Session session = NewSession(400);
    ASSERT_TRUE(session.Truncate(n).ok());
    Session loaded = SavedAndLoaded(session);
    ASSERT_TRUE(session.Append(RandomIds(5, 4)).ok() && loaded.Append(RandomIds(5, 4)).ok());
    ExpectBothGoOnAlike(&session, &loaded);
  }
}

TEST_P(SessionFileTest, ALoadedSessionCanBeCutAsBefore) {
  Session session = NewSession(400);
  Session loaded = SavedAndLoaded(session);
  for (const int64_t n : {405, 200}) {
    ASSERT_TRUE(session.Truncate(n).ok() && loaded.Truncate(n).ok());
    EXPECT_EQ(session.cached_tokens(), loaded.cached_tokens());
    ExpectBothGoOnAlike(&session, &loaded);
  }
}

TEST_P(SessionFileTest, AnEmptySessionIsSavedAndLoaded) {
  Session empty = Session::Create(engine_.get(), GetParam().options).value();
  Session loaded = SavedAndLoaded(empty);
  EXPECT_TRUE(loaded.tokens().empty());
  ASSERT_TRUE(empty.Append(RandomIds(200, 5)).ok() && loaded.Append(RandomIds(200, 5)).ok());
  ExpectBothGoOnAlike(&empty, &loaded);
}

TEST_P(SessionFileTest, SavingWhatWasLoadedGivesTheSameFile) {
  const Session loaded = SavedAndLoaded(NewSession(500));
  const std::string before = testing::ReadAll(path_);
  ASSERT_TRUE(loaded.Save(dir_.File("again")).ok());
  EXPECT_EQ(testing::ReadAll(dir_.File("again")), before);
}

TEST_P(SessionFileTest, TheFileIsNoLargerThanWhatTheSessionKeeps) {
  Session session = NewSession(1500);
  ASSERT_TRUE(session.Save(path_).ok());
  const KvUsage usage = session.kv_usage();
  size_t kept = usage.resident_bytes + usage.history_bytes;
  // Not the buffer of restored pages, which would hide a ring that is written twice.
  const Timeline& timeline = TimelineOf(&session);
  if (timeline.restoration) kept -= timeline.restoration->buffer.resident_bytes();
  constexpr double kHead = 1024;  // of fixed size
  EXPECT_LE(static_cast<double>(std::filesystem::file_size(path_)),
            1.01 * static_cast<double>(kept) + kHead);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SessionFileTest,
    ::testing::Values(
        Kind{"Full", "", WithPolicy(KvPolicy::Kind::kFull)},
        Kind{"Window", "", WithPolicy(KvPolicy::Kind::kWindow)},
        Kind{"Learned", "restorer_tiny", WithPolicy(KvPolicy::Kind::kRestored)},
        Kind{"Recurrence", "restorer_tiny_recurrence", WithPolicy(KvPolicy::Kind::kRestored)},
        Kind{"Identity", "", WithPolicy(KvPolicy::Kind::kRestored, IdentityRestorers({}))},
        Kind{"Self", "restorer_tiny", WithPolicy(KvPolicy::Kind::kRestored, SelfRestorers({}))}),
    [](const auto& info) { return std::string(info.param.name); });

// Files that are refused, all made of this one.
class SessionFileFaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Session session = Session::Create(engine_.get(), options_).value();
    ASSERT_TRUE(session.Append(RandomIds(300, 6)).ok());
    Answer(&session, 0, 5);
    ASSERT_TRUE(session.Save(path_).ok());
    good_ = testing::ReadAll(path_);
  }
  Status Load(Engine* engine, const SessionOptions& options) {
    return Session::Load(engine, options, path_).status();
  }
  Status LoadBytes(const std::string& bytes) {
    dir_.Write("session", bytes);
    return Load(engine_.get(), options_);
  }
  void ExpectOneLine(const Status& status) {
    EXPECT_FALSE(status.ok());
    EXPECT_PRED2(testing::StartsWith, status.message(), path_ + ": ");
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    EXPECT_LT(status.message().size(), path_.size() + 200);
  }
  static void Seal(std::string* bytes) {
    const uint64_t hash = XXH3_64bits(bytes->data(), bytes->size() - sizeof(hash));
    std::memcpy(bytes->data() + bytes->size() - sizeof(hash), &hash, sizeof(hash));
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("session");
  const SessionOptions options_ = WithPolicy(KvPolicy::Kind::kRestored);
  const std::unique_ptr<Engine> engine_ = LoadEngine();
  std::string good_;
  std::mt19937 random_{8};
};

TEST_F(SessionFileFaultTest, EveryTruncationIsRefused) {
  for (int i = 0; i < 500; ++i) {
    // Half of them near the ends, where the numbers are.
    const size_t length = i % 2 == 0   ? random_() % good_.size()
                          : i % 4 == 1 ? random_() % 200
                                       : good_.size() - 1 - random_() % 200;
    ExpectOneLine(LoadBytes(good_.substr(0, length)));
  }
  EXPECT_TRUE(LoadBytes(good_).ok());
}

TEST_F(SessionFileFaultTest, EveryFlippedBitIsRefused) {
  for (int i = 0; i < 500; ++i) {
    std::string bytes = good_;
    const size_t at = i < 250 ? static_cast<size_t>(i) : random_() % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_() % 8));
    ExpectOneLine(LoadBytes(bytes));
  }
  EXPECT_TRUE(LoadBytes(good_).ok());
}

TEST_F(SessionFileFaultTest, BytesBehindTheEndAreRefused) {
  ExpectOneLine(LoadBytes(good_ + "x"));
  // Also when the file says that they belong to it.
  std::string longer = good_ + std::string(8, 'x');
  const uint64_t length = longer.size();
  std::memcpy(longer.data() + 16, &length, sizeof(length));
  Seal(&longer);
  const Status status = LoadBytes(longer);
  ExpectOneLine(status);
  EXPECT_PRED2(testing::Contains, status.message(), "8 bytes are left over");
}

// Whoever writes a valid checksum over wrong numbers gets a refusal or another session, no crash.
TEST_F(SessionFileFaultTest, WrongNumbersUnderAValidChecksumDoNoHarm) {
  const size_t token_bytes = 305 * sizeof(int32_t);
  const size_t slabs =
      good_.find(std::string(64, '\xff'));  // the ring's poison: before it are numbers
  ASSERT_NE(slabs, good_.npos);
  int refused = 0;
  const auto load_with = [&](size_t at, uint64_t value) {
    std::string bytes = good_;
    std::memcpy(bytes.data() + at, &value, std::min(sizeof(value), bytes.size() - 8 - at));
    Seal(&bytes);
    dir_.Write("session", bytes);
    Result<Session> session = Session::Load(engine_.get(), options_, path_);
    if (!session.ok()) {
      ++refused;
      ExpectOneLine(session.status());
      return;
    }
    const auto answer = session->Generate({.max_tokens = 3, .ignore_eos = true});
    if (!answer.ok()) {
      EXPECT_EQ(answer.status().message().find('\n'), std::string::npos);
    }
  };
  const auto odd = [&] {
    const uint64_t values[] = {0, 1, UINT64_MAX, uint64_t{1} << 62, random_(), good_.size()};
    return values[random_() % std::size(values)];
  };
  for (int i = 0; i < 300; ++i) load_with(24 + random_() % (good_.size() - 32), odd());
  // Every place among the numbers before the tokens, around their end, and before the ring.
  const size_t ids = 24 + 8 + 10 * 48;  // about
  for (size_t at = 24; at < ids; ++at) load_with(at, odd());
  for (size_t at = ids + token_bytes - 256; at < std::min(slabs, ids + token_bytes + 512); ++at) {
    load_with(at, odd());
  }
  // And at the end, where the restorer's are.
  for (size_t at = good_.size() - 600; at < good_.size() - 8; ++at) load_with(at, odd());
  EXPECT_GT(refused, 300);
}

// What the writer cuts off a session that was cut itself: no state is known there.
TEST_F(SessionFileFaultTest, ASessionWithoutALastStateIsReadOn) {
  for (int64_t n = 130; n < 305; ++n) {
    Session session = Session::Create(engine_.get(), options_).value();
    ASSERT_TRUE(session.Append(RandomIds(300, 6)).ok());
    Answer(&session, 0, 5);
    ASSERT_TRUE(session.Truncate(n).ok());
    ASSERT_TRUE(session.Save(path_).ok());
    Result<Session> loaded = Session::Load(engine_.get(), options_, path_);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    ExpectSame(Answer(&session, 0, 2), Answer(&*loaded, 0, 2));
  }
}

TEST_F(SessionFileFaultTest, OtherFilesAndVersionsAreNamed) {
  EXPECT_EQ(LoadBytes("").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadBytes("hello").message(), path_ + ": not a saved session");
  std::string newer = good_;
  newer[8] = 2;
  Seal(&newer);
  EXPECT_EQ(LoadBytes(newer).code(), StatusCode::kUnsupported);
  EXPECT_PRED2(testing::Contains, LoadBytes(newer).message(), "version 2");
  std::filesystem::remove(path_);
  EXPECT_EQ(Load(engine_.get(), options_).code(), StatusCode::kNotFound);
}

TEST_F(SessionFileFaultTest, WhatDiffersFromTheSavedSessionIsNamed) {
  const auto expect = [&](Engine* engine, const SessionOptions& options, const std::string& what) {
    const Status status = Load(engine, options);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    ExpectOneLine(status);
    EXPECT_PRED2(testing::Contains, status.message(), "was saved with " + what + " '");
  };
  SessionOptions other = options_;
  other.kv.window = 128;
  expect(engine_.get(), other, "window");
  other = options_;
  other.kv.sink = 8;
  expect(engine_.get(), other, "sink");
  other = options_;
  other.kv_type = KvType::kAffine8;
  expect(engine_.get(), other, "the K/V type");
  other = options_;
  other.restore.chunks = kAllChunks;
  expect(engine_.get(), other, "restored chunks");
  expect(engine_.get(), WithPolicy(KvPolicy::Kind::kRestored, IdentityRestorers({})),
         "the restorer");
  expect(LoadEngine("restorer_tiny_recurrence").get(), options_, "the restorer");
}

TEST_F(SessionFileFaultTest, AFileOfMorePoliciesIsNotMistaken) {
  for (const auto kind : {KvPolicy::Kind::kFull, KvPolicy::Kind::kWindow}) {
    const Status status = Load(engine_.get(), WithPolicy(kind));
    ExpectOneLine(status);
  }
}

// The same tensors turned by another angle are another model.
TEST_F(SessionFileFaultTest, AnotherModelIsRefusedWhateverTheDifference) {
  const std::string from = kFixtures + "models/qwen3-window";
  const std::string to = dir_.File("model");
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  std::string config = testing::ReadAll(to + "/config.json");
  const std::string theta = "\"rope_theta\": 10000.0";
  ASSERT_NE(config.find(theta), std::string::npos);
  EXPECT_TRUE(Load(LoadEngine("restorer_tiny", to).get(), options_).ok());
  config.replace(config.find(theta), theta.size(), "\"rope_theta\": 10001.0");
  dir_.Write("model/config.json", config);
  for (const auto& engine :
       {LoadEngine("restorer_tiny", to), LoadEngine("", kFixtures + "models/llama-rope3-window")}) {
    const Status status =
        Load(engine.get(), WithPolicy(KvPolicy::Kind::kRestored, IdentityRestorers({})));
    ExpectOneLine(status);
  }
  const Status status = Load(LoadEngine("restorer_tiny", to).get(), options_);
  EXPECT_PRED2(testing::Contains, status.message(), "was saved with the model '");
}

TEST_F(SessionFileFaultTest, ASaveThatFailsLeavesTheOldFile) {
  Session session = Session::Create(engine_.get(), options_).value();
  ASSERT_TRUE(session.Append(RandomIds(400, 9)).ok());
  Answer(&session, 0, 5);
  rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old_limit;
  limit.rlim_cur = good_.size() / 2;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const Status status = session.Save(path_);
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  ExpectOneLine(status);
  EXPECT_EQ(testing::ReadAll(path_), good_);
  EXPECT_EQ(dir_.FileCount(), 1u);
  EXPECT_PRED2(testing::Contains, session.Save(dir_.File("no/such")).message(), "No such file");
}

TEST_F(SessionFileFaultTest, ARestorerWithoutASavedStateIsRefusedBeforeAnythingIsWritten) {
  RestorerFactory random = RandomRestorers(engine_.get(), engine_->restorer()->config, 3).value();
  const Session session =
      Session::Create(engine_.get(), WithPolicy(KvPolicy::Kind::kRestored, std::move(random)))
          .value();
  const Status status = session.Save(path_);
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  ExpectOneLine(status);
  EXPECT_EQ(testing::ReadAll(path_), good_);
}

TEST_F(SessionFileFaultTest, OnlyTheOwnerMayReadTheFile) {
  struct stat info;
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

// What a file asks for is held against the session's budget like anything else.
TEST_F(SessionFileFaultTest, AFileThatDoesNotFitIntoTheBudgetIsRefused) {
  const SessionOptions full = WithPolicy(KvPolicy::Kind::kFull);
  Session session = Session::Create(engine_.get(), full).value();
  ASSERT_TRUE(session.Append(RandomIds(3000, 10)).ok());
  Answer(&session, 0, 1);
  ASSERT_TRUE(session.Save(path_).ok());
  const size_t limit = engine_->budget().used(MemoryTag::kWeights) + 300'000;
  const auto small =
      Engine::Load(kFixtures + "models/qwen3-window", {.threads = 2, .memory_limit = limit})
          .value();
  const Status status = Load(small.get(), full);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
  ExpectOneLine(status);
}

}  // namespace
}  // namespace kakeya
