#include "prove_progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "output.h"

namespace kakeya::cli {
namespace {

std::string Left(double seconds) {
  if (seconds < 0) return "";
  const int64_t whole = std::llround(seconds);
  if (whole < 60) return fmt::format(", {} s left", whole);
  if (whole < 3600) return fmt::format(", {}:{:02} min left", whole / 60, whole % 60);
  return fmt::format(", {}:{:02} h left", whole / 3600, whole / 60 % 60);
}

}  // namespace

void ProveProgress::Show(const RecallProgress& progress) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - shown_).count();
  if (since < (terminal ? 0.2 : 60.0) && progress.done < progress.total) return;
  shown_ = now;
  const double share = static_cast<double>(progress.done) /
                       static_cast<double>(std::max<int64_t>(progress.total, 1));
  const std::string text =
      fmt::format("{:3.0f} % {}/{}  {} {} {} #{}{}", 100 * share, progress.done, progress.total,
                  NameOf(progress.next.task), progress.next.length, NameOf(progress.next.arm),
                  progress.next.prompt + 1, Left(progress.seconds_left));
  if (!terminal) {
    PrintErr("prove: " + text + "\n");
    return;
  }
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(share * kWidth);
  drawn_ = true;
  PrintErr(fmt::format("\r\x1b[K[{}{}] {}", std::string(filled, '#'),
                       std::string(kWidth - filled, '.'), text));
}

void ProveProgress::Clear() {
  if (drawn_) PrintErr("\r\x1b[K");
  drawn_ = false;
}

}  // namespace kakeya::cli
