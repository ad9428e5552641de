"""What the end-to-end tests share: running the command line with limits, named cases, model folders to spoil.

A test script registers its cases with @case("name") and ends in `sys.exit(main())`. Cases are independent: each gets
a scratch folder of its own. The script prints one line per failure and a closing line "N passed, M failed".
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "models"
MEASURED = ROOT / "tests" / "measured.py"
DEMO = ROOT / "models" / "demo"
MIB = 1 << 20


class Options:
    """Set by main() from the command line."""
    kakeya = ROOT / "build" / "bin" / "kakeya"
    sanitized = False  # slower, and memory is the sanitizer's: limits widen, sweeps take strides


class Outcome:
    """How a run ended. peak_bytes is the kernel's count, see measured.py."""

    def __init__(self, code, stdout, stderr, seconds, peak_bytes):
        self.code, self.stdout, self.stderr = code, stdout, stderr
        self.seconds, self.peak_bytes = seconds, peak_bytes

    def json(self):
        """stdout as exactly one JSON value."""
        return json.loads(self.stdout.decode("utf-8"))

    def __str__(self):
        return (f"exit {self.code} after {self.seconds:.2f} s, {self.peak_bytes / MIB:.0f} MiB; "
                f"stdout {self.stdout[:200]!r}, stderr {self.stderr[:400]!r}")


def limit(seconds):
    return seconds * (12 if Options.sanitized else 1)


def kakeya(*words, stdin=b"", seconds=20.0, env=None, interrupt_after=None,
           interrupt_on_output=False):
    """Runs the command line to its end. A run that takes longer than its limit is killed and fails the case.

    SIGINT is sent after `interrupt_after` seconds, or once stdout got something (`interrupt_on_output`)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile() as report:
        begin = time.monotonic()
        process = subprocess.Popen([sys.executable, "-I", "-S", MEASURED, report.name, Options.kakeya, *map(str, words)],
                                   stdin=subprocess.PIPE, stdout=out, stderr=err, env={**os.environ, **(env or {})},
                                   process_group=0)
        timers = [threading.Timer(limit(seconds), os.killpg, [process.pid, signal.SIGKILL])]
        if interrupt_after is not None:
            timers.append(threading.Timer(interrupt_after, os.killpg, [process.pid, signal.SIGINT]))
        for timer in timers:
            timer.start()
        if interrupt_on_output:
            threading.Thread(target=interrupt_once_written, args=(process, out), daemon=True).start()
        try:
            process.stdin.write(stdin)
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.wait()
        for timer in timers:
            timer.cancel()
        taken = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        code, peak_kib = map(int, report.read().split() or [-signal.SIGKILL, 0])
        outcome = Outcome(code, out.read(), err.read(), taken, peak_kib * 1024)
        assert taken < limit(seconds), f"took longer than {limit(seconds)} s: {outcome}"
        assert outcome.code >= 0, f"killed by signal {-outcome.code}: {outcome}"
        assert b"Sanitizer" not in outcome.stderr and b"runtime error" not in outcome.stderr, str(outcome)
        return outcome


def interrupt_once_written(process, out):
    while process.returncode is None:
        if os.fstat(out.fileno()).st_size > 0:
            os.killpg(process.pid, signal.SIGINT)
            return
        time.sleep(0.005)


def succeeds(*words, **limits):
    outcome = kakeya(*words, **limits)
    assert outcome.code == 0, str(outcome)
    return outcome


def refused(outcome, *words, peak=200 * MIB):
    """Exit 2, nothing on stdout, one line on stderr that says `words`; memory stayed below `peak`."""
    assert outcome.code == 2, str(outcome)
    assert outcome.stdout == b"", str(outcome)
    text = outcome.stderr.decode("utf-8")  # a message never breaks a character
    assert text.startswith("kakeya: ") and text.endswith("\n") and text.count("\n") == 1, str(outcome)
    assert len(text) < 4000, f"the line has {len(text)} characters"
    for word in words:
        assert word.lower() in text.lower(), f"{word!r} is not in {text!r}"
    assert Options.sanitized or outcome.peak_bytes < peak, str(outcome)


def generated(model, ids, count, *flags, scratch, **limits):
    """The object of `generate --json` for a list of ids."""
    path = pathlib.Path(scratch) / f"ids-{threading.get_ident()}.json"
    path.write_text(json.dumps(ids))
    return succeeds("generate", "-m", model, "--ids", path, "-n", count, "--json", *flags, **limits).json()


# --- safetensors, written by hand so that every byte can be wrong ---

def read_safetensors(path):
    """(header object, data bytes)."""
    raw = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + length]), raw[8 + length:]


def write_safetensors(path, header, data, length=None):
    """header: an object or raw bytes; length: what the file says its header has, if not the truth."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def read_tensors(path):
    """Tensors by name, as numpy arrays."""
    from safetensors.numpy import load_file
    return load_file(str(path))


def copy_model(name, scratch, links=True):
    """A copy of a fixture that may be spoilt. Weights are linked: a case replaces them, never edits in place."""
    folder = pathlib.Path(scratch) / "model"
    folder.mkdir()
    for file in (FIXTURES / name).iterdir():
        if file.name.startswith("reference"):
            continue
        if links and file.suffix == ".safetensors":
            (folder / file.name).symlink_to(file)
        else:
            shutil.copyfile(file, folder / file.name)
    return folder


def edit_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


# --- cases ---

CASES = []


def case(name):
    """Registers a case: a function of its scratch folder that asserts."""
    def register(function):
        CASES.append((name, function))
        return function
    return register


def cases(table):
    """Registers one case per row of a table {name: arguments}: function(scratch, *arguments)."""
    def register(function):
        for name, arguments in table.items():
            CASES.append((name, lambda scratch, a=arguments: function(scratch, *a)))
        return function
    return register


def run_case(name_and_function):
    name, function = name_and_function
    with tempfile.TemporaryDirectory(prefix="kakeya-") as scratch:
        begin = time.monotonic()
        try:
            function(pathlib.Path(scratch))
            return name, None, time.monotonic() - begin
        except Exception as error:  # noqa: BLE001  (whatever a case raises is its failure)
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error) or type(error).__name__
            return name, f"{text} ({pathlib.Path(where.filename).name}:{where.lineno})", time.monotonic() - begin


def heed_signals():
    """What a shell starts in the background ignores SIGINT and SIGQUIT, and its children do, too: cases that send these
    would fail."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kakeya", type=pathlib.Path, default=Options.kakeya)
    parser.add_argument("--sanitized", action="store_true", help="the binary runs under sanitizers")
    parser.add_argument("--filter", default="", help="only cases whose name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--slowest", type=int, default=0, help="name the N slowest cases")
    args = parser.parse_args()
    Options.kakeya, Options.sanitized = args.kakeya.resolve(), args.sanitized
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    heed_signals()
    chosen = [c for c in CASES if args.filter in c[0]]
    names = [name for name, _ in chosen]
    assert len(names) == len(set(names)), "two cases have the same name"
    if not Options.kakeya.is_file():
        print(f"{args.kakeya} is not there\n0 passed, {len(chosen)} failed")
        return 1
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(run_case, chosen))
    failures = [(name, fault) for name, fault, _ in results if fault is not None]
    for name, fault in failures:
        print(f"FAILED {name}: {fault}")
    for name, _, seconds in sorted(results, key=lambda r: -r[2])[:args.slowest]:
        print(f"{seconds:7.2f} s  {name}")
    print(f"{len(results) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures or not results else 0
