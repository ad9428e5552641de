# Asks the compiler for this machine's instruction set, and leaves in KAKEYA_NATIVE_DEFINITIONS what makes the kernels be
# compiled for it and for the baseline alone (src/backend/cpu/targets.h, vnni_target.h). The results are the same bits.

execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -dM -E -x c++ /dev/null
                OUTPUT_VARIABLE macros ERROR_VARIABLE error RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "KAKEYA_NATIVE: the compiler does not tell this machine's instruction set: ${error}")
endif()

# kakeya_machine_has(VARIABLE MACRO...): whether the compiler defines all of them.
function(kakeya_machine_has variable)
  set(${variable} ON PARENT_SCOPE)
  foreach(macro ${ARGN})
    if(NOT macros MATCHES "#define ${macro} ")
      set(${variable} OFF PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

# As hwy/detect_targets.h groups them.
kakeya_machine_has(avx3 __AVX512F__ __AVX512BW__ __AVX512DQ__ __AVX512VL__)
kakeya_machine_has(avx2 __AVX2__ __FMA__ __BMI2__ __F16C__)
kakeya_machine_has(sse4 __SSE4_1__ __SSE4_2__ __PCLMUL__ __AES__)
kakeya_machine_has(vnni __AVX512VNNI__)

set(KAKEYA_NATIVE_DEFINITIONS)
foreach(target avx3 avx2 sse4)
  if(${target})
    string(TOUPPER ${target} name)
    list(APPEND KAKEYA_NATIVE_DEFINITIONS KAKEYA_ONLY_TARGET=HWY_${name})
    break()
  endif()
endforeach()
if(NOT vnni)
  list(APPEND KAKEYA_NATIVE_DEFINITIONS KAKEYA_NO_VNNI)
endif()
