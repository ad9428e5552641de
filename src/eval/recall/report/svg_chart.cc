#include "eval/recall/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kakeya {
namespace {

// Of the drawing, in its own units.
constexpr double kWidth = 520;
constexpr double kHeight = 300;
constexpr double kLeft = 76;
constexpr double kRight = 16;
constexpr double kTop = 12;
constexpr double kBottom = 44;
// Between the points of neighbouring series at one x, so that whiskers don't cover each other.
constexpr double kDodge = 5;

double Place(const ChartAxis& axis, double value, double from, double to) {
  const auto at = [&](double v) { return axis.log ? std::log(v) : v; };
  const double span = at(axis.high) - at(axis.low);
  const double share = span > 0 ? (at(value) - at(axis.low)) / span : 0.5;
  return from + std::clamp(share, 0.0, 1.0) * (to - from);
}

double PlaceX(const LineChart& chart, double x, double dodge) {
  constexpr double kInset = 24;  // dodged points stay inside
  return Place(chart.x, x, kLeft + kInset, kWidth - kRight - kInset) + dodge;
}

double PlaceY(const LineChart& chart, double y) {
  return Place(chart.y, y, kHeight - kBottom, kTop);
}

std::string Axes(const LineChart& chart) {
  std::string out;
  for (const double tick : chart.y.ticks) {
    const double y = PlaceY(chart, tick);
    out += fmt::format(
        "<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, y, kWidth - kRight, y, kLeft - 8, y + 4, EscapeHtml(chart.y.text(tick)));
  }
  for (const double tick : chart.x.ticks) {
    out += fmt::format(
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
        PlaceX(chart, tick, 0), kHeight - kBottom + 18, EscapeHtml(chart.x.text(tick)));
  }
  for (const double guide : chart.guides) {
    const double y = PlaceY(chart, guide);
    out += fmt::format(
        "<line class=\"guide\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kLeft,
        y, kWidth - kRight, y);
  }
  out += fmt::format(
      "<line class=\"axis\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{2:.1f}\" y2=\"{1:.1f}\"/>\n"
      "<text class=\"label\" x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"middle\">{5}</text>\n"
      "<text class=\"label\" transform=\"translate(14 {6:.1f}) rotate(-90)\" "
      "text-anchor=\"middle\">{7}</text>\n",
      kLeft, kHeight - kBottom, kWidth - kRight, (kLeft + kWidth - kRight) / 2, kHeight - 6,
      EscapeHtml(chart.x.label), (kTop + kHeight - kBottom) / 2, EscapeHtml(chart.y.label));
  return out;
}

std::string Series(const LineChart& chart, const ChartSeries& series, double dodge) {
  std::string path;
  std::string marks;
  for (const ChartPoint& point : series.points) {
    const double x = PlaceX(chart, point.x, dodge);
    const double y = PlaceY(chart, point.y);
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x, y);
    marks += fmt::format("<g><title>{}</title>", EscapeHtml(point.tooltip));
    if (point.interval) {
      marks += fmt::format(
          "<line class=\"whisker\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" "
          "y2=\"{2:.1f}\"/>",
          x, PlaceY(chart, point.interval->low), PlaceY(chart, point.interval->high));
    }
    marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/></g>\n", x, y);
  }
  return fmt::format("<g class=\"series {}\">\n<polyline points=\"{}\"/>\n{}</g>\n", series.style,
                     path, marks);
}

std::string Legend(const LineChart& chart) {
  std::string out = "<ul class=\"legend\">";
  for (const ChartSeries& series : chart.series) {
    out += fmt::format(
        "<li><svg width=\"30\" height=\"12\" aria-hidden=\"true\"><g class=\"series {}\"><polyline "
        "points=\"1,6 29,6\"/><circle cx=\"15\" cy=\"6\" r=\"4\"/></g></svg>{}</li>",
        series.style, EscapeHtml(series.name));
  }
  return out + "</ul>\n";
}

std::string Figure(const std::string& title, const std::string& legend, double width, double height,
                   const std::string& drawing) {
  const std::string name = EscapeHtml(title);
  return fmt::format(
      "<figure>\n<figcaption>{0}</figcaption>\n{1}<svg viewBox=\"0 0 {2:.0f} {3:.0f}\" "
      "role=\"img\" "
      "aria-label=\"{0}\">\n{4}</svg>\n</figure>\n",
      name, legend, width, height, drawing);
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string RenderLineChart(const LineChart& chart) {
  std::string drawing = Axes(chart);
  const auto count = static_cast<double>(chart.series.size());
  bool empty = true;
  bool whiskers = false;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) whiskers = whiskers || point.interval;
  }
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const double dodge = whiskers ? (static_cast<double>(i) - (count - 1) / 2) * kDodge : 0;
    drawing += Series(chart, chart.series[i], dodge);
    empty = empty && chart.series[i].points.empty();
  }
  if (empty) {
    drawing += fmt::format(
        "<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">not run</text>\n",
        kWidth / 2, kHeight / 2);
  }
  return Figure(chart.title, Legend(chart), kWidth, kHeight, drawing);
}

std::string RenderHeatMap(const HeatMap& map) {
  constexpr double kCellWidth = 64;
  constexpr double kCellHeight = 24;
  constexpr double kRowText = 84;
  constexpr double kHead = 20;
  const double width = kRowText + 10 + kCellWidth * static_cast<double>(map.columns.size());
  const double bottom = kHead + kCellHeight * static_cast<double>(map.rows.size());
  std::string out;
  for (size_t c = 0; c < map.columns.size(); ++c) {
    out += fmt::format(
        "<text class=\"tick\" x=\"{:.1f}\" y=\"14\" text-anchor=\"middle\">{}</text>\n",
        kRowText + kCellWidth * (static_cast<double>(c) + 0.5), EscapeHtml(map.columns[c]));
  }
  for (size_t r = 0; r < map.rows.size(); ++r) {
    const double y = kHead + kCellHeight * static_cast<double>(r);
    out += fmt::format(
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kRowText - 8, y + 16, EscapeHtml(map.rows[r]));
    for (size_t c = 0; c < map.columns.size(); ++c) {
      const HeatCell& cell = map.cells[r][c];
      const double x = kRowText + kCellWidth * static_cast<double>(c);
      const double share = cell.share.value_or(0);
      out += fmt::format(
          "<g><title>{}</title><rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\" fill-opacity=\"{:.3f}\"/>"
          "<text class=\"cell{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text></g>\n",
          EscapeHtml(cell.tooltip), cell.share ? "heat" : "nothing", x + 1, y + 1, kCellWidth - 2,
          kCellHeight - 2, cell.share ? 0.08 + 0.92 * share : 1.0, share > 0.55 ? " strong" : "",
          x + kCellWidth / 2, y + 16, cell.share ? fmt::format("{:.2f}", *cell.share) : "-");
    }
  }
  out +=
      fmt::format("<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\">rows: {}; columns: {}</text>\n",
                  4.0, bottom + 20, EscapeHtml(map.row_label), EscapeHtml(map.column_label));
  return Figure(map.title, "", std::max(width, kWidth), bottom + 28, out);
}

std::vector<double> DecadeTicks(double low, double high) {
  std::vector<double> ticks;
  for (double exponent = std::ceil(std::log10(low) - 1e-9);
       std::pow(10, exponent) <= high * (1 + 1e-9); ++exponent) {
    ticks.push_back(std::pow(10, exponent));
  }
  if (ticks.size() < 2) return {low, high};
  return ticks;
}

std::vector<double> RoundTicks(double high) {
  const double rough = high / 5;
  const double decade = std::pow(10, std::floor(std::log10(rough)));
  double step = decade;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (step < rough * (1 - 1e-9)) step = decade * factor;
  }
  std::vector<double> ticks;
  for (int i = 0; i == 0 || ticks.back() < high * (1 - 1e-9); ++i) ticks.push_back(step * i);
  return ticks;
}

}  // namespace kakeya
