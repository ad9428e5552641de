#!/usr/bin/env bash
# Builds the engine: installs what is missing of scripts/packages.txt, configures the release preset, leaves the
# binaries in build/bin. scripts/build.sh TARGET... builds only these: `kakeya` is all that running it takes, without
# tests. --native, before any target, compiles the kernels for this machine alone, which is less to compile: the same
# bits, but slow on a machine with another instruction set. JOBS=N limits the parallel compilations (default: the cores).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

install_packages scripts/packages.txt
NATIVE=OFF
if [ "${1:-}" = --native ]; then
  NATIVE=ON
  shift
fi
build_preset release build "$@"
say "Built build/bin/kakeya"
