// From logits to a token, as pure functions: the same logits, parameters and position give the same
// token, whatever came before, whatever else runs and on whatever machine. There is no generator
// state to carry, save or roll back: random numbers are hashes of (seed, position, token).
#ifndef KAKEYA_DECODE_SAMPLER_H_
#define KAKEYA_DECODE_SAMPLER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace kakeya {

struct SamplingParams {
  double temperature = 0;  // 0: greedy, the most likely token
  int64_t top_k = 0;       // keep the k most likely tokens; 0: all
  double top_p = 1;  // keep the smallest set of most likely tokens whose probability reaches this
  double min_p = 0;  // keep tokens at least this fraction as likely as the most likely one
  uint64_t seed = 0;
};

// Errors: InvalidArgument naming the parameter that is NaN or out of range.
Status CheckSampling(const SamplingParams& params);

struct TokenProbability {
  int32_t token;
  double probability;
};

// The distribution that a token is drawn from: probabilities above zero only, summing to 1, most
// likely first, ties by lower id. The filters apply in this order: temperature, top_k, top_p,
// min_p. Temperature 0 gives one token. Errors: Corrupt when a logit is NaN or all are infinitely
// small. REQUIRES: CheckSampling(params), logits not empty.
Result<std::vector<TokenProbability>> Distribution(std::span<const float> logits,
                                                   const SamplingParams& params);

// The token that stands at `position`: of those that the filters keep, the one with the largest
// (logit - largest logit) / temperature + GumbelAt(seed, position, token), of equals the lowest id.
// So it follows Distribution(). Errors and requirements as there.
Result<int32_t> SampleAt(std::span<const float> logits, const SamplingParams& params,
                         int64_t position);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_SAMPLER_H_
