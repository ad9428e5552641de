#include "base/elementary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace kakeya::elementary {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A value to 106 bits. Recompute with Python's mpmath, where v = exp(mpf(x)) and so on:
//   mp.prec = 1400; hi = float(v); lo = float(v - mpf(hi)); hi.hex(), lo.hex()
struct Exact {
  double hi;
  double lo;
};
struct Case {
  double x;
  Exact want;
};
struct AngleCase {
  double x;
  Exact sin;
  Exact cos;
};
struct PowCase {
  double base;
  double exponent;
  Exact want;
};

// The doubles below 2^24, the floats below 2^24 and the doubles at all that come closest to a
// multiple of pi/2 (by the continued fractions of 2^e / (pi/2)), both sides of pi/4, and the ends
// of what rotary tables ask for.
constexpr AngleCase kAngles[] = {
    {0x1.6c6cbc45dc8dep+5,
     {0x1p+0, -0x1.04bfe27f01e31p-122},
     {-0x1.6d61b58c99c43p-61, 0x1.d8d2a16b7bd6ep-118}},
    {0x1.6c6cbc45dc8dep+8,
     {0x1.6d61b58c99c43p-58, -0x1.d8d2a16b7bd6ep-115},
     {0x1p+0, -0x1.04bfe27f01e31p-116}},
    {0x1.b951f1572eba5p+23,
     {-0x1p+0, 0x1.ead7c8117d252p-120},
     {-0x1.f54f5227a4e84p-60, 0x1.01b19345a7a1cp-118}},
    {0x1.f9cbe2p+7,
     {0x1p+0, -0x1.4330875bcd598p-57},
     {-0x1.1fa3bb9a07e78p-28, -0x1.17f205a3c7105p-85}},
    {0x1.2d97c8p+2,
     {-0x1.fffffffffffffp-1, -0x1.703498c3b8288p-55},
     {0x1.99bc5b961b1adp-27, -0x1.4d79c9a3825d4p-81}},
    {0x1.9a48dep+15,
     {0x1.fffffffffffffp-1, -0x1.7af5bd9faf675p-56},
     {-0x1.16ae29144d3b2p-26, 0x1.5726f84788909p-82}},
    {0x1.6ac5b262ca1ffp+849,
     {0x1p+0, -0x1.2b089ea1e692bp-123},
     {-0x1.14ae72e6ba22fp-61, 0x1.73eef1477d90ep-118}},
    {0x1.921fb54442d18p-1,
     {0x1.6a09e667f3bccp-1, 0x1.7a7fb8d4bd43fp-55},
     {0x1.6a09e667f3bcdp-1, -0x1.ec4c7696139d5p-56}},
    {0x1.921fb54442d19p-1,
     {0x1.6a09e667f3bcdp-1, 0x1.3a4e169292f6p-57},
     {0x1.6a09e667f3bccp-1, 0x1.ae2fbf2875bdep-58}},
    {0x1.921fb54442d18p+0,
     {0x1p+0, -0x1.377ce858a5d48p-109},
     {0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110}},
    {0x1.921fb54442d18p+1,
     {0x1.1a62633145c07p-53, -0x1.f1976b7ed8fbdp-109},
     {-0x1p+0, 0x1.377ce858a5d48p-107}},
    {0x1p-30, {0x1p-30, -0x1.5555555555555p-93}, {0x1p+0, -0x1p-61}},
    {0x1p+24,
     {-0x1.8f22f8433d6eep-1, 0x1.65b50069ddae8p-61},
     {0x1.40ad67f3f0c9ap-1, 0x1.43963c9c96dbdp-57}},
    {0x1.fffffep+23,
     {-0x1.e57ec09221973p-1, -0x1.5434795e6373cp-55},
     {-0x1.4532c3721ed43p-2, -0x1.0eb623baa2423p-56}},
    {0x1.fffffffffffffp+1023,
     {0x1.452fc98b34e97p-8, -0x1.27bb193d960dfp-62},
     {-0x1.fffe62ecfab75p-1, -0x1.e038d934070f1p-56}},
    {-0x1.4p+1,
     {-0x1.326af0dcfcab1p-1, 0x1.fd42734161659p-55},
     {-0x1.9a2f7ef858b7dp-1, -0x1.587cfaa17e973p-56}},
};

// Both sides of where the power of two changes, large, small and subnormal results.
constexpr Case kExps[] = {
    {0x1.62e42fefa39efp-2, {0x1.6a09e667f3bccp+0, 0x1.f68d3de197eeap-54}},
    {0x1.62e42fefa39fp-2, {0x1.6a09e667f3bcdp+0, -0x1.3ed1b76ce8a92p-55}},
    {-0x1.62e42fefa39efp-2, {0x1.6a09e667f3bcdp-1, -0x1.7233c057e4796p-55}},
    {-0x1.62e42fefa39fp-2, {0x1.6a09e667f3bccp-1, 0x1.23c2594027c9ep-55}},
    {0x1.62e42fefa39efp-1, {0x1p+1, -0x1.abc9e3b39803fp-55}},
    {0x1p+0, {0x1.5bf0a8b145769p+1, 0x1.4d57ee2b1013ap-53}},
    {-0x1p-1, {0x1.368b2fc6f960ap-1, -0x1.85314b9559e64p-61}},
    {0x1p-60, {0x1p+0, 0x1p-60}},
    {0x1.62e42fefa39efp+9, {0x1.fffffffffff2ap+1023, 0x1.b0e263400d16p+967}},
    {-0x1.6232bdd7abcd2p+9, {0x1.000000000007cp-1022, 0}},
    {-0x1.2p+5, {0x1.0b6c3afdde064p-52, -0x1.fe4bbfcd1d1a9p-106}},
    {0x1.0a2b23f3bab73p+6, {0x1.fffffffffffccp+95, -0x1.aed58d6400a1bp+38}},
};

constexpr Case kLogs[] = {
    {0x1.6a09e667f3bcdp+0, {0x1.62e42fefa39fp-2, 0x1.c2e0e1b1548c2p-56}},
    {0x1.6a09e667f3bccp+0, {0x1.62e42fefa39eep-2, -0x1.8d6e518e495a3p-56}},
    {0x1.6a09e667f3bcdp-1, {-0x1.62e42fefa39eep-2, 0x1.716fdfdbc882ep-60}},
    {0x1.6a09e667f3bccp-1, {-0x1.62e42fefa39f1p-2, 0x1.8d8f957c3d43cp-57}},
    {0x1.fffffffffffffp-1, {-0x1p-53, -0x1p-107}},
    {0x1.0000000000001p+0, {0x1.fffffffffffffp-53, 0x1.5555555555554p-158}},
    {0x1.fffffffffffffp+1023, {0x1.62e42fefa39efp+9, 0x1.a9c9e3b39803fp-46}},
    {0x1p-1022, {-0x1.6232bdd7abcd2p+9, -0x1.eef3fec1be37fp-46}},
    {0x0.0000000000001p-1022, {-0x1.74385446d71c3p+9, -0x1.8e569fa8ee781p-45}},
    {0x1.4p+3, {0x1.26bb1bbb55516p+1, -0x1.f48ad494ea3e9p-53}},
    {0x1.8p-1, {-0x1.269621134db92p-2, -0x1.e0efadd9db02bp-56}},
    {0x1p-53, {-0x1.25e4f7b2737fap+5, -0x1.8486612173c69p-51}},
};

// Frequencies of rotary tables, powers of ten, results near the ends of double, and bases next
// to 1.
constexpr PowCase kPows[] = {
    {0x1.e848p+19, 0x1.f8p-1, {0x1.897a4602245ep+19, -0x1.2e078546c6cefp-35}},
    {0x1.388p+13, 0x1p-6, {0x1.279fcaca404e6p+0, -0x1.4cd2ad9836925p-54}},
    {0x1.e848p+18, 0x1.d555555555555p-1, {0x1.472de970bf367p+17, 0x1.9f9bbc342cb5ep-41}},
    {0x1.4p+3, 0x1.34p+8, {0x1.1ccf385ebc8ap+1023, -0x1.c2a3c3d855605p+966}},
    {0x1.4p+3, -0x1.33p+8, {0x1.1fa182c40c60dp-1020, 0x0.0000000000002p-1022}},
    {0x1p+1, 0x1p-1, {0x1.6a09e667f3bcdp+0, -0x1.bdd3413b26456p-54}},
    {0x1.fffffffffffffp-1, 0x1.6p+62, {0x1.44a3824e5278p-1016, -0x0.000000000001ep-1022}},
    {0x1.0000000000001p+0, 0x1.6p+61, {0x1.93bf4ec282cdp+1015, 0x1.5fc190b78bcc5p+958}},
    {0x1.8p+1, 0x1.4p+5, {0x1.517168a4523fdp+63, 0x1.08p+5}},
    {0x1.8p+0, -0x1.0cp+9, {0x1.6029bbb34a8a2p-314, 0x1.be0288dbe0cfdp-368}},
    {0x0.0000000000001p-1022, 0x1p-1, {0x1p-537, 0}},
};

// Distance in units of the last place of the exact value.
double UlpsOff(double got, Exact want) {
  int exponent = 0;
  std::frexp(want.hi, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 53, -1074));
  return std::fabs((got - want.hi) - want.lo) / ulp;
}

TEST(ElementaryTest, HardCasesLieWithinOneUlp) {
  for (const auto& [x, sin, cos] : kAngles) {
    EXPECT_LT(UlpsOff(Sin(x), sin), 1) << x;
    EXPECT_LT(UlpsOff(Cos(x), cos), 1) << x;
    EXPECT_EQ(SinCos(x).sin, Sin(x));
    EXPECT_EQ(SinCos(x).cos, Cos(x));
  }
  for (const auto& [x, want] : kExps) EXPECT_LT(UlpsOff(Exp(x), want), 1) << x;
  for (const auto& [x, want] : kLogs) EXPECT_LT(UlpsOff(Log(x), want), 1) << x;
  for (const auto& [base, exponent, want] : kPows) {
    EXPECT_LT(UlpsOff(Pow(base, exponent), want), 0.51) << base << "^" << exponent;
  }
}

// Arguments of every size, the same on every machine.
class Arguments {
 public:
  double Between(double low, double high) {
    return low + (high - low) * (static_cast<double>(random_() >> 11) * 0x1p-53);
  }
  // A magnitude from 2^low to 2^high.
  double Magnitude(int low, int high) {
    const int exponent = low + static_cast<int>(random_() % static_cast<uint64_t>(high - low));
    return std::ldexp(Between(1, 2), exponent);
  }

 private:
  std::mt19937_64 random_{20};
};

Exact FromLongDouble(long double value) {
  const auto hi = static_cast<double>(value);
  return {hi, static_cast<double>(value - hi)};
}

TEST(ElementaryTest, RandomArgumentsLieWithinOneUlp) {
  if (std::numeric_limits<long double>::digits < 64) GTEST_SKIP() << "no longer double to compare";
  Arguments draw;
  double exp = 0, log = 0, near_one = 0, sin = 0, cos = 0, pow = 0;
  const auto record = [](double* worst, double got, long double want) {
    *worst = std::max(*worst, UlpsOff(got, FromLongDouble(want)));
  };
  for (int i = 0; i < 100000; ++i) {
    double x = i % 2 == 0 ? draw.Between(-700, 709) : -draw.Magnitude(-30, 3);
    record(&exp, Exp(x), std::exp(static_cast<long double>(x)));
    x = draw.Magnitude(-1022, 1023);
    record(&log, Log(x), std::log(static_cast<long double>(x)));
    x = i % 2 == 0 ? 1 + draw.Magnitude(-52, -1) : 1 - draw.Magnitude(-53, -1);
    record(&near_one, Log(x), std::log(static_cast<long double>(x)));
    x = draw.Magnitude(-30, 24) * (i % 2 == 0 ? 1 : -1);
    record(&sin, Sin(x), std::sin(static_cast<long double>(x)));
    record(&cos, Cos(x), std::cos(static_cast<long double>(x)));
    if (i % 4 != 0) continue;
    const double base = draw.Magnitude(-20, 30);
    const double exponent = draw.Between(-20, 20);
    record(&pow, Pow(base, exponent),
           std::pow(static_cast<long double>(base), static_cast<long double>(exponent)));
  }
  EXPECT_LT(exp, 0.9);
  EXPECT_LT(log, 0.9);
  EXPECT_LT(near_one, 0.9);
  EXPECT_LT(sin, 0.9);
  EXPECT_LT(cos, 0.9);
  EXPECT_LT(pow, 0.51);
}

// Equal bits, or two NaNs.
void ExpectSame(double got, double want) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << got;
  } else {
    EXPECT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want)) << got << " " << want;
  }
}

TEST(ElementaryTest, SpecialValuesAreThoseOfTheStandard) {
  for (const double x : {0.0, -0.0, kInfinity, -kInfinity, kNan, 710.0, -746.0}) {
    ExpectSame(Exp(x), std::exp(x));
    ExpectSame(Log(x), std::log(x));
    ExpectSame(Sin(x == 710 || x == -746 ? 0.0 : x), std::sin(x == 710 || x == -746 ? 0.0 : x));
  }
  ExpectSame(Cos(0), 1);
  ExpectSame(Cos(kInfinity), kNan);
  const double some[] = {0.0, -0.0,      1.0,        -1.0, 2.0,  -2.0, 0.5,    -0.5,  1e300,
                         3.0, kInfinity, -kInfinity, kNan, -3.0, 1e16, -1e300, 1e-300};
  for (const double base : some) {
    for (const double exponent : some) {
      SCOPED_TRACE(testing::Message() << base << "^" << exponent);
      ExpectSame(Pow(base, exponent), std::pow(base, exponent));
    }
  }
}

TEST(ElementaryTest, PowersThatAreDoublesAreExact) {
  double ten = 1;
  for (int i = 0; i <= 22; ++i, ten *= 10) EXPECT_EQ(Pow(10, i), ten);
  for (int i = -1074; i <= 1023; ++i) EXPECT_EQ(Pow(2, i), std::ldexp(1.0, i));
  for (int i = 1; i < 1000; ++i) EXPECT_EQ(Pow(double{1} * i * i, 0.5), i);
}

// The bits of every function, for every compiler and machine. A change of these numbers changes
// sampled tokens or rotary tables: it needs a reason as good as that of a new operator.
TEST(ElementaryTest, BitsAreTheSameEverywhere) {
  Arguments draw;
  uint64_t hash[5] = {};
  const auto add = [](uint64_t* h, double value) {
    *h = (*h ^ std::bit_cast<uint64_t>(value)) * 0x9e3779b97f4a7c15u;
    *h ^= *h >> 32;
  };
  for (int i = 0; i < 20000; ++i) {
    add(&hash[0], Exp(draw.Between(-708, 709)));
    add(&hash[1], Log(draw.Magnitude(-1022, 1023)));
    const auto [sin, cos] = SinCos(draw.Magnitude(-10, i % 2 == 0 ? 24 : 1023));
    add(&hash[2], sin);
    add(&hash[3], cos);
    if (i % 10 != 0) continue;
    const double base = draw.Magnitude(-20, 30);
    add(&hash[4], Pow(base, draw.Between(-20, 20)));
  }
  EXPECT_EQ(hash[0], 0x9051939ccf402705u);
  EXPECT_EQ(hash[1], 0x3fb2da30ba8d1537u);
  EXPECT_EQ(hash[2], 0xccf1d24dfd2f82d9u);
  EXPECT_EQ(hash[3], 0x2fa3b67120b39d4u);
  EXPECT_EQ(hash[4], 0x26cc6c4a4478c565u);
}

}  // namespace
}  // namespace kakeya::elementary
