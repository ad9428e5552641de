#include "eval/speed/speed_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kakeya {
namespace {

double TokensPerSecond(const SpeedRow& row) {
  return static_cast<double>(row.tokens) / row.seconds;
}

// Four digits are more than a measurement is worth.
double Rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double unit = std::pow(10, std::floor(std::log10(std::fabs(value))) - 3);
  return unit < 1 ? std::round(value / unit) / std::round(1 / unit)
                  : std::round(value / unit) * unit;
}

constexpr const char* kShareFault =
    "more than the read bandwidth: it was measured in worse moments than the test, or caches held "
    "a part of what the test reads";

Json CellsOf(const SpeedRow& row) {
  Json cells = Json::array();
  for (const double seconds : row.cells) cells.push_back(Rounded(1000 * seconds));
  return cells;
}

Json RowJson(const SpeedRow& row, bool cells) {
  Json out = {{"test", NameOf(row.test)},
              {"kv", NameOf(row.kv)},
              {"depth", row.depth},
              {"tokens", row.tokens},
              {"tok_s", Rounded(TokensPerSecond(row))},
              {"ms", Rounded(1000 * row.seconds)},
              {"share_of_read", row.share_of_read ? Json(Rounded(*row.share_of_read)) : Json()},
              {"turns", row.cells.size()}};
  if (cells) out["cells_ms"] = CellsOf(row);
  return out;
}

std::string ShareText(const SpeedRow& row) {
  return row.share_of_read ? fmt::format("{:.1f} %", 100 * *row.share_of_read) : "failed";
}

// Time of a verification over that of one token; tokens per second of a batch over those of one
// sequence. Nothing for other tests.
std::string Relative(const Speed& speed, const SpeedRow& row) {
  const auto over = [&](SpeedTest test) -> const SpeedRow& {
    return *std::find_if(speed.rows.begin(), speed.rows.end(), [&](const SpeedRow& one) {
      return one.test == test && one.tokens == 1 && one.kv == row.kv && one.depth == row.depth;
    });
  };
  if (row.test == SpeedTest::kVerify) {
    return fmt::format("  {:5.2f} x the time of one", row.seconds / over(row.test).seconds);
  }
  if (row.test == SpeedTest::kBatch) {
    return fmt::format("  {:5.2f} x the speed of one",
                       TokensPerSecond(row) / TokensPerSecond(over(SpeedTest::kDecode)));
  }
  return "";
}

}  // namespace

Json SpeedJson(const SpeedContext& context, const Speed& speed) {
  Json rows = Json::array();
  for (const SpeedRow& row : speed.rows) {
    rows.push_back(RowJson(row, context.cells));
    if (!row.share_of_read) rows.back()["share_fault"] = kShareFault;
  }
  return {{"read_gb_s", Rounded(speed.read_bytes_per_second / 1e9)},
          {"rows", std::move(rows)},
          {"model", context.model},
          {"weights", context.weights},
          {"weight_bytes", speed.weight_bytes},
          {"load_s", Rounded(context.load_seconds)},
          {"load_peak_bytes", context.load_peak_bytes},
          {"kv_type", context.kv_type},
          {"restorer", context.restorer.empty() ? Json(nullptr) : Json(context.restorer)},
          {"threads", context.threads},
          {"seed", context.seed},
          {"turns", speed.turns},
          {"stable", speed.stable},
          {"build", context.build},
          {"machine", context.machine}};
}

std::string SpeedCsv(const SpeedContext& context, const Speed& speed) {
  std::string out = "test,kv,depth,tokens,tok_s,ms,share_of_read,turns";
  out += context.cells ? ",cells_ms\n" : "\n";
  for (const SpeedRow& row : speed.rows) {
    std::string line;
    const Json fields = RowJson(row, context.cells);
    for (const auto& [key, value] : fields.items()) {
      if (!line.empty()) line += ',';
      if (value.is_array()) {
        line += '"' + value.dump() + '"';
      } else if (!value.is_null()) {
        line += value.is_string() ? value.get<std::string>() : value.dump();
      }
    }
    out += line + '\n';
  }
  return out;
}

std::string SpeedTable(const SpeedContext& context, const Speed& speed) {
  std::string out = fmt::format(
      "{}: {} weights, {:.1f} MB of them read per token; K/V {}\n"
      "loaded in {:.2f} s, at most {:.1f} MB resident\n"
      "{}; {} threads read {:.1f} GB/s\n",
      context.model, context.weights, static_cast<double>(speed.weight_bytes) / 1e6,
      context.kv_type, context.load_seconds, static_cast<double>(context.load_peak_bytes) / 1e6,
      context.machine, context.threads, speed.read_bytes_per_second / 1e9);
  out += fmt::format("{:<8} {:<9} {:>8} {:>7} {:>10} {:>10} {:>9}{}\n", "test", "kv", "depth",
                     "tokens", "tok/s", "ms", "of read",
                     context.cells ? "   fastest    slowest  turns" : "");
  for (const SpeedRow& row : speed.rows) {
    out += fmt::format("{:<8} {:<9} {:>8} {:>7} {:>10.1f} {:>10.2f} {:>9}", NameOf(row.test),
                       NameOf(row.kv), row.depth, row.tokens, TokensPerSecond(row),
                       1000 * row.seconds, ShareText(row));
    if (context.cells) {
      const auto [low, high] = std::minmax_element(row.cells.begin(), row.cells.end());
      out += fmt::format(" {:>9.2f} {:>10.2f} {:>6}", 1000 * *low, 1000 * *high, row.cells.size());
    }
    out += Relative(speed, row) + '\n';
  }
  out += fmt::format("medians of {} turn{}{}\n", speed.turns, speed.turns == 1 ? "" : "s",
                     speed.stable ? "" : "; they had not settled when time was up (--seconds)");
  const bool failed = std::any_of(speed.rows.begin(), speed.rows.end(),
                                  [](const SpeedRow& row) { return !row.share_of_read; });
  if (failed) out += fmt::format("of read failed: {}\n", kShareFault);
  return out;
}

}  // namespace kakeya
