#include "chat_input.h"

#include <string_view>

namespace kakeya::cli {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// A line that begins with a slash. REQUIRES: trimmed.
ChatEntry CommandOf(std::string_view line) {
  const size_t end = line.find_first_of(kBlanks);
  if (end == line.npos) return {.command = std::string(line)};
  return {.command = std::string(line.substr(0, end)),
          .argument = std::string(Trimmed(line.substr(end)))};
}

// Takes a trailing backslash off, with the blanks behind it. False if there is none.
bool TakeContinuation(std::string* line) {
  const size_t last = line->find_last_not_of(kBlanks);
  if (last == line->npos || (*line)[last] != '\\') return false;
  line->resize(last);
  return true;
}

}  // namespace

std::optional<ChatEntry> ChatReader::Next(const std::function<void(bool continues)>& before_line) {
  std::string message;
  bool continues = false;
  while (true) {
    if (before_line) before_line(continues);
    std::optional<std::string> line = ReadLine();
    if (line && !continues && Trimmed(*line).starts_with('/')) return CommandOf(Trimmed(*line));
    if (line) {
      if (continues) message += '\n';
      continues = TakeContinuation(&*line);
      message += *line;
      if (continues) continue;
    }
    const bool blank = message.find_first_not_of(" \t\n") == message.npos;
    if (!blank) return ChatEntry{.message = std::move(message)};
    if (!line) return std::nullopt;
    message.clear();
  }
}

std::optional<std::string> ChatReader::ReadLine() {
  std::string line;
  while (!at_end_) {
    const auto got = in_->get();
    if (got == std::istream::traits_type::eof()) {
      at_end_ = true;
      break;
    }
    const bool ends_crlf = after_cr_ && got == '\n';
    after_cr_ = got == '\r';  // the LF is waited for only when the next line is
    if (ends_crlf) continue;
    if (got == '\n' || got == '\r') break;
    line += static_cast<char>(got);
  }
  if (at_end_ && line.empty()) return std::nullopt;
  if (at_start_ && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  at_start_ = false;
  return line;
}

}  // namespace kakeya::cli
