"""Real text: the books that ship with the project, and code and licences found on the machine that trains.

Held out, and so never seen in training: two whole books, one source file in ten (by a hash of its name) and the licence
families of `HELD_OUT_LICENCES`.
"""

import json
import lzma
import re
import sysconfig
import zlib
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
SOURCE_SUFFIXES = {
    ".py",
    ".h",
    ".hpp",
    ".cpp",
    ".cc",
    ".c",
    ".cu",
    ".cuh",
    ".js",
    ".pyi",
    ".ts",
    ".sh",
    ".cmake",
}
TEXT_SUFFIXES = {".md", ".rst", ".txt"}
LICENCE_NAME = re.compile(r"(licen[sc]e|copying|notice)", re.I)
HELD_OUT_LICENCES = (
    "Mozilla Public License",
    "Artistic License",
    "GNU Free Documentation License",
    "Boost Software License",
    "Creative Commons",
    "PYTHON SOFTWARE FOUNDATION",
    "ISC License",
)


@lru_cache(maxsize=None)
def books(held_out: bool) -> tuple[str, ...]:
    """The texts of the books on one side of the split."""
    manifest = json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))
    with lzma.open(DATA / manifest["file"], "rt", encoding="utf-8", newline="") as f:
        text = f.read()
    return tuple(
        text[b["start"] : b["start"] + b["chars"]]
        for b in manifest["books"]
        if b["held_out"] == held_out
    )


def _roots() -> list[Path]:
    paths = sysconfig.get_paths()
    roots = [
        paths["stdlib"],
        paths["purelib"],
        paths["platlib"],
        "/usr/include",
        "/usr/share/doc",
        "/usr/share/common-licenses",
    ]
    unique = []
    for root in (Path(p).resolve() for p in roots):
        if root.is_dir() and root not in unique:
            unique.append(root)
    return unique


def _listing(limit: int = 400_000) -> list[Path]:
    seen, files = set(), []
    for root in _roots():
        for path in root.rglob("*"):
            if path in seen:
                continue
            seen.add(path)
            if (
                path.suffix in SOURCE_SUFFIXES | TEXT_SUFFIXES
                or LICENCE_NAME.search(path.name)
                or "licenses" in root.name
            ):
                files.append(path)
            if len(seen) > limit:
                return files
    return files


def _read(path: Path, low: int, high: int) -> str | None:
    try:
        if not path.is_file() or not low <= path.stat().st_size <= high:
            return None
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=2)
def found_files(max_chars: int = 48_000_000) -> dict[tuple[str, bool], list[str]]:
    """{("source"|"licence"|"docs", held_out): texts}, at most `max_chars` characters of source.

    The files are visited in the order of a hash of their names, so the choice does not depend on the file system's order.
    """
    out = {(kind, held): [] for kind in ("source", "licence", "docs") for held in (False, True)}
    sizes = dict.fromkeys(("source", "licence", "docs"), 0)
    seen_licences = set()
    files = sorted(_listing(), key=lambda p: (zlib.crc32(p.name.encode()), str(p)))
    for path in files:
        licence = (
            bool(LICENCE_NAME.search(path.name))
            and path.suffix not in SOURCE_SUFFIXES
            or "common-licenses" in str(path)
        )
        kind = "licence" if licence else "source" if path.suffix in SOURCE_SUFFIXES else "docs"
        if sizes[kind] > max_chars:
            continue
        text = _read(path, 600, 400_000)
        if text is None or len(text.split()) < 60 or max(map(len, text.split("\n"))) > 3000:
            continue
        if kind == "licence":
            family = re.sub(r"\W+", "", text)[100:400]
            if family in seen_licences:
                continue
            seen_licences.add(family)
            held = any(name.lower() in text[:1500].lower() for name in HELD_OUT_LICENCES)
        else:
            held = zlib.crc32(path.name.encode()[::-1]) % 10 == 0
        out[kind, held].append(text)
        sizes[kind] += len(text)
    return out


@lru_cache(maxsize=None)
def book_words(held_out: bool) -> tuple[str, ...]:
    """Lower-case words of 4 to 9 letters that occur in the books, each once."""
    words = set()
    for text in books(held_out):
        words.update(re.findall(r"\b[a-z]{4,9}\b", text))
    return tuple(sorted(words))
