#include "decode/sampler.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace kakeya {
namespace {

// Most likely first; of equals the lower id. NaN must be gone before.
struct Likelier {
  bool operator()(const TokenProbability& a, const TokenProbability& b) const {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  }
};

Result<int32_t> ArgMax(std::span<const float> logits) {
  int32_t best = -1;
  float best_logit = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) return Corrupt("the model's logit of token {} is not a number", i);
    if (logits[i] > best_logit) {
      best = static_cast<int32_t>(i);
      best_logit = logits[i];
    }
  }
  if (best < 0 || std::isinf(best_logit)) return Corrupt("the model's logits are not finite");
  return best;
}

// Sorts the most likely tokens to the front, only as many as the filters can keep: a vocabulary has
// 100,000 tokens and a nucleus a few dozen.
std::vector<TokenProbability> KeepMostLikely(std::vector<TokenProbability> all, int64_t top_k,
                                             double top_p, double min_p) {
  const size_t most = top_k > 0 ? std::min<size_t>(top_k, all.size()) : all.size();
  double total = 0;  // of what top_k keeps: top_p is a share of that
  if (most < all.size()) {
    std::nth_element(all.begin(), all.begin() + static_cast<int64_t>(most) - 1, all.end(),
                     Likelier());
    all.resize(most);
  }
  for (const TokenProbability& t : all) total += t.probability;

  const auto less_likely = [](const auto& a, const auto& b) { return Likelier()(b, a); };
  std::make_heap(all.begin(), all.end(), less_likely);
  std::vector<TokenProbability> kept;
  double sum = 0;
  while (!all.empty() && (kept.empty() || sum < top_p * total || top_p >= 1)) {
    std::pop_heap(all.begin(), all.end(), less_likely);
    const TokenProbability next = all.back();
    all.pop_back();
    if (!kept.empty() && next.probability < min_p * kept.front().probability) break;
    if (next.probability == 0) break;
    kept.push_back(next);
    sum += next.probability;
  }
  for (TokenProbability& t : kept) t.probability /= sum;
  return kept;
}

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
  KAKEYA_ASSIGN_OR_RETURN(const int32_t best, ArgMax(logits));
  if (params.temperature == 0) return std::vector<TokenProbability>{{best, 1.0}};
  std::vector<TokenProbability> all;
  all.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double p = std::exp((double{logits[i]} - double{logits[best]}) / params.temperature);
    all.push_back({static_cast<int32_t>(i), p});
  }
  return KeepMostLikely(std::move(all), params.top_k, params.top_p, params.min_p);
}

double UniformAt(uint64_t seed, int64_t position) {
  // SplitMix64's finaliser (Steele, Lea, Flood 2014) over both numbers.
  const auto mix = [](uint64_t z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  };
  return static_cast<double>(mix(mix(seed) ^ static_cast<uint64_t>(position)) >> 11) * 0x1p-53;
}

int32_t Pick(std::span<const TokenProbability> distribution, double uniform) {
  assert(!distribution.empty());
  double sum = 0;
  for (const TokenProbability& t : distribution) {
    sum += t.probability;
    if (uniform < sum) return t.token;
  }
  return distribution.back().token;  // the sum fell short of 1 by rounding
}

Result<int32_t> SampleAt(std::span<const float> logits, const SamplingParams& params,
                         int64_t position) {
  if (params.temperature == 0) return ArgMax(logits);
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<TokenProbability> distribution,
                          Distribution(logits, params));
  return Pick(distribution, UniformAt(params.seed, position));
}

}  // namespace kakeya
