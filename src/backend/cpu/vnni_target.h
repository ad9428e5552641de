// What a file of VNNI kernels starts with: KAKEYA_HAS_VNNI, which is set on x86-64, unless the
// build is for one machine that lacks it; and where it is, the intrinsics, KAKEYA_VNNI before every
// function that uses them, and KAKEYA_VNNI_UNROLL before loops over arrays of vectors, whose bounds
// are compile-time constants, so that the arrays become registers.
#ifndef KAKEYA_BACKEND_CPU_VNNI_TARGET_H_
#define KAKEYA_BACKEND_CPU_VNNI_TARGET_H_

#if defined(__x86_64__) && !defined(KAKEYA_NO_VNNI)
#define KAKEYA_HAS_VNNI 1
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of its own intrinsics (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define KAKEYA_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#if defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KAKEYA_VNNI_UNROLL  // see KAKEYA_UNROLL in vector-inl.h
#else
#define KAKEYA_VNNI_UNROLL _Pragma("clang loop unroll(full)")
#endif
#else
#define KAKEYA_VNNI_UNROLL _Pragma("GCC unroll 16")
#endif
#endif

#endif  // KAKEYA_BACKEND_CPU_VNNI_TARGET_H_
