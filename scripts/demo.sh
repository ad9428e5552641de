#!/usr/bin/env bash
# Builds the engine and shows it: the demo model answers a question about a long text, once with every key and value
# kept, once with the memory bounded to a window.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

scripts/build.sh --native kakeya
say ""
exec python3 scripts/demo.py --kakeya build/bin/kakeya --model models/demo "$@"
