// Intervals of proportions, from counts alone.
#ifndef KAKEYA_EVAL_RECALL_REPORT_STATS_H_
#define KAKEYA_EVAL_RECALL_REPORT_STATS_H_

#include <cstdint>

namespace kakeya {

struct Interval {
  double low = 0;
  double high = 0;
};

// 95 % interval of a proportion by Wilson (1927), without continuity correction; [0, 1] for n = 0.
// REQUIRES: 0 <= hits <= n.
Interval WilsonInterval(int64_t hits, int64_t n);

// 97.5 % of Student's t distribution with so many degrees of freedom lie below. REQUIRES: degrees >
// 0.
double StudentT975(int64_t degrees);

// How two arms answered the same prompts.
struct PairedCounts {
  int64_t both = 0;
  int64_t first_only = 0;   // n10
  int64_t second_only = 0;  // n01
  int64_t neither = 0;

  int64_t n() const { return both + first_only + second_only + neither; }
};

inline constexpr const char* kPairedMethod =
    "Newcombe (1998), method 10: Wilson limits of both proportions, joined by their correlation";

struct PairedDifference {
  double difference = 0;  // first's proportion - second's
  Interval interval;      // 95 %, by kPairedMethod
};

// {0, [-1, 1]} for n = 0.
PairedDifference DifferenceOf(const PairedCounts& counts);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_STATS_H_
