#!/usr/bin/env python3
"""Logits and greedy tokens against HF transformers, and against themselves under every way of computing them.

The references are committed (tests/fixtures/README.md); this needs numpy and safetensors only.
"""

import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import DEMO, FIXTURES, ROOT, case, cases, generated, main, read_tensors, succeeds  # noqa: E402

TOLERANCE = 1e-3  # largest difference of any logit
DEMO_REFERENCE = ROOT / "tests" / "fixtures" / "demo_reference" / "reference.safetensors"
WINDOW_FLAGS = ["--kv", "window", "--sink", "4", "--window", "64"]
NAMES = sorted(f.parent.name for f in FIXTURES.glob("*/reference.safetensors"))
WINDOWED = sorted(n for n in NAMES if "window_logits" in read_tensors(FIXTURES / n / "reference.safetensors"))
# Ways of computing the same thing: (--prefill-chunk, --threads).
WAYS = [(chunk, threads) for chunk in (1, 7, 64, 1000) for threads in (1, 2, 3)]


def logits(model, ids, scratch, *flags):
    path, out = scratch / "ids.json", scratch / "out.safetensors"
    path.write_text(json.dumps([int(i) for i in ids]))
    succeeds("eval", "logits", "-m", model, "--ids", path, "--out", out, *flags, seconds=60)
    result = read_tensors(out)["logits"]
    out.unlink()
    assert result.dtype == np.float32, result.dtype
    return result


def compare(ours, theirs):
    assert ours.shape == theirs.shape, f"shape {ours.shape}, wanted {theirs.shape}"
    difference = np.abs(ours.astype(np.float64) - theirs)
    assert np.isfinite(ours).all(), "not all logits are finite"
    worst = np.unravel_index(difference.argmax(), difference.shape)
    assert difference.max() <= TOLERANCE, f"off by {difference.max():.3g} at position {worst[0]}, id {worst[1]}"


def same_bits(results):
    """results: {way: array}."""
    (first_way, first), *others = results.items()
    for way, result in others:
        differing = np.flatnonzero((first.view(np.uint32) != result.view(np.uint32)).any(axis=1))
        assert differing.size == 0, f"(chunk, threads) {way} and {first_way} differ from position {differing[0]}"


@cases({f"logits as HF's: {name}": (name,) for name in NAMES})
def logits_match(scratch, name):
    reference = read_tensors(FIXTURES / name / "reference.safetensors")
    compare(logits(FIXTURES / name, reference["ids"], scratch), reference["logits"])


@cases({f"window logits as under an explicit mask: {name}": (name,) for name in WINDOWED})
def window_logits_match(scratch, name):
    reference = read_tensors(FIXTURES / name / "reference.safetensors")
    ours = logits(FIXTURES / name, reference["ids"], scratch, *WINDOW_FLAGS)
    first = int(reference["window_from"][0])
    compare(ours[:first], reference["logits"][:first])
    compare(ours[first:], reference["window_logits"])


@cases({f"a logit's bits don't depend on chunk or threads: {name}, {policy}": (name, flags)
        for name in NAMES for policy, flags in [("full", []), ("window", WINDOW_FLAGS)]})
def bits_are_invariant(scratch, name, flags):
    ids = read_tensors(FIXTURES / name / "reference.safetensors")["ids"]
    same_bits({way: logits(FIXTURES / name, ids, scratch, "--prefill-chunk", way[0], "--threads", way[1], *flags)
               for way in WAYS})


@cases({f"bits through a {kv_type} cache: {policy}": (kv_type, flags) for kv_type in ("bf16", "f16", "affine8", "affine4")
        for policy, flags in [("full", []), ("window", WINDOW_FLAGS)]})
def bits_are_invariant_through_rounding(scratch, kv_type, flags):
    folder = FIXTURES / "qwen3-window"
    ids = read_tensors(folder / "reference.safetensors")["ids"]
    results = {way: logits(folder, ids, scratch, "--kv-type", kv_type, "--prefill-chunk", way[0], "--threads", way[1],
                           *flags) for way in WAYS}
    same_bits(results)
    exact = logits(folder, ids, scratch, *flags)
    assert np.abs(results[WAYS[0]] - exact).max() > 1e-5, "the cache's type makes no difference"


@case("other windows keep the bits too")
def other_windows(scratch):
    folder = FIXTURES / "llama-rope3-window"
    ids = read_tensors(folder / "reference.safetensors")["ids"]
    for sink, window in [(0, 1), (1, 63), (65, 65), (64, 65), (4, 128), (64, 200)]:
        flags = ["--kv", "window", "--sink", str(sink), "--window", str(window)]
        same_bits({way: logits(folder, ids, scratch, "--prefill-chunk", way[0], "--threads", way[1], *flags)
                   for way in [(1, 1), (7, 2), (64, 3), (100, 2), (1000, 1)]})


@case("a window as long as the text is full attention")
def wide_window(scratch):
    folder = FIXTURES / "qwen3-window"
    reference = read_tensors(folder / "reference.safetensors")
    ours = logits(folder, reference["ids"], scratch, "--kv", "window", "--window", "330")
    full = logits(folder, reference["ids"], scratch)
    same_bits({"window": ours, "full": full})


@cases({f"64 greedy tokens as HF's: {name}": (name,) for name in NAMES})
def greedy_tokens_match(scratch, name):
    reference = read_tensors(FIXTURES / name / "reference.safetensors")
    ids, wanted = reference["ids"].tolist(), reference["greedy"].tolist()
    for flags in [[], ["--prefill-chunk", "7"], ["--kv-type", "bf16"], ["--kv-type", "f32", "--threads", "1"]]:
        tokens = generated(FIXTURES / name, ids, 64, *flags, scratch=scratch)["tokens"]
        assert tokens == wanted, f"{flags}: {tokens}, wanted {wanted}"


@cases({f"decoding in the window gives the tokens of prefilling in it: {name}": (name,) for name in WINDOWED})
def window_decoding_matches_prefill(scratch, name):
    ids = read_tensors(FIXTURES / name / "reference.safetensors")["ids"].tolist()
    tokens = generated(FIXTURES / name, ids, 64, "--kv-type", "f32", *WINDOW_FLAGS, scratch=scratch)["tokens"]
    everything = logits(FIXTURES / name, ids + tokens, scratch, *WINDOW_FLAGS)
    assert everything[len(ids) - 1:-1].argmax(-1).tolist() == tokens


@case("the demo's logits as HF's")
def demo_logits_match(scratch):
    reference = read_tensors(DEMO_REFERENCE)
    ours = logits(DEMO, reference["ids"], scratch)
    compare(ours[:, reference["subset"]], reference["logits"])
    theirs, mine = reference["argmax"], ours.argmax(-1)
    rows = np.arange(len(theirs))
    assert (np.abs(ours[rows, theirs] - ours[rows, mine]) <= 2 * TOLERANCE).all(), "another token leads"


@case("the demo's window logits as under an explicit mask")
def demo_window_logits_match(scratch):
    reference = read_tensors(DEMO_REFERENCE)
    ours = logits(DEMO, reference["ids"], scratch, *WINDOW_FLAGS)
    compare(ours[:, reference["subset"]], reference["window_logits"])


@case("the demo's bits don't depend on chunk or threads")
def demo_bits_are_invariant(scratch):
    ids = read_tensors(DEMO_REFERENCE)["ids"]
    for flags in [[], WINDOW_FLAGS, ["--kv", "restored"]]:
        same_bits({way: logits(DEMO, ids, scratch, "--prefill-chunk", way[0], "--threads", way[1], *flags)
                   for way in [(1, 2), (7, 3), (64, 1), (1000, 2)]})


@case("the demo's greedy tokens as HF's")
def demo_greedy_tokens_match(scratch):
    reference = read_tensors(DEMO_REFERENCE)
    prompt = reference["ids"][: int(reference["prompt_length"][0])].tolist()
    wanted = reference["greedy"].tolist()
    eos = json.loads((DEMO / "config.json").read_text())["eos_token_id"]
    eos = set(eos if isinstance(eos, list) else [eos])
    end = next((i for i, token in enumerate(wanted) if token in eos), len(wanted))
    for flags in [[], ["--prefill-chunk", "7"], ["--kv-type", "f32"]]:
        tokens = generated(DEMO, prompt, 64, "--kv", "full", *flags, scratch=scratch)["tokens"]
        assert tokens == wanted[:end], f"{flags}: {tokens}, wanted {wanted[:end]}"


if __name__ == "__main__":
    sys.exit(main())
