// Random numbers for prompts. SplitMix64 and plain arithmetic: a seed means the same prompt with
// every standard library, whose distributions differ.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_RANDOM_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_RANDOM_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace kakeya {

class RecallRandom {
 public:
  explicit RecallRandom(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // In [0, n); n is small against 2^64, so the remainder's bias is below what any test could see.
  // REQUIRES: n > 0.
  size_t Below(size_t n) {
    assert(n > 0);
    return static_cast<size_t>(Next() % n);
  }
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }  // in [0, 1)

  template <typename T>
  const T& Pick(std::span<const T> from) {
    return from[Below(from.size())];
  }
  template <typename T>
  void Shuffle(std::vector<T>* items) {
    for (size_t i = items->size(); i > 1; --i) std::swap((*items)[i - 1], (*items)[Below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_RANDOM_H_
