// Prompts of every task hold what they promise, on the demo model's tokenizer and chat template.
#include "eval/recall/prompts/prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

namespace kakeya {
namespace {

constexpr RecallTask kTasks[] = {RecallTask::kSingle,        RecallTask::kLookAlikes,
                                 RecallTask::kOtherWords,    RecallTask::kFourValues,
                                 RecallTask::kFourQuestions, RecallTask::kChain,
                                 RecallTask::kJson,          RecallTask::kChat};
static_assert(std::size(kTasks) == kRecallTasks);

// Loaded once for all tests.
const Engine& Demo() {
  static const std::unique_ptr<Engine> kEngine = [] {
    Result<std::unique_ptr<Engine>> loaded =
        Engine::Load(std::string(KAKEYA_SOURCE_DIR) + "/models/demo", {.threads = 1});
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return *std::move(loaded);
  }();
  return *kEngine;
}

std::string Text(std::span<const int32_t> ids) { return (*Demo().tokenizer())->Decode(ids, false); }
std::string Text(const RecallPrompt& prompt, TokenRange range) {
  return Text(
      std::span(prompt.context)
          .subspan(static_cast<size_t>(range.begin), static_cast<size_t>(range.end - range.begin)));
}

// Sentences of different lengths, none twice.
std::string Sentences(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += fmt::format("Sentence {} speaks of the weather{} and ends here.{}", i,
                        i % 3 == 0 ? ", which was fine all through the long summer," : "",
                        i % 5 == 4 ? "\n" : " ");
  }
  return text;
}

Result<RecallPrompt> Make(const RecallPromptSpec& spec, const std::string& haystack) {
  KAKEYA_ASSIGN_OR_RETURN(const RecallPromptMaker maker,
                          RecallPromptMaker::Create(&Demo(), haystack));
  return maker.Make(spec);
}

size_t Count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

int64_t Distance(const RecallPrompt& prompt) {
  return static_cast<int64_t>(prompt.context.size()) - prompt.needles.back().end;
}

class RecallPromptTest : public testing::TestWithParam<RecallTask> {
 protected:
  // Calls `check` with prompts of several lengths, depths and seeds.
  template <typename Check>
  void ForPrompts(int64_t min_distance, const Check& check) {
    const std::string haystack = Sentences(900);
    for (const int64_t length : {1024, 4096}) {
      for (int i = 0; i < 12; ++i) {
        const RecallPromptSpec spec{.task = GetParam(),
                                    .length = length,
                                    .depth = i / 11.0,
                                    .seed = static_cast<uint64_t>(i),
                                    .min_distance = min_distance};
        const Result<RecallPrompt> prompt = Make(spec, haystack);
        ASSERT_TRUE(prompt.ok()) << prompt.status().message();
        check(spec, *prompt);
      }
    }
  }
};

TEST_P(RecallPromptTest, LengthAndDepthAreHit) {
  ForPrompts(0, [](const RecallPromptSpec& spec, const RecallPrompt& prompt) {
    const int64_t context = static_cast<int64_t>(prompt.context.size());
    const int64_t total = context + static_cast<int64_t>(prompt.turns[0].ids.size());
    EXPECT_LE(std::abs(total - spec.length), std::max<int64_t>(spec.length / 50, 16));
    const double begin = static_cast<double>(prompt.needles[0].begin);
    EXPECT_EQ(prompt.depth, begin / static_cast<double>(context));
    const double wanted = spec.depth * static_cast<double>(context);
    // Where others follow the first needle, it may have to stand less deep.
    EXPECT_LE(begin - wanted, 64);
    if (spec.depth < 0.95 && (prompt.needles.size() == 1 || wanted < 200)) {
      EXPECT_GE(begin - wanted, -64);
    }
  });
}

TEST_P(RecallPromptTest, NeedlesKeepTheirDistance) {
  ForPrompts(320, [](const RecallPromptSpec& spec, const RecallPrompt& prompt) {
    EXPECT_GE(Distance(prompt), 320);
    if (spec.depth > 0.99) {  // no farther than need be
      EXPECT_LE(Distance(prompt), 320 + 128);
    }
    for (size_t i = 1; i < prompt.needles.size(); ++i) {
      const int64_t gap = prompt.needles[i].begin - prompt.needles[i - 1].end;
      EXPECT_GT(gap, spec.task == RecallTask::kChain ? 400 : 64);
    }
  });
}

TEST_P(RecallPromptTest, EveryValueStandsOnceAndInANeedle) {
  ForPrompts(0, [](const RecallPromptSpec& spec, const RecallPrompt& prompt) {
    std::string needles;
    for (const TokenRange& range : prompt.needles) needles += Text(prompt, range) + "\n";
    const std::string context = Text(prompt.context);
    const std::string edited = Text(prompt.edited_context);
    size_t last = 0;
    for (const RecallTurn& turn : prompt.turns) {
      ASSERT_EQ(turn.expected.size(), turn.edited_expected.size());
      ASSERT_EQ(turn.expected.size(), spec.task == RecallTask::kFourValues ? 4u : 1u);
      for (size_t i = 0; i < turn.expected.size(); ++i) {
        EXPECT_EQ(turn.expected[i].size(), 5u);
        EXPECT_EQ(Count(context, turn.expected[i]), 1u);
        EXPECT_EQ(Count(needles, turn.expected[i]), 1u);
        EXPECT_EQ(Count(edited, turn.expected[i]), 0u);
        EXPECT_EQ(Count(edited, turn.edited_expected[i]), 1u);
        EXPECT_EQ(Count(context, turn.edited_expected[i]), 0u);
        if (i > 0) {  // the order of the text
          EXPECT_GT(context.find(turn.expected[i]), last);
        }
        last = context.find(turn.expected[i]);
      }
    }
  });
}

TEST_P(RecallPromptTest, TheCounterfactualDiffersInTheValuesDigitsAlone) {
  ForPrompts(0, [](const RecallPromptSpec&, const RecallPrompt& prompt) {
    ASSERT_EQ(prompt.context.size(), prompt.edited_context.size());
    size_t differences = 0;
    for (size_t i = 0; i < prompt.context.size(); ++i) {
      if (prompt.context[i] == prompt.edited_context[i]) continue;
      ++differences;
      const int64_t at = static_cast<int64_t>(i);
      EXPECT_TRUE(std::any_of(prompt.needles.begin(), prompt.needles.end(), [&](TokenRange needle) {
        return needle.begin <= at && at < needle.end;
      }));
    }
    size_t digits = 0;  // one token each, and other ones at every place
    for (const RecallTurn& turn : prompt.turns) digits += 5 * turn.expected.size();
    EXPECT_EQ(differences, digits);
  });
}

TEST_P(RecallPromptTest, TheQuestionEndsWhereTheAnswerBegins) {
  ForPrompts(0, [](const RecallPromptSpec& spec, const RecallPrompt& prompt) {
    EXPECT_EQ(prompt.turns.size(), spec.task == RecallTask::kFourQuestions ? 4u : 1u);
    for (size_t i = 0; i < prompt.turns.size(); ++i) {
      const std::string question = Text(prompt.turns[i].ids);
      const bool chat = spec.task == RecallTask::kChat;
      EXPECT_TRUE(question.ends_with(chat ? "<|im_start|>assistant\n" : "\nAnswer:")) << question;
      EXPECT_TRUE(question.starts_with(chat     ? "<|im_start|>user\n"
                                       : i == 0 ? "Question: "
                                                : "\nQuestion: "))
          << question;
    }
    if (spec.task != RecallTask::kChat) {
      EXPECT_TRUE(Text(prompt.context).ends_with('\n'));
    }
    // Tokenised as one text: no seam that a tokenizer would not make.
    std::vector<int32_t> ids = prompt.context;
    ids.insert(ids.end(), prompt.turns[0].ids.begin(), prompt.turns[0].ids.end());
    const Result<std::vector<int32_t>> again =
        (*Demo().tokenizer())->Encode(Text(ids), {.parse_special = true});
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, ids);
  });
}

TEST_P(RecallPromptTest, TheSameSpecMakesTheSamePrompt) {
  const std::string haystack = Sentences(300);
  RecallPromptSpec spec{.task = GetParam(), .length = 1500, .seed = 3};
  const Result<RecallPrompt> first = Make(spec, haystack);
  const Result<RecallPrompt> second = Make(spec, haystack);
  spec.seed = 4;
  const Result<RecallPrompt> other = Make(spec, haystack);
  ASSERT_TRUE(first.ok() && second.ok() && other.ok());
  EXPECT_EQ(first->context, second->context);
  EXPECT_EQ(first->edited_context, second->edited_context);
  EXPECT_EQ(first->turns[0].ids, second->turns[0].ids);
  EXPECT_NE(first->context, other->context);
  EXPECT_NE(first->turns[0].expected, other->turns[0].expected);
}

TEST_P(RecallPromptTest, NoRoomIsAnError) {
  const std::string haystack = Sentences(100);
  for (const int64_t length : {int64_t{-1}, int64_t{1}, int64_t{20}, kMaxPromptTokens + 1}) {
    EXPECT_EQ(Make({.task = GetParam(), .length = length}, haystack).status().code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(
      Make({.task = GetParam(), .length = 1024, .min_distance = 1010}, haystack).status().code(),
      StatusCode::kInvalidArgument);
  EXPECT_EQ(Make({.task = GetParam(), .depth = 1.5}, haystack).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(RecallPromptTaskTest, AChainIsRefusedWhereItsGapDoesNotFit) {
  const Result<RecallPrompt> prompt =
      Make({.task = RecallTask::kChain, .length = 600, .min_distance = 128}, Sentences(100));
  EXPECT_EQ(prompt.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(prompt.status().message().find("440 from one needle to the next"), std::string::npos)
      << prompt.status().message();
}

TEST(RecallPromptTaskTest, APromptNamesThePhrasingOfItsNeedle) {
  const Result<RecallPrompt> chain = Make({.task = RecallTask::kChain}, Sentences(300));
  ASSERT_TRUE(chain.ok()) << chain.status().message();
  EXPECT_NE(chain->phrasing.find("{v}"), std::string::npos) << chain->phrasing;
  const Result<RecallPrompt> four = Make({.task = RecallTask::kFourQuestions}, Sentences(300));
  ASSERT_TRUE(four.ok());
  EXPECT_EQ(four->phrasing, "");
}

INSTANTIATE_TEST_SUITE_P(Tasks, RecallPromptTest, testing::ValuesIn(kTasks), [](const auto& info) {
  std::string name = NameOf(info.param);
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace kakeya
