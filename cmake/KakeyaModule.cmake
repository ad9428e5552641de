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

# kakeya_compile_briefly(TARGET): for code that waits for the rest, such as command lines and reports: inlining CLI11 and
# JSON to the last takes a third of their compile time (docs/adr/0016-builds-from-nothing.md).
function(kakeya_compile_briefly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# A build from nothing (KAKEYA_UNITY): reading the standard library, fmt, JSON and CLI11, and instantiating the same
# templates, takes most of a small file's compile time. Several files of a module are compiled as one; names in their
# anonymous namespaces must differ.
function(kakeya_unite target)
  if(KAKEYA_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
  endif()
endfunction()

# The same for tests, whose helpers have the same names everywhere: they share a precompiled header. With clang alone:
# what GCC 12 has precompiled it takes for our own code, and warns of std::string's inside.
function(kakeya_precompile target)
  if(NOT KAKEYA_UNITY OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR target MATCHES "^(base|backend|cache)_tests$")
    return()
  endif()
  if(target STREQUAL "format_tests")
    target_precompile_headers(format_tests PRIVATE <algorithm> <array> <chrono> <functional> <map> <memory> <optional>
                              <random> <span> <string> <string_view> <unordered_map> <vector> <fmt/format.h>
                              <nlohmann/json.hpp> <gtest/gtest.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM format_tests)
  endif()
endfunction()

# kakeya_module(NAME SOURCES a.cc ... DEPS other_module external::lib ...)
function(kakeya_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(kakeya_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(kakeya_${name} PUBLIC kakeya_flags ${ARG_DEPS})
    kakeya_unite(kakeya_${name})
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
