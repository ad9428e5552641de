// loop.changed, cycler and recursive loops. What they print is compared with Jinja's own output by
// tests/parity/template_parity.py; here are the limits and the origin of texts.
#include <gtest/gtest.h>

#include "text/jinja/template_test_util.h"

namespace kakeya {
namespace {

ChatInput WithTree(int depth) {
  ChatInput input = OneMessage("x");
  Json tree = Json::array();
  for (int i = 0; i < depth; ++i) tree = Json::array({{{"c", std::move(tree)}}});
  input.variables = {{"tree", std::move(tree)}};
  return input;
}

// Four nested evaluations for each level of the tree, which itself needs two as an argument.
constexpr const char* kWalk =
    "{% for n in tree recursive %}{% if 1 %}{% if 1 %}{{ loop.depth }},{{ loop(n.c) }}{% endif %}"
    "{% endif %}{% endfor %}";

TEST(TemplateLoopsTest, ARecursiveLoopGoesDownATree) {
  EXPECT_EQ(TextOf(RenderWith(kWalk, WithTree(4))), "1,2,3,4,");
  EXPECT_EQ(TextOf(RenderWith("{% for x in [1, [2, [3]], 4] recursive %}"
                              "{{ '(' ~ loop(x) ~ ')' if x is sequence else x }}{% endfor %}",
                              OneMessage("x"))),
            "1(2(3))4");
}

TEST(TemplateLoopsTest, ARecursiveLoopKeepsOrigins) {
  const char* source =
      "{% for x in [messages[0].content, ['<', messages[0].content]] recursive %}"
      "{{ loop(x) if x is not string else x }}|{% endfor %}";
  EXPECT_EQ(Trusted(source, OneMessage("abc")), "...|<|...||");
}

TEST(TemplateLoopsTest, RecursionEndsWithTheBudget) {
  TemplateLimits limits;
  limits.max_depth = 100;
  EXPECT_EQ(CodeOf(kWalk, WithTree(20), limits), StatusCode::kOk);
  EXPECT_EQ(CodeOf(kWalk, WithTree(40), limits), StatusCode::kResourceExhausted);
  for (const char* endless : {
           "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
           "{% for x in [1, 2] recursive %}{% for y in [1] %}{% endfor %}{{ loop('ab') }}{% endfor "
           "%}",
           "{% for x in [1] recursive %}{% set y %}{{ loop([1])|upper }}{% endset %}{% endfor %}",
           "{% for x in [1] recursive %}{% for y in loop([1]) recursive %}{% endfor %}{% endfor %}",
           "{% macro f(l) %}{{ l([1]) }}{% endmacro %}"
           "{% for x in [1] recursive %}{{ f(loop) }}{% endfor %}",
       }) {
    EXPECT_EQ(CodeOf(endless), StatusCode::kResourceExhausted) << endless;
  }
}

TEST(TemplateLoopsTest, OnlyARecursiveLoopCanBeCalled) {
  EXPECT_EQ(TextOf(RenderWith("{% for x in [1] %}{{ loop([1]) }}{% endfor %}", OneMessage("x"))),
            "error: chat template line 1: a loop needs the mark 'recursive' to be called");
  EXPECT_EQ(CodeOf("{% for x in [1] recursive %}{{ loop(5) }}{% endfor %}"),
            StatusCode::kInvalidArgument);
}

TEST(TemplateLoopsTest, ALoopDoesNotRecurseOutsideOfItsBlock) {
  const char* source =
      "{% set ns = namespace() %}{% if 1 %}{% with %}{% for x in [1] recursive %}"
      "{% set ns.loop = loop %}{% endfor %}{% endwith %}{% endif %}{{ ns.loop([1]) }}";
  EXPECT_NE(TextOf(RenderWith(source, OneMessage("x"))).find("outside of the block"),
            std::string::npos);
}

// The leak check of the sanitizer build sees whether they are freed.
TEST(TemplateLoopsTest, LoopsThatRememberThemselvesAreFreed) {
  const char* source =
      "{% set ns = namespace() %}{% for x in [1] recursive %}{{ loop.changed(loop) }}"
      "{{ loop.changed(loop, loop.changed) }}{% set ns.l = loop %}{% set ns.c = cycler(ns) %}"
      "{% endfor %}{{ ns.l.changed(ns.l, ns.c) }}";
  EXPECT_EQ(TextOf(RenderWith(source, OneMessage("x"))), "TrueTrueTrue");
}

// Freeing a chain of values recurses, so no value may nest without end.
TEST(TemplateLoopsTest, ChainsOfLoopsAndCyclersAreRefused) {
  for (const char* source : {
           "{% set ns = namespace(l=1) %}{% for i in range(99999) %}{% for j in [ns.l] %}"
           "{% set ns.l = loop %}{% endfor %}{% endfor %}",
           "{% set ns = namespace(l=1) %}{% for i in range(99999) %}{% for j in [ns.l] %}"
           "{% set ns.l = loop.cycle %}{% endfor %}{% endfor %}",
           "{% set ns = namespace(c=1) %}{% for i in range(99999) %}{% set ns.c = cycler(ns.c) %}"
           "{% endfor %}",
           "{% set ns = namespace(c=1) %}{% for i in range(99999) %}"
           "{% set ns.c = cycler(ns.c).next %}{% endfor %}",
       }) {
    EXPECT_EQ(CodeOf(source), StatusCode::kResourceExhausted) << source;
  }
}

TEST(TemplateLoopsTest, WhatALoopRemembersIsPaidFor) {
  const char* source =
      "{% set s = 'x' * 9999999 %}{% set t = 'y' * 9999999 %}{% for i in range(99999) %}"
      "{% if loop.changed(s ~ '1') %}{% endif %}{% endfor %}";
  EXPECT_EQ(CodeOf(source), StatusCode::kResourceExhausted);
}

TEST(TemplateLoopsTest, ACyclerHandsOutItsItemsAsTheyAre) {
  const char* source =
      "{% set c = cycler('<', messages[0].content) %}{{ c.next() }}{{ c.current }}{{ c.next() }}"
      "{{ c.next() }}";
  EXPECT_EQ(Trusted(source, OneMessage("abc")), "<......<");
  EXPECT_EQ(CodeOf("{{ cycler() }}"), StatusCode::kInvalidArgument);
}

TEST(TemplateLoopsTest, ElseIsForALoopOfWhichNoRoundWasCompleted) {
  EXPECT_EQ(TextOf(RenderWith("{% for i in [1, 2] %}{% break %}{% else %}E{% endfor %}"
                              "{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{% else %}"
                              "F{% endfor %}",
                              OneMessage("x"))),
            "E");
}

TEST(TemplateLoopsTest, NamesOfFiltersAndTestsAreKnown) {
  EXPECT_EQ(
      TextOf(RenderWith("{{ 'tojson' is filter }} {{ 'urlize' is filter }} {{ 'in' is test }} "
                        "{{ 'tojson' is test }} {{ 5 is filter }}",
                        OneMessage("x"))),
      "True False True False False");
  EXPECT_EQ(CodeOf("{{ [] is filter }}"), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kakeya
