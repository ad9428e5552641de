// From single runs to the rows of the recall matrix.
#ifndef KAKEYA_EVAL_RECALL_REPORT_ROWS_H_
#define KAKEYA_EVAL_RECALL_REPORT_ROWS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/recall/report/stats.h"
#include "eval/recall/run/record.h"

namespace kakeya {

struct RecallCount {
  int64_t n = 0;
  int64_t hits = 0;

  void Add(bool right) {
    ++n;
    hits += right ? 1 : 0;
  }
  // Nothing without a prompt.
  std::optional<double> recall() const {
    if (n == 0) return std::nullopt;
    return static_cast<double>(hits) / static_cast<double>(n);
  }
  Interval interval() const { return WilsonInterval(hits, n); }
};

inline constexpr int kDepthBins = 10;

// One task at one length in one arm.
struct RecallRow {
  RecallTask task = RecallTask::kSingle;
  int64_t length = 0;
  RecallArm arm = RecallArm::kOracle;
  RecallCount count;
  std::array<RecallCount, kDepthBins> by_depth;
  RecallCount beyond_reach;  // prompts whose needle is farther back than the windows reach
  RecallCount within_reach;
  // On the same prompts, this arm - oracle. Nothing for the oracle, or without it.
  std::optional<PairedCounts> pairs;
  double mean_prompt_tokens = 0;
  uint64_t resident_bytes = 0;  // at most, over the prompts
  uint64_t peak_bytes = 0;
  uint64_t history_bytes = 0;
  uint64_t scratch_bytes = 0;
  uint64_t held_bytes = 0;     // resident and history together, at most
  int64_t restored_pages = 0;  // in all, as the next two
  int64_t restored_vectors = 0;
  int64_t failed_pages = 0;
  int64_t reinserted_chunks = 0;                   // at most
  std::map<std::string, RecallCount> by_phrasing;  // without tasks that mix several
  double prefill_ms_per_token = 0;                 // 0: no token was timed
  double decode_ms_per_token = 0;
};

// One row per (task, length, arm), in the order of the records.
std::vector<RecallRow> RowsOf(std::span<const RecallRecord> records, int64_t reach);

// How many of the runs each machine did.
std::map<std::string, int64_t> MachinesOf(std::span<const RecallRecord> records);

// All layers that some run found to keep what is evicted; ascending.
std::vector<int> CouponLayersOf(std::span<const RecallRecord> records);

// The row, or null.
const RecallRow* FindRow(std::span<const RecallRow> rows, RecallTask task, int64_t length,
                         RecallArm arm);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_ROWS_H_
