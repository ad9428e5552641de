#include <algorithm>

#include "eval/recall/report/report.h"

namespace kakeya {
namespace {

constexpr int kArmWidth = 16;

std::string Percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.3f}", *share) : std::string("-");
}

std::string RowLine(const RecallRow& row) {
  const Interval interval = row.count.interval();
  std::string line =
      fmt::format("  {:<{}} {:>5} {:>6}  {:.3f} to {:.3f}", NameOf(row.arm), kArmWidth, row.count.n,
                  Percent(row.count.recall()), interval.low, interval.high);
  if (row.pairs) {
    const PairedDifference difference = DifferenceOf(*row.pairs);
    line += fmt::format("  {:+.3f} ({:+.3f} to {:+.3f})", difference.difference,
                        difference.interval.low, difference.interval.high);
  } else {
    line += fmt::format("  {:<25}", "");
  }
  const std::string beyond =
      row.beyond_reach.n == 0 ? std::string("-")
                              : fmt::format("{} of {}", row.beyond_reach.hits, row.beyond_reach.n);
  line += fmt::format("  {:>12} {:>9} {:>9} {:>9} {:>9} {:>9.3f} {:>8.2f}\n", beyond,
                      BytesText(static_cast<double>(row.resident_bytes)),
                      BytesText(static_cast<double>(row.history_bytes)),
                      BytesText(static_cast<double>(row.held_bytes)),
                      BytesText(static_cast<double>(row.scratch_bytes)), row.prefill_ms_per_token,
                      row.decode_ms_per_token);
  return line;
}

std::string TaskTable(const RecallReport& report, RecallTask task, int64_t length) {
  std::string out;
  const auto full = report.full_kv.find(length);
  const bool known = full != report.full_kv.end() && full->second.bytes > 0;
  out += fmt::format("{} at {} tokens", NameOf(task), length);
  if (known) {
    out += fmt::format(" (full K/V: {})", BytesText(static_cast<double>(full->second.bytes)));
  }
  out += fmt::format(
      "\n  {:<{}} {:>5} {:>6}  {:<14}  {:<25}  {:>12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}\n", "arm",
      kArmWidth, "n", "recall", "95 % interval", "minus oracle, paired", "beyond reach", "K/V",
      "history", "both", "scratch", "ms/prefill", "ms/token");
  for (const RecallRow& row : report.rows) {
    if (row.task != task || row.length != length) continue;
    out += RowLine(row);
    if (row.failed_pages > 0) {
      out += fmt::format("  {:<{}} the restorer gave no numbers for {} pages\n", "", kArmWidth,
                         row.failed_pages);
    }
  }
  for (const SkippedArm& skipped : report.skipped) {
    if (skipped.task == task && skipped.length == length) {
      out += fmt::format("  {:<{}} skipped: {}\n", NameOf(skipped.arm), kArmWidth, skipped.reason);
    }
  }
  return out + "\n";
}

}  // namespace

std::string ReportAsText(const RecallReport& report) {
  std::string out;
  for (const RecallTask task : report.options.tasks) {
    for (const int64_t length : report.options.lengths) out += TaskTable(report, task, length);
  }
  out += fmt::format(
      "beyond reach: of the prompts whose needle is more than {} tokens back, farther than the "
      "windows of all layers reach\n",
      report.reach);
  out += "K/V (with the restore buffer), history, both, full K/V: at most over the prompts\n";
  out += fmt::format(
      "scratch: activations, of fixed size; beside these, the restorer's parameters: {}\n",
      BytesText(static_cast<double>(report.restorer_bytes)));
  out += fmt::format("measured on: {}\n", MachinesText(report));
  if (report.machines.size() > 1) out += fmt::format("{}\n", kMachinesDiffer);
  std::string held;
  for (const LengthVerdict& judged : report.verdict.by_length) {
    held += fmt::format("{}{} {}", held.empty() ? "" : ", ", judged.length, Heading(judged));
  }
  out += fmt::format("verdict: {} ({})\n", Heading(report.verdict), held);
  for (const std::string& reason : report.verdict.reasons) {
    out += fmt::format("  {}\n", reason);
  }
  return out;
}

}  // namespace kakeya
