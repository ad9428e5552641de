// The plots of the HTML report.
#ifndef KAKEYA_EVAL_RECALL_REPORT_PLOTS_H_
#define KAKEYA_EVAL_RECALL_REPORT_PLOTS_H_

#include <string>

#include "eval/recall/report/report.h"

namespace kakeya {

// Of one task: recall by length of the arms that should recall and of those that must not, with
// intervals; the restored arm by depth and length.
std::string RecallPlots(const RecallReport& report, RecallTask task);

// K/V bytes by length against full K/V; milliseconds per token by length.
std::string CostPlots(const RecallReport& report);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_PLOTS_H_
