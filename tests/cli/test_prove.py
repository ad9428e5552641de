#!/usr/bin/env python3
"""`prove` from the outside: the contract of its report, that it can be repeated, stopped and continued, what it refuses, and that on the
demo model the claim is decided by restoration."""

import html.parser
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import DEMO, FIXTURES, Options, case, cases, kakeya, main, refused  # noqa: E402

MODEL = FIXTURES / "qwen3-tied-text"  # random weights, a tokenizer, a context of 8192
NO_TOKENIZER = FIXTURES / "qwen3-window"
PLAIN = "oracle,window,reinsert"  # the arms that need no restorer
ARMS = ("oracle", "restored", "window", "foreign", "untrained", "shuffled", "without-needle", "counterfactual", "only-needle",
        "reinsert", "self")
ROW = {"task": str, "length": int, "arm": str, "n": int, "recall": (int, float), "ci_low": (int, float), "ci_high": (int, float),
       "kv_resident_bytes": int, "history_bytes": int, "restored_vectors": int}


def prove(*words, model=MODEL, code=1, seconds=60.0, **limits):
    """A run to its end; random weights recall nothing, so the claim fails (1) unless a case says otherwise."""
    outcome = kakeya("prove", "-m", model, *words, seconds=seconds, **limits)
    assert outcome.code == code, str(outcome)
    return outcome


def report(scratch, *words, name="report.json", **limits):
    path = pathlib.Path(scratch) / name
    prove("--json", path, *words, **limits)
    return json.loads(path.read_text())


def timeless(value):
    """A report without what the clock and the command line say."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not k.endswith("_ms_per_token") and k not in ("command", "threads")}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def journal_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


@case("the report has the contract's fields, one row per task, length and arm")
def contract(scratch):
    result = report(scratch, "--lengths", "640,768", "-n", "3", "--tasks", "single,chat", "--arms", PLAIN)
    assert result["verdict"] in ("holds", "fails", "invalid") and result["verdict"] == "fails"
    assert result["coupon_layers"] == [] and result["window_reach_tokens"] == 2 * 127
    cells = [(r["task"], r["length"], r["arm"]) for r in result["rows"]]
    assert cells == [(t, n, a) for t in ("single", "chat") for n in (640, 768) for a in PLAIN.split(",")], cells
    for row in result["rows"]:
        for key, kind in ROW.items():
            assert isinstance(row[key], kind) and not isinstance(row[key], bool), (key, row[key])
        assert row["n"] == 3 and 0 <= row["ci_low"] <= row["recall"] <= row["ci_high"] <= 1
        assert sum(b["n"] for b in row["by_depth"]) == 3 and len(row["by_depth"]) == 10
        assert row["beyond_reach"]["n"] + row["within_reach"]["n"] == 3
        assert (row["paired_to_oracle"] is None) == (row["arm"] == "oracle")
        assert row["kv_resident_bytes"] > 0 and row["history_bytes"] > 0
    assert any("restored was not run" in reason for reason in result["reasons"]), result["reasons"]


@case("the table ends with the verdict and its reasons; nothing but the table is on stdout")
def table(scratch):
    text = prove("--lengths", "320", "-n", "2").stdout.decode()
    assert text.startswith("single at 320 tokens (full K/V: "), text
    for arm in PLAIN.split(","):
        assert f"\n  {arm} " in text, text
    assert "\n  restored " not in text, text  # by default, the arms that can run
    assert "\nverdict: fails (320 fails)\n  at 320: oracle 0.000 is below 0.900" in text, text


@case("the bounded arm costs the same bytes at every length, full K/V does not")
def bytes_by_length(scratch):
    rows = report(scratch, "--lengths", "512,2048", "-n", "1", "--arms", "oracle,window")["rows"]
    held = {(r["arm"], r["length"]): r["kv_resident_bytes"] for r in rows}
    assert held["window", 512] == held["window", 2048] < held["oracle", 512] < held["oracle", 2048], held
    assert all(r["kv_full_bytes"] == held["oracle", r["length"]] for r in rows)


@case("the same seed gives the same report, whatever the threads and blocks; another seed another one")
def repeatable(scratch):
    def answers(name, *words):
        path = scratch / f"{name}.journal"
        result = timeless(report(scratch, "--lengths", "320", "-n", "4", "--arms", PLAIN, "--journal", path, *words))
        return result, [(r["arm"], r["prompt"], r["answers"], r["expected"]) for r in journal_lines(path)]

    first, again = answers("a", "--threads", "1"), answers("b", "--threads", "2")
    assert first == again
    assert answers("d", "--prefill-chunk", "7")[1] == first[1]
    other, there = answers("c", "--seed", "1")
    assert {r[3][0] for r in first[1]}.isdisjoint({r[3][0] for r in there}), (first[1], there)
    assert other["settings"]["seed"] == 1


@case("a journal that was cut anywhere is continued to the same report")
def resumed(scratch):
    words = ["--lengths", "320", "-n", "3", "--arms", PLAIN]
    journal = scratch / "journal"
    whole = timeless(report(scratch, *words, "--journal", journal))
    raw = journal.read_bytes()
    assert len(raw.splitlines()) == 1 + 9
    for size in (raw.index(b"\n") + 1, len(raw) // 3, len(raw) // 2, len(raw) - 1):
        journal.write_bytes(raw[:size])
        assert timeless(report(scratch, *words, "--journal", journal)) == whole, size
        assert len(journal_lines(journal)) == 9
    # Nothing is run again: what the journal says is what counts.
    lines = raw.decode().splitlines()
    changed = [lines[0]] + [line.replace('"right":false', '"right":true') for line in lines[1:]]
    journal.write_text("\n".join(changed) + "\n")
    assert all(r["recall"] == 1 for r in report(scratch, *words, "--journal", journal)["rows"])


@case("parts of a run, joined, are the run")
def parts(scratch):
    words = ["--lengths", "320", "-n", "5", "--arms", PLAIN, "--threads", "1"]
    whole = timeless(report(scratch, *words))
    files = [scratch / f"part{i}" for i in (1, 2, 3)]
    for i, file in enumerate(files, start=1):
        outcome = prove(*words, "--part", f"{i}/3", "--journal", file, code=0)
        assert outcome.stdout == b"", str(outcome)
    assert [len(journal_lines(f)) for f in files] == [6, 6, 3]
    joined = scratch / "joined"
    joined.write_text(files[0].read_text() + "".join(f.read_text().split("\n", 1)[1] for f in files[1:]))
    size = joined.stat().st_size
    assert timeless(report(scratch, *words, "--journal", joined)) == whole
    assert joined.stat().st_size == size, "something was run again"
    for flags in (["--part", "0/3"], ["--part", "4/3"], ["--part", "1"], ["--part", "1/3x"], ["--part", "1/3", "--json", "x"]):
        refused(kakeya("prove", "-m", MODEL, *words, *flags, "--journal", joined), "--part")
    refused(kakeya("prove", "-m", MODEL, *words, "--part", "1/3"), "--journal")


@case("Ctrl-C ends with 130 and leaves a journal to go on from, and no report")
def interrupted(scratch):
    path = scratch / "report.json"
    words = ["prove", "-m", MODEL, "--lengths", "4096", "-n", "100", "--arms", "oracle,window", "--json", path]
    outcome = kakeya(*words, interrupt_after=2.0, seconds=60)
    assert outcome.code == 130, str(outcome)
    assert outcome.stdout == b"" and b"goes on where it was" in outcome.stderr, str(outcome)
    assert not path.exists()
    done = len(journal_lines(pathlib.Path(f"{path}.journal")))
    assert 0 < done < 200 or Options.sanitized, done
    outcome = kakeya(*words, interrupt_after=2.0, seconds=60)
    assert outcome.code == 130, str(outcome)
    assert len(journal_lines(pathlib.Path(f"{path}.journal"))) > done or Options.sanitized


@case("the journal beside a report goes when the report is there; one that was asked for stays")
def journal_life(scratch):
    words = ["--lengths", "320", "-n", "1", "--arms", "window"]
    report(scratch, *words)
    assert sorted(p.name for p in scratch.iterdir()) == ["report.json"]
    prove(*words, "--html", scratch / "page.html")
    assert not (scratch / "page.html.journal").exists()
    report(scratch, *words, "--journal", scratch / "kept")
    assert (scratch / "kept").exists()


@cases({f"a journal of other settings is refused: {word}": (word, flags)
        for word, flags in {"seed": ["--seed", "5"], "n": ["-n", "3"], "window": ["--window", "128"], "kv_type": ["--kv-type", "f32"],
                            "haystack": ["--haystack", str(pathlib.Path(__file__))], "prefill_chunk": ["--prefill-chunk", "64"],
                            "threads": ["--threads", "1" if len(os.sched_getaffinity(0)) > 1 else "2"]}.items()})
def other_settings(scratch, word, flags):
    words = ["--lengths", "400", "--arms", "window", "--journal", scratch / "journal"]
    prove(*words, "-n", "2")
    before = (scratch / "journal").read_bytes()
    refused(kakeya("prove", "-m", MODEL, *words, *(flags if "-n" in flags else ["-n", "2", *flags])), "other settings", f"{word} is")
    assert (scratch / "journal").read_bytes() == before
    # More arms, lengths and tasks go into the same journal.
    prove("--lengths", "400,512", "-n", "2", "--arms", "window,reinsert", "--journal", scratch / "journal")
    assert len(journal_lines(scratch / "journal")) == 8


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()


@case("the page stands alone: plots in the text, nothing from elsewhere")
def page(scratch):
    prove("--lengths", "320,512", "-n", "2", "--arms", PLAIN, "--html", scratch / "page.html")
    text = (scratch / "page.html").read_text()
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    tags = [tag for tag, _ in parsed.tags]
    assert not {"script", "link", "img", "iframe", "object"} & set(tags)
    for _, attributes in parsed.tags:
        assert not {"src", "href", "srcset"} & set(attributes), attributes
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert tags.count("figure") >= 5 and "prefers-color-scheme" in text
    assert f"prove -m {MODEL.name} " in text and str(MODEL) not in text


@case("the report says what was run: build, machine, threads, blocks and buffer; no place of this machine")
def provenance(scratch):
    words = ["--restorer", "identity", "--lengths", "320", "-n", "1", "--arms", "restored,window", "--prefill-chunk", "64"]
    settings = report(scratch, *words, "--threads", "1")["settings"]
    version = kakeya("--version").stdout.decode()
    assert settings["build"] in version and len(settings["build"]) == 40, (settings, version)
    assert (settings["threads"], settings["prefill_chunk"]) == (1, 64)
    assert sum(m["runs"] for m in settings["machines"]) == 2 and "core" in settings["machines"][0]["name"]
    assert settings["restore_buffer"] > 0
    assert report(scratch, *words, "--restore-buffer", "1MiB")["settings"]["restore_buffer"] == 1 << 20
    assert str(scratch) not in json.dumps(settings) and str(FIXTURES) not in json.dumps(settings), settings


@case("a run that was divided among processes is joined by its journals' lines")
def shards(scratch):
    words = ["-n", "2", "--tasks", "single,chat", "--lengths", "640,768"]
    whole = timeless(report(scratch, *words, "--arms", "oracle,window"))
    lines = []
    for number, part in enumerate((["--lengths", "640"], ["--lengths", "768", "--arms", "oracle"], ["--lengths", "768", "--arms", "window"])):
        journal = scratch / f"{number}.journal"
        prove("-n", "2", "--tasks", "single,chat", *(part if "--arms" in part else [*part, "--arms", "oracle,window"]), "--journal", journal)
        lines.append(journal.read_text().splitlines())
    assert len({part[0] for part in lines}) == 1
    joined = scratch / "joined.journal"
    joined.write_text("\n".join([lines[0][0], *(line for part in lines for line in part[1:])]) + "\n")
    before = joined.read_bytes()
    assert timeless(report(scratch, *words, "--arms", "oracle,window", "--journal", joined)) == whole
    assert joined.read_bytes() == before  # nothing was left to run


@case("a part of the arms is not judged on the page, and fails in the contract")
def not_judged(scratch):
    result = report(scratch, "--lengths", "320", "-n", "1", "--arms", "window", "--html", scratch / "page.html")
    assert result["verdict"] == "fails" and result["judged"] is False
    assert "Not judged" in (scratch / "page.html").read_text()


@cases({f"a restore buffer is refused: {text}": (text,) for text in ("-5", "99999999999999999999", "9999999TiB", "4XB", "", "1.5MiB", "MiB")})
def bad_buffer(scratch, text):
    refused(kakeya("prove", "-m", MODEL, "--restorer", "identity", "--lengths", "320", "-n", "1", f"--restore-buffer={text}"),
            "--restore-buffer")


@case("a restore buffer that holds no page is refused before anything runs")
def tiny_buffer(scratch):
    journal = scratch / "journal"
    refused(kakeya("prove", "-m", MODEL, "--restorer", "identity", "--lengths", "320", "-n", "1", "--arms", "oracle,restored",
                   "--restore-buffer", "16", "--journal", journal), "buffer")
    assert journal_lines(journal) == []


@case("any UTF-8 text is a haystack: without newlines, short ones repeated")
def haystacks(scratch):
    for name, text in {"one-line": "The river bends where the old mill stands. " * 40, "short": "Rain fell.\n"}.items():
        path = scratch / name
        path.write_text(text)
        result = report(scratch, "--lengths", "512", "-n", "1", "--arms", "window", "--haystack", path)
        assert result["settings"]["haystack"] == path.name


@case("the oracle is left out beyond the model's context, and the report says so")
def beyond_context(scratch):
    result = report(scratch, "--lengths", "512,8300", "-n", "1", "--arms", PLAIN)
    assert [(s["arm"], s["length"]) for s in result["skipped"]] == [("oracle", 8300)], result["skipped"]
    assert "8192" in result["skipped"][0]["reason"]
    assert len(result["rows"]) == 5
    lengths = {entry["length"]: entry for entry in result["lengths"]}
    assert lengths[8300]["kv_full_source"] == "allocated" and lengths[8300]["kv_full_bytes"] > lengths[512]["kv_full_bytes"]
    assert not any("8300: arm oracle" in reason for reason in result["reasons"]), result["reasons"]


@case("every task can be asked")
def tasks(scratch):
    result = report(scratch, "--lengths", "1200", "-n", "1", "--arms", "window", "--tasks", "all")
    assert [r["task"] for r in result["rows"]] == ["single", "look-alikes", "other-words", "four-values", "four-questions", "chain",
                                                   "json", "chat"]


@case("with exact restoration of every chunk the restored arm answers as the oracle, and spoiled histories change it")
def identity(scratch):
    journal = scratch / "journal"
    arms = "oracle,restored,window,foreign,shuffled,counterfactual"
    prove("--restorer", "identity", "--restore-chunks", "all", "--lengths", "400", "-n", "4", "--arms", arms, "--journal", journal,
          seconds=120)
    said = {(r["arm"], r["prompt"]): r["answers"] for r in journal_lines(journal)}
    for i in range(4):
        assert said["restored", i] == said["oracle", i], i
    for arm in ("window", "foreign", "shuffled"):
        assert any(said[arm, i] != said["oracle", i] for i in range(4)), arm
    expected = {(r["arm"], r["prompt"]): r["expected"] for r in journal_lines(journal)}
    for i in range(4):
        assert expected["counterfactual", i] != expected["oracle", i] == expected["foreign", i]


def broken_haystack(scratch, data):
    path = scratch / "haystack"
    path.write_bytes(data)
    return path


@cases({f"refused: {name}": row for name, row in {
    "an arm that is none": (["--arms", "oracle,orakel"], "orakel"),
    "a task that is none": (["--tasks", "double"], "double"),
    "restored without a restorer": (["--arms", "oracle,restored"], "restorer"),
    "all arms without a restorer": (["--arms", "all"], "restorer"),
    "no prompts": (["-n", "0"], "--prompts"),
    "a length that is no number": (["--lengths", "1k"], "1k"),
    "a length without room": (["--lengths", "100"], "100 tokens"),
    "a window smaller than the sink": (["--sink", "65"], "sink"),
    "no chunks": (["--restore-chunks", "0"], "--restore-chunks"),
    "a haystack that isn't there": (["--haystack", "/nowhere/book.txt"], "/nowhere/book.txt"),
    "a report where nothing can be written": (["--json", "/nowhere/report.json"], "/nowhere/report.json"),
    "a page where nothing can be written": (["--html", "/nowhere/page.html"], "/nowhere/page.html"),
    "a journal where nothing can be written": (["--journal", "/nowhere/journal"], "/nowhere/journal"),
    "a folder as journal": (["--journal", "/tmp"], "/tmp"),
    "a seed below zero": (["--seed", "-1"], "--seed"),
    "a model that isn't there": (["-m", "/nowhere"], "-m"),
}.items()})
def bad_usage(scratch, words, word):
    refused(kakeya("prove", "-m", MODEL, "--lengths", "320", "-n", "1", *words) if "--lengths" not in words else
            kakeya("prove", "-m", MODEL, "-n", "1", *words), word)


@case("refused: haystacks that are no text, a journal that is none, a model without tokenizer")
def bad_files(scratch):
    words = ["--lengths", "320", "-n", "1"]
    refused(kakeya("prove", "-m", MODEL, *words, "--haystack", broken_haystack(scratch, b"")), "empty")
    refused(kakeya("prove", "-m", MODEL, *words, "--haystack", broken_haystack(scratch, b"abc\xff")), "UTF-8")
    refused(kakeya("prove", "-m", MODEL, *words, "--haystack", broken_haystack(scratch, b"Some text.\0" * 400)), "NUL")
    notes = scratch / "notes"
    notes.write_text("my notes\n")
    refused(kakeya("prove", "-m", MODEL, *words, "--journal", notes), "notes")
    assert notes.read_text() == "my notes\n"
    refused(kakeya("prove", "-m", NO_TOKENIZER, *words), "tokenizer")
    shutil.copytree(MODEL, scratch / "model")
    (scratch / "model" / "restorer").mkdir()
    refused(kakeya("prove", "-m", scratch / "model", *words), "restorer")


@case("on the demo model the claim is decided: restoration recalls, every control fails, the edit is followed")
def demo(scratch):
    if Options.sanitized:
        return  # minutes of arithmetic that the other cases check on small models
    result = report(scratch, "--lengths", "1024", "-n", "4", model=DEMO, code=0, seconds=400)
    recall = {r["arm"]: r["recall"] for r in result["rows"]}
    assert set(recall) == set(ARMS) and result["verdict"] == "holds", result["reasons"]
    assert all(recall[a] == 1 for a in ("oracle", "restored", "counterfactual")), recall
    assert all(recall[a] == 0 for a in ("window", "foreign", "untrained", "shuffled", "without-needle")), recall
    assert next(r for r in result["rows"] if r["arm"] == "restored")["restored_vectors"] > 0


if __name__ == "__main__":
    sys.exit(main())
