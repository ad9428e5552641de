#!/usr/bin/env bash
# Builds everything and runs all tests.
#   scripts/test.sh           all of it
#   scripts/test.sh --quick   without sanitizers, fuzzing and lint
# The last line counts: "N passed, M failed". Logs are in build/logs. JOBS=N limits the parallel work, FUZZ_SECONDS=N
# sets the time of each fuzz target (30).
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

QUICK=0
case "${1:-}" in
  --quick) QUICK=1 ;;
  "") ;;
  *) say "usage: scripts/test.sh [--quick]" >&2; exit 2 ;;
esac
FUZZ_SECONDS="${FUZZ_SECONDS:-30}"
PASSED=0
FAILED=0
FAULTS=()
BEGIN=$SECONDS

# add_counts LOG STATUS: adds up what a step's log reports: every line "N passed, M failed", and ctest's summary. A step
# that failed without counting, or that ran nothing, is one failure.
add_counts() {
  local log="$LOGS/$1.log" passed failed total
  passed=$(sed -nE 's/^([0-9]+) passed, [0-9]+ failed$/\1/p' "$log" | paste -sd+ - | sed 's/^$/0/')
  failed=$(sed -nE 's/^[0-9]+ passed, ([0-9]+) failed$/\1/p' "$log" | paste -sd+ - | sed 's/^$/0/')
  passed=$((${passed:-0})) failed=$((${failed:-0}))
  total=$(sed -nE 's/^[0-9]+% tests passed, [0-9]+ tests failed out of ([0-9]+)$/\1/p' "$log" | tail -n 1)
  if [ -n "$total" ]; then
    failed=$((failed + $(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of .*/\1/p' "$log" | tail -n 1)))
    passed=$((passed + total - failed))
  fi
  if [ "$2" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  if [ $((passed + failed)) -eq 0 ]; then
    say "    no test ran"
    failed=1
  fi
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed))
}

# check TITLE LOG COMMAND...: a step that counts tests. Never ends the script.
check() {
  local status=0 before=$FAILED
  step "$@" || status=$?
  add_counts "$2" $status
  if [ "$FAILED" -gt "$before" ]; then note_fault "$1" "$2"; fi
}

# note_fault TITLE LOG: keeps a step's title, and what its log says of single tests, for the end of the run: a step's own
# output may be thousands of lines further up.
note_fault() {
  local line
  FAULTS+=("$1")
  while read -r line; do FAULTS+=("    $line"); done < <(
    grep -aE '^FAILED |^\[  FAILED  \] [^ ]+ \(|^[ \t]*[0-9]+ - .*\((Failed|Timeout|SEGFAULT|.*abort.*)\)|ERROR: |runtime error: |SUMMARY: ' \
      "$LOGS/$2.log" | cut -c1-300 | head -n 20)
}

# must COMMAND...: a command that counts no tests but must succeed; later steps need it.
must() {
  if ! "$@"; then
    FAILED=$((FAILED + 1))
    FAULTS+=("$*")
    finish
  fi
}

finish() {
  if [ ${#FAULTS[@]} -gt 0 ]; then printf '%s\n' "What failed:" "${FAULTS[@]}"; fi
  say "Took $((SECONDS - BEGIN)) s."
  say "$PASSED passed, $FAILED failed"
  [ "$FAILED" -eq 0 ]
  exit
}

sources_of_ours() { find src apps tests bench -name '*.h' -o -name '*.cc' -o -name '*.cu' | sort; }

check_format() {
  local file passed=0 failed=0
  while read -r file; do
    if clang-format-14 --dry-run -Werror "$file"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done < <(sources_of_ours)
  say "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

make_venv() {
  if [ ! -x build/venv/bin/python ]; then python3 -m venv build/venv || return 1; fi
  # Asking the network again would only cost time when nothing has changed.
  if cmp -s tests/requirements.txt build/venv/installed.txt; then return 0; fi
  build/venv/bin/pip install --disable-pip-version-check --progress-bar off -r tests/requirements.txt &&
    cp tests/requirements.txt build/venv/installed.txt
}

# Of the end-to-end tests those that feed the readers bad files and bad input, for the sanitizers. All twelve took 22
# minutes of the 90 that a whole run has; what the others reach has unit tests under the same sanitizers.
SURVIVAL="tests/cli/test_bad_input.py tests/cli/test_bad_models.py tests/cli/test_chat.py tests/cli/test_gguf.py"

# cli_tests "FILE..." BINARY FLAGS...: end-to-end tests of the command line.
cli_tests() {
  local files="$1" binary="$2" status=0 file
  shift 2
  for file in $files; do
    say "== $file"
    build/venv/bin/python "$file" --kakeya "$binary" --jobs "$JOBS" "$@" || status=1
  done
  return $status
}

parity_tests() {
  local status=0 python=build/venv/bin/python
  "$python" tests/parity/tokenizer_parity.py --kakeya build/bin/kakeya || status=1
  "$python" tests/parity/template_parity.py --driver build/bin/render_template || status=1
  "$python" tests/parity/logits_parity.py --kakeya build/bin/kakeya --jobs "$JOBS" || status=1
  return $status
}

tidy_one() {
  # libstdc++ 12 uses what a newer clang calls deprecated.
  if "$ROOT/build/venv/bin/clang-tidy" --quiet -p "$ROOT/build/tidy" --extra-arg=-Wno-deprecated-declarations "$1" \
    2>/dev/null; then echo "1 passed, 0 failed"; else
    echo "0 passed, 1 failed"
    return 1
  fi
}
export -f tidy_one
export ROOT

# Lint wants clang's view of the flags, so it has a build folder of its own that is configured and never built.
tidy() {
  CC=clang-14 cmake -S . -B build/tidy -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++-14 || return 1
  find src apps -name '*.cc' ! -name '*_test.cc' | sort | xargs -P "$JOBS" -I{} bash -c 'tidy_one {}'
}

# The unit tests of the modules that run threads, from the pool and the operators up to whole sessions, which load
# models and restore with several threads, under ThreadSanitizer. The binaries of cache, model and proposer are left out
# for time alone.
THREADED="base backend decode session"
unit_tests_tsan() {
  # shellcheck disable=SC2086  # one module a word
  printf '%s\n' $THREADED | xargs -P "$JOBS" -I{} bash -c 'tsan_one {}'
}

tsan_one() {
  local log="$LOGS/tsan-$1.log"
  if TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1 "build/tsan/bin/$1_tests" >"$log" 2>&1; then
    echo "1 passed, 0 failed"
  else
    tail -n 60 "$log"
    echo "0 passed, 1 failed"
    return 1
  fi
}
export -f tsan_one
export LOGS

# fuzz_one TARGET: from the target's corpus in the repository; new inputs stay in build/.
fuzz_one() {
  local name scratch
  name="$(basename "$1")"
  scratch="build/fuzz-work/$name"
  rm -rf "$scratch" && mkdir -p "$scratch/corpus"
  if ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    "$1" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$scratch/" "$scratch/corpus" "tests/fuzz/corpus/${name#fuzz_}" >"$LOGS/$name.log" 2>&1; then
    grep -E 'stat::number_of_executed_units|stat::new_units' "$LOGS/$name.log"
    say "1 passed, 0 failed"
  else
    tail -n 40 "$LOGS/$name.log"
    say "0 passed, 1 failed"
    return 1
  fi
}

# All targets, $JOBS at a time.
fuzz() {
  local target pids=() status=0 pid
  for target in build/fuzz/bin/fuzz_*; do
    [ -x "$target" ] || continue
    fuzz_one "$target" &
    pids+=($!)
    if [ ${#pids[@]} -ge "$JOBS" ]; then
      wait "${pids[0]}" || status=1
      pids=("${pids[@]:1}")
    fi
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  return $status
}

if [ $QUICK -eq 1 ]; then install_packages scripts/packages-test.txt quick; else install_packages scripts/packages-test.txt; fi
must scripts/build.sh
check "Check the edges between modules" check-includes tools/check_includes
check "Check that the check finds planted faults" check-includes-self-test tools/check_includes --self-test
check "Check the layout of the source (clang-format)" format check_format
check "Unit tests" unit-tests ctest --test-dir build -j "$JOBS" --output-on-failure --no-tests=error
must step "Python environment with the reference implementations" venv make_venv
check "Parity with the reference implementations" parity parity_tests
check "Command line, end to end" cli cli_tests "$(echo tests/cli/test_*.py)" build/bin/kakeya

if [ $QUICK -eq 0 ]; then
  must build_preset asan-ubsan build/asan-ubsan
  check "Unit tests under AddressSanitizer and UndefinedBehaviorSanitizer" unit-tests-sanitized \
    ctest --test-dir build/asan-ubsan -j "$JOBS" --output-on-failure --no-tests=error
  check "Command line under both sanitizers" cli-sanitized cli_tests "$SURVIVAL" build/asan-ubsan/bin/kakeya --sanitized
  # shellcheck disable=SC2046,SC2086  # one target per module
  must build_preset tsan build/tsan $(printf '%s_tests ' $THREADED)
  check "Unit tests under ThreadSanitizer" unit-tests-tsan unit_tests_tsan
  # shellcheck disable=SC2046  # one target per file
  must build_preset fuzz build/fuzz $(basename -s .cc tests/fuzz/fuzz_*.cc)
  check "Fuzz targets, $FUZZ_SECONDS s each, under both sanitizers" fuzz fuzz
  check "Lint (clang-tidy)" tidy tidy
fi
finish
