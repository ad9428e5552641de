#include "session/stop_matcher.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

// Feeds a text in pieces of n bytes and returns all that was shown.
std::string Shown(std::vector<std::string> stops, const std::string& text, size_t n,
                  bool* stopped = nullptr) {
  StopMatcher matcher(std::move(stops));
  std::string out;
  for (size_t i = 0; i < text.size(); i += n) out += matcher.Push(text.substr(i, n));
  out += matcher.Flush();
  if (stopped != nullptr) *stopped = matcher.stopped();
  return out;
}

TEST(StopMatcherTest, ResultDoesNotDependOnThePieces) {
  for (size_t n : {1, 2, 3, 5, 100}) {
    bool stopped = false;
    EXPECT_EQ(Shown({"END"}, "some text EN ENEND more", n, &stopped), "some text EN EN");
    EXPECT_TRUE(stopped);
    EXPECT_EQ(Shown({"aab"}, "aaaab", n), "aa");
    EXPECT_EQ(Shown({"abcd", "bc"}, "xabcd", n), "xa");
    EXPECT_EQ(Shown({"bc", "abc"}, "xabcd", n), "x");
    EXPECT_EQ(Shown({"\n\n", "###"}, "a\nb ### c\n\n", n), "a\nb ");
  }
}

TEST(StopMatcherTest, HeldTextComesOutWhenNothingFollows) {
  bool stopped = true;
  EXPECT_EQ(Shown({"END"}, "almost EN", 1, &stopped), "almost EN");
  EXPECT_FALSE(stopped);
}

TEST(StopMatcherTest, TextThatCannotBeAStopIsShownAtOnce) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.Push("hello S"), "hello ");
  EXPECT_EQ(matcher.Push("ee"), "See");
}

TEST(StopMatcherTest, NothingIsShownAfterAStop) {
  StopMatcher matcher({"x"});
  EXPECT_EQ(matcher.Push("ax"), "a");
  EXPECT_EQ(matcher.Push("more"), "");
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopMatcherTest, WithoutStopStringsTextPasses) {
  EXPECT_EQ(Shown({}, "anything at all", 4), "anything at all");
}

}  // namespace
}  // namespace kakeya
