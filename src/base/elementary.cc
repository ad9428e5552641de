// The series are Taylor's, long enough for double: their coefficients need no table. A number that
// needs more than 53 bits is a Pair, handled as by Dekker (1971) and Knuth (TAOCP 2, 4.2.2).
// Compilers must not fuse or reorder (-ffp-contract=off, no -ffast-math).
#include "base/elementary.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kakeya::elementary {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// hi + lo, with |lo| at most half an ulp of hi.
struct Pair {
  double hi;
  double lo;
};

constexpr Pair kLn2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
constexpr double kLog2E = 0x1.71547652b82fep+0;
// ln 2 in two parts, of which the first has 11 zeros at its end: its product with an exponent is
// exact.
constexpr double kLn2High = 0x1.62e42fefa3000p-1;
constexpr double kLn2Low = 0x1.3de6af278ece6p-42;

// REQUIRES: |a| >= |b| or a == 0.
Pair FastTwoSum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

Pair TwoSum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

Pair Halves(double a) {  // of 26 bits each
  const double c = 0x8000001p0 * a;
  const double hi = c - (c - a);
  return {hi, a - hi};
}

Pair TwoProduct(double a, double b) {
  const double product = a * b;
  const Pair x = Halves(a);
  const Pair y = Halves(b);
  return {product, ((x.hi * y.hi - product) + x.hi * y.lo + x.lo * y.hi) + x.lo * y.lo};
}

Pair Add(Pair a, Pair b) {
  const Pair hi = TwoSum(a.hi, b.hi);
  const Pair lo = TwoSum(a.lo, b.lo);
  const Pair sum = FastTwoSum(hi.hi, hi.lo + lo.hi);
  return FastTwoSum(sum.hi, sum.lo + lo.lo);
}

Pair Multiply(Pair a, Pair b) {
  const Pair p = TwoProduct(a.hi, b.hi);
  return FastTwoSum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

Pair Divide(Pair a, Pair b) {
  const double first = a.hi / b.hi;
  const Pair product = Multiply({first, 0}, b);
  const Pair rest = Add(a, {-product.hi, -product.lo});
  return FastTwoSum(first, rest.hi / b.hi);
}

// The nearest integer, of |x| < 2^51; halves go to the even one.
double Round(double x) {
  constexpr double kMagic = 0x1.8p52;
  return (x + kMagic) - kMagic;
}

double PowerOfTwo(int exponent) {  // REQUIRES: the result is a normal number
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

// x * 2^exponent for x in [0.5, 2] and an exponent in [-1100, 1100].
double Scale(double x, int exponent) {
  if (exponent > 1000) return x * 0x1p1000 * PowerOfTwo(exponent - 1000);
  if (exponent < -1000) return x * PowerOfTwo(exponent + 1000) * 0x1p-1000;
  return x * PowerOfTwo(exponent);
}

// Of a positive number: x = mantissa * 2^exponent, the mantissa between the roots of 1/2 and 2.
struct Parts {
  double mantissa;
  int exponent;
};
Parts Split(double x) {
  constexpr uint64_t kRootOfTwo = 0x6a09e667f3bcd;  // the fraction bits of sqrt(2)
  int exponent = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    exponent = -54;
  }
  const auto bits = std::bit_cast<uint64_t>(x);
  const uint64_t fraction = bits & 0xfffffffffffffu;
  const int up = fraction > kRootOfTwo ? 1 : 0;
  exponent += static_cast<int>(bits >> 52) - 1023 + up;
  return {std::bit_cast<double>(fraction | static_cast<uint64_t>(1023 - up) << 52), exponent};
}

// log(x) to some 100 bits: 2 atanh(s) of s = (m - 1) / (m + 1), m the mantissa.
Pair LogPair(double x) {
  const auto [mantissa, exponent] = Split(x);
  const Pair s = Divide({mantissa - 1, 0}, TwoSum(mantissa, 1));
  const Pair z = Multiply(s, s);  // <= 0.0295
  Pair series = {0, 0};
  for (int n = 41; n >= 1; n -= 2) {
    series = Add(Multiply(series, z), Divide({1, 0}, {static_cast<double>(n), 0}));
  }
  const Pair log_mantissa = Multiply({2 * s.hi, 2 * s.lo}, series);
  return Add(Multiply({static_cast<double>(exponent), 0}, kLn2), log_mantissa);
}

// exp(x), rounded once, for |x| <= 750.
double ExpOfPair(Pair x) {
  const double k = Round(x.hi * kLog2E);
  const Pair r = Add(x, Multiply({-k, 0}, kLn2));  // |r| <= 0.347
  Pair series = {1, 0};                            // 1 + r/1 (1 + r/2 (1 + r/3 (...)))
  for (int n = 24; n >= 1; --n) {
    series = Add({1, 0}, Divide(Multiply(series, r), {static_cast<double>(n), 0}));
  }
  return Scale(series.hi, static_cast<int>(k));
}

// The bits of 2/pi behind the point, after 64 zeros; as many as the largest double asks for.
constexpr uint64_t kTwoOverPi[] = {
    0,
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
    0xb7246e3a424dd2e0,
    0x06492eea09d1921c,
    0xfe1deb1cb129a73e,
    0xe88235f52ebb4484,
    0xe99c7026b45f7e41,
    0x3991d639835339f4,
    0x9c845f8bbdf9283b,
    0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f,
    0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08,
    0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
};

__extension__ using Uint128 = unsigned __int128;

// The upper 128 bits of a product of 256.
Uint128 HighProduct(Uint128 a, Uint128 b) {
  const auto low = [](Uint128 x) { return Uint128{static_cast<uint64_t>(x)}; };
  const Uint128 high_low = (a >> 64) * low(b);
  const Uint128 low_high = low(a) * (b >> 64);
  const Uint128 middle = low(high_low) + low(low_high) + ((low(a) * low(b)) >> 64);
  return (a >> 64) * (b >> 64) + (high_low >> 64) + (low_high >> 64) + (middle >> 64);
}

// value * 2^-127, cut off after 106 bits.
Pair ToPair(Uint128 value) {
  if (value == 0) return {0, 0};
  const auto upper = static_cast<uint64_t>(value >> 64);
  const int zeros =
      upper != 0 ? std::countl_zero(upper) : 64 + std::countl_zero(static_cast<uint64_t>(value));
  value <<= zeros;
  const auto first = static_cast<double>(static_cast<uint64_t>(value >> 75));
  const auto second =
      static_cast<double>(static_cast<uint64_t>(value >> 22) & ((uint64_t{1} << 53) - 1));
  const double unit = PowerOfTwo(75 - 127 - zeros);
  return FastTwoSum(first * unit, second * unit * 0x1p-53);
}

struct Reduced {
  int quadrant;  // x = quadrant * pi/2 + rest, up to multiples of 2 pi
  Pair rest;     // within pi/4 of 0
};

// Payne and Hanek (1983): of x * 2/pi, only the bits that matter modulo 4. With x = m * 2^e, those
// of 2/pi above 2^(2 - e) make multiples of 4; 192 bits from there on leave 137 right ones behind
// the point, and no double is so close to a multiple of pi/2 that more than 62 of them are zeros.
// REQUIRES: x is finite, x > pi/4.
Reduced ReduceAngle(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const uint64_t m = (bits & 0xfffffffffffffu) | (uint64_t{1} << 52);
  const int e = static_cast<int>(bits >> 52) - 1075;
  const int first_bit = e - 2 + 64;  // >= 9
  const uint64_t* const from = kTwoOverPi + first_bit / 64;
  const int shift = first_bit % 64;
  const auto word = [&](int i) {
    return shift == 0 ? from[i] : from[i] << shift | from[i + 1] >> (64 - shift);
  };
  const Uint128 low = Uint128{m} * word(2);
  const Uint128 middle = Uint128{m} * word(1) + static_cast<uint64_t>(low >> 64);
  const uint64_t high = m * word(0) + static_cast<uint64_t>(middle >> 64);
  const auto middle_word = static_cast<uint64_t>(middle);

  // Two bits of a quadrant, then the fraction of one.
  int quadrant = static_cast<int>(high >> 62);
  Uint128 fraction = Uint128{high << 2 | middle_word >> 62} << 64 |
                     (middle_word << 2 | static_cast<uint64_t>(low) >> 62);
  const bool negative = (high >> 61 & 1) != 0;
  if (negative) {
    fraction = -fraction;
    ++quadrant;
  }
  constexpr Uint128 kHalfPi = Uint128{0xc90fdaa22168c234} << 64 | 0xc4c6628b80dc1cd1;  // * 2^127
  const Pair rest = ToPair(HighProduct(fraction, kHalfPi));
  return {quadrant & 3, negative ? Pair{-rest.hi, -rest.lo} : rest};
}

double SinNearZero(Pair x) {
  const double z = x.hi * x.hi;
  double p = 1.0 / 355687428096000;  // 1/17!
  p = p * z - 1.0 / 1307674368000;
  p = p * z + 1.0 / 6227020800;
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  p = p * z + 1.0 / 120;
  p = p * z - 1.0 / 6;
  return x.hi + (x.hi * z * p + x.lo * (1 - 0.5 * z));
}

double CosNearZero(Pair x) {
  const double z = x.hi * x.hi;
  double p = 1.0 / 20922789888000;  // 1/16!
  p = p * z - 1.0 / 87178291200;
  p = p * z + 1.0 / 479001600;
  p = p * z - 1.0 / 3628800;
  p = p * z + 1.0 / 40320;
  p = p * z - 1.0 / 720;
  p = p * z + 1.0 / 24;
  const Pair w = FastTwoSum(1, -0.5 * z);
  return w.hi + (w.lo + (z * z * p - x.hi * x.lo));
}

bool IsOddInteger(double x) {
  return std::fabs(x) < 0x1p53 && x == std::floor(x) && std::floor(x * 0.5) * 2 != x;
}

// |base|^exponent where one of them is zero, infinite or NaN.
double SpecialPow(double base, double exponent) {
  if (std::isnan(base) || std::isnan(exponent)) return kNan;
  if (std::isinf(exponent)) {
    if (std::fabs(base) == 1) return 1;
    return (std::fabs(base) > 1) == (exponent > 0) ? kInfinity : 0;
  }
  return (base == 0) == (exponent > 0) ? 0 : kInfinity;
}

double PositivePow(double base, double exponent) {
  // Beyond these, the result lies outside of double, or is 1 within half an ulp.
  if (std::fabs(exponent) > 0x1p64) {
    return base == 1 ? 1 : (base > 1) == (exponent > 0) ? kInfinity : 0;
  }
  if (std::fabs(exponent) < 0x1p-64) return 1;
  const Pair power = Multiply(LogPair(base), {exponent, 0});
  if (power.hi > 710) return kInfinity;
  if (power.hi < -746) return 0;
  return ExpOfPair(power);
}

}  // namespace

double Exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.79) return kInfinity;
  if (x < -745.14) return 0;
  const double k = Round(x * kLog2E);
  // r + r_low = x - k ln 2, |r| <= 0.347
  const double hi = x - k * kLn2High;
  const double lo = k * kLn2Low;
  const double r = hi - lo;
  const double r_low = (hi - r) - lo;
  double p = 1.0 / 6227020800;  // 1/13!
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  return Scale(1 + (r + (r * r * p + r_low * (1 + r))), static_cast<int>(k));
}

double Log(double x) {
  if (std::isnan(x) || x < 0) return kNan;
  if (x == 0) return -kInfinity;
  if (x == kInfinity) return x;
  const auto [mantissa, exponent] = Split(x);
  // log(1 + f) = 2 atanh(s) = 2s + s R of s = f / (2 + f), and 2s = f - s f: so the largest term,
  // f, is exact. Half of f^2 is taken out of the rest as well, as fdlibm does (Sun 1993).
  const double f = mantissa - 1;
  const double s = f / (2 + f);
  const double z = s * s;
  double series = 2.0 / 23;
  for (int n = 21; n >= 3; n -= 2) series = series * z + 2.0 / n;
  series *= z;
  const double half_square = 0.5 * f * f;
  const double k = exponent;
  return k * kLn2High + (f - (half_square - (s * (half_square + series) + k * kLn2Low)));
}

SineAndCosine SinCos(double x) {
  if (!std::isfinite(x)) return {kNan, kNan};
  const double magnitude = std::fabs(x);
  constexpr double kQuarterPi = 0x1.921fb54442d18p-1;
  if (magnitude <= kQuarterPi)
    return {magnitude == 0 ? x : SinNearZero({x, 0}), CosNearZero({x, 0})};
  const Reduced reduced = ReduceAngle(magnitude);
  const double sin_rest = SinNearZero(reduced.rest);
  const double cos_rest = CosNearZero(reduced.rest);
  const bool swapped = (reduced.quadrant & 1) != 0;
  const double sin = swapped ? cos_rest : sin_rest;
  const double cos = swapped ? sin_rest : cos_rest;
  const bool sin_negative = (reduced.quadrant >= 2) != (x < 0);
  const bool cos_negative = reduced.quadrant == 1 || reduced.quadrant == 2;
  return {sin_negative ? -sin : sin, cos_negative ? -cos : cos};
}

double Sin(double x) { return SinCos(x).sin; }
double Cos(double x) { return SinCos(x).cos; }

double Pow(double base, double exponent) {
  if (exponent == 0 || base == 1) return 1;
  const bool special = base == 0 || !std::isfinite(base) || !std::isfinite(exponent);
  const bool negative = std::signbit(base) && IsOddInteger(exponent);
  if (base < 0 && !special && exponent != std::floor(exponent)) return kNan;
  const double magnitude =
      special ? SpecialPow(base, exponent) : PositivePow(std::fabs(base), exponent);
  return negative ? -magnitude : magnitude;
}

}  // namespace kakeya::elementary
