#include "eval/recall/report/plots.h"

#include <algorithm>
#include <functional>

#include "eval/recall/report/svg_chart.h"

namespace kakeya {
namespace {

std::string Plain(double value) { return fmt::format("{:g}", value); }

ChartAxis LengthAxis(const RecallReport& report) {
  ChartAxis axis{.label = "tokens of the prompt", .log = true, .ticks = {}, .text = Plain};
  for (const int64_t length : report.options.lengths) {
    axis.ticks.push_back(static_cast<double>(length));
  }
  axis.low = axis.ticks.front();
  axis.high = axis.ticks.back();
  return axis;
}

// Rows of one task and arm, by length.
template <typename Visit>
void ForRows(const RecallReport& report, RecallTask task, RecallArm arm, const Visit& visit) {
  for (const int64_t length : report.options.lengths) {
    const RecallRow* row = FindRow(report.rows, task, length, arm);
    if (row != nullptr) visit(*row);
  }
}

std::string RecallChart(const RecallReport& report, RecallTask task, const char* title,
                        std::vector<double> guides, const std::function<bool(RecallArm)>& shown) {
  LineChart chart{.title = title, .x = LengthAxis(report), .y = {}, .series = {}, .guides = {}};
  chart.y = {.label = "recall", .ticks = {0, 0.25, 0.5, 0.75, 1}, .text = Plain};
  chart.guides = std::move(guides);
  for (const RecallArm arm : report.options.arms) {
    if (!shown(arm)) continue;
    ChartSeries series{.name = NameOf(arm), .style = NameOf(arm), .points = {}};
    ForRows(report, task, arm, [&](const RecallRow& row) {
      const Interval interval = row.count.interval();
      const double recall = row.count.recall().value_or(0);
      series.points.push_back(
          {static_cast<double>(row.length), recall, interval,
           fmt::format("{} at {}: {:.3f} ({:.3f} to {:.3f}), {} of {}", NameOf(arm), row.length,
                       recall, interval.low, interval.high, row.count.hits, row.count.n)});
    });
    chart.series.push_back(std::move(series));
  }
  return RenderLineChart(chart);
}

std::string DepthMap(const RecallReport& report, RecallTask task, RecallArm arm) {
  HeatMap map{
      .title = fmt::format("{} by depth of the needle and length: recall from 0 (pale) to 1 "
                           "(full colour), - where nothing was asked",
                           NameOf(arm)),
      .row_label = "depth of the needle, from the beginning",
      .column_label = "tokens of the prompt",
      .rows = {},
      .columns = {},
      .cells = {}};
  for (int bin = 0; bin < kDepthBins; ++bin) {
    map.rows.push_back(
        fmt::format("{} to {} %", bin * 100 / kDepthBins, (bin + 1) * 100 / kDepthBins));
    map.cells.emplace_back();
  }
  ForRows(report, task, arm, [&](const RecallRow& row) {
    map.columns.push_back(std::to_string(row.length));
    for (int bin = 0; bin < kDepthBins; ++bin) {
      const RecallCount& count = row.by_depth[bin];
      map.cells[bin].push_back({count.recall(), fmt::format("{} tokens, {}: {} of {}", row.length,
                                                            map.rows[bin], count.hits, count.n)});
    }
  });
  return map.columns.empty() ? std::string() : RenderHeatMap(map);
}

// The task that costs are shown of: the single needle where it was run.
RecallTask CostTask(const RecallReport& report) {
  const std::vector<RecallTask>& tasks = report.options.tasks;
  const bool single = std::find(tasks.begin(), tasks.end(), RecallTask::kSingle) != tasks.end();
  return single ? RecallTask::kSingle : tasks.front();
}

void AddBytes(std::vector<ChartSeries>* all, const std::string& name, const std::string& style,
              std::vector<std::pair<int64_t, uint64_t>> bytes) {
  ChartSeries series{.name = name, .style = style, .points = {}};
  for (const auto& [length, size] : bytes) {
    if (size == 0) continue;
    const auto value = static_cast<double>(size);
    series.points.push_back(
        {static_cast<double>(length), value, std::nullopt,
         fmt::format("{} at {}: {} ({} bytes)", name, length, BytesText(value), size)});
  }
  if (!series.points.empty()) all->push_back(std::move(series));
}

std::string BytesChart(const RecallReport& report) {
  LineChart chart{.title = "K/V memory, as the allocator counted it",
                  .x = LengthAxis(report),
                  .y = {},
                  .series = {},
                  .guides = {}};
  const auto of_rows = [&](RecallArm arm, uint64_t RecallRow::*bytes) {
    std::vector<std::pair<int64_t, uint64_t>> out;
    ForRows(report, CostTask(report), arm,
            [&](const RecallRow& row) { out.emplace_back(row.length, row.*bytes); });
    return out;
  };
  std::vector<std::pair<int64_t, uint64_t>> full;
  for (const auto& [length, measured] : report.full_kv) full.emplace_back(length, measured.bytes);
  AddBytes(&chart.series, "full K/V", "full", full);
  AddBytes(&chart.series, "restored: K/V and buffer", "restored",
           of_rows(RecallArm::kRestored, &RecallRow::resident_bytes));
  AddBytes(&chart.series, "restored: history", "history",
           of_rows(RecallArm::kRestored, &RecallRow::history_bytes));
  AddBytes(&chart.series, "restored: both", "held",
           of_rows(RecallArm::kRestored, &RecallRow::held_bytes));
  AddBytes(&chart.series, "window: K/V", "window",
           of_rows(RecallArm::kWindow, &RecallRow::resident_bytes));
  double low = 1e300;
  double high = 0;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
    }
  }
  if (high == 0) return "";
  chart.y = {.label = "bytes, logarithmic",
             .log = true,
             .low = low / 1.5,
             .high = high * 1.5,
             .ticks = {},
             .text = BytesText};
  chart.y.ticks = DecadeTicks(chart.y.low, chart.y.high);
  return RenderLineChart(chart);
}

std::string TimeChart(const RecallReport& report, const char* title, double RecallRow::*ms) {
  LineChart chart{.title = title, .x = LengthAxis(report), .y = {}, .series = {}, .guides = {}};
  double high = 0;
  for (const RecallArm arm : {RecallArm::kOracle, RecallArm::kRestored, RecallArm::kWindow,
                              RecallArm::kReinsert, RecallArm::kSelf}) {
    ChartSeries series{.name = NameOf(arm), .style = NameOf(arm), .points = {}};
    ForRows(report, CostTask(report), arm, [&](const RecallRow& row) {
      if (row.*ms <= 0) return;
      high = std::max(high, row.*ms);
      series.points.push_back(
          {static_cast<double>(row.length), row.*ms, std::nullopt,
           fmt::format("{} at {}: {:.3f} ms per token", NameOf(arm), row.length, row.*ms)});
    });
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  if (high == 0) return "";
  chart.y = {.label = "ms per token", .ticks = RoundTicks(high), .text = Plain};
  chart.y.high = chart.y.ticks.back();
  return RenderLineChart(chart);
}

}  // namespace

std::string RecallPlots(const RecallReport& report, RecallTask task) {
  const auto fails = [](RecallArm arm) { return RoleOf(arm) == ArmRole::kMustFail; };
  return RecallChart(report, task, "Arms that should recall, and baselines", {0.9},
                     [&](RecallArm arm) { return !fails(arm); }) +
         RecallChart(report, task, "Arms that must not recall", {0.05}, fails) +
         DepthMap(report, task, RecallArm::kRestored);
}

std::string CostPlots(const RecallReport& report) {
  return BytesChart(report) +
         TimeChart(report, "Reading the prompt", &RecallRow::prefill_ms_per_token) +
         TimeChart(report, "Generating the answer", &RecallRow::decode_ms_per_token);
}

}  // namespace kakeya
