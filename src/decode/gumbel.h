// Random numbers without a state: Gumbel noise that depends on nothing but (seed, position, token).
// The token with the largest log-probability plus noise follows the distribution exactly (the
// Gumbel-max trick). Two distributions that draw with the same noise, a drafter's and the
// verifier's, mostly agree: they differ about as often as the distributions do.
#ifndef KAKEYA_DECODE_GUMBEL_H_
#define KAKEYA_DECODE_GUMBEL_H_

#include <cstdint>

namespace kakeya {

// The noise of all tokens at one position. Noise is -log(e) of an exponential variate e, one for
// each token. They are made in blocks of 64, from the least of a block upwards: the least of 64
// such variates is a 64th of one, any of the 64 tokens may have it, and the others exceed it by a
// variate of their own each. So a block's largest noise is known without a look at its tokens, and
// most blocks are seen at once to hold no winner.
//
// Thread safety: immutable.
class GumbelNoise {
 public:
  static constexpr int kBlock = 64;

  struct Block {
    double least;    // the least variate
    double maximum;  // the largest noise: -log(least)
    int32_t winner;  // the token that has it
  };

  GumbelNoise(uint64_t seed, int64_t position);

  // From -4 to 42. REQUIRES: token >= 0.
  double At(int32_t token) const;
  // As At; `block` is BlockAt(token / kBlock).
  double At(const Block& block, int32_t token) const;
  Block BlockAt(int64_t block) const;
  // BlockAt(block).maximum or more (1e-9 less by rounding); of a block that may hold a winner, at
  // most 0.8 more. Takes no logarithm.
  double BoundOf(int64_t block) const;

 private:
  uint64_t key_;
};

// GumbelNoise(seed, position).At(token).
double GumbelAt(uint64_t seed, int64_t position, int32_t token);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_GUMBEL_H_
