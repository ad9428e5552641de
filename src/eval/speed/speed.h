// How fast a model runs under each K/V policy, at several depths, beside the machine's own read
// bandwidth.
//
// One pass of a test is what a step of the engine computes:
//   prefill: SessionOptions::prefill_block tokens at once, logits of the last;
//   decode:  one token and its logits;
//   verify:  L tokens at once at depth 0, the logits of every one (a drafted block);
//   batch:   one token and its logits of each of several sequences, in one pass.
// Tests take turns, so that a noisy minute hits them all, and each reports the median of its turns.
// The bandwidth is measured in between, all along, and is a median too. What samples a token from
// logits isn't timed.
//
// With the full policy a pass is rolled back, so that every one stands exactly at its depth. A
// bounded cache can't forget a prefill: there passes are committed, and positions grow from turn to
// turn, which changes neither what a query sees nor, by much, what it costs.
//
// Thread safety: none.
#ifndef KAKEYA_EVAL_SPEED_SPEED_H_
#define KAKEYA_EVAL_SPEED_SPEED_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya {

enum class SpeedTest { kPrefill, kDecode, kVerify, kBatch };
// "prefill", "decode", "verify", "batch".
const char* NameOf(SpeedTest test);

// Tokens that verification is measured for: 1 to so many.
inline constexpr int64_t kMaxVerifyTokens = 32;
// Most sequences that one pass is measured with.
inline constexpr int kMaxSpeedSequences = 64;
// Deepest position that a measurement may start from.
inline constexpr int64_t kMaxSpeedDepth = (int64_t{1} << 24) - (int64_t{1} << 17);

// A larger share of the read bandwidth is a failed measurement and no figure: nothing reads memory
// faster than memory can be read. Up to here it is the noise of two measurements.
inline constexpr double kMostShareOfRead = 1.05;

enum class SpeedPhase { kFill, kMeasure };

struct SpeedOptions {
  std::vector<SessionOptions> sessions = {};  // one per policy
  std::vector<int64_t> depths = {};           // positions in the cache before a pass
  bool verify_curve = false;                  // of the first session
  int sequences = 1;                          // more than one: "batch" of so many, everywhere
  double seconds = 60;                        // to measure for; every test gets one turn at least
  uint64_t seed = 0;                          // of token ids, keys and values
  // Called now and then. May be empty.
  std::function<void(SpeedPhase phase, int64_t done, int64_t total)> progress = {};
  // Asked between passes; true ends the measurement. May be empty.
  std::function<bool()> interrupted = {};
};

struct SpeedRow {
  SpeedTest test = SpeedTest::kDecode;
  KvPolicy::Kind kv = KvPolicy::Kind::kFull;
  int64_t depth = 0;
  int64_t tokens = 0;  // of one pass, of all its sequences
  double seconds = 0;  // of one pass: the median of `cells`
  double bytes = 0;    // that a pass reads: weights, and exact K/V in view
  // bytes / seconds / the read bandwidth; nothing where that is more than kMostShareOfRead
  std::optional<double> share_of_read = {};
  std::vector<double> cells = {};  // seconds of a pass, turn by turn
};

struct Speed {
  double read_bytes_per_second = 0;  // the median
  uint64_t weight_bytes = 0;         // that one token reads
  int64_t turns = 0;
  bool stable = false;  // the medians had settled before time was up
  std::vector<SpeedRow> rows;
};

// Whether depths can be measured, whatever the model. Errors: InvalidArgument for one that is
// negative, beyond kMaxSpeedDepth or comes twice.
Status CheckSpeedDepths(std::span<const int64_t> depths);

// Errors: those of CheckSpeedDepths, ResourceExhausted (a depth whose K/V don't fit into memory,
// with both numbers of bytes, before any is filled), Cancelled.
Result<Speed> MeasureSpeed(Engine* engine, const SpeedOptions& options);

// The middle one, or the mean of the two in the middle. REQUIRES: not empty.
double Median(std::vector<double> values);

// Whether a median will hardly move any more: from five values on, when their interquartile range
// over the root of their number is below 1 % of it.
bool HasSettled(const std::vector<double>& values);

// The share of a read bandwidth that a pass reaches, as SpeedRow::share_of_read has it.
std::optional<double> ShareOfRead(double bytes, double seconds, double read_bytes_per_second);

// Bytes of weights that a pass reads, and of exact K/V that its queries see when `tokens` of them
// stand behind `depth` positions of a cache that keeps `slot_bytes` per position.
uint64_t WeightBytesRead(const ModelWeights& weights);
uint64_t KvBytesRead(const KvPolicy& policy, int64_t depth, int64_t tokens, uint64_t slot_bytes);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_SPEED_SPEED_H_
