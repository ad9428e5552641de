#!/usr/bin/env bash
# Makes everything under results/ anew: the recall matrix at length, the harder tasks, long texts, perplexity, speed. Hours
# on two cores. Each part can be interrupted and called again: what is done is kept in
# build/evidence, for this build alone.
#
#   scripts/evidence.sh [PART...]      PART: single, tasks, seeds, chunks, kv, long, longest, perplexity, speed,
#                                      bench; default all
#   KAKEYA=PROGRAM scripts/evidence.sh ...      with this program instead of one that is built first
#   JOBS=N PARTS=M scripts/evidence.sh ...      N processes at a time (default: the cores) take M parts of each run (default:
#                                               N; with another M, what was begun is begun anew)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

if [ -z "${KAKEYA:-}" ]; then
  scripts/build.sh
  KAKEYA=build/bin/kakeya
fi
PARTS="${PARTS:-$JOBS}"
mkdir -p results build/evidence

# prove NAME FLAGS...: results/NAME.json, .html and .txt. Its prompts are shared by processes of one thread each, so that more
# cores make it faster and never change what is right and wrong (milliseconds are of processes that compete: for
# speed there is the part of that name). A claim that fails (exit 1) is a result, too.
prove() {
  local name="$1" code=0 journal="build/evidence/$1.journal"
  shift
  say "== results/$name: kakeya prove -m models/demo --threads 1 $*"
  if [ ! -s "$journal" ]; then
    seq "$PARTS" | xargs -P "$JOBS" -I{} "$KAKEYA" prove -m models/demo --threads 1 "$@" --part "{}/$PARTS" \
      --journal "build/evidence/$name.part-{}-$PARTS"
    join_journals build/evidence/"$name".part-*-"$PARTS" > "$journal.new"
    mv "$journal.new" "$journal"
  fi
  "$KAKEYA" prove -m models/demo --threads 1 "$@" --journal "$journal" \
    --json "results/$name.json" --html "results/$name.html" > "build/evidence/$name.txt" || code=$?
  [ "$code" -le 1 ] || exit "$code"
  cp "build/evidence/$name.txt" "results/$name.txt"
}

# join_journals FILE...: the first with the runs of the others behind its own.
join_journals() {
  cat "$1"
  shift
  for file in "$@"; do tail -n +2 "$file"; done
}

# A part of each of the two books that no training saw, in files of their names.
held_out() {
  python3 - build/evidence <<'PY'
import json, lzma, pathlib, re, sys
folder = pathlib.Path("training/data")
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
with lzma.open(folder / manifest["file"], "rt", encoding="utf-8") as file:
    text = file.read()
for book in manifest["books"]:
    if book["held_out"]:
        name = re.sub("[^a-z]+", "-", book["title"].lower()).strip("-") + ".txt"
        (pathlib.Path(sys.argv[1]) / name).write_text(text[book["start"]:book["start"] + 230_000], encoding="utf-8")
        print(f"{sys.argv[1]}/{name}")
PY
}

# Whether a report is there and was made by this build.
made_by_this_build() {
  [ -s "$1" ] && "$KAKEYA" --version | grep -qF "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["build"])' "$1")"
}

# The two books in more than 30 windows of 4,096 tokens.
perplexity() {
  local chunks made texts=()
  for file in $(held_out); do texts+=(-f "$file"); done
  for chunks in 8 4 16 all; do
    made="build/evidence/perplexity-$chunks.json"
    if made_by_this_build "$made"; then
      say "== results/perplexity-$chunks: is made"
    else
      say "== results/perplexity-$chunks: kakeya eval perplexity -m models/demo ${texts[*]} --restore-chunks $chunks"
      "$KAKEYA" eval perplexity -m models/demo "${texts[@]}" --kv full,window,restored --restore-chunks "$chunks" --json > "$made.part"
      mv "$made.part" "$made"
    fi
    cp "$made" results/
  done
}

# The demo model on a book.
speed() {
  python3 scripts/speed.py --kakeya "$KAKEYA" --json build/evidence/speed.json | tee build/evidence/speed.txt
  cp build/evidence/speed.{json,txt} results/
}

# Speed in the geometry of Qwen3-0.6B, random weights: speed doesn't depend on their values.
bench() {
  local type file
  for type in Q8_0 Q4_0 BF16; do
    file="build/evidence/random-$type.gguf"
    [ -s "$file" ] || "$KAKEYA" quantize bench/qwen3-0.6b "$file" "$type" --random-weights
    say "== results/bench-$type: kakeya bench -m $file --kv full,window,restored --kv-type f16 --verify-curve --seconds 120"
    "$KAKEYA" bench -m "$file" --kv full,window,restored --kv-type f16 --verify-curve --seconds 120 \
      --csv "build/evidence/bench-$type.csv" | tee "build/evidence/bench-$type.txt"
    cp "build/evidence/bench-$type".{csv,txt} results/
  done
}

# Rows of the tables: a part of the arms is not judged, and its pages say so.
for part in "${@:-single tasks seeds chunks kv long longest perplexity speed bench}"; do
  for name in $part; do
    case "$name" in
      single) prove single --lengths 1024,2048,4096,8192 -n 200 ;;
      tasks)
        prove tasks --tasks all --lengths 4096 -n 50 --arms oracle,window,restored,reinsert
        ;;
      # Seed 0 was looked at while weights and settings were chosen.
      seeds)
        prove tasks-seed-1 --tasks all --lengths 4096 -n 50 --arms oracle,window,restored,reinsert --seed 1
        ;;
      chunks)
        for chunks in 4 16 all; do
          prove "tasks-$chunks" --tasks all --lengths 4096 -n 50 --arms oracle,restored --restore-chunks "$chunks"
        done
        ;;
      kv)
        for type in f16 affine4; do
          prove "kv-$type" --lengths 1024,4096 -n 200 --arms restored --kv-type "$type"
        done
        ;;
      long)
        # 16,000 and not 16,384: prompts differ by up to 2 %, and the oracle's context of 16,384 holds the answer as well.
        prove 16k --lengths 16000 -n 20 --arms oracle,window,restored,reinsert,counterfactual,without-needle,foreign
        prove 32k --lengths 32768 -n 20 --arms window,restored,reinsert,counterfactual,without-needle,foreign
        ;;
      longest) prove 128k --lengths 131072 -n 5 --arms window,restored,counterfactual,without-needle,foreign ;;
      perplexity) perplexity ;;
      speed) speed ;;
      bench) bench ;;
      *) echo "there is no part '$name': single, tasks, seeds, chunks, kv, long, longest, perplexity, speed, bench" >&2; exit 2 ;;
    esac
  done
done
