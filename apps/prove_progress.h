// How far a recall matrix is: a bar on a terminal; elsewhere a line a minute.
#ifndef KAKEYA_APPS_PROVE_PROGRESS_H_
#define KAKEYA_APPS_PROVE_PROGRESS_H_

#include <chrono>

#include "eval/recall/run/run.h"

namespace kakeya::cli {

class ProveProgress {
 public:
  ~ProveProgress() { Clear(); }
  void Show(const RecallProgress& progress);
  void Clear();

 private:
  bool drawn_ = false;
  std::chrono::steady_clock::time_point shown_{};
};

}  // namespace kakeya::cli

#endif  // KAKEYA_APPS_PROVE_PROGRESS_H_
