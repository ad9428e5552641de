#include "eval/recall/report/stats.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>

namespace kakeya {
namespace {

constexpr double kZ = 1.959963984540054;  // 97.5 % of the normal distribution lie below

// Correlation of the two answers, its numerator shrunk by n / 2 where it is positive.
double Phi(const PairedCounts& counts) {
  const auto a = static_cast<double>(counts.both);
  const auto b = static_cast<double>(counts.first_only);
  const auto c = static_cast<double>(counts.second_only);
  const auto d = static_cast<double>(counts.neither);
  const double margins = (a + b) * (c + d) * (a + c) * (b + d);
  if (margins == 0) return 0;
  double numerator = a * d - b * c;
  if (numerator > 0) numerator = std::max(numerator - (a + b + c + d) / 2, 0.0);
  return numerator / std::sqrt(margins);
}

}  // namespace

Interval WilsonInterval(int64_t hits, int64_t n) {
  assert(0 <= hits && hits <= n);
  if (n == 0) return {0, 1};
  const auto count = static_cast<double>(n);
  const double p = static_cast<double>(hits) / count;
  const double z2 = kZ * kZ;
  const double middle = p + z2 / (2 * count);
  const double half = kZ * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count));
  const double scale = 1 + z2 / count;
  // At the ends the limit is p itself; rounding must not push it past.
  return {hits == 0 ? 0 : (middle - half) / scale, hits == n ? 1 : (middle + half) / scale};
}

double StudentT975(int64_t degrees) {
  assert(degrees > 0);
  constexpr double kFew[] = {12.7062, 4.30265, 3.18245, 2.77645, 2.57058,
                             2.44691, 2.36462, 2.30600, 2.26216, 2.22814};
  if (degrees <= static_cast<int64_t>(std::size(kFew))) return kFew[degrees - 1];
  // Cornish-Fisher: right to five digits from here on.
  const double z2 = kZ * kZ;
  const auto v = static_cast<double>(degrees);
  const double first = (z2 + 1) / 4;
  const double second = ((5 * z2 + 16) * z2 + 3) / 96;
  const double third = (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  return kZ * (1 + (first + (second + third / v) / v) / v);
}

PairedDifference DifferenceOf(const PairedCounts& counts) {
  const int64_t n = counts.n();
  if (n == 0) return {0, {-1, 1}};
  const int64_t first = counts.both + counts.first_only;
  const int64_t second = counts.both + counts.second_only;
  const double p1 = static_cast<double>(first) / static_cast<double>(n);
  const double p2 = static_cast<double>(second) / static_cast<double>(n);
  const Interval w1 = WilsonInterval(first, n);
  const Interval w2 = WilsonInterval(second, n);
  const double phi = Phi(counts);
  const auto joined = [phi](double x, double y) {
    return std::sqrt(std::max(x * x - 2 * phi * x * y + y * y, 0.0));
  };
  const double difference = p1 - p2;
  return {difference,
          {std::max(difference - joined(p1 - w1.low, w2.high - p2), -1.0),
           std::min(difference + joined(w1.high - p1, p2 - w2.low), 1.0)}};
}

}  // namespace kakeya
