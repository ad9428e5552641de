// AVX-512 VNNI adds products of small integers four or two at a time. Highway 1.0 has no such
// operation, so the kernels that want it are written with intrinsics and chosen here.
#ifndef KAKEYA_BACKEND_CPU_VNNI_H_
#define KAKEYA_BACKEND_CPU_VNNI_H_

namespace kakeya::cpu {

// The machine has it, and kernels run on AVX-512: whoever forces another instruction set, as tests
// do, gets the portable kernels everywhere. Not free: ask once per loop, not in it.
bool UseVnni();

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_CPU_VNNI_H_
