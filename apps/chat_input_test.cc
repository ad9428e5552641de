#include "chat_input.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace kakeya::cli {
namespace {

// Every entry of an input: a message as it is, a command as <COMMAND> or <COMMAND|ARGUMENT>.
std::vector<std::string> Read(const std::string& input) {
  std::istringstream in(input);
  ChatReader reader(&in);
  std::vector<std::string> out;
  while (const std::optional<ChatEntry> entry = reader.Next({})) {
    if (!entry->is_command()) {
      out.push_back(entry->message);
    } else if (entry->argument.empty()) {
      out.push_back("<" + entry->command + ">");
    } else {
      out.push_back("<" + entry->command + "|" + entry->argument + ">");
    }
  }
  return out;
}

using Entries = std::vector<std::string>;

TEST(ChatReader, EveryKindOfLineEndGivesTheSameEntries) {
  const Entries want = {"hi", "one \ntwo", "</read|a b.txt>", "</clear>", "end"};
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    std::string input;
    for (const std::string line : {"hi", "one \\", "two", "/read a b.txt", "/clear", "", "end"}) {
      input += line + end;
    }
    EXPECT_EQ(Read(input), want) << input;
    input.resize(input.size() - end.size());  // the last line may lack its end
    EXPECT_EQ(Read(input), want) << input;
  }
}

TEST(ChatReader, ACarriageReturnAloneEndsALineAtOnce) {
  std::istringstream in("/exit\r");
  ChatReader reader(&in);
  EXPECT_EQ(reader.Next({})->command, "/exit");
  EXPECT_FALSE(in.eof());  // nothing behind it was waited for
  EXPECT_FALSE(reader.Next({}));
}

TEST(ChatReader, LineEndsOfSeveralKindsMayBeMixed) {
  EXPECT_EQ(Read("a\r\nb\nc\rd\n\re\r\r\nf"), (Entries{"a", "b", "c", "d", "e", "f"}));
}

TEST(ChatReader, AByteOrderMarkIsLeftOutAtTheVeryStartOnly) {
  const std::string mark = "\xef\xbb\xbf";
  EXPECT_EQ(Read(mark + "/exit\r\n"), Entries{"</exit>"});
  EXPECT_EQ(Read(mark + "hi\n"), Entries{"hi"});
  EXPECT_EQ(Read(mark + mark + "hi\n"), Entries{mark + "hi"});
  EXPECT_EQ(Read("hi\n" + mark + "/exit\n"), (Entries{"hi", mark + "/exit"}));
  EXPECT_EQ(Read("a" + mark + "b"), Entries{"a" + mark + "b"});
  EXPECT_EQ(Read("\xef\xbb"), Entries{"\xef\xbb"});
  EXPECT_EQ(Read(mark), Entries{});
}

TEST(ChatReader, CommandsAndNamesLoseTheBlanksAroundThem) {
  EXPECT_EQ(Read("/exit  \n \t/stats\t\r\n"), (Entries{"</exit>", "</stats>"}));
  EXPECT_EQ(Read("/read   a file.txt \t\r\n"), Entries{"</read|a file.txt>"});
  EXPECT_EQ(Read("/read\ta.txt"), Entries{"</read|a.txt>"});
  EXPECT_EQ(Read("/read  \n"), Entries{"</read>"});
}

TEST(ChatReader, ACommandIsOneLine) {
  EXPECT_EQ(Read("/read a\\\nb\n"), (Entries{"</read|a\\>", "b"}));
  EXPECT_EQ(Read("one\\\n/exit\n"), Entries{"one\n/exit"});  // inside a message a slash is text
}

TEST(ChatReader, BlanksBehindABackslashDoNotBreakAContinuation) {
  EXPECT_EQ(Read("one \\ \t\r\ntwo\r\n"), Entries{"one \ntwo"});
  EXPECT_EQ(Read("a\\\n\nb\n"), (Entries{"a\n", "b"}));
  EXPECT_EQ(Read("a\\b\n"), Entries{"a\\b"});
}

TEST(ChatReader, AContinuationAtTheEndOfInputIsTheMessageSoFar) {
  EXPECT_EQ(Read("one\\\ntwo\\\n"), Entries{"one\ntwo"});
  EXPECT_EQ(Read("one\\"), Entries{"one"});
  EXPECT_EQ(Read("\\\n\\"), Entries{});
}

TEST(ChatReader, MessagesKeepTheirBytes) {
  EXPECT_EQ(Read("  two  spaces  \n"), Entries{"  two  spaces  "});
  const std::string zero("a\0b", 3);
  EXPECT_EQ(Read(zero + "\n"), Entries{zero});  // refused later, not cut
  EXPECT_EQ(Read("\xff\xfe\n"), Entries{"\xff\xfe"});
}

TEST(ChatReader, AZeroByteStaysInACommand) {
  const std::string input("/read a\0b\n", 10);
  EXPECT_EQ(Read(input), Entries{"</read|" + std::string("a\0b", 3) + ">"});
}

TEST(ChatReader, MessagesOfBlanksAreLeftOut) {
  EXPECT_EQ(Read("\n\r\n  \n\t\\\n \nhi\n\n"), Entries{"hi"});
  EXPECT_EQ(Read(""), Entries{});
}

TEST(ChatReader, EachLineIsAnnouncedAndToldWhetherItContinues) {
  std::istringstream in("one\\\r\ntwo\r\n\r\n/exit");
  ChatReader reader(&in);
  std::string asked;
  const auto ask = [&](bool continues) { asked += continues ? '.' : '>'; };
  EXPECT_EQ(reader.Next(ask)->message, "one\ntwo");
  EXPECT_EQ(asked, ">.");
  EXPECT_EQ(reader.Next(ask)->command, "/exit");
  EXPECT_EQ(asked, ">.>>");
}

}  // namespace
}  // namespace kakeya::cli
