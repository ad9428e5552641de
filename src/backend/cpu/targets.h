// Which instruction sets the kernels are compiled for; included before any Highway header. SSSE3
// adds nothing over its neighbours, and vectors of unknown length (SVE, RVV) can't be kept in
// arrays.
#ifndef KAKEYA_BACKEND_CPU_TARGETS_H_
#define KAKEYA_BACKEND_CPU_TARGETS_H_

// Scalable vectors, and SSSE3: nothing is made for them.
#define KAKEYA_NO_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

// Kernels take minutes to compile under sanitizers, for each instruction set. Builds that look for
// wrong addresses leave out the one that is like its neighbours but for the width of a register;
// for those that look for races or feed parsers the baseline and AVX2 stand for all.
// A build for one machine has the baseline and that machine's (KAKEYA_NATIVE in CMakeLists.txt).
#if defined(KAKEYA_ONLY_TARGET)
#define HWY_DISABLED_TARGETS \
  (KAKEYA_NO_TARGETS | ((HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL) & ~KAKEYA_ONLY_TARGET))
#elif defined(KAKEYA_FEWEST_TARGETS)
#define HWY_DISABLED_TARGETS (KAKEYA_NO_TARGETS | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
#elif defined(KAKEYA_FEW_TARGETS)
#define HWY_DISABLED_TARGETS (KAKEYA_NO_TARGETS | HWY_SSE4)
#else
#define HWY_DISABLED_TARGETS KAKEYA_NO_TARGETS
#endif

#endif  // KAKEYA_BACKEND_CPU_TARGETS_H_
