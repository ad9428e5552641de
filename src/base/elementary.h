// Elementary functions in double that give the same bits on every machine: each is a fixed sequence
// of IEEE additions, multiplications and divisions and of integer operations, rounded to nearest.
// Those of the C library differ between its versions, processors and vendors in the last bit, which
// is enough to rotate a key otherwise or to draw another token.
// Whatever reaches a token comes from here; reports and tests may use <cmath>. (Square roots,
// std::floor and std::fma are exact in IEEE arithmetic and need no substitute.)
//
// Errors: below 1 ulp, Pow below 0.51 ulp, where the result is a normal number; a subnormal one is
// rounded twice. Special values are those of C's Annex F.
#ifndef KAKEYA_BASE_ELEMENTARY_H_
#define KAKEYA_BASE_ELEMENTARY_H_

namespace kakeya::elementary {

double Exp(double x);
double Log(double x);

struct SineAndCosine {
  double sin;
  double cos;
};
// Of an angle in radians, of any size.
SineAndCosine SinCos(double x);
double Sin(double x);
double Cos(double x);

double Pow(double base, double exponent);

}  // namespace kakeya::elementary

#endif  // KAKEYA_BASE_ELEMENTARY_H_
