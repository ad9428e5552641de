// What the command line says: results on stdout, everything else on stderr, errors in one line.
#ifndef KAKEYA_APPS_OUTPUT_H_
#define KAKEYA_APPS_OUTPUT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "format/json.h"

namespace kakeya::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitClaimFailed = 1;
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells have it

// Prints "kakeya: MESSAGE" as one line on stderr, control characters escaped, and returns
// kExitBadInput.
int Fail(const Status& status);

// Writes to stderr. What can't be written is lost: there is nobody left to tell.
void PrintErr(std::string_view text);
// Writes to stdout and flushes. Errors: Unavailable when nobody takes it (closed pipe, full disk).
Status Print(std::string_view text);
// One JSON object on one line.
Status PrintJson(const Json& json);

// A line on stderr that is rewritten as work goes on, and only shown when stderr is a terminal and
// the work takes long enough to be waited for.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what) : what_(std::move(what)) {}
  ~ProgressLine() { Clear(); }
  void Show(int64_t done, int64_t total);
  void Clear();

 private:
  std::string what_;
  double started_ = 0;
  double shown_ = 0;
};

// Ctrl-C sets a flag instead of ending the process; asked between steps.
void CatchInterrupt();
bool Interrupted();
void ClearInterrupt();

// The last part of an absolute path, any other as it is. For reports, which are for others: where a
// file lies on this machine is nothing to them.
std::string WithoutPlace(const std::string& path);

// "1.4 MB".
std::string HumanBytes(uint64_t bytes);

}  // namespace kakeya::cli

#endif  // KAKEYA_APPS_OUTPUT_H_
