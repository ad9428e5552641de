// Line charts and heat maps as SVG text for an HTML page. Colours come from the page's style sheet
// by class, so that one drawing serves light and dark; every mark carries its figures as a tooltip.
#ifndef KAKEYA_EVAL_RECALL_REPORT_SVG_CHART_H_
#define KAKEYA_EVAL_RECALL_REPORT_SVG_CHART_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/recall/report/stats.h"

namespace kakeya {

// Text for HTML and its attributes.
std::string EscapeHtml(std::string_view text);

struct ChartPoint {
  double x = 0;
  double y = 0;
  std::optional<Interval> interval;  // drawn as a whisker
  std::string tooltip;
};

struct ChartSeries {
  std::string name;
  std::string style;               // class of the style sheet that says colour and dashes
  std::vector<ChartPoint> points;  // by ascending x
};

struct ChartAxis {
  std::string label;
  bool log = false;
  double low = 0;  // low < high; > 0 where log
  double high = 1;
  std::vector<double> ticks;
  std::function<std::string(double)> text;  // of a tick
};

struct LineChart {
  std::string title;
  ChartAxis x;
  ChartAxis y;
  std::vector<ChartSeries> series;
  std::vector<double> guides;  // dashed lines across, at these y
};

// A figure with title and legend; a chart without points says so.
std::string RenderLineChart(const LineChart& chart);

struct HeatCell {
  std::optional<double> share;  // [0, 1]; nothing: no data
  std::string tooltip;
};

struct HeatMap {
  std::string title;
  std::string row_label;
  std::string column_label;
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  std::vector<std::vector<HeatCell>> cells;  // [row][column]
};

std::string RenderHeatMap(const HeatMap& map);

// The powers of ten in [low, high], or both ends where there are fewer than two.
std::vector<double> DecadeTicks(double low, double high);
// About five round numbers from 0 to at least `high`; REQUIRES: high > 0.
std::vector<double> RoundTicks(double high);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_SVG_CHART_H_
