#include "decode/sampler.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>

#include "base/elementary.h"
#include "decode/gumbel.h"

namespace kakeya {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();
constexpr size_t kBlock = GumbelNoise::kBlock;

// Logits with the largest of each block, by which most of them are passed over unread.
struct BlockedLogits {
  std::span<const float> logits;
  std::vector<float> maxima;  // (blocks of kBlock tokens)
  int32_t best = 0;           // the most likely token; of equals the lowest id
  float best_logit = 0;

  std::span<const float> block(size_t b) const {
    return logits.subspan(b * kBlock, std::min(kBlock, logits.size() - b * kBlock));
  }
};

// Integers in the order of the floats whose bits they are made of; -0 comes before 0.
int32_t Ordered(int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); }

// The largest of a block of kBlock logits; sets *nan if one is NaN. On integers, whose maximum
// compilers make of vector instructions: this pass is the only one over all logits.
float MaximumOfBlock(const float* x, bool* nan) {
  int32_t most = std::numeric_limits<int32_t>::min();
  int32_t most_magnitude = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const auto bits = std::bit_cast<int32_t>(x[i]);
    most = std::max(most, Ordered(bits));
    most_magnitude = std::max(most_magnitude, bits & 0x7fffffff);
  }
  if (most_magnitude > 0x7f800000) *nan = true;
  return std::bit_cast<float>(Ordered(most));
}

Result<BlockedLogits> InBlocks(std::span<const float> logits) {
  BlockedLogits out;
  out.logits = logits;
  out.maxima.resize((logits.size() + kBlock - 1) / kBlock);
  bool nan = false;
  const size_t whole = logits.size() / kBlock;
  for (size_t b = 0; b < whole; ++b) {
    out.maxima[b] = MaximumOfBlock(logits.data() + b * kBlock, &nan);
  }
  if (whole < out.maxima.size()) {
    float last[kBlock];
    std::fill_n(last, kBlock, kLowest);
    std::copy(logits.begin() + static_cast<int64_t>(whole * kBlock), logits.end(), last);
    out.maxima[whole] = MaximumOfBlock(last, &nan);
  }
  if (nan) {
    const auto at = std::find_if(logits.begin(), logits.end(), [](float x) { return x != x; });
    return Corrupt("the model's logit of token {} is not a number", at - logits.begin());
  }
  const auto most = std::max_element(out.maxima.begin(), out.maxima.end());
  if (std::isinf(*most)) return Corrupt("the model's logits are not finite");
  const auto first = logits.begin() + (most - out.maxima.begin()) * static_cast<int64_t>(kBlock);
  out.best = static_cast<int32_t>(std::find(first, logits.end(), *most) - logits.begin());
  out.best_logit = *most;
  return out;
}

struct Candidate {
  int32_t token;
  float logit;
};

// Most likely first; of equals the lower id.
struct Likelier {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }
};

// The filters of SamplingParams over one position's logits.
class Filters {
 public:
  // REQUIRES: params.temperature > 0. Both outlive this.
  Filters(const BlockedLogits& blocked, const SamplingParams& params)
      : blocked_(blocked), params_(params), log_min_p_(elementary::Log(params.min_p)) {}

  // The logarithm of a token's probability relative to the most likely one's.
  double LogRatio(float logit) const {
    return (double{logit} - double{blocked_.best_logit}) / params_.temperature;
  }
  bool PassesMinP(float logit) const { return LogRatio(logit) >= log_min_p_; }
  // Whether the kept tokens can only be told by comparing tokens with each other.
  bool NeedsOrder() const { return CutsByRank() || params_.top_p < 1; }

  // The tokens that all filters keep, in no order.
  std::vector<Candidate> Kept() const {
    std::vector<Candidate> kept;
    if (CutsByRank()) {
      kept = MostLikely();
      const double total = TotalOf(kept);
      if (params_.top_p < 1) kept = Nucleus(std::move(kept), total);
    } else if (params_.top_p < 1) {
      const double total = TotalOfAll();
      kept = Nucleus(AtLeast(LeastLogRatioOfNucleus(total)), total);
    } else {
      kept = AtLeast(log_min_p_);
    }
    std::erase_if(kept, [&](const Candidate& c) { return !PassesMinP(c.logit); });
    return kept;
  }

 private:
  bool CutsByRank() const {
    return params_.top_k > 0 && static_cast<size_t>(params_.top_k) < blocked_.logits.size();
  }

  // Tokens with keep(logit), in the order of their ids; keep(a) implies keep(b) for b > a.
  template <typename Keep>
  std::vector<Candidate> Those(const Keep& keep) const {
    std::vector<Candidate> out;
    for (size_t b = 0; b < blocked_.maxima.size(); ++b) {
      if (!keep(blocked_.maxima[b])) continue;
      auto token = static_cast<int32_t>(b * kBlock);
      for (const float logit : blocked_.block(b)) {
        if (keep(logit)) out.push_back({token, logit});
        ++token;
      }
    }
    return out;
  }

  std::vector<Candidate> AtLeast(double log_ratio) const {
    return Those([&](float logit) { return LogRatio(logit) >= log_ratio; });
  }

  // top_k, in the order of ids. The k-th largest maximum of the blocks is a logit that at least k
  // tokens reach.
  std::vector<Candidate> MostLikely() const {
    const auto k = static_cast<size_t>(params_.top_k);
    float least = kLowest;
    if (k <= blocked_.maxima.size()) {
      std::vector<float> maxima = blocked_.maxima;
      const auto kth = maxima.begin() + static_cast<int64_t>(k) - 1;
      std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<>());
      least = *kth;
    }
    std::vector<Candidate> out = Those([&](float logit) { return logit >= least; });
    std::vector<Candidate> order = out;
    const auto kth = order.begin() + static_cast<int64_t>(k) - 1;
    std::nth_element(order.begin(), kth, order.end(), Likelier());
    const Candidate last = *kth;
    std::erase_if(out, [&](const Candidate& c) { return Likelier()(last, c); });
    return out;
  }

  double TotalOf(const std::vector<Candidate>& candidates) const {
    double total = 0;
    for (const Candidate& c : candidates) total += elementary::Exp(LogRatio(c.logit));
    return total;
  }
  double TotalOfAll() const {
    double total = 0;
    for (const float logit : blocked_.logits) total += elementary::Exp(LogRatio(logit));
    return total;
  }

  // Tokens that are less likely than this have less than half of 1 - top_p together, so the nucleus
  // is full before one of them is its turn. The other half is left to rounding.
  double LeastLogRatioOfNucleus(double total) const {
    const double outside = 1 - params_.top_p;
    if (outside < 1e-9) return -std::numeric_limits<double>::infinity();
    return elementary::Log(0.5 * outside * total / static_cast<double>(blocked_.logits.size()));
  }

  // top_p: takes the most likely of the candidates until they reach their share of `total`. Sorts
  // growing pieces, since a nucleus is mostly a few dozen of them.
  std::vector<Candidate> Nucleus(std::vector<Candidate> candidates, double total) const {
    double sum = 0;
    size_t sorted = 0;
    size_t kept = 0;
    while (kept < candidates.size() && (kept == 0 || sum < params_.top_p * total)) {
      if (kept == sorted) {
        const auto first = candidates.begin() + static_cast<int64_t>(sorted);
        sorted = std::min(candidates.size(), std::max<size_t>(64, 4 * sorted));
        const auto last = candidates.begin() + static_cast<int64_t>(sorted);
        if (last != candidates.end()) std::nth_element(first, last, candidates.end(), Likelier());
        std::sort(first, last, Likelier());
      }
      sum += elementary::Exp(LogRatio(candidates[kept++].logit));
    }
    candidates.erase(candidates.begin() + static_cast<int64_t>(kept), candidates.end());
    return candidates;
  }

  const BlockedLogits& blocked_;
  const SamplingParams& params_;
  const double log_min_p_;
};

// The search for the largest score, log ratio + noise, that computes as few scores as it can.
class Race {
 public:
  Race(const BlockedLogits& blocked, const Filters& filters, double temperature,
       const GumbelNoise& noise)
      : blocked_(blocked), filters_(filters), temperature_(temperature), noise_(noise) {}

  // All tokens but those that min_p drops.
  int32_t OverAll() {
    Enter({blocked_.best, blocked_.best_logit});  // a good score to begin with
    for (size_t b = 0; b < blocked_.maxima.size(); ++b) {
      const auto block = static_cast<int64_t>(b);
      if (Loses(blocked_.maxima[b], noise_.BoundOf(block))) continue;
      const GumbelNoise::Block noise = noise_.BlockAt(block);
      if (!Loses(blocked_.maxima[b], noise.maximum)) EnterBlock(b, noise);
    }
    return winner_;
  }

  // REQUIRES: candidates is not empty.
  int32_t Over(const std::vector<Candidate>& candidates) {
    for (const Candidate& c : candidates) {
      if (!Loses(c.logit, noise_.BoundOf(c.token / GumbelNoise::kBlock))) Enter(c);
    }
    return winner_;
  }

 private:
  // Whether a token of this logit loses with any noise up to `noise`. Without the division of a
  // score; the slack covers what that rounds.
  bool Loses(float logit, double noise) const {
    constexpr double kSlack = 1e-6;
    return double{logit} - double{blocked_.best_logit} <
           temperature_ * (best_score_ - noise - kSlack);
  }

  void EnterBlock(size_t b, const GumbelNoise::Block& noise) {
    auto token = static_cast<int32_t>(b * kBlock);
    for (const float logit : blocked_.block(b)) {
      if (!Loses(logit, noise.maximum) && filters_.PassesMinP(logit)) {
        Offer(token, filters_.LogRatio(logit) + noise_.At(noise, token));
      }
      ++token;
    }
  }

  void Enter(const Candidate& c) {
    Offer(c.token, filters_.LogRatio(c.logit) + noise_.At(c.token));
  }

  void Offer(int32_t token, double score) {
    if (score > best_score_ || (score == best_score_ && token < winner_)) {
      best_score_ = score;
      winner_ = token;
    }
  }

  const BlockedLogits& blocked_;
  const Filters& filters_;
  const double temperature_;
  const GumbelNoise& noise_;
  double best_score_ = -std::numeric_limits<double>::infinity();
  int32_t winner_ = 0;
};

}  // namespace

Status CheckSampling(const SamplingParams& params) {
  // Written so that NaN fails.
  if (!(params.temperature >= 0 && params.temperature <= 100)) {
    return InvalidArgument("temperature is {}, but must be from 0 to 100", params.temperature);
  }
  if (params.top_k < 0) return InvalidArgument("top-k is {}, but can't be negative", params.top_k);
  if (!(params.top_p > 0 && params.top_p <= 1)) {
    return InvalidArgument("top-p is {}, but must be above 0 and at most 1", params.top_p);
  }
  if (!(params.min_p >= 0 && params.min_p <= 1)) {
    return InvalidArgument("min-p is {}, but must be from 0 to 1", params.min_p);
  }
  return OkStatus();
}

Result<std::vector<TokenProbability>> Distribution(std::span<const float> logits,
                                                   const SamplingParams& params) {
  assert(!logits.empty());
  KAKEYA_ASSIGN_OR_RETURN(const BlockedLogits blocked, InBlocks(logits));
  if (params.temperature == 0) return std::vector<TokenProbability>{{blocked.best, 1.0}};
  const Filters filters(blocked, params);
  std::vector<Candidate> kept = filters.Kept();
  std::sort(kept.begin(), kept.end(), Likelier());
  std::vector<TokenProbability> out;
  out.reserve(kept.size());
  double sum = 0;
  for (const Candidate& c : kept) {
    out.push_back({c.token, elementary::Exp(filters.LogRatio(c.logit))});
    sum += out.back().probability;
  }
  std::erase_if(out, [](const TokenProbability& t) { return t.probability == 0; });
  for (TokenProbability& t : out) t.probability /= sum;
  return out;
}

Result<int32_t> SampleAt(std::span<const float> logits, const SamplingParams& params,
                         int64_t position) {
  assert(!logits.empty());
  KAKEYA_ASSIGN_OR_RETURN(const BlockedLogits blocked, InBlocks(logits));
  if (params.temperature == 0) return blocked.best;
  const Filters filters(blocked, params);
  const GumbelNoise noise(params.seed, position);
  Race race(blocked, filters, params.temperature, noise);
  return filters.NeedsOrder() ? race.Over(filters.Kept()) : race.OverAll();
}

}  // namespace kakeya
