#!/usr/bin/env bash
# Builds the engine: installs what is missing of scripts/packages.txt, configures the release preset, leaves the
# binaries in build/bin. scripts/build.sh TARGET... builds only these: `kakeya` is all that running it takes, without
# tests. JOBS=N limits the parallel compilations (default: the cores).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

install_packages scripts/packages.txt
build_preset release build "$@"
say "Built build/bin/kakeya"
