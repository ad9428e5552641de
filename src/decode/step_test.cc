// The invariants of a step on tiny models: what was drafted, who else shares the pass, and what
// failed before never shows in the bits.
#include "decode/step.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <random>

#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using test::RandomIds;
using test::TinyModels;

KvPolicy PolicyOf(KvPolicy::Kind kind) { return {.kind = kind, .sink = 4, .window = 64}; }

// Fails the n-th of the calls that can fail, counted over all of them; 0: none.
class FaultyRestorer : public Restorer {
 public:
  FaultyRestorer(std::unique_ptr<Restorer> inner, std::atomic<int64_t>* calls, int64_t* fail_at)
      : inner_(std::move(inner)), calls_(calls), fail_at_(fail_at) {}

  Status Extend(const OpContext& context, std::span<const int32_t> ids) override {
    KAKEYA_RETURN_IF_ERROR(Call("Extend"));
    return inner_->Extend(context, ids);
  }
  Status Truncate(const OpContext& context, int64_t n) override {
    return inner_->Truncate(context, n);
  }
  int64_t size() const override { return inner_->size(); }
  Status Select(const OpContext& context, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override {
    KAKEYA_RETURN_IF_ERROR(Call("Select"));
    return inner_->Select(context, queries, visits);
  }
  Status BeginLayer(const OpContext& context, int layer) override {
    KAKEYA_RETURN_IF_ERROR(Call("BeginLayer"));
    return inner_->BeginLayer(context, layer);
  }
  Status Load(const OpContext& context, const PageRequest& request) const override {
    KAKEYA_RETURN_IF_ERROR(Call("Load"));
    return inner_->Load(context, request);
  }
  int64_t max_distance() const override { return inner_->max_distance(); }
  size_t history_bytes() const override { return inner_->history_bytes(); }

 private:
  Status Call(const char* what) const {
    if (++*calls_ != *fail_at_) return OkStatus();
    return Status(StatusCode::kUnavailable, std::string("injected into ") + what);
  }

  std::unique_ptr<Restorer> inner_;
  std::atomic<int64_t>* calls_;  // Load comes from several threads
  int64_t* fail_at_;
};

class StepTest : public testing::Test {
 protected:
  StepTest() { models_.restorer.config.min_share_log = -100; }

  Timeline NewTimeline(KvPolicy::Kind kind, MemoryBudget* budget) {
    const ModelConfig& config = models_.verifier.config;
    const LayerConfig& layer = config.common_layer();
    const KvShape shape{config.num_layers(), layer.num_kv_heads, layer.head_dim, KvType::kF32};
    Timeline timeline{.cache = KvCache::Create(shape, PolicyOf(kind), budget).value()};
    if (kind == KvPolicy::Kind::kRestored) {
      auto restorer = std::make_unique<FaultyRestorer>(
          LearnedRestorer::Create(&models_.verifier, &models_.restorer, budget).value(), &calls_,
          &fail_at_);
      timeline.restoration = Restoration::Create(shape, models_.verifier.RotationFor(0),
                                                 std::move(restorer), 3, size_t{1} << 18, budget)
                                 .value();
    }
    return timeline;
  }
  Workspace NewWorkspace(int64_t rows, int64_t logit_rows = 80) {
    return Workspace::Create(models_.verifier.config, rows, logit_rows, true, &budget_).value();
  }
  DecodeOptions Options(int64_t tokens, double temperature = 0) const {
    return {.max_tokens = tokens,
            .sampling = {.temperature = temperature, .seed = 5},
            .eos = {},
            .max_positions = 1 << 20};
  }

  // Continues a text by `tokens` with drafts as `draft` gives them for the text so far.
  using Drafter = std::function<std::vector<int32_t>(const std::vector<int32_t>& text)>;
  std::vector<int32_t> Continue(std::vector<int32_t> text, int64_t tokens, double temperature,
                                KvPolicy::Kind kind, const Drafter& draft,
                                std::vector<float>* last_state = nullptr) {
    MemoryBudget budget;
    Timeline timeline = NewTimeline(kind, &budget);
    Workspace workspace = NewWorkspace(600);
    const size_t end = text.size() + static_cast<size_t>(tokens);
    while (text.size() < end) {
      const std::vector<int32_t> drafts = draft(text);
      StepSequence sequence{
          .timeline = &timeline,
          .ids = text,
          .drafts = drafts,
          .max_rows = 512,
          .options = Options(static_cast<int64_t>(end - text.size()), temperature)};
      Step({}, models_.verifier, {&sequence, 1}, &workspace);
      EXPECT_TRUE(sequence.status.ok()) << sequence.status.message();
      accepted_ += sequence.accepted;
      text.insert(text.end(), sequence.tokens.begin(), sequence.tokens.end());
    }
    if (last_state != nullptr) *last_state = timeline.hidden;
    return text;
  }

  TinyModels models_;
  MemoryBudget budget_;
  std::atomic<int64_t> calls_ = 0;
  int64_t fail_at_ = 0;
  int64_t accepted_ = 0;
};

constexpr KvPolicy::Kind kKinds[] = {KvPolicy::Kind::kFull, KvPolicy::Kind::kWindow,
                                     KvPolicy::Kind::kRestored};

TEST_F(StepTest, DraftsOfAnyKindAndLengthChangeNoToken) {
  const std::vector<int32_t> prompt = RandomIds(300, 1);
  const int32_t vocabulary = models_.verifier.config.vocab_size;
  for (const KvPolicy::Kind kind : kKinds) {
    for (const double temperature : {0.0, 0.8}) {
      const Drafter none = [](const auto&) { return std::vector<int32_t>(); };
      const std::vector<int32_t> expected = Continue(prompt, 90, temperature, kind, none);
      std::mt19937 random(3);
      for (const size_t length : {1u, 2u, 5u, 16u, 32u, 63u}) {
        // What the verifier says, but for some tokens.
        const Drafter half_right = [&](const std::vector<int32_t>& text) {
          std::vector<int32_t> drafts;
          for (size_t i = 0; i < length && text.size() + i < expected.size(); ++i) {
            const bool wrong = random() % 8 == 0;
            drafts.push_back((expected[text.size() + i] + (wrong ? 1 : 0)) % vocabulary);
          }
          return drafts;
        };
        const Drafter wrong = [&](const std::vector<int32_t>& text) {
          const size_t next = std::min(text.size(), expected.size() - 1);
          return std::vector<int32_t>(length, (expected[next] + 1) % vocabulary);
        };
        accepted_ = 0;
        EXPECT_EQ(Continue(prompt, 90, temperature, kind, half_right), expected) << length;
        EXPECT_GT(accepted_, 0);
        EXPECT_EQ(Continue(prompt, 90, temperature, kind, wrong), expected) << length;
      }
    }
  }
}

// A sequence of a mixture: how its text is read and drafted is drawn at random.
struct Lane {
  KvPolicy::Kind kind;
  std::vector<int32_t> text;
  std::vector<int32_t> expected;
  std::optional<Timeline> timeline = {};
};

TEST_F(StepTest, ASequenceGetsTheTokensThatItGetsAloneWhateverSharesThePass) {
  constexpr int64_t kTokens = 40;
  const Drafter none = [](const auto&) { return std::vector<int32_t>(); };
  std::vector<Lane> lanes;
  std::vector<std::vector<float>> alone(9);
  for (uint32_t i = 0; i < 9; ++i) {
    Lane lane{.kind = kKinds[i % 3], .text = RandomIds(20 + 70 * i, i + 1), .expected = {}};
    lane.expected = Continue(lane.text, kTokens, i % 2 * 0.8, lane.kind, none, &alone[i]);
    lanes.push_back(std::move(lane));
  }
  const std::unique_ptr<ThreadPool> pool = ThreadPool::Create(3).value();
  for (const bool threads : {false, true}) {
    std::mt19937 random(17);
    std::vector<Lane> now;
    for (const Lane& lane : lanes) {
      now.push_back({lane.kind, lane.text, lane.expected, NewTimeline(lane.kind, &budget_)});
    }
    Workspace workspace = NewWorkspace(9 * 200, 9 * 8);
    const auto done = [&](const Lane& lane) { return lane.text.size() >= lane.expected.size(); };
    while (!std::all_of(now.begin(), now.end(), done)) {
      std::vector<size_t> indices;
      std::vector<std::vector<int32_t>> drafts(now.size());
      std::vector<StepSequence> sequences;
      for (size_t i = 0; i < now.size(); ++i) {
        Lane& lane = now[i];
        if (done(lane) || random() % 4 == 0) continue;
        for (size_t d = 0; d < random() % 6; ++d) {
          const size_t at = std::min(lane.text.size() + d, lane.expected.size() - 1);
          drafts[i].push_back((lane.expected[at] + (random() % 3 == 0 ? 1 : 0)) % 97);
        }
        indices.push_back(i);
        sequences.push_back(
            {.timeline = &*lane.timeline,
             .ids = lane.text,
             .drafts = drafts[i],
             .max_rows = 1 + static_cast<int64_t>(random() % 150),
             .options = Options(static_cast<int64_t>(lane.expected.size() - lane.text.size()),
                                i % 2 * 0.8)});
      }
      if (sequences.empty()) continue;
      Step({.pool = threads ? pool.get() : nullptr}, models_.verifier, sequences, &workspace);
      for (size_t s = 0; s < sequences.size(); ++s) {
        ASSERT_TRUE(sequences[s].status.ok()) << sequences[s].status.message();
        std::vector<int32_t>& text = now[indices[s]].text;
        text.insert(text.end(), sequences[s].tokens.begin(), sequences[s].tokens.end());
      }
    }
    for (size_t i = 0; i < now.size(); ++i) {
      EXPECT_EQ(now[i].text, lanes[i].expected) << "sequence " << i;
      // The last state: alone it is that of the last token but one, here perhaps of the last.
      if (now[i].timeline->cache.size() + 1 != static_cast<int64_t>(now[i].text.size())) continue;
      EXPECT_EQ(std::memcmp(now[i].timeline->hidden.data(), alone[i].data(),
                            alone[i].size() * sizeof(float)),
                0)
          << "sequence " << i;
    }
  }
}

// One failure at every call that can fail, in turn: the step is tried again, and the text is that
// of an undisturbed run.
TEST_F(StepTest, AFailedStepLeavesTheTextAsItWouldBeWithoutIt) {
  const std::vector<int32_t> prompt = RandomIds(420, 4);
  constexpr int64_t kTokens = 70;
  const Drafter none = [](const auto&) { return std::vector<int32_t>(); };
  const std::vector<int32_t> expected =
      Continue(prompt, kTokens, 0, KvPolicy::Kind::kRestored, none);
  const int64_t total = calls_;
  ASSERT_GT(total, 100);
  Workspace workspace = NewWorkspace(600);
  int64_t lost = 0;
  for (int64_t nth = 1; nth <= total; nth += nth < 60 ? 1 : 37) {
    calls_ = 0;
    fail_at_ = nth;
    MemoryBudget budget;
    Timeline timeline = NewTimeline(KvPolicy::Kind::kRestored, &budget);
    std::vector<int32_t> text = prompt;
    int failures = 0;
    while (text.size() < expected.size()) {
      const std::vector<int32_t> drafts = {expected[text.size()], 3};
      StepSequence sequence{
          .timeline = &timeline,
          .ids = text,
          .drafts = drafts,
          .max_rows = 170,  // more than a ring can take back
          .options = Options(static_cast<int64_t>(expected.size() - text.size()))};
      const int64_t before = timeline.cache.size();
      Step({}, models_.verifier, {&sequence, 1}, &workspace);
      EXPECT_EQ(timeline.cache.staged(), 0);
      if (!sequence.status.ok()) {
        EXPECT_EQ(sequence.status.code(), StatusCode::kUnavailable);
        EXPECT_TRUE(sequence.tokens.empty());
        EXPECT_TRUE(timeline.cache.size() == before || timeline.cache.size() == 0);
        lost += timeline.cache.size() != before ? 1 : 0;
        ASSERT_EQ(++failures, 1);
      }
      text.insert(text.end(), sequence.tokens.begin(), sequence.tokens.end());
    }
    EXPECT_EQ(text, expected) << "after a failure of call " << nth;
  }
  EXPECT_GT(lost, 0) << "no block was long enough to lose what it evicted";
}

TEST_F(StepTest, AFailingNeighbourDisturbsNobody) {
  const Drafter none = [](const auto&) { return std::vector<int32_t>(); };
  const std::vector<int32_t> prompt = RandomIds(200, 6);
  const std::vector<int32_t> expected = Continue(prompt, 20, 0, KvPolicy::Kind::kWindow, none);
  Timeline good = NewTimeline(KvPolicy::Kind::kWindow, &budget_);
  Timeline bad = NewTimeline(KvPolicy::Kind::kRestored, &budget_);
  Workspace workspace = NewWorkspace(600);
  std::vector<int32_t> text = prompt;
  calls_ = 0;
  int failures = 0;
  while (text.size() < expected.size()) {
    fail_at_ = calls_ + 3;
    StepSequence sequences[] = {
        {.timeline = &bad, .ids = prompt, .max_rows = 64},
        {.timeline = &good, .ids = text, .max_rows = 90, .options = Options(1)}};
    if (bad.cache.size() == static_cast<int64_t>(prompt.size())) sequences[0].options = Options(1);
    Step({}, models_.verifier, sequences, &workspace);
    failures += sequences[0].status.ok() ? 0 : 1;
    ASSERT_TRUE(sequences[1].status.ok());
    text.insert(text.end(), sequences[1].tokens.begin(), sequences[1].tokens.end());
  }
  EXPECT_EQ(text, expected);
  EXPECT_GT(failures, 0);
}

TEST_F(StepTest, ARestorerThatLagsBehindIsToldAllThatItMissed) {
  const std::vector<int32_t> text = RandomIds(400, 8);
  Timeline timeline = NewTimeline(KvPolicy::Kind::kRestored, &budget_);
  Timeline whole = NewTimeline(KvPolicy::Kind::kRestored, &budget_);
  Workspace workspace = NewWorkspace(600);
  const auto read = [&](Timeline* into, size_t n) {
    StepSequence sequence{.timeline = into, .ids = std::span(text).first(n), .max_rows = 512};
    Step({}, models_.verifier, {&sequence, 1}, &workspace);
    EXPECT_TRUE(sequence.status.ok()) << sequence.status.message();
  };
  read(&timeline, 300);
  ASSERT_TRUE(timeline.restoration->restorer->Truncate({}, 130).ok());
  timeline.restoration->buffer.DropFrom(0);
  read(&timeline, 400);
  EXPECT_EQ(timeline.restoration->restorer->size(), 400);
  read(&whole, 300);
  read(&whole, 400);
  EXPECT_EQ(timeline.hidden, whole.hidden);
}

TEST_F(StepTest, EndOfTextAndStopsAreDecidedBeforeAnythingBehindThemIsCommitted) {
  const std::vector<int32_t> prompt = RandomIds(100, 9);
  const Drafter none = [](const auto&) { return std::vector<int32_t>(); };
  const std::vector<int32_t> expected = Continue(prompt, 12, 0.8, KvPolicy::Kind::kWindow, none);
  const std::span<const int32_t> answer = std::span(expected).subspan(prompt.size());
  Workspace workspace = NewWorkspace(200);
  for (size_t stop_at = 0; stop_at < 8; ++stop_at) {
    const int32_t token = answer[stop_at];
    const auto first =
        static_cast<size_t>(std::find(answer.begin(), answer.end(), token) - answer.begin());
    Timeline timeline = NewTimeline(KvPolicy::Kind::kWindow, &budget_);
    StepSequence sequence{.timeline = &timeline,
                          .ids = prompt,
                          .drafts = answer.first(11),
                          .max_rows = 50,
                          .options = Options(100, 0.8)};
    sequence.options.eos = {&token, 1};
    while (timeline.cache.size() < 50) Step({}, models_.verifier, {&sequence, 1}, &workspace);
    Step({}, models_.verifier, {&sequence, 1}, &workspace);
    EXPECT_EQ(sequence.stop, StopReason::kEos);
    EXPECT_EQ(sequence.tokens, std::vector(answer.begin(), answer.begin() + first));
    EXPECT_EQ(timeline.cache.size(), 100 + static_cast<int64_t>(first));
  }
}

}  // namespace
}  // namespace kakeya
