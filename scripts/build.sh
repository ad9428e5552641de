#!/usr/bin/env bash
# Builds the engine: installs what is missing of scripts/packages.txt, configures the release preset, leaves the
# binaries in build/bin. JOBS=N limits the parallel compilations (default: the cores).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

install_packages scripts/packages.txt
build_preset release build
say "Built build/bin/kakeya"
