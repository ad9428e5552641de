#include "output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "format/utf8.h"

namespace kakeya::cli {
namespace {

std::atomic<bool> interrupted{false};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int Fail(const Status& status) {
  std::string line;
  const std::string& message = status.message();
  size_t broken = FindInvalidUtf8(message);
  for (size_t i = 0; i < message.size(); ++i) {
    // A message may quote a file's bytes; it stays one line of UTF-8, and a terminal is not steered
    // by it.
    const char c = message[i];
    const bool invalid = i == broken;
    if (invalid) broken = i + 1 + FindInvalidUtf8(std::string_view(message).substr(i + 1));
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || invalid) {
      line += c == '\n' ? "\\n" : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  PrintErr("kakeya: " + line + "\n");
  return kExitBadInput;
}

void PrintErr(std::string_view text) {
  // stderr is unbuffered. (fmt::print would throw where it can't write.)
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

Status Print(std::string_view text) {
  const size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  if (written != text.size() || std::fflush(stdout) != 0) {
    return Unavailable("standard output takes no more");
  }
  return OkStatus();
}

Status PrintJson(const Json& json) {
  return Print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void ProgressLine::Show(int64_t done, int64_t total) {
  constexpr double kPatience = 0.7;  // seconds before anything is shown
  constexpr double kRefresh = 0.1;
  const double now = Now();
  if (started_ == 0) started_ = now;
  if (isatty(STDERR_FILENO) == 0 || now - started_ < kPatience || now - shown_ < kRefresh) return;
  shown_ = now;
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  const double left = share > 0 ? (now - started_) * (1 - share) / share : 0;
  PrintErr(fmt::format("\r\x1b[K{} {:3.0f} %, {:.0f} s left", what_, 100 * share, left));
}

void ProgressLine::Clear() {
  if (shown_ == 0) return;
  shown_ = 0;
  PrintErr("\r\x1b[K");
}

void CatchInterrupt() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  // No SA_RESTART: waiting for a line of input ends too.
  sigaction(SIGINT, &action, nullptr);
}

bool Interrupted() { return interrupted; }

void ClearInterrupt() { interrupted = false; }

std::string WithoutPlace(const std::string& path) {
  return path.starts_with('/') ? std::filesystem::path(path + "/").parent_path().filename().string()
                               : path;
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1000 * 1000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  if (bytes < 1000ull * 1000 * 1000) {
    return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  }
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

}  // namespace kakeya::cli
