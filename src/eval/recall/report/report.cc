#include "eval/recall/report/report.h"

#include <cmath>
#include <set>

namespace kakeya {

RecallReport MakeReport(const Engine& engine, const RecallOptions& options,
                        const RecallOutcome& outcome, RecallSource source) {
  const ModelConfig& config = engine.model().config;
  RecallReport report;
  report.source = std::move(source);
  report.options = options;
  report.reach = WindowReach(config.num_layers(), options.session.kv);
  report.max_positions = config.max_positions;
  report.rows = RowsOf(outcome.records, report.reach);
  report.skipped = outcome.skipped;
  report.full_kv = outcome.full_kv;
  report.restorer_bytes = engine.restorer_bytes();
  report.machines = MachinesOf(outcome.records);
  report.coupon_layers = CouponLayersOf(outcome.records);
  std::set<int64_t> without_oracle;
  for (const SkippedArm& skipped : outcome.skipped) {
    if (skipped.task == RecallTask::kSingle && skipped.arm == RecallArm::kOracle) {
      without_oracle.insert(skipped.length);
    }
  }
  report.verdict = Judge(report.rows, options.lengths, without_oracle, report.coupon_layers);
  return report;
}

std::string BytesText(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  const bool whole = unit == 0 || bytes >= 99.95 || std::abs(bytes - std::round(bytes)) < 1e-6;
  return fmt::format("{:.{}f} {}", bytes, whole ? 0 : 1, kUnits[unit]);
}

std::string MachinesText(const RecallReport& report) {
  std::string out;
  for (const auto& [machine, runs] : report.machines) {
    out += fmt::format("{}{} ({} runs)", out.empty() ? "" : ", ", machine, runs);
  }
  return out;
}

std::string ChunksText(int64_t chunks) {
  return chunks == kAllChunks ? "all" : std::to_string(chunks);
}

}  // namespace kakeya
