#include "text/chat_template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "text/jinja/template_test_util.h"

namespace kakeya {
namespace {

TEST(ChatTemplateTest, RendersMessagesInOrder) {
  ChatInput input = OneMessage("hi");
  input.messages.push_back({{"role", "assistant"}, {"content", "yo"}});
  input.bos_token = "<s>";
  const char* source =
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
      "{% if add_generation_prompt %}>{% endif %}";
  EXPECT_EQ(TextOf(RenderWith(source, input)), "<s>[user] hi\n[assistant] yo\n>");
  input.add_generation_prompt = false;
  EXPECT_EQ(TextOf(RenderWith(source, input)), "<s>[user] hi\n[assistant] yo\n");
}

TEST(ChatTemplateTest, SpecialTokensInUserTextStayText) {
  const ChatInput input = OneMessage("<|im_end|>");
  const auto segments =
      RenderWith("<|im_start|>{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}", input);
  ASSERT_TRUE(segments.ok());
  ASSERT_EQ(segments->size(), 3u);
  EXPECT_EQ((*segments)[1].text, "<|im_end|>");
  EXPECT_FALSE((*segments)[1].trusted);
  EXPECT_EQ((*segments)[2].text, "<|im_end|>");
  EXPECT_TRUE((*segments)[2].trusted);
}

TEST(ChatTemplateTest, CuttingAndJoiningKeepOrigins) {
  const ChatInput input = OneMessage("abc");
  EXPECT_EQ(Trusted("{{ ('<' + messages[0].content + '>')[1:] }}", input), "...>");
  EXPECT_EQ(Trusted("{{ ('  <' ~ messages[0].content ~ '> ').strip() }}", input), "<...>");
  EXPECT_EQ(Trusted("{{ ('x,' + messages[0].content + ',y').split(',') | join('|') }}", input),
            "x|...|y");
  EXPECT_EQ(Trusted("{{ ('ab' + messages[0].content)[::-1] }}", input), "...ba");
  EXPECT_EQ(Trusted("{{ ('b' + messages[0].content).replace('b', '<>') }}", input), "<>.<>.");
  EXPECT_EQ(Trusted("{% for c in messages[0].content + '!' %}{{ c }}{% endfor %}", input), "...!");
}

TEST(ChatTemplateTest, RewritingMarksTheWholeResult) {
  const ChatInput input = OneMessage("abc");
  EXPECT_EQ(Trusted("{{ ('<' + messages[0].content) | upper }}", input), "....");
  EXPECT_EQ(Trusted("{{ '%r!' % messages[0].content }}", input), ".....!");
  EXPECT_EQ(Trusted("{{ 'X' | lower }}", input), "x");
  EXPECT_EQ(Trusted("{{ {'k': messages[0].content} | tojson }}", input), "{\"k\": .....}");
  EXPECT_EQ(Trusted("{{ [messages[0].content] }}", input), "[.....]");
}

TEST(ChatTemplateTest, KeysToolsAndVariablesAreUntrusted) {
  ChatInput input = OneMessage("x");
  input.tools = Json::array({{{"<|a|>", "b"}}});
  input.variables = {{"note", "<|b|>"}};
  EXPECT_EQ(
      Trusted("{{ note }}{% for k, v in tools[0].items() %}{{ k }}={{ v }}{% endfor %}", input),
      "..........=.");
}

TEST(ChatTemplateTest, KnownRolesAreTheTemplatesOwnWords) {
  ChatInput input = OneMessage("x");
  EXPECT_EQ(Trusted("{{ '<|' + messages[0].role + '|>' }}", input), "<|user|>");
  input.messages[0]["role"] = "endoftext";
  EXPECT_EQ(Trusted("{{ '<|' + messages[0].role + '|>' }}", input), "<|.........|>");
}

TEST(ChatTemplateTest, ReasoningIsFoundUnderItsOldNames) {
  ChatInput input = OneMessage("x");
  input.messages[0]["thinking"] = "hm";
  EXPECT_EQ(TextOf(RenderWith("{{ messages[0].reasoning_content }}", input)), "hm");
}

TEST(ChatTemplateTest, VariablesMayNotTakeOthersNames) {
  for (const char* key : {"messages", "tools", "bos_token", "add_generation_prompt", "range",
                          "__class__", "a b", "", "_x", "1a", "loop", "self", "none"}) {
    ChatInput input = OneMessage("x");
    input.variables = Json::object();
    input.variables[key] = 1;
    const auto result = RenderWith("x", input);
    ASSERT_FALSE(result.ok()) << key;
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(result.status().message().find("'" + std::string(key) + "'"), std::string::npos);
  }
  ChatInput input = OneMessage("x");
  input.variables = {{"enable_thinking", false}, {"documents", Json::array({"d"})}};
  EXPECT_EQ(TextOf(RenderWith("{{ enable_thinking }} {{ documents[0] }}", input)), "False d");
}

TEST(ChatTemplateTest, MisshapenInputIsRefused) {
  ChatInput input;
  input.messages = "text";
  EXPECT_EQ(TextOf(RenderWith("x", input)), "error: messages must be a list");
  input.messages = Json::array({1});
  EXPECT_EQ(TextOf(RenderWith("x", input)), "error: message 0 is not an object");
  input = OneMessage("\xff");
  EXPECT_EQ(RenderWith("x", input).status().code(), StatusCode::kInvalidArgument);
  input = OneMessage("x");
  input.tools = 5;
  EXPECT_EQ(TextOf(RenderWith("x", input)), "error: tools must be a list");
  input.tools = nullptr;
  input.variables = Json::array();
  EXPECT_FALSE(RenderWith("x", input).ok());
}

TEST(ChatTemplateTest, TheTemplatesOwnErrorIsPassedOn) {
  const auto result = RenderWith("\n{{ raise_exception('no\ngood') }}", OneMessage("x"));
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(result.status().message(), "no good");
}

TEST(ChatTemplateTest, ErrorsNameTheLine) {
  EXPECT_EQ(TextOf(RenderWith("a\nb\n{{ nope.x }}", OneMessage("x"))),
            "error: chat template line 3: 'nope' is undefined");
  const auto parsed = ChatTemplate::Parse("a\n{% if %}");
  EXPECT_EQ(parsed.status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(parsed.status().message(), "chat template line 2: expected an expression, got '%}'");
}

TEST(ChatTemplateTest, TheClockIsInjected) {
  ChatInput input = OneMessage("x");
  EXPECT_FALSE(RenderWith("{{ strftime_now('%Y') }}", input).ok());
  input.now = std::tm{};
  input.now->tm_year = 126;
  EXPECT_EQ(TextOf(RenderWith("{{ strftime_now('%Y') }}", input)), "2026");
  EXPECT_EQ(TextOf(RenderWith("{% if strftime_now is defined %}y{% endif %}", input)), "y");
}

TEST(ChatTemplateTest, TheInsidesOfObjectsDoNotExist) {
  for (const char* source :
       {"{{ ''.__class__ }}", "{{ messages.__class__.__mro__ }}", "{{ ''['__class__'] }}",
        "{{ range.__globals__ }}", "{{ messages|attr('__class__') }}",
        "{{ messages|map(attribute='__class__')|list }}", "{{ '{0.__class__}'.format(messages) }}",
        "{{ messages.append(1) }}", "{{ messages[0].update({}) }}", "{{ namespace().__init__ }}",
        "{{ cycler.__init__.__globals__ }}"}) {
    const auto result = RenderWith(source, OneMessage("x"));
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << source;
  }
}

struct Bomb {
  const char* name;
  const char* source;
};

TEST(ChatTemplateTest, BudgetsStopEveryBomb) {
  const Bomb kBombs[] = {
      {"loop",
       "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor "
       "%}"
       "{% endfor %}{% endfor %}"},
      {"range", "{{ range(1000000000) | list }}"},
      {"repeat", "{{ 'a' * 1000000000 }}"},
      {"repeat list", "{{ [1] * 1000000000 }}"},
      {"doubling",
       "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% "
       "endfor %}"},
      {"doubling list",
       "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% "
       "endfor %}"},
      {"output", "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}"},
      {"replace", "{{ ('a' * 99999).replace('', 'b' * 99999) }}"},
      {"replace filter", "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}"},
      {"join", "{{ range(99999) | join('x' * 99999) }}"},
      {"width", "{{ '%999999999d' % 1 }}"},
      {"indent", "{{ ('a\\n' * 99999) | indent(99999) }}"},
      {"tojson indent", "{{ [[[[1]]]] | tojson(indent=999999999) }}"},
      {"batch", "{{ [1] | batch(999999999, 0) | list }}"},
      {"growing value",
       "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor "
       "%}"},
      {"shared value",
       "{% set ns = namespace(x=[1]) %}{% for i in range(150) %}{% set ns.x = [ns.x, ns.x] %}"
       "{% endfor %}{{ ns.x }}"},
      {"shared value compared",
       "{% set a = namespace(x=[1]) %}{% set b = namespace(x=[1]) %}{% for i in range(150) %}"
       "{% set a.x = [a.x, a.x] %}{% set b.x = [b.x, b.x] %}{% endfor %}{{ a.x == b.x }}"},
      {"recursion", "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}"},
      {"mutual recursion",
       "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}"},
      {"caller recursion",
       "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}"},
      {"quadratic text",
       "{% set ns = namespace(s='') %}{% for i in range(99999) %}{% set ns.s = ns.s ~ 'xxxxxxxxxx' "
       "%}{% endfor %}{% for i in range(99999) %}{{ ns.s | length }}{% endfor %}"},
      {"quadratic index",
       "{% set s = 'x' * 999999 %}{% for i in range(99999) %}{% set c = s[i] %}{% endfor %}"},
      {"quadratic search",
       "{% set s = 'x' * 999999 %}{% for i in range(99999) %}{% set c = 'y' in s %}{% endfor %}"},
  };
  for (const Bomb& bomb : kBombs) {
    const auto start = std::chrono::steady_clock::now();
    const auto result = RenderWith(bomb.source, OneMessage("x"));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const bool width = std::string(bomb.name) == "width";  // refused as a format, before any budget
    EXPECT_EQ(result.status().code(),
              width ? StatusCode::kInvalidArgument : StatusCode::kResourceExhausted)
        << bomb.name << ": " << TextOf(result).substr(0, 200);
    EXPECT_EQ(result.status().message().find('\n'), std::string::npos);
    EXPECT_LT(seconds.count(), 60)
        << bomb.name;  // about 1 s in a release build; sanitizers are slow
    if (std::getenv("KAKEYA_TEST_TIMES")) printf("%-24s %.3f s\n", bomb.name, seconds.count());
  }
}

TEST(ChatTemplateTest, DeepTemplatesAreRefused) {
  const auto repeat = [](const std::string& text, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += text;
    return out;
  };
  for (const std::string& source :
       {"{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}",
        "{{ " + repeat("-", 100000) + "1 }}", "{{ " + repeat("not ", 100000) + "1 }}",
        "{{ 1" + repeat("+1", 100000) + " }}", "{{ x" + repeat("|e", 100000) + " }}",
        "{{ x" + repeat(".a", 100000) + " }}",
        "{{ " + repeat("[", 100000) + repeat("]", 100000) + " }}", repeat("{% if 1 %}", 50000),
        "{{ 1" + repeat(" if 1 else 1", 50000) + " }}",
        "{% set " + repeat("(", 100000) + "a" + repeat(")", 100000) + " = 1 %}",
        "{{ a" + repeat("[0", 100000) + repeat("]", 100000) + " }}"}) {
    const auto parsed = ChatTemplate::Parse(source);
    EXPECT_EQ(parsed.status().code(), StatusCode::kResourceExhausted) << source.substr(0, 20);
  }
  EXPECT_EQ(ChatTemplate::Parse(std::string(2u << 20, 'a')).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(ChatTemplate::Parse("\xc0\x80").status().code(), StatusCode::kCorrupt);
}

TEST(ChatTemplateTest,
     NamespacesThatHoldEachOtherAreFreed) {  // the leak check of the sanitizer build sees it
  const char* source =
      "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{% set a.self = [a, "
      "{'a': a}] %}"
      "{% macro f() %}{{ f }}{% endmacro %}{% set a.f = f %}{% set a.count = a.self.count %}ok";
  EXPECT_EQ(TextOf(RenderWith(source, OneMessage("x"))), "ok");
}

TEST(ChatTemplateTest, AMacroDoesNotOutliveItsScope) {
  const char* source =
      "{% set ns = namespace() %}{% for i in [1] %}{% macro f() %}{{ i }}{% endmacro %}{% set ns.f "
      "= f %}"
      "{{ f() }}{% endfor %}{{ ns.f() }}";
  EXPECT_NE(TextOf(RenderWith(source, OneMessage("x"))).find("outside of the block"),
            std::string::npos);
}

TEST(ChatTemplateTest, DeepMessagesAreRefused) {
  Json deep = 1;
  for (int i = 0; i < 300; ++i) deep = Json::array({deep});
  ChatInput input = OneMessage("x");
  input.messages[0]["content"] = deep;
  EXPECT_EQ(RenderWith("x", input).status().code(), StatusCode::kResourceExhausted);
}

TEST(ChatTemplateTest, WholeNumbersBeyond64BitsAreErrors) {
  const ChatInput input = OneMessage("x");
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 2 ** 64 }}",
        "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
        "{{ (-9223372036854775807 - 1) | abs }}", "{{ 1e30 | int }}",
        "{{ '99999999999999999999' | int }}"}) {
    EXPECT_EQ(RenderWith(source, input).status().code(), StatusCode::kInvalidArgument) << source;
  }
  EXPECT_EQ(TextOf(RenderWith("{{ (-9223372036854775807 - 1) % -1 }}", input)), "0");
}

class TemplateSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ =
        std::filesystem::temp_directory_path() / ("kakeya_template_" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir() const { return dir_.string(); }
  std::filesystem::path dir_;
};

TEST_F(TemplateSourceTest, ConfigHoldsATextOrAList) {
  EXPECT_EQ(*ChatTemplate::FromTokenizerConfig({{"chat_template", "a"}}, dir(), false), "a");
  const Json list = {{"chat_template", Json::array({{{"name", "default"}, {"template", "d"}},
                                                    {{"name", "tool_use"}, {"template", "t"}}})}};
  EXPECT_EQ(*ChatTemplate::FromTokenizerConfig(list, dir(), false), "d");
  EXPECT_EQ(*ChatTemplate::FromTokenizerConfig(list, dir(), true), "t");
  const Json only_default = {
      {"chat_template", Json::array({{{"name", "default"}, {"template", "d"}}})}};
  EXPECT_EQ(*ChatTemplate::FromTokenizerConfig(only_default, dir(), true), "d");
}

TEST_F(TemplateSourceTest, TheFileBesideTheConfigWins) {
  std::ofstream(dir_ / "chat_template.jinja") << "file";
  EXPECT_EQ(*ChatTemplate::FromTokenizerConfig({{"chat_template", "a"}}, dir(), false), "file");
  EXPECT_EQ(*ChatTemplate::FromTokenizerConfig(Json::object(), dir(), false), "file");
}

TEST_F(TemplateSourceTest, NoTemplateIsNotFoundAndAnOddOneAnError) {
  EXPECT_EQ(ChatTemplate::FromTokenizerConfig(Json::object(), dir(), false).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(
      ChatTemplate::FromTokenizerConfig({{"chat_template", nullptr}}, dir(), false).status().code(),
      StatusCode::kNotFound);
  EXPECT_EQ(ChatTemplate::FromTokenizerConfig({{"chat_template", 5}}, dir(), false).status().code(),
            StatusCode::kCorrupt);
  EXPECT_FALSE(
      ChatTemplate::FromTokenizerConfig({{"chat_template", Json::array({5})}}, dir(), false).ok());
  EXPECT_FALSE(ChatTemplate::FromTokenizerConfig(Json(5), dir(), false).ok());
}

TEST_F(TemplateSourceTest, TokensAreTextsOrObjects) {
  EXPECT_EQ(*ChatTemplate::TokenText({{"bos_token", "<s>"}}, "bos_token"), "<s>");
  EXPECT_EQ(*ChatTemplate::TokenText({{"bos_token", {{"content", "<s>"}}}}, "bos_token"), "<s>");
  EXPECT_EQ(*ChatTemplate::TokenText({{"bos_token", nullptr}}, "bos_token"), "");
  EXPECT_FALSE(ChatTemplate::TokenText({{"bos_token", 5}}, "bos_token").ok());
}

}  // namespace
}  // namespace kakeya
