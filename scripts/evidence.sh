#!/usr/bin/env bash
# Makes everything under results/ anew: the recall matrix at length, the harder tasks, long texts, perplexity. Hours on two
# cores. Each part can be interrupted and called again: what is done is kept in build/evidence.
#
#   scripts/evidence.sh [PART...]      PART: single, tasks, long, perplexity; default all
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

scripts/build.sh
mkdir -p results build/evidence

# prove NAME FLAGS...: results/NAME.json and .html. A claim that fails (exit 1) is a result, too.
prove() {
  local name="$1" code=0
  shift
  say "== results/$name: kakeya prove -m models/demo $*"
  build/bin/kakeya prove -m models/demo "$@" --journal "build/evidence/$name.journal" \
    --json "results/$name.json" --html "results/$name.html" > "build/evidence/$name.txt" || code=$?
  [ "$code" -le 1 ] || exit "$code"
  cp "build/evidence/$name.txt" "results/$name.txt"
}

# The two books that no training saw, as one text.
held_out() {
  python3 - <<'PY'
import json, lzma, pathlib
folder = pathlib.Path("training/data")
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
with lzma.open(folder / manifest["file"], "rt", encoding="utf-8") as file:
    text = file.read()
for book in manifest["books"]:
    if book["held_out"]:
        print(text[book["start"]:book["start"] + 200_000])
PY
}

perplexity() {
  held_out > build/evidence/held_out.txt
  for chunks in 4 8 16 all; do
    say "== results/perplexity-$chunks: kakeya eval perplexity --restore-chunks $chunks"
    build/bin/kakeya eval perplexity -m models/demo -f build/evidence/held_out.txt --kv full,window,restored \
      --restore-chunks "$chunks" --json > "build/evidence/perplexity-$chunks.json"
    cp "build/evidence/perplexity-$chunks.json" results/
  done
}

for part in "${@:-single tasks long perplexity}"; do
  for name in $part; do
    case "$name" in
      single) prove single --lengths 1024,2048,4096,8192 -n 200 ;;
      tasks)
        prove tasks --tasks all --lengths 4096 -n 50 --arms oracle,window,restored,reinsert
        for chunks in 4 16 all; do
          prove "tasks-$chunks" --tasks all --lengths 4096 -n 50 --arms restored --restore-chunks "$chunks"
        done
        ;;
      long)
        prove 16k --lengths 16000 -n 20 --arms oracle,window,restored,reinsert
        prove 32k --lengths 32768 -n 20 --arms window,restored,reinsert
        prove 128k --lengths 131072 -n 5 --arms window,restored
        ;;
      perplexity) perplexity ;;
      *) echo "there is no part '$name': single, tasks, long, perplexity" >&2; exit 2 ;;
    esac
  done
done
