# One call per module keeps every module's CMakeLists.txt to its sources, its dependencies and its tests.

# Flags that every translation unit of ours gets.
# -ffp-contract=off: a multiply and an add must fuse where the source says so and nowhere else; otherwise the
# compiler would decide the last bit of a logit.
add_library(kakeya_flags INTERFACE)
target_include_directories(kakeya_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(kakeya_flags INTERFACE -Wall -Wextra -Werror -ffp-contract=off)
# GCC 12's -Wrestrict fires on ordinary std::string concatenation (its bug 105651).
target_compile_options(kakeya_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# Locks are checked where the compiler can (base/mutex.h).
target_compile_options(kakeya_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
# A hash over each program, by which measurements tell builds apart (base/build_id.h).
target_link_options(kakeya_flags INTERFACE -Wl,--build-id=sha1)
if(KAKEYA_SANITIZE)
  target_compile_options(kakeya_flags INTERFACE -fsanitize=address,undefined
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_definitions(kakeya_flags INTERFACE KAKEYA_FEW_TARGETS)
  target_link_options(kakeya_flags INTERFACE -fsanitize=address,undefined)
endif()
if(KAKEYA_SANITIZE_THREAD)
  if(KAKEYA_SANITIZE)
    message(FATAL_ERROR "KAKEYA_SANITIZE and KAKEYA_SANITIZE_THREAD exclude each other")
  endif()
  target_compile_options(kakeya_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_compile_definitions(kakeya_flags INTERFACE KAKEYA_FEWEST_TARGETS)
  target_link_options(kakeya_flags INTERFACE -fsanitize=thread)
endif()
if(KAKEYA_NATIVE)
  include(KakeyaNative)
  target_compile_definitions(kakeya_flags INTERFACE ${KAKEYA_NATIVE_DEFINITIONS})
endif()
if(KAKEYA_FUZZ)
  target_compile_options(kakeya_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_compile_definitions(kakeya_flags INTERFACE KAKEYA_FEWEST_TARGETS)
  target_link_options(kakeya_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# kakeya_precompile(TARGET): reading the standard library, fmt and JSON takes most of a small file's compile time; here
# they are read once, by kakeya_format, for all that build on it, and once more with GoogleTest, by format_tests. The
# kernels include none of them. Not with GCC 12: what it has precompiled it takes for our own code, and warns of
# std::string's inside.
function(kakeya_precompile target)
  if(NOT KAKEYA_PRECOMPILE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR target MATCHES "^(kakeya_)?(base|backend|cache)(_tests)?$")
    return()
  endif()
  set(owner kakeya_format)
  set(headers <algorithm> <array> <chrono> <functional> <map> <memory> <optional> <random> <span> <string> <string_view>
      <unordered_map> <vector> <fmt/format.h> <nlohmann/json.hpp>)
  if(target MATCHES "_tests$")
    set(owner format_tests)
    list(APPEND headers <gtest/gtest.h>)
  endif()
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${headers})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# kakeya_module(NAME SOURCES a.cc ... DEPS other_module external::lib ...)
function(kakeya_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(kakeya_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(kakeya_${name} PUBLIC kakeya_flags ${ARG_DEPS})
    kakeya_precompile(kakeya_${name})
  else()
    add_library(kakeya_${name} INTERFACE)
    target_link_libraries(kakeya_${name} INTERFACE kakeya_flags ${ARG_DEPS})
  endif()
endfunction()

# kakeya_tests(NAME SOURCES a_test.cc ... DEPS kakeya_module ...): one test binary per module.
function(kakeya_tests name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_tests ${ARG_SOURCES})
  target_link_libraries(${name}_tests PRIVATE kakeya_${name} ${ARG_DEPS} GTest::gtest_main)
  kakeya_precompile(${name}_tests)
  gtest_discover_tests(${name}_tests TEST_PREFIX ${name}/ DISCOVERY_TIMEOUT 60)
endfunction()
