#include "eval/recall/report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

namespace kakeya {
namespace {

constexpr double kOracleAtLeast = 0.90;
constexpr double kControlAtMost = 0.05;
constexpr double kRestoredWithin = 0.05;
constexpr double kCounterfactualWithin = 0.15;
constexpr const char* kNotJudged = "not judged";
// Recalls are fractions of counts: a difference below this is rounding.
constexpr double kRounding = 1e-9;

constexpr RecallArm kControls[] = {RecallArm::kWindow, RecallArm::kForeign, RecallArm::kUntrained,
                                   RecallArm::kShuffled, RecallArm::kWithoutNeedle};

// Collects what speaks against one length.
class Judgement {
 public:
  Judgement(std::span<const RecallRow> rows, int64_t length) : rows_(rows), length_(length) {}

  // Of the single needle; the arm's absence is a reason of its own.
  std::optional<double> Recall(RecallArm arm) {
    const RecallRow* row = FindRow(rows_, RecallTask::kSingle, length_, arm);
    std::optional<double> recall;
    if (row != nullptr) recall = row->count.recall();
    if (!recall) {
      reasons_.push_back(fmt::format("arm {} was not run", NameOf(arm)));
      ++missing_;
    }
    return recall;
  }

  void AtLeast(RecallArm arm, double bound, const std::string& bound_is) {
    const std::optional<double> recall = Recall(arm);
    if (!recall || *recall >= bound - kRounding) return;
    reasons_.push_back(
        fmt::format("{} {:.3f} is below {:.3f} ({})", NameOf(arm), *recall, bound, bound_is));
  }

  void AtMost(RecallArm arm, double bound) {
    const std::optional<double> recall = Recall(arm);
    if (!recall || *recall <= bound + kRounding) return;
    reasons_.push_back(fmt::format("{} {:.3f} is above {:.2f}: this control must fail", NameOf(arm),
                                   *recall, bound));
  }

  // Whether something that was run speaks against the claim, or all was run.
  bool judged() const { return missing_ == 0 || reasons_.size() > missing_; }
  std::vector<std::string> Take() { return std::move(reasons_); }

 private:
  std::span<const RecallRow> rows_;
  int64_t length_;
  std::vector<std::string> reasons_;
  size_t missing_ = 0;
};

LengthVerdict JudgeLength(std::span<const RecallRow> rows, int64_t length, bool without_oracle) {
  const bool asked = std::any_of(rows.begin(), rows.end(), [&](const RecallRow& row) {
    return row.task == RecallTask::kSingle && row.length == length;
  });
  if (!asked) {
    return {.length = length,
            .verdict = Verdict::kFails,
            .reasons = {"task single, which the claim is about, was not run"},
            .judged = false};
  }
  Judgement judgement(rows, length);
  double oracle = 1;
  std::string name = "a perfect oracle's";
  if (!without_oracle) {
    judgement.AtLeast(RecallArm::kOracle, kOracleAtLeast, "or the model itself can't answer");
    const RecallRow* row = FindRow(rows, RecallTask::kSingle, length, RecallArm::kOracle);
    if (row != nullptr && row->count.recall()) {
      oracle = *row->count.recall();
      name = "oracle's";
    }
  }
  judgement.AtLeast(RecallArm::kRestored, oracle - kRestoredWithin, name + " less 0.05");
  judgement.AtLeast(RecallArm::kCounterfactual, oracle - kCounterfactualWithin,
                    name + " less 0.15");
  for (const RecallArm control : kControls) judgement.AtMost(control, kControlAtMost);
  LengthVerdict out{.length = length, .reasons = {}, .judged = judgement.judged()};
  out.reasons = judgement.Take();
  if (!out.reasons.empty()) out.verdict = Verdict::kFails;
  return out;
}

}  // namespace

const char* NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds:
      return "holds";
    case Verdict::kFails:
      return "fails";
    case Verdict::kInvalid:
      return "invalid";
  }
  return "?";
}

const char* Heading(const RecallVerdict& verdict) {
  return verdict.judged ? NameOf(verdict.verdict) : kNotJudged;
}
const char* Heading(const LengthVerdict& verdict) {
  return verdict.judged ? NameOf(verdict.verdict) : kNotJudged;
}

RecallVerdict Judge(std::span<const RecallRow> rows, std::span<const int64_t> lengths,
                    const std::set<int64_t>& without_oracle, std::span<const int> coupon_layers) {
  RecallVerdict out;
  bool all_hold = true;
  bool refuted = false;
  for (const int64_t length : lengths) {
    LengthVerdict judged = JudgeLength(rows, length, without_oracle.count(length) > 0);
    all_hold = all_hold && judged.verdict == Verdict::kHolds;
    refuted = refuted || (judged.verdict == Verdict::kFails && judged.judged);
    for (const std::string& reason : judged.reasons) {
      out.verdict = Verdict::kFails;
      out.reasons.push_back(fmt::format("at {}: {}", length, reason));
    }
    out.by_length.push_back(std::move(judged));
  }
  out.judged = all_hold || refuted;
  if (coupon_layers.empty()) return out;
  const std::string reason =
      fmt::format("layers {} kept exact K/V of evicted positions", fmt::join(coupon_layers, ", "));
  out.verdict = Verdict::kInvalid;
  out.judged = true;
  out.reasons.insert(out.reasons.begin(), reason);
  for (LengthVerdict& judged : out.by_length) {
    judged.verdict = Verdict::kInvalid;
    judged.judged = true;
    judged.reasons.insert(judged.reasons.begin(), reason);
  }
  return out;
}

}  // namespace kakeya
