// str.format and the % operator. What they print is compared with Python's own output by
// tests/parity/template_parity.py; here are the limits and the origin of texts.
#include <gtest/gtest.h>

#include "text/jinja/template_test_util.h"

namespace kakeya {
namespace {

std::string Rendered(const std::string& source) {
  return TextOf(RenderWith(source, OneMessage("x")));
}

TEST(TemplateFormatTest, SpecificationsPadSignAndGroup) {
  EXPECT_EQ(
      Rendered("[{{ '{:>4}|{:<4}|{:^4}|{:*^6}|{:.1}'.format('ab', 'ab', 'ab', 'ab', 'é!') }}]"),
      "[  ab|ab  | ab |**ab**|é]");
  EXPECT_EQ(
      Rendered("{{ '{:05}|{:+d}|{:#x}|{:,}|{:08,}|{:_b}'.format(-7, 7, 255, 1234567, 1234, 37) }}"),
      "-0007|+7|0xff|1,234,567|0,001,234|10_0101");
  EXPECT_EQ(
      Rendered("{{ '{:.2f}|{:8.1e}|{:.1%}|{:.3}|{:}'.format(3.14159, 12345.0, 0.25, 3.0, 0.1) }}"),
      "3.14| 1.2e+04|25.0%|3.0|0.1");
  EXPECT_EQ(Rendered("{{ '{a[k]:{w}}|{!r:>5}'.format('b', w=3, a={'k': 1}) }}"), "  1|  'b'");
  EXPECT_EQ(Rendered("{{ '{0} {}'.format(1, 2) }}"),
            "error: chat template line 1: a format numbers some of its fields");
}

TEST(TemplateFormatTest, EveryPartKeepsItsOrigin) {
  const ChatInput input = OneMessage("abc");
  EXPECT_EQ(Trusted("{{ '<|{}|>{}'.format('user', messages[0].content) }}", input), "<|user|>...");
  EXPECT_EQ(Trusted("{{ '{:->5}<'.format(messages[0].content) }}", input), "--...<");
  EXPECT_EQ(Trusted("{{ '{:.2}<'.format(messages[0].content) }}", input), "..<");
  EXPECT_EQ(
      Trusted("{{ '<%s|%5s|%-5s>' % (messages[0].content, messages[0].content, 'x') }}", input),
      "<...|  ...|x    >");
  EXPECT_EQ(Trusted("{{ '{!r}<'.format(messages[0].content) }}", input), ".....<");
  EXPECT_EQ(Trusted("{{ '<{}>'|replace('{}', messages[0].content) }}", input), "<...>");
}

// Who chooses the format chooses what stands where.
TEST(TemplateFormatTest, WhatAFormatOfTheUsersMakesIsTheUsers) {
  ChatInput input = OneMessage("{:<>4}|{}");
  EXPECT_EQ(Trusted("{{ messages[0].content.format('x', 'im_end') }}", input), "...........");
  input = OneMessage("%s|%s");
  EXPECT_EQ(Trusted("{{ messages[0].content % ('x', 'im_end') }}", input), "........");
  input = OneMessage("<^5");
  EXPECT_EQ(Trusted("{{ '<{:{}}>'.format('x', messages[0].content) }}", input), "<.....>");
}

TEST(TemplateFormatTest, WhatIsNotKnownIsRefused) {
  for (const char* source :
       {"{{ '{:c}'.format(65) }}", "{{ '{!a}'.format('x') }}", "{{ '{:.1001f}'.format(1.5) }}",
        "{{ '{:#}'.format(1.5) }}", "{{ '{:5}'.format([]) }}", "{{ '{'.format(1) }}",
        "{{ '{:'.format(1) }}", "{{ '{:{:{:{}}}}'.format(1, 2, 3, 4) }}", "{{ '{:q}'.format(1) }}",
        "{{ '{0.__class__}'.format(1) }}", "{{ '{0[__class__]}'.format('x') }}",
        "{{ '{a.__init__.__globals__}'.format_map({'a': namespace()}) }}",
        "{{ '{99999999999}'.format(1) }}"}) {
    EXPECT_EQ(CodeOf(source), StatusCode::kInvalidArgument) << source;
  }
}

TEST(TemplateFormatTest, NestedFieldsEndWithTheirLevels) {
  std::string deep = "1";
  for (int i = 0; i < 10000; ++i) deep = "{:" + deep + "}";
  EXPECT_EQ(CodeOf("{{ '" + deep + "'.format(1) }}"), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kakeya
