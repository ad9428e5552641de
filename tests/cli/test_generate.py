#!/usr/bin/env python3
"""`generate`, `tokenize` and `inspect` do what the command line's contract says."""

import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (FIXTURES, Options, case, cases, copy_model, edit_json, generated, kakeya, main,  # noqa: E402
                     read_tensors, refused, succeeds)

TEXT = FIXTURES / "qwen3-tied-text"
NUMBER, INTEGER, STRING = (int, float), int, str
CONTRACT = {
    "prompt_tokens": INTEGER, "tokens": list, "text": STRING, "stop": STRING,
    "kv": {"policy": STRING, "resident_bytes": INTEGER, "history_bytes": INTEGER, "resident_peak_bytes": INTEGER},
    "restore": {"chunks": INTEGER, "vectors": INTEGER, "failed": INTEGER, "seconds": NUMBER},
    "draft": {"drafter": STRING, "blocks": INTEGER, "proposed": INTEGER, "accepted": INTEGER, "memory_bytes": INTEGER},
    "timing": {"load_s": NUMBER, "prefill_s": NUMBER, "decode_s": NUMBER, "prefill_tok_s": NUMBER,
               "decode_tok_s": NUMBER},
}
WINDOW = ["--kv", "window"]


def check_shape(value, shape, where="the object"):
    assert isinstance(value, dict) and set(value) == set(shape), f"{where}: {sorted(value)}, wanted {sorted(shape)}"
    for key, kind in shape.items():
        if isinstance(kind, dict):
            check_shape(value[key], kind, key)
        else:
            assert isinstance(value[key], kind) and not isinstance(value[key], bool), f"{key}: {value[key]!r}"


def random_ids(count, seed=1):
    import numpy
    return numpy.random.default_rng(seed).integers(0, 280, count).tolist()


def text_tokenizer():
    from tokenizers import Tokenizer
    return Tokenizer.from_file(str(TEXT / "tokenizer.json"))


def complete(*flags, prompt="Once upon", count=24, model=TEXT):
    return succeeds("generate", "-m", model, "-p", prompt, "-n", count, "--json", *flags).json()


@cases({f"the JSON object has exactly the contract's fields: {' '.join(flags) or 'defaults'}": (flags,)
        for flags in ([], WINDOW, ["--temp", "1", "--seed", "3"], ["-n", "0"], ["--stop", "e"])})
def contract_fields(scratch, flags):
    outcome = succeeds("generate", "-m", TEXT, "-p", "Once upon a time", *(["-n", "8"] if "-n" not in flags else []),
                       "--json", *flags)
    result = outcome.json()
    check_shape(result, CONTRACT)
    assert all(isinstance(t, int) and 0 <= t < 304 for t in result["tokens"]), result["tokens"]
    assert result["prompt_tokens"] == len(text_tokenizer().encode("Once upon a time").ids)
    assert result["kv"]["policy"] == ("window" if flags == WINDOW else "full")
    assert result["draft"]["drafter"] == "none" and result["restore"]["vectors"] == 0
    assert result["timing"]["load_s"] > 0 and result["timing"]["prefill_s"] > 0


@case("--ids needs no tokenizer, and the object is the same")
def ids_without_tokenizer(scratch):
    result = generated(FIXTURES / "llama-tied", [1, 2, 3], 5, scratch=scratch)
    check_shape(result, CONTRACT)
    assert result["prompt_tokens"] == 3 and len(result["tokens"]) == 5
    assert result["text"] == "" and result["stop"] == "length"


@case("-p, -f and --ids of the same prompt give the same tokens")
def prompt_sources(scratch):
    (scratch / "prompt.txt").write_text("where there 12\n")
    ids = text_tokenizer().encode("where there 12\n").ids
    by_text = complete(prompt="where there 12\n")["tokens"]
    by_file = succeeds("generate", "-m", TEXT, "-f", scratch / "prompt.txt", "-n", 24, "--json").json()["tokens"]
    by_stdin = succeeds("generate", "-m", TEXT, "-f", "-", "-n", 24, "--json", stdin=b"where there 12\n").json()["tokens"]
    assert by_text == by_file == by_stdin == generated(TEXT, ids, 24, scratch=scratch)["tokens"]


@case("-n 0 generates nothing, -n 1 one token")
def few_tokens(scratch):
    nothing, one = complete(count=0), complete(count=1)
    assert nothing["tokens"] == [] and nothing["text"] == "" and nothing["stop"] == "length"
    assert len(one["tokens"]) == 1 and one["stop"] == "length"
    assert one["tokens"] == complete(count=24)["tokens"][:1]


@case("stdout without --json is the text alone")
def plain_text(scratch):
    outcome = succeeds("generate", "-m", TEXT, "-p", "Once upon", "-n", 24)
    assert outcome.stdout.decode() == complete()["text"] + "\n", str(outcome)
    assert outcome.stderr.count(b"\n") == 1, "one line of figures"


@case("the text is what the tokens stand for")
def text_of_tokens(scratch):
    for seed in range(8):
        result = complete("--temp", 1.3, "--seed", seed, count=96)
        assert result["text"] == text_tokenizer().decode(result["tokens"]), result


@case("the same seed gives the same tokens, another seed others")
def seeds(scratch):
    sampled = [complete("--temp", 1, "--seed", seed)["tokens"] for seed in (0, 1, 2, 3, 1)]
    assert sampled[1] == sampled[4]
    assert len({tuple(tokens) for tokens in sampled}) == 4
    assert complete("--temp", 1)["tokens"] == sampled[0], "the default seed is 0"
    assert complete("--seed", 5)["tokens"] == complete("--seed", 6)["tokens"], "greedy knows no seed"


@case("top-k 1, a tiny top-p and min-p 1 are greedy at any temperature")
def greedy_filters(scratch):
    greedy = complete()["tokens"]
    for flags in (["--top-k", 1], ["--top-p", 1e-9], ["--min-p", 1]):
        assert complete("--temp", 5, "--seed", 9, *flags)["tokens"] == greedy, flags


@case("top-k keeps to the k most likely tokens")
def top_k(scratch):
    ids = random_ids(40)
    (scratch / "ids.json").write_text(json.dumps(ids))
    succeeds("eval", "logits", "-m", TEXT, "--ids", scratch / "ids.json", "--out", scratch / "out.safetensors")
    best = set(read_tensors(scratch / "out.safetensors")["logits"][-1].argsort()[-3:].tolist())
    first = {generated(TEXT, ids, 1, "--temp", 3, "--top-k", 3, "--seed", s, scratch=scratch)["tokens"][0]
             for s in range(40)}
    assert first == best, f"{first}, wanted {best}"


@cases({f"tokens don't depend on --prefill-chunk or --threads: {' '.join(flags)}": (flags,)
        for flags in (["--kv", "full"], WINDOW, [*WINDOW, "--temp", "1"], ["--kv", "full", "--temp", "1"])})
def shape_invariance(scratch, flags):
    ids = random_ids(500)
    runs = [generated(TEXT, ids, 40, *flags, "--prefill-chunk", chunk, "--threads", threads, scratch=scratch)["tokens"]
            for chunk, threads in [(512, 2), (1, 1), (7, 3), (64, 2), (100, 1), (2000, 4)]]
    assert all(run == runs[0] for run in runs), runs


@case("--stop ends before its text, whichever comes first")
def stop_strings(scratch):
    whole = complete(count=40)["text"]
    for begin, end in [(0, 1), (5, 8), (11, 12), (len(whole) // 2, len(whole) // 2 + 5)]:
        stop = whole[begin:end]
        result = complete("--stop", stop, count=40)
        assert result["text"] == whole[:whole.index(stop)], f"{stop!r}: {result['text']!r} of {whole!r}"
        assert result["stop"] == "stop", result["stop"]
    early, late = whole[4:6], whole[12:16]
    both = complete("--stop", late, "--stop", early, count=40)
    assert both["text"] == whole[:min(whole.index(early), whole.index(late))]
    never = complete("--stop", "this never comes", count=40)
    assert never["text"] == whole and never["stop"] == "length"
    streamed = succeeds("generate", "-m", TEXT, "-p", "Once upon", "-n", 40, "--stop", early)
    assert streamed.stdout.decode() == whole[:whole.index(early)] + "\n", "what was streamed must not show the stop"


@case("row 32: a stop string of one multibyte character ends before it")
def stop_inside_a_character(scratch):
    found = 0
    for seed in range(60):
        flags = ["--temp", 1.5, "--seed", seed]
        text = complete(*flags, count=96)["text"]
        wide = next((c for c in text if ord(c) >= 0x80 and c != "\ufffd"), None)
        if wide is None:
            continue
        found += 1
        result = complete(*flags, "--stop", wide, count=96)
        assert result["text"] == text[:text.index(wide)] and result["stop"] == "stop", f"{wide!r}: {result['text']!r}"
    assert found >= 3, "too few multibyte characters to say anything"


@case("an end-of-text id ends the text; config.json holds one or several, generation_config.json wins")
def end_of_text(scratch):
    ids = random_ids(60, seed=4)
    tokens = generated(TEXT, ids, 64, scratch=scratch)["tokens"]
    first, second = tokens[9], tokens[4]
    folder = copy_model("qwen3-tied-text", scratch)

    def ends_at(wanted):
        result = generated(folder, ids, 64, scratch=scratch)
        assert result["stop"] == "eos" and result["tokens"] == tokens[:wanted], result["tokens"]

    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=first))
    ends_at(tokens.index(first))
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=[first, second]))
    ends_at(min(tokens.index(first), tokens.index(second)))
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=first))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [second]}))
    ends_at(tokens.index(second))
    result = generated(folder, ids, 64, "--ignore-eos", scratch=scratch)
    assert result["stop"] == "length" and result["tokens"] == tokens, result["tokens"]


@case("row 29: a model without an end-of-text id warns and goes on")
def no_end_of_text(scratch):
    folder = copy_model("qwen3-tied-text", scratch)
    edit_json(folder / "config.json", lambda c: c.pop("eos_token_id"))
    outcome = succeeds("generate", "-m", folder, "-p", "Once", "-n", 8, "--json")
    assert outcome.json()["stop"] == "length" and b"end-of-text" in outcome.stderr, str(outcome)


@case("K/V memory: the window's stays, full's grows, as the allocator counts it")
def resident_bytes(scratch):
    kv = {(policy, count): generated(TEXT, random_ids(count), 1, "--kv", policy, scratch=scratch)["kv"]
          for policy in ("full", "window") for count in (200, 1000, 3000)}
    per_position = 2 * 2 * 1 * 32 * 2  # K and V, layers, KV heads, head_dim, BF16
    sizes = {key: usage["resident_bytes"] for key, usage in kv.items()}
    assert sizes["window", 200] == sizes["window", 1000] == sizes["window", 3000], sizes
    for count in (200, 1000, 3000):
        assert count * per_position <= sizes["full", count] <= (count + 128) * per_position, sizes
    assert 68 * per_position <= sizes["window", 3000] <= 5 * 64 * per_position, sizes
    for (policy, count), usage in kv.items():
        assert usage["resident_peak_bytes"] >= usage["resident_bytes"], usage
        assert usage["history_bytes"] >= 4 * count, usage


@case("K/V memory follows --kv-type and --window")
def resident_bytes_follow_flags(scratch):
    def size(*flags):
        return generated(TEXT, random_ids(300), 1, *flags, scratch=scratch)["kv"]["resident_bytes"]
    f16 = size("--kv-type", "f16")
    assert size("--kv-type", "f32") == 2 * size("--kv-type", "bf16") == 2 * f16
    # head_dim 32: one group, whose F16 scale and bias take 4 bytes beside 32 or 16 of codes.
    assert size("--kv-type", "affine8") * 64 == f16 * 36
    assert size("--kv-type", "affine4") * 64 == f16 * 20
    assert size(*WINDOW, "--window", 256) > size(*WINDOW, "--window", 64)
    assert size(*WINDOW, "--window", 256, "--sink", 200) > size(*WINDOW, "--window", 256)


@case("row 35: a prompt at the context's limit, one below, one above")
def context_limit(scratch):
    folder = copy_model("qwen3-tied-text", scratch)
    edit_json(folder / "config.json", lambda c: c.update(max_position_embeddings=96))
    ids = random_ids(97)
    path = scratch / "ids.json"

    below = generated(folder, ids[:95], 10, scratch=scratch)
    assert len(below["tokens"]) == 1 and below["stop"] == "context", below
    assert generated(folder, ids[:95], 1, scratch=scratch)["stop"] == "length"
    assert len(generated(folder, ids[:90], 10, scratch=scratch)["tokens"]) == 6
    assert generated(folder, ids[:96], 0, scratch=scratch)["tokens"] == []
    for count, n in [(96, 1), (97, 0), (97, 5)]:
        path.write_text(json.dumps(ids[:count]))
        refused(kakeya("generate", "-m", folder, "--ids", path, "-n", n, "--json"), "context_length_exceeded", str(count),
                "96")
    assert len(generated(folder, ids, 10, *WINDOW, scratch=scratch)["tokens"]) == 10, "a window knows no limit"
    out = scratch / "out.safetensors"
    path.write_text(json.dumps(ids[:96]))
    succeeds("eval", "logits", "-m", folder, "--ids", path, "--out", out)
    path.write_text(json.dumps(ids))
    refused(kakeya("eval", "logits", "-m", folder, "--ids", path, "--out", out), "context_length_exceeded")


@case("a session that was saved goes on as if it had never been put away")
def saved_sessions(scratch):
    file = scratch / "text.session"
    for policy in ("full", "window", "restored"):
        kv = ["--kv", policy, "--ignore-eos", *(["--restorer", "identity"] if policy == "restored" else [])]
        begin, more = random_ids(200, seed=5), random_ids(30, seed=6)
        whole = generated(TEXT, begin + more, 8, *kv, scratch=scratch)["tokens"]
        first = generated(TEXT, begin, 0, *kv, "--save-session", file, scratch=scratch)
        assert first["tokens"] == [] and first["session"]["save_s"] > 0, first
        second = generated(TEXT, more, 8, *kv, "--load-session", file, "--save-session", file, scratch=scratch)
        assert second["tokens"] == whole, f"{policy}: {second['tokens']}, wanted {whole}"
        assert second["prompt_tokens"] == 230, second
        longer = generated(TEXT, begin + more, 12, *kv, scratch=scratch)["tokens"]
        third = succeeds("generate", "-m", TEXT, "-n", 4, *kv, "--load-session", file, "--json").json()
        assert whole + third["tokens"] == longer, f"{policy}: no prompt: {third['tokens']}, wanted {longer[8:]}"


@case("a session that can't be used, or could not be saved, is refused before anything is read")
def bad_sessions(scratch):
    file = scratch / "text.session"
    words = ["generate", "-m", TEXT, "-p", "Once", "-n", 4]
    refused(kakeya(*words, "--load-session", file), str(file))
    succeeds(*words, "--save-session", file)
    refused(kakeya(*words, "--load-session", file, *WINDOW), str(file), "policy")
    refused(kakeya(*words, "--load-session", TEXT / "config.json"), "not a saved session")
    refused(kakeya("generate", "-m", TEXT, "-n", 4), "a prompt is needed")
    refused(kakeya(*words, "--save-session", scratch / "none" / "text.session"), "none/text.session")
    refused(kakeya(*words, "--save-session", scratch), str(scratch))


@case("Ctrl-C while text is streamed: what was said stays, exit 130")
def interrupt_while_streaming(scratch):
    outcome = kakeya("generate", "-m", TEXT, "-p", "Once", "-n", 1 << 24, "--temp", 1, *WINDOW,
                     interrupt_on_output=True)
    assert outcome.code == 130, str(outcome)
    assert len(outcome.stdout) > 1 and outcome.stdout.endswith(b"\n"), str(outcome)
    outcome.stdout.decode("utf-8")


@case("Ctrl-C with --json: still exactly one object, exit 130")
def interrupt_with_json(scratch):
    folder = copy_model("qwen3-tied-text", scratch)
    edit_json(folder / "config.json", lambda c: c.pop("eos_token_id"))
    outcome = kakeya("generate", "-m", folder, "-p", "Once", "-n", 1 << 24, "--temp", 1, *WINDOW, "--json",
                     interrupt_after=1.5 if not Options.sanitized else 6)
    assert outcome.code == 130, str(outcome)
    result = outcome.json()
    check_shape(result, CONTRACT)
    assert result["stop"] == "interrupted" and len(result["tokens"]) > 0, result["stop"]


@case("Ctrl-C while a long prompt is read ends at once, exit 130")
def interrupt_while_reading(scratch):
    path = scratch / "ids.json"
    path.write_text(json.dumps(random_ids(1000) * 3000))
    outcome = kakeya("generate", "-m", TEXT, "--ids", path, "-n", 5, *WINDOW, "--json", seconds=30,
                     interrupt_after=3 if not Options.sanitized else 20)
    assert outcome.code == 130, str(outcome)
    result = outcome.json()
    assert result["stop"] == "interrupted" and result["tokens"] == [], result["stop"]


@case("streaming never splits a character")
def streaming_is_whole_characters(scratch):
    for seed in range(6):
        command = [str(Options.kakeya), "generate", "-m", str(TEXT), "-p", "Once", "-n", "300", "--temp", "1.5",
                   "--seed", str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        pieces = []
        while piece := os.read(process.stdout.fileno(), 1 << 16):
            pieces.append(piece.decode("utf-8"))  # raises when a piece ends inside a character
        assert process.wait() == 0 and len(pieces) >= 1
        process.stdout.close()


@case("a closed stdout ends the run")
def closed_stdout(scratch):
    command = f"'{Options.kakeya}' generate -m '{TEXT}' -p Once -n 100000 --temp 1 --kv window | head -c 20 >/dev/null; " \
              "exit ${PIPESTATUS[0]}"
    run = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, timeout=60)
    assert run.returncode in (0, 2, 128 + signal.SIGPIPE), f"exit {run.returncode}: {run.stderr[:300]!r}"


# --- tokenize ---

@case("tokenize gives the ids of the reference, and text again")
def tokenize(scratch):
    texts = ["Once upon a time", "  spaces   and\n\nlines ", "größer 你好 🙂 12345", "<|im_end|> stays text", "e\u0301 \u00e9"]
    tokenizer = text_tokenizer()
    tokenizer.encode_special_tokens = True
    wanted = [tokenizer.encode(t).ids for t in texts]
    for text, ids in zip(texts, wanted):
        assert succeeds("tokenize", "-m", TEXT, "-p", text, "--json").json() == {"ids": ids}, text
    (scratch / "texts.json").write_text(json.dumps(texts))
    assert succeeds("tokenize", "-m", TEXT, "--batch", scratch / "texts.json").json() == {"ids": wanted}
    (scratch / "ids.json").write_text(json.dumps(wanted))
    back = succeeds("tokenize", "-m", TEXT, "--decode", scratch / "ids.json").json()["texts"]
    assert back == [tokenizer.decode(ids) for ids in wanted]


@case("row 26: special-token text in a prompt stays text, unless --special")
def special_tokens(scratch):
    tokenizer = text_tokenizer()
    special = tokenizer.token_to_id("<|im_end|>")
    ids = succeeds("tokenize", "-m", TEXT, "-p", "a<|im_end|>b", "--json").json()["ids"]
    assert special not in ids
    ids = succeeds("tokenize", "-m", TEXT, "-p", "a<|im_end|>b", "--json", "--special").json()["ids"]
    assert ids == tokenizer.encode("a<|im_end|>b").ids and special in ids
    prompt = succeeds("generate", "-m", TEXT, "-p", "a<|im_end|>b", "-n", 0, "--json").json()["prompt_tokens"]
    assert prompt > len(ids)
    special_prompt = succeeds("generate", "-m", TEXT, "-p", "a<|im_end|>b", "-n", 4, "--json", "--special").json()
    assert special_prompt["prompt_tokens"] == len(ids)
    assert special_prompt["tokens"] == generated(TEXT, ids, 4, scratch=scratch)["tokens"]
    assert "--special" in succeeds("generate", "--help").stdout.decode()
    (scratch / "ids.json").write_text(json.dumps(ids))
    refused(kakeya("generate", "-m", TEXT, "--ids", scratch / "ids.json", "--special", "-n", 1), "--special")


@case("an added token beyond the embedding is an error only where it is needed")
def token_beyond_the_embedding(scratch):
    def add(file):
        file["added_tokens"].append({**file["added_tokens"][-1], "id": 304, "content": "<|more|>", "special": True})
    folder = copy_model("qwen3-tied-text", scratch)
    edit_json(folder / "tokenizer.json", add)
    for model in (folder, scratch / "m.gguf"):
        if model != folder:
            succeeds("quantize", folder, model, "Q8_0")
        result = succeeds("generate", "-m", model, "-p", "a<|more|>b", "-n", 4, "--json").json()
        assert len(result["tokens"]) == 4
        assert "tokenizer_error" not in succeeds("inspect", "-m", model, "--json").json()["text"]
    refused(kakeya("generate", "-m", folder, "-p", "a<|more|>b", "-n", 4, "--special"), "'<|more|>'", "304")
    edit_json(folder / "tokenizer_config.json",
              lambda c: c.update(chat_template="<|more|>{{ messages[0]['content'] }}"))
    chat = kakeya("chat", "-m", folder, "-n", 1, stdin=b"hello\n")
    assert chat.code == 2 and b"'<|more|>'" in chat.stderr and b"304" in chat.stderr, str(chat)


# --- inspect ---

@cases({f"inspect describes {name}": (name,) for name in sorted(f.name for f in FIXTURES.iterdir())})
def inspect(scratch, name):
    config = json.loads((FIXTURES / name / "config.json").read_text())
    report = succeeds("inspect", "-m", FIXTURES / name, "--json").json()
    assert report["config"]["architecture"] == config["model_type"]
    assert report["config"]["layers"] == config["num_hidden_layers"]
    assert report["config"]["kv_heads"] == config["num_key_value_heads"]
    assert report["config"]["vocab_size"] == config["vocab_size"]
    rope = config.get("rope_parameters", config)
    assert report["config"]["rope_theta"] == rope["rope_theta"]
    stored = [t for f in FIXTURES.joinpath(name).glob("model*.safetensors") for t in read_shapes(f)]
    assert report["tensors"]["count"] == len(stored) and report["tensors"]["parameters"] == sum(stored)
    table = succeeds("inspect", "-m", FIXTURES / name, "--tensors").stdout.decode()
    assert config["model_type"] in table and "model.layers.0.self_attn.q_proj.weight" in table


def read_shapes(path):
    """Elements of each tensor."""
    from harness import read_safetensors
    header, _ = read_safetensors(path)
    counts = []
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for size in entry["shape"]:
                count *= size
            counts.append(count)
    return counts


@case("a prompt that spells the beginning of text has one of them, and is told so")
def one_bos(scratch):
    folder = copy_model("qwen3-tied-text", scratch)
    bos = "<|endoftext|>"

    def put_before(tokenizer):
        tokenizer["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {bos: {"id": bos, "ids": [292], "tokens": [bos]}},
        }

    edit_json(folder / "tokenizer.json", put_before)
    tokenizer = text_tokenizer()
    tokenizer.encode_special_tokens = True
    plain = lambda text: tokenizer.encode(text).ids  # noqa: E731
    # A special token in a prompt is text, beside the one that the tokenizer writes.
    outcome = succeeds("generate", "-m", folder, "-p", f"{bos}Once", "-n", 4, "--json")
    want = generated(folder, [292] + plain(f"{bos}Once"), 4, scratch=scratch)
    assert (outcome.json()["tokens"], outcome.json()["prompt_tokens"]) == (want["tokens"], want["prompt_tokens"])
    assert outcome.stderr.count(b"plain text") == 1, str(outcome)
    # One that isn't special is a token wherever it stands.
    edit_json(folder / "tokenizer.json", lambda t: t["added_tokens"][0].update(special=False))
    want = generated(folder, [292] + plain("Once"), 4, scratch=scratch)
    for prompt, warned in (("Once", 0), (f"{bos}Once", 1), (f"{bos}{bos}Once", 1)):
        outcome = succeeds("generate", "-m", folder, "-p", prompt, "-n", 4, "--json")
        got = outcome.json()
        assert (got["tokens"], got["prompt_tokens"]) == (want["tokens"], want["prompt_tokens"]), prompt
        assert outcome.stderr.count(b"beginning-of-text") == warned, str(outcome)


if __name__ == "__main__":
    sys.exit(main())
