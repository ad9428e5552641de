// What a person or a script writes to a chat: lines as messages and commands.
//
//   input   := BOM? line*          the byte order mark (EF BB BF) only at the very start
//   line    := byte* end           end: LF, CRLF, a lone CR, or the end of input
//   command := blank* "/" word (blank+ argument)? blank*       one line
//   message := (byte* "\" blank* end)* byte*                   joined by LF, without the
//   backslashes
//
// Blanks are spaces and tabs. No line end reaches a message or a command, whatever wrote it; inside
// a line a message keeps every byte as it was typed. Messages of nothing but blanks are left out.
//
// Thread safety: none.
#ifndef KAKEYA_APPS_CHAT_INPUT_H_
#define KAKEYA_APPS_CHAT_INPUT_H_

#include <functional>
#include <istream>
#include <optional>
#include <string>

namespace kakeya::cli {

// One message, or one command.
struct ChatEntry {
  std::string message = {};   // empty: a command
  std::string command = {};   // with its slash: "/read"
  std::string argument = {};  // what follows it, without the blanks around

  bool is_command() const { return !command.empty(); }
};

class ChatReader {
 public:
  // REQUIRES: `in` outlives the reader and is read by nothing else.
  explicit ChatReader(std::istream* in) : in_(in) {}

  // The next message or command; nothing at the end of input. `before_line`, which may be empty, is
  // called before each line is read and told whether it continues a message.
  std::optional<ChatEntry> Next(const std::function<void(bool continues)>& before_line);

 private:
  // The next line without its end; nothing at the end of input.
  std::optional<std::string> ReadLine();

  std::istream* in_;
  bool at_start_ = true;
  bool after_cr_ = false;  // an LF that comes now belongs to the line end before
  bool at_end_ = false;
};

}  // namespace kakeya::cli

#endif  // KAKEYA_APPS_CHAT_INPUT_H_
