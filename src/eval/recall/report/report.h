// The report of one recall matrix: what was run, what came of it, what follows. Written as a table
// for the terminal, one JSON object, and one HTML page.
#ifndef KAKEYA_EVAL_RECALL_REPORT_REPORT_H_
#define KAKEYA_EVAL_RECALL_REPORT_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "eval/recall/report/rows.h"
#include "eval/recall/report/verdict.h"
#include "eval/recall/run/run.h"
#include "format/json.h"

namespace kakeya {

// What a reader needs to make the report again.
struct RecallSource {
  std::string version;          // of the engine
  std::string build;            // of the program
  std::string command;          // as it was typed, paths cut to their last parts
  std::string model;            // folder
  std::string restorer;         // folder; empty: none
  std::string haystack;         // file, or what the built-in text is
  std::string kv_type;          // as given
  uint64_t restore_buffer = 0;  // bytes
  int threads = 0;
};

struct RecallReport {
  RecallSource source;
  RecallOptions options;
  int64_t reach = 0;          // tokens
  int64_t max_positions = 0;  // of the model, for full K/V
  std::vector<RecallRow> rows;
  std::vector<SkippedArm> skipped;
  std::map<int64_t, FullKvBytes> full_kv;
  std::map<std::string, int64_t> machines;  // number of runs on each
  std::vector<int> coupon_layers;
  uint64_t restorer_bytes = 0;  // parameters of the trained restorer, as they lie in memory
  RecallVerdict verdict;
};

RecallReport MakeReport(const Engine& engine, const RecallOptions& options,
                        const RecallOutcome& outcome, RecallSource source);

inline constexpr const char* kMachinesDiffer =
    "the runs of this report were made on different machines: times of different rows may not be "
    "compared";

// Tasks by lengths by arms with intervals, then the verdict with its reasons.
std::string ReportAsText(const RecallReport& report);
// The object of the command line's contract.
Json ReportAsJson(const RecallReport& report);
// A page that needs nothing from elsewhere: no scripts, images as SVG in the text.
std::string ReportAsHtml(const RecallReport& report);

// 1536 -> "1.5 kB"; for people.
std::string BytesText(double bytes);
// "NAME (N runs), ...".
std::string MachinesText(const RecallReport& report);
// Number of chunks that may be chosen: "8", "all".
std::string ChunksText(int64_t chunks);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_REPORT_H_
