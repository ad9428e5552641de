#include "eval/speed/speed.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>
#include <set>

#include "base/checked.h"
#include "eval/speed/random_fill.h"
#include "eval/speed/read_bandwidth.h"
#include "session/timeline_of.h"

namespace kakeya {
namespace {

// Passes of one turn. A restorer makes codes once per chunk: a turn holds one chunk.
constexpr int64_t kDecodePasses = 16;
constexpr int64_t kVerifyPasses = 4;
constexpr int64_t kRestoredDecodePasses = kChunk;
// Ids that a restorer is told between two looks at the clock.
constexpr int64_t kTellPiece = 512;
// Seconds of other tests between two measurements of the read bandwidth: as many of them as it
// takes to know what the machine gave on the whole, whatever the tests are.
constexpr double kReadEvery = 0.25;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Sessions at a depth, ready to run passes.
class Bench {
 public:
  // `rows`: tokens of the largest pass.
  static Result<std::unique_ptr<Bench>> Create(Engine* engine, const SessionOptions& options,
                                               int sequences, int64_t depth, int64_t rows) {
    auto bench = std::unique_ptr<Bench>(new Bench(engine, options.kv, depth));
    for (int i = 0; i < sequences; ++i) {
      KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, options));
      bench->sessions_.push_back(std::move(session));
    }
    KAKEYA_ASSIGN_OR_RETURN(
        bench->workspace_,
        Workspace::Create(engine->model().config, rows, /*logit_rows=*/0,
                          options.kv.kind == KvPolicy::Kind::kRestored, &engine->budget()));
    return bench;
  }

  const KvPolicy& policy() const { return policy_; }
  int64_t depth() const { return depth_; }
  int64_t sequences() const { return static_cast<int64_t>(sessions_.size()); }

  // Brings the caches to their depth, with the history told to the restorers.
  Status Fill(std::mt19937_64* random, const std::function<Status()>& between) {
    if (depth_ == 0) return OkStatus();
    for (Session& session : sessions_) {
      KAKEYA_RETURN_IF_ERROR(FillOne(&TimelineOf(&session), random, between));
    }
    return OkStatus();
  }

  // Seconds of one pass over random tokens, as many of each sequence, with the logits of the last
  // `logit_rows`. `keep`: as a part of the text, else it is rolled back. The mean of `passes`, one
  // after the other.
  Result<double> Time(int64_t tokens, int64_t logit_rows, bool keep, int64_t passes,
                      std::mt19937_64* random) {
    logits_.resize(static_cast<size_t>(logit_rows * engine_->model().config.vocab_size));
    std::vector<std::vector<int32_t>> ids;
    for (int64_t i = 0; i < passes; ++i) ids.push_back(RandomIds(tokens, random));
    const double start = Now();
    for (const std::vector<int32_t>& block : ids) {
      KAKEYA_RETURN_IF_ERROR(Pass(block, logit_rows, keep));
    }
    return (Now() - start) / static_cast<double>(passes);
  }

  // Of exact K/V, in all layers, per position, as they were allocated. REQUIRES: a pass has run.
  uint64_t slot_bytes() {
    const KvCache& cache = TimelineOf(&sessions_[0]).cache;
    return cache.resident_bytes() / static_cast<uint64_t>(cache.resident_slots(/*layer=*/0));
  }

 private:
  Bench(Engine* engine, const KvPolicy& policy, int64_t depth)
      : engine_(engine), policy_(policy), depth_(depth) {}

  Status FillOne(Timeline* timeline, std::mt19937_64* random,
                 const std::function<Status()>& between) const {
    const OpContext context = engine_->context();
    for (int64_t told = 0; timeline->restoration && told < depth_;) {
      const int64_t n = std::min(kTellPiece, depth_ - told);
      const std::vector<int32_t> ids = RandomIds(n, random);
      KAKEYA_RETURN_IF_ERROR(timeline->restoration->restorer->Extend(context, ids));
      told += n;
      KAKEYA_RETURN_IF_ERROR(between());
    }
    KAKEYA_RETURN_IF_ERROR(AppendRandom(context, depth_, (*random)(), &timeline->cache));
    return between();
  }

  std::vector<int32_t> RandomIds(int64_t n, std::mt19937_64* random) const {
    std::vector<int32_t> ids(static_cast<size_t>(n));
    const auto vocabulary = static_cast<uint64_t>(engine_->model().config.vocab_size);
    for (int32_t& id : ids) id = static_cast<int32_t>((*random)() % vocabulary);
    return ids;
  }

  // The random ids of a pass are no part of a session's history: the caches are what is measured,
  // and the restorers, which are told what becomes final.
  Status Pass(std::span<const int32_t> ids, int64_t logit_rows, bool keep) {
    const OpContext context = engine_->context();
    const size_t rows = ids.size() / sessions_.size();
    std::vector<Sequence> sequences;
    for (size_t i = 0; i < sessions_.size(); ++i) {
      Timeline& timeline = TimelineOf(&sessions_[i]);
      Restoration* const restoration = timeline.restoration ? &*timeline.restoration : nullptr;
      if (keep && restoration != nullptr) {
        KAKEYA_RETURN_IF_ERROR(restoration->restorer->Extend(context, ids.subspan(i * rows, rows)));
      }
      KAKEYA_RETURN_IF_ERROR(timeline.cache.Stage(static_cast<int64_t>(rows)));
      sequences.push_back(
          {.cache = &timeline.cache, .restoration = restoration, .rows = static_cast<int>(rows)});
    }
    Forward(context, engine_->model(), ids, sequences, {}, &workspace_);
    for (const Sequence& sequence : sequences) {
      KvCache& cache = *sequence.cache;
      cache.Commit(keep && sequence.status.ok() ? cache.staged() : 0);
      KAKEYA_RETURN_IF_ERROR(sequence.status);
    }
    const int64_t first = static_cast<int64_t>(ids.size()) - logit_rows;
    Logits(context, engine_->model(),
           workspace_.hidden.as<float>() + first * engine_->model().config.hidden_size, logit_rows,
           logits_.data());
    return OkStatus();
  }

  Engine* engine_;
  KvPolicy policy_;
  int64_t depth_;
  std::vector<Session> sessions_;
  Workspace workspace_;
  std::vector<float> logits_;
};

// One row in the making.
struct Test {
  SpeedRow row = {};
  Bench* bench = nullptr;
  int64_t passes = 1;  // of one turn
  int64_t logit_rows = 1;
  bool keep = false;
};

class SpeedRun {
 public:
  SpeedRun(Engine* engine, const SpeedOptions& options)
      : engine_(engine), options_(options), random_(options.seed) {}

  Result<Speed> Run() {
    KAKEYA_RETURN_IF_ERROR(CheckSpeedDepths(options_.depths));
    KAKEYA_RETURN_IF_ERROR(CheckMemory());
    KAKEYA_RETURN_IF_ERROR(Prepare());
    KAKEYA_ASSIGN_OR_RETURN(ReadBandwidth bandwidth,
                            ReadBandwidth::Create(engine_->context().pool, &engine_->budget()));
    KAKEYA_RETURN_IF_ERROR(TakeTurns(&bandwidth));
    return Report();
  }

 private:
  // Every full cache is kept until the end: together they must fit.
  Status CheckMemory() const {
    const ModelConfig& config = engine_->model().config;
    uint64_t needed = 0;
    for (const SessionOptions& session : options_.sessions) {
      if (session.kv.bounded()) continue;
      const KvType type = session.kv_type.value_or(KvTypeFor(engine_->model().weights.dtype));
      uint64_t slab = 0;
      for (const LayerConfig& layer : config.layers) {
        slab += KvPageBytes(type, layer.num_kv_heads, layer.head_dim);
      }
      for (const int64_t depth : options_.depths) {
        uint64_t slabs = static_cast<uint64_t>(ChunkOf(depth + session.prefill_block) + 1);
        if (options_.sequences > 1) {
          slabs += static_cast<uint64_t>(options_.sequences) * (ChunkOf(depth + 1) + 1);
        }
        const auto bytes = CheckedMul(slab, slabs);
        const auto sum = bytes ? CheckedAdd(needed, *bytes) : std::nullopt;
        if (!sum || *sum > engine_->budget().available()) {
          return ResourceExhausted(
              "depth {}: the K/V of --kv full take {} bytes there, {} with those of the depths "
              "before, and {} are available",
              depth, bytes.value_or(UINT64_MAX), sum.value_or(UINT64_MAX),
              engine_->budget().available());
        }
        needed = *sum;
      }
    }
    return OkStatus();
  }

  Status Between(SpeedPhase phase, int64_t done, int64_t total) const {
    if (options_.progress) options_.progress(phase, done, total);
    const bool stop = options_.interrupted && options_.interrupted();
    return stop ? Status(StatusCode::kCancelled, "stopped") : OkStatus();
  }

  // Sessions at their depths, and the tests on them.
  Status Prepare() {
    const auto total = static_cast<int64_t>(options_.sessions.size() * options_.depths.size());
    int64_t filled = 0;
    for (const SessionOptions& session : options_.sessions) {
      for (const int64_t depth : options_.depths) {
        KAKEYA_ASSIGN_OR_RETURN(Bench * bench, Add(session, 1, depth, session.prefill_block));
        const auto between = [&] { return Between(SpeedPhase::kFill, filled, total); };
        KAKEYA_RETURN_IF_ERROR(bench->Fill(&random_, between));
        const bool keep = session.kv.bounded();
        AddTest(SpeedTest::kPrefill, bench, {.passes = 1, .keep = keep}, session.prefill_block);
        const bool restored = session.kv.kind == KvPolicy::Kind::kRestored;
        const int64_t passes = restored ? kRestoredDecodePasses : kDecodePasses;
        AddTest(SpeedTest::kDecode, bench, {.passes = passes, .keep = keep}, 1);
        if (options_.sequences > 1) {
          const int n = options_.sequences;
          KAKEYA_ASSIGN_OR_RETURN(Bench * batch, Add(session, n, depth, n));
          KAKEYA_RETURN_IF_ERROR(batch->Fill(&random_, between));
          AddTest(SpeedTest::kBatch, batch, {.passes = passes, .logit_rows = n, .keep = keep}, n);
        }
        ++filled;
      }
    }
    if (!options_.verify_curve) return OkStatus();
    KAKEYA_ASSIGN_OR_RETURN(Bench * bench, Add(options_.sessions[0], 1, 0, kMaxVerifyTokens));
    for (int64_t tokens = 1; tokens <= kMaxVerifyTokens; ++tokens) {
      AddTest(SpeedTest::kVerify, bench, {.passes = kVerifyPasses, .logit_rows = tokens}, tokens);
    }
    return OkStatus();
  }

  Result<Bench*> Add(const SessionOptions& session, int sequences, int64_t depth, int64_t rows) {
    KAKEYA_ASSIGN_OR_RETURN(auto bench, Bench::Create(engine_, session, sequences, depth, rows));
    benches_.push_back(std::move(bench));
    return benches_.back().get();
  }

  void AddTest(SpeedTest kind, Bench* bench, Test test, int64_t tokens) {
    test.bench = bench;
    test.row.test = kind;
    test.row.kv = bench->policy().kind;
    test.row.depth = bench->depth();
    test.row.tokens = tokens;
    tests_.push_back(std::move(test));
  }

  // Turns until every median has settled or time is up; the first is always completed.
  Status TakeTurns(ReadBandwidth* bandwidth) {
    const double start = Now();
    const auto settled = [&] {
      return std::all_of(tests_.begin(), tests_.end(),
                         [](const Test& test) { return HasSettled(test.row.cells); });
    };
    double last_read = -kReadEvery;
    for (;;) {
      for (Test& test : tests_) {
        const double elapsed = Now() - start;
        if (turns_ > 0 && elapsed > options_.seconds) return OkStatus();
        if (elapsed - last_read >= kReadEvery) {
          reads_.push_back(bandwidth->Measure());
          last_read = Now() - start;
        }
        KAKEYA_RETURN_IF_ERROR(Between(SpeedPhase::kMeasure, static_cast<int64_t>(elapsed * 1000),
                                       static_cast<int64_t>(options_.seconds * 1000)));
        KAKEYA_ASSIGN_OR_RETURN(
            const double seconds,
            test.bench->Time(test.row.tokens, test.logit_rows, test.keep, test.passes, &random_));
        test.row.cells.push_back(seconds);
      }
      ++turns_;
      stable_ = settled() && HasSettled(reads_);
      if (stable_) return OkStatus();
    }
  }

  Speed Report() {
    Speed out;
    out.read_bytes_per_second = Median(reads_);
    out.weight_bytes = WeightBytesRead(engine_->model().weights);
    out.turns = turns_;
    out.stable = stable_;
    for (Test& test : tests_) {
      SpeedRow& row = test.row;
      row.seconds = Median(row.cells);
      const int64_t sequences = test.bench->sequences();
      const uint64_t kv_bytes = KvBytesRead(test.bench->policy(), row.depth, row.tokens / sequences,
                                            test.bench->slot_bytes());
      row.bytes =
          static_cast<double>(out.weight_bytes + static_cast<uint64_t>(sequences) * kv_bytes);
      row.share_of_read = ShareOfRead(row.bytes, row.seconds, out.read_bytes_per_second);
      out.rows.push_back(std::move(row));
    }
    return out;
  }

  Engine* const engine_;
  const SpeedOptions& options_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Bench>> benches_;
  std::vector<Test> tests_;
  std::vector<double> reads_;  // bytes per second, turn by turn
  int64_t turns_ = 0;          // whole ones
  bool stable_ = false;
};

}  // namespace

const char* NameOf(SpeedTest test) {
  switch (test) {
    case SpeedTest::kPrefill:
      return "prefill";
    case SpeedTest::kDecode:
      return "decode";
    case SpeedTest::kVerify:
      return "verify";
    case SpeedTest::kBatch:
      return "batch";
  }
  return "?";
}

double Median(std::vector<double> values) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

bool HasSettled(const std::vector<double>& values) {
  constexpr size_t kLeast = 5;
  constexpr double kShare = 0.01;
  if (values.size() < kLeast) return false;
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const double range = sorted[sorted.size() * 3 / 4] - sorted[sorted.size() / 4];
  return range / std::sqrt(static_cast<double>(sorted.size())) < kShare * Median(values);
}

std::optional<double> ShareOfRead(double bytes, double seconds, double read_bytes_per_second) {
  const double share = bytes / seconds / read_bytes_per_second;
  return share <= kMostShareOfRead ? std::optional(share) : std::nullopt;
}

uint64_t WeightBytesRead(const ModelWeights& weights) {
  uint64_t bytes = weights.head().bytes() + weights.final_norm.size();
  for (const LayerWeights& layer : weights.layers) {
    for (const PackedMatrix& part : layer.qkv.parts) bytes += part.bytes();
    for (const PackedMatrix* matrix : {&layer.o, &layer.gate, &layer.up, &layer.down}) {
      bytes += matrix->bytes();
    }
    for (const Buffer* norm : {&layer.attn_norm, &layer.q_norm, &layer.k_norm, &layer.mlp_norm}) {
      bytes += norm->size();
    }
  }
  return bytes;
}

uint64_t KvBytesRead(const KvPolicy& policy, int64_t depth, int64_t tokens, uint64_t slot_bytes) {
  const int64_t begin = WindowBegin(policy, depth);  // of the first query; later ones see no more
  const int64_t sinks = policy.bounded() ? std::min(policy.sink, begin) : 0;
  return static_cast<uint64_t>(depth + tokens - begin + sinks) * slot_bytes;
}

Status CheckSpeedDepths(std::span<const int64_t> depths) {
  std::set<int64_t> seen;
  for (const int64_t depth : depths) {
    if (depth < 0 || depth > kMaxSpeedDepth) {
      return InvalidArgument("depth {} must lie in [0, {}]", depth, kMaxSpeedDepth);
    }
    if (!seen.insert(depth).second) return InvalidArgument("depth {} comes twice", depth);
  }
  return OkStatus();
}

Result<Speed> MeasureSpeed(Engine* engine, const SpeedOptions& options) {
  return SpeedRun(engine, options).Run();
}

}  // namespace kakeya
