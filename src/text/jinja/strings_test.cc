// Padding and parts of strings. What they print is compared with Python's own output by
// tests/parity/template_parity.py; here are the limits and the origin of texts.
#include <gtest/gtest.h>

#include "text/jinja/template_test_util.h"

namespace kakeya {
namespace {

TEST(TemplateStringsTest, PaddingIsTheTemplatesAndTheTextTheUsers) {
  const ChatInput input = OneMessage("abc");
  EXPECT_EQ(Trusted("{{ messages[0].content.ljust(5, '<') }}", input), "...<<");
  EXPECT_EQ(Trusted("{{ messages[0].content.rjust(5) }}", input), "  ...");
  EXPECT_EQ(Trusted("{{ messages[0].content.center(7, '|') }}", input), "||...||");
  EXPECT_EQ(Trusted("{{ messages[0].content|center(5) }}", input), " ... ");
  EXPECT_EQ(Trusted("{{ messages[0].content.zfill(5) }}", input), "00...");
  EXPECT_EQ(Trusted("{{ messages[0].content.zfill(5) }}", OneMessage("-7")), ".000.");
  EXPECT_EQ(Trusted("{{ ('<' ~ messages[0].content ~ '>').center(9, '*') }}", input), "**<...>**");
}

TEST(TemplateStringsTest, PaddingWithTheUsersCharacterIsTheUsers) {
  const ChatInput input = OneMessage("*");
  EXPECT_EQ(Trusted("{{ 'ab'.center(6, messages[0].content) }}", input), "..ab..");
  EXPECT_EQ(Trusted("{{ 'ab'.ljust(4, messages[0].content) }}", input), "ab..");
}

TEST(TemplateStringsTest, SlicesOfAListKeepOrigins) {
  EXPECT_EQ(Trusted("{% for part in ('<' ~ messages[0].content)|slice(2, '-') %}"
                    "{{ part|join }}|{% endfor %}",
                    OneMessage("ab")),
            "<.|.-|");
}

TEST(TemplateStringsTest, WidthsAndCountsBeyondTheBudgetAreRefusedAtOnce) {
  for (const char* source : {
           "{{ 'a'.ljust(1000000000) }}",
           "{{ 'a'.rjust(1000000000, 'x') }}",
           "{{ 'a'.center(9223372036854775807) }}",
           "{{ 'a'.center(9223372036854775807, '\\U0001F600') }}",
           "{{ 'a'.ljust(4611686018427387904, '\\U0001F600') }}",
           "{{ 'a'.zfill(9223372036854775807) }}",
           "{{ '-'.zfill(1000000000) }}",
           "{{ 'a'|center(1000000000) }}",
           "{{ 'a'.ljust(6000000, '\\U0001F600') }}",
           "{{ [1]|slice(1000000000)|first }}",
           "{{ [1]|slice(9223372036854775807, 0)|first }}",
           "{{ '{:>1000000000}'.format('a') }}",
           "{{ '{:1000000000}'.format(5) }}",
           "{{ '{:01000000000,}'.format(5) }}",
           "{{ '{:99999999999999999999999999}'.format(5.5) }}",
           "{{ '{:{}}'.format('a', 1000000000) }}",
           "{% for i in range(99999) %}{{ 'a'.ljust(9999999)|length }}{% endfor %}",
           "{% for i in range(99999) %}{{ '{:9999999}'.format(1)|length }}{% endfor %}",
       }) {
    EXPECT_EQ(CodeOf(source), StatusCode::kResourceExhausted) << source;
  }
}

TEST(TemplateStringsTest, NegativeAndSmallWidthsChangeNothing) {
  EXPECT_EQ(TextOf(RenderWith("{{ 'ab'.ljust(-9223372036854775807 - 1) }}{{ 'ab'.zfill(-5) }}"
                              "{{ 'ab'.center(2) }}{{ [1, 2]|slice(-3)|list }}",
                              OneMessage("x"))),
            "ababab[]");
}

TEST(TemplateStringsTest, PartsOfAStringAreCountedInCharacters) {
  EXPECT_EQ(TextOf(RenderWith(
                "{{ '日本語'.startswith('本', 1) }} {{ '日本語'.endswith(('x', '本'), 0, 2) }} "
                "{{ '日本語本'.find('本', 2) }} {{ 'abc'.startswith('', 4) }} "
                "{{ 'abc'.count('', 9223372036854775807) }}",
                OneMessage("x"))),
            "True True 3 False 0");
  EXPECT_EQ(CodeOf("{{ 'a'.startswith('a', 1.0) }}"), StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("{{ 'a'.startswith(prefix='a') }}"), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kakeya
