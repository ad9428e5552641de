#include "eval/recall/prompts/layout.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "eval/recall/prompts/length_search.h"

namespace kakeya {
namespace {

constexpr int kScatters = 4;
constexpr int64_t kShortReach = 12;  // of cuts where several needles share little room
constexpr int64_t kJsonLine = 16;    // tokens of a line of an object, about

struct Place {
  size_t at = 0;  // in the filler
  const RecallStatement* statement = nullptr;
};

// Where the pieces meet, as drawn once for a prompt; ascending fractions.
struct Scatter {
  std::vector<double> needles;  // of the room that needles after the first share
  std::vector<double> others;   // of the whole filler
};

std::vector<double> Ascending(size_t n, RecallRandom* random) {
  std::vector<double> fractions(n);
  for (double& fraction : fractions) fraction = random->Fraction();
  std::sort(fractions.begin(), fractions.end());
  return fractions;
}

class Layout {
 public:
  Layout(const Tokenizer& tokenizer, const PromptFormat& form, const Filler& filler,
         const PromptContent& draft, const RecallPromptSpec& spec, RecallRandom* random)
      : tokenizer_(tokenizer),
        form_(form),
        filler_(filler),
        draft_(draft),
        spec_(spec),
        scatter_{Ascending(draft.needles.size() - 1, random),
                 Ascending(draft.others.size(), random)} {}

  // Empty: no attempt was on target.
  Result<std::optional<RecallPrompt>> Run();

 private:
  Status PlaceAll(const LayoutTarget& aim);
  void LineUp(std::vector<Place> places, size_t text_end);
  Status Measure(const ComposedPrompt& composed);
  LayoutMiss Miss() const;
  Status AddCounterfactual(const ComposedPrompt& composed);
  Status AddTurns();
  Status NoRoom() const {
    const std::string gap =
        draft_.gap > 0 ? fmt::format(", and {} from one needle to the next", draft_.gap) : "";
    return InvalidArgument(
        "a prompt of {} tokens leaves no room for {}: question, needles and what stands with them "
        "take {}, and {} have to lie between{}",
        spec_.length, NameOf(spec_.task), overhead_, spec_.min_distance, gap);
  }
  size_t Cut(int64_t lowest, int64_t wanted, int64_t highest) const {
    const auto offset = [&](int64_t token) {
      return filler_.offsets[static_cast<size_t>(std::clamp<int64_t>(token, 0, filler_.tokens()))];
    };
    return CutNear(filler_.text, offset(lowest), offset(std::min(wanted, highest)),
                   offset(highest));
  }
  int64_t TokenAt(size_t byte) const {
    return std::upper_bound(filler_.offsets.begin(), filler_.offsets.end(), byte) -
           filler_.offsets.begin() - 1;
  }
  const std::string& FirstQuestion() const { return draft_.questions[0].text; }

  const Tokenizer& tokenizer_;
  const PromptFormat& form_;
  const Filler& filler_;
  const PromptContent& draft_;
  const RecallPromptSpec& spec_;
  const Scatter scatter_;

  int64_t overhead_ = 0;  // tokens without any filler
  std::vector<RecallPiece> pieces_;
  bool depth_is_free_ = false;  // the first needle could stand where it was wanted
  RecallPrompt prompt_;
};

Result<std::optional<RecallPrompt>> Layout::Run() {
  for (const RecallStatement& needle : draft_.needles) pieces_.push_back({{}, &needle});
  for (const RecallStatement& other : draft_.others) pieces_.push_back({{}, &other});
  KAKEYA_ASSIGN_OR_RETURN(ComposedPrompt composed, form_.Compose(pieces_, FirstQuestion(), false));
  overhead_ = static_cast<int64_t>(composed.ids.size());
  LayoutTarget aim{.filler = spec_.length - overhead_, .reserve = spec_.min_distance};
  aim.first = ShareOf(spec_.depth, aim.filler);
  const RecallBounds bounds{.length = std::max(spec_.length / 50, filler_.lines ? kJsonLine : 0),
                            .least_reach = filler_.lines ? kJsonLine + 4 : 4};
  for (int attempt = 0; attempt < LayoutTarget::kAttempts; ++attempt) {
    KAKEYA_RETURN_IF_ERROR(PlaceAll(aim));
    KAKEYA_ASSIGN_OR_RETURN(composed, form_.Compose(pieces_, FirstQuestion(), false));
    KAKEYA_RETURN_IF_ERROR(Measure(composed));
    if (IsOnTarget(Miss(), bounds, &aim)) {
      KAKEYA_RETURN_IF_ERROR(AddTurns());
      KAKEYA_RETURN_IF_ERROR(AddCounterfactual(composed));
      return std::optional(std::move(prompt_));
    }
  }
  return std::optional<RecallPrompt>();
}

// Cuts the filler for `aim` and lines up the pieces.
Status Layout::PlaceAll(const LayoutTarget& aim) {
  const int64_t end = std::min(aim.filler, filler_.tokens());
  const int64_t slack = filler_.lines
                            ? LayoutTarget::kFarthestReach
                            : spec_.length * 3 / 200 * aim.reach / LayoutTarget::kFarthestReach;
  if (end <= slack) return NoRoom();
  const size_t text_end = Cut(end - slack, end, end);
  const int64_t available = TokenAt(text_end);
  const int64_t latest = available - aim.reserve;  // for the last needle
  const int64_t count = static_cast<int64_t>(draft_.needles.size());
  const int64_t reach = count > 1 ? std::min(aim.reach, kShortReach) : aim.reach;
  int64_t gap = draft_.best_gap;
  if (count > 1) gap = std::min(gap, latest / (count - 1) - 2 * reach);
  if (latest < 0 || gap < draft_.gap) return NoRoom();
  const int64_t least = (count - 1) * (gap + 2 * reach);  // from the first needle to the last
  const int64_t first = std::clamp<int64_t>(aim.first, 0, latest - least);
  depth_is_free_ = first == aim.first;

  std::vector<Place> places;
  for (int64_t i = 0; i < count; ++i) {
    const size_t u = static_cast<size_t>(i);
    const double fraction = i > 0 ? scatter_.needles[u - 1] : 0;
    const int64_t wanted =
        first + i * (gap + 2 * reach) + ShareOf(fraction, latest - least - first);
    places.push_back(
        {Cut(wanted - reach, wanted, std::min(wanted + reach, latest)), &draft_.needles[u]});
  }
  // Off the ends, so that the needle can be the first or the last of all.
  for (size_t i = 0; i < draft_.others.size(); ++i) {
    const int64_t wanted = reach + ShareOf(scatter_.others[i], available - 2 * reach);
    places.push_back(
        {std::min(Cut(wanted - reach, wanted, wanted + reach), text_end), &draft_.others[i]});
  }
  LineUp(std::move(places), text_end);
  return OkStatus();
}

void Layout::LineUp(std::vector<Place> places, size_t text_end) {
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.at < b.at; });
  const std::string_view text = filler_.text;
  size_t begin = 0;
  pieces_.clear();
  for (const auto& [at, statement] : places) {
    if (at > begin) pieces_.push_back({text.substr(begin, at - begin), nullptr});
    pieces_.push_back({{}, statement});
    begin = at;
  }
  if (text_end > begin) pieces_.push_back({text.substr(begin, text_end - begin), nullptr});
}

// Finds the needles among the tokens.
Status Layout::Measure(const ComposedPrompt& composed) {
  const std::vector<size_t> offsets = TokenOffsets(tokenizer_, composed.ids);
  std::string text;
  text.reserve(offsets.back());
  for (const int32_t id : composed.ids) text += tokenizer_.TokenBytes(id);
  prompt_.needles.clear();
  for (const RecallStatement& needle : draft_.needles) {
    const size_t at = text.find(needle.text);
    if (at == std::string::npos || text.find(needle.text, at + 1) != std::string::npos) {
      return Unsupported("tokenizer or chat template change the text of a needle");
    }
    const auto begin = std::upper_bound(offsets.begin(), offsets.end(), at) - 1;
    const auto end = std::lower_bound(offsets.begin(), offsets.end(), at + needle.text.size());
    prompt_.needles.push_back({begin - offsets.begin(), end - offsets.begin()});
  }
  prompt_.context.assign(composed.ids.begin(), composed.ids.begin() + composed.split);
  prompt_.turns = {{{composed.ids.begin() + composed.split, composed.ids.end()}, {}, {}}};
  return OkStatus();
}

LayoutMiss Layout::Miss() const {
  const int64_t context = static_cast<int64_t>(prompt_.context.size());
  const int64_t total = context + static_cast<int64_t>(prompt_.turns[0].ids.size());
  return {.too_long = total - spec_.length,
          .too_deep = prompt_.needles[0].begin - ShareOf(spec_.depth, context),
          .depth_is_free = depth_is_free_,
          .too_near = spec_.min_distance - (context - prompt_.needles.back().end)};
}

Status Layout::AddTurns() {
  for (size_t i = 0; i < draft_.questions.size(); ++i) {
    const RecallQuestion& question = draft_.questions[i];
    if (i > 0) {
      prompt_.turns.emplace_back();
      KAKEYA_ASSIGN_OR_RETURN(prompt_.turns[i].ids, form_.ComposeLater(question.text));
    }
    prompt_.turns[i].expected = question.expected;
    prompt_.turns[i].edited_expected = question.edited_expected;
  }
  prompt_.phrasing = draft_.phrasing;
  prompt_.depth =
      static_cast<double>(prompt_.needles[0].begin) / static_cast<double>(prompt_.context.size());
  return OkStatus();
}

Status Layout::AddCounterfactual(const ComposedPrompt& composed) {
  KAKEYA_ASSIGN_OR_RETURN(const ComposedPrompt edited,
                          form_.Compose(pieces_, FirstQuestion(), true));
  bool same = edited.ids.size() == composed.ids.size() && edited.split == composed.split;
  for (size_t i = 0, needle = 0; same && i < composed.ids.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    while (needle < prompt_.needles.size() && prompt_.needles[needle].end <= at) ++needle;
    const bool inside = needle < prompt_.needles.size() && prompt_.needles[needle].begin <= at;
    same = inside || edited.ids[i] == composed.ids[i];
  }
  if (!same) return Unsupported("the tokenizer doesn't keep edited digits in their place");
  prompt_.edited_context.assign(edited.ids.begin(), edited.ids.begin() + edited.split);
  return OkStatus();
}

}  // namespace

Result<RecallPrompt> LayOut(const Tokenizer& tokenizer, const PromptFormat& form,
                            const Filler& filler, const PromptContent& draft,
                            const RecallPromptSpec& spec, RecallRandom* random) {
  // Statements that jump across one another may leave no cut on target: others are drawn then.
  for (int i = 0; i < kScatters; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(std::optional<RecallPrompt> prompt,
                            Layout(tokenizer, form, filler, draft, spec, random).Run());
    if (prompt) return *std::move(prompt);
  }
  return InvalidArgument("the haystack can't be cut to a prompt of {} tokens for {}", spec.length,
                         NameOf(spec.task));
}

}  // namespace kakeya
