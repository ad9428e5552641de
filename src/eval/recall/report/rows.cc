#include "eval/recall/report/rows.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace kakeya {
namespace {

using RowKey = std::tuple<RecallTask, int64_t, RecallArm>;

// Sums that a row is made of.
struct Sums {
  RecallRow row;
  int64_t prompt_tokens = 0;
  int64_t prefill_tokens = 0;
  double prefill_seconds = 0;
  int64_t decode_steps = 0;
  double decode_seconds = 0;
};

void Add(const RecallRecord& record, int64_t reach, Sums* sums) {
  RecallRow& row = sums->row;
  row.count.Add(record.right);
  const int bin = std::clamp(static_cast<int>(record.depth * kDepthBins), 0, kDepthBins - 1);
  row.by_depth[bin].Add(record.right);
  (record.distance > reach ? row.beyond_reach : row.within_reach).Add(record.right);
  row.resident_bytes = std::max(row.resident_bytes, record.resident_bytes);
  row.peak_bytes = std::max(row.peak_bytes, record.peak_bytes);
  row.history_bytes = std::max(row.history_bytes, record.history_bytes);
  row.scratch_bytes = std::max(row.scratch_bytes, record.scratch_bytes);
  row.held_bytes = std::max(row.held_bytes, record.resident_bytes + record.history_bytes);
  row.restored_pages += record.restored_pages;
  row.restored_vectors += record.restored_vectors;
  row.failed_pages += record.failed_pages;
  row.reinserted_chunks = std::max(row.reinserted_chunks, record.reinserted_chunks);
  if (!record.phrasing.empty()) row.by_phrasing[record.phrasing].Add(record.right);
  sums->prompt_tokens += record.prompt_tokens;
  sums->prefill_tokens += record.prefill_tokens;
  sums->prefill_seconds += record.prefill_seconds;
  sums->decode_steps += record.decode_steps;
  sums->decode_seconds += record.decode_seconds;
}

void AddPair(bool first, bool second, PairedCounts* counts) {
  int64_t& count = first ? (second ? counts->both : counts->first_only)
                         : (second ? counts->second_only : counts->neither);
  ++count;
}

double MsPer(double seconds, int64_t tokens) {
  return tokens > 0 ? 1e3 * seconds / static_cast<double>(tokens) : 0;
}

}  // namespace

std::vector<RecallRow> RowsOf(std::span<const RecallRecord> records, int64_t reach) {
  std::map<std::tuple<RecallTask, int64_t, int64_t>, bool> oracle;
  for (const RecallRecord& record : records) {
    const RecallKey& key = record.key;
    if (key.arm == RecallArm::kOracle) oracle[{key.task, key.length, key.prompt}] = record.right;
  }
  std::map<RowKey, size_t> index;
  std::vector<Sums> all;
  for (const RecallRecord& record : records) {
    const RecallKey& key = record.key;
    const auto [at, fresh] = index.try_emplace({key.task, key.length, key.arm}, all.size());
    if (fresh) {
      all.emplace_back();
      all.back().row.task = key.task;
      all.back().row.length = key.length;
      all.back().row.arm = key.arm;
    }
    Sums& sums = all[at->second];
    Add(record, reach, &sums);
    const auto other = oracle.find({key.task, key.length, key.prompt});
    if (key.arm != RecallArm::kOracle && other != oracle.end()) {
      if (!sums.row.pairs) sums.row.pairs.emplace();
      AddPair(record.right, other->second, &*sums.row.pairs);
    }
  }
  std::vector<RecallRow> rows;
  for (Sums& sums : all) {
    sums.row.mean_prompt_tokens =
        static_cast<double>(sums.prompt_tokens) / static_cast<double>(sums.row.count.n);
    sums.row.prefill_ms_per_token = MsPer(sums.prefill_seconds, sums.prefill_tokens);
    sums.row.decode_ms_per_token = MsPer(sums.decode_seconds, sums.decode_steps);
    rows.push_back(sums.row);
  }
  return rows;
}

std::map<std::string, int64_t> MachinesOf(std::span<const RecallRecord> records) {
  std::map<std::string, int64_t> machines;
  for (const RecallRecord& record : records) ++machines[record.machine];
  return machines;
}

std::vector<int> CouponLayersOf(std::span<const RecallRecord> records) {
  std::set<int> layers;
  for (const RecallRecord& record : records) {
    layers.insert(record.coupon_layers.begin(), record.coupon_layers.end());
  }
  return {layers.begin(), layers.end()};
}

const RecallRow* FindRow(std::span<const RecallRow> rows, RecallTask task, int64_t length,
                         RecallArm arm) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const RecallRow& row) {
    return row.task == task && row.length == length && row.arm == arm;
  });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace kakeya
