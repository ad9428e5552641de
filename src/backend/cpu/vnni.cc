#include "backend/cpu/vnni.h"

#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/vnni.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

bool IsAvx512() { return HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3; }

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(IsAvx512);

bool MachineHasVnni() {
#if defined(KAKEYA_HAS_VNNI)
  return __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
#else
  return false;
#endif
}

}  // namespace

bool UseVnni() {
  static const bool kHas = MachineHasVnni();
  return kHas && HWY_DYNAMIC_DISPATCH(IsAvx512)();
}

}  // namespace kakeya::cpu
#endif
