// Measurements of speed as JSON, as CSV and as a table.
#ifndef KAKEYA_EVAL_SPEED_SPEED_REPORT_H_
#define KAKEYA_EVAL_SPEED_SPEED_REPORT_H_

#include <string>

#include "eval/speed/speed.h"
#include "format/json.h"

namespace kakeya {

// What a figure is worth nothing without.
struct SpeedContext {
  std::string model = {};     // its folder's or file's name
  std::string machine = {};   // base/system.h
  std::string build = {};     // base/build_id.h
  std::string restorer = {};  // "trained", "random", "identity"; empty without one
  std::string weights = {};   // the element type of most of them: "q8_0"
  std::string kv_type = {};
  double load_seconds = 0;     // from the command to a model that is ready
  size_t load_peak_bytes = 0;  // resident until then: base/system.h
  int threads = 0;
  uint64_t seed = 0;
  bool cells = false;  // show every turn
};

// {"read_gb_s", "load_s", "rows": [{"test", "kv", "depth", "tokens", "tok_s", "ms",
// "share_of_read"}], ...}: "ms" is the median of one pass, "tok_s" its tokens over that time. With
// cells, each row has "cells_ms", one number per turn. A share that could not be measured
// (kMostShareOfRead) is null, and "share_fault" says why.
Json SpeedJson(const SpeedContext& context, const Speed& speed);

// A heading and one line per row, the same fields (with cells, their list in quotes; null as
// nothing; no "share_fault").
std::string SpeedCsv(const SpeedContext& context, const Speed& speed);

// For people: per row and, with cells, the fastest and the slowest turn. Verification is shown
// relative to one token, a batch to one sequence.
std::string SpeedTable(const SpeedContext& context, const Speed& speed);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_SPEED_SPEED_REPORT_H_
