// Which instruction sets the kernels are compiled for; included before any Highway header. SSSE3
// adds nothing over its neighbours, and vectors of unknown length (SVE, RVV) can't be kept in
// arrays.
#ifndef KAKEYA_BACKEND_CPU_TARGETS_H_
#define KAKEYA_BACKEND_CPU_TARGETS_H_

#ifdef KAKEYA_FEW_TARGETS
// For builds that look for races or feed parsers: kernels take minutes to compile there for each
// instruction set, so the baseline and AVX2 stand for the others.
#define HWY_DISABLED_TARGETS                                                          \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | \
   HWY_SVE2_128 | HWY_RVV)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif

#endif  // KAKEYA_BACKEND_CPU_TARGETS_H_
