"""A training document: text plus the weights of its characters in the loss."""

import random
from dataclasses import dataclass, field

# Loss weights per token. Filler of retrieval documents has none: with a weight of only 0.1 the books were soon known by heart
# (perplexity of the held-out ones 40 after 90 seconds, 230 after 540) and recall in unseen text stopped at 0.9.
ANSWER, CLOSING, TEXT, FILLER, NOISE = 6.0, 3.0, 0.6, 0.0, 0.03
END = "<|endoftext|>"


@dataclass
class Document:
    """Text built left to right; `spans` are (first character, end, weight) and override `base`."""

    base: float = FILLER
    parts: list[str] = field(default_factory=list)
    spans: list[tuple[int, int, float]] = field(default_factory=list)
    length: int = 0

    def add(self, text: str, weight: float | None = None) -> "Document":
        if weight is not None and text:
            self.spans.append((self.length, self.length + len(text), weight))
        self.parts.append(text)
        self.length += len(text)
        return self

    @property
    def text(self) -> str:
        return "".join(self.parts)


PROSE_KINDS = {"books", "docs", "story", "legal", "licence", "syllables", "shuffled", "numbers"}
COMMENT = {"python": "# ", "c": "// ", "js": "// ", "sql": "-- ", "shell": "# ", "source": "# "}


class FillerPool:
    """Long strings of filler by kind, from which documents cut pieces at sentence or line ends.

    Thread safety: none. `texts` is shared between loader processes by forking, so it is never changed after construction.
    """

    def __init__(self, texts: dict[str, str], words: tuple[str, ...] = ()):
        self.texts = texts
        self.words = words
        self.chars_per_token = {kind: 3.0 for kind in texts}

    def measure(self, encode) -> None:
        """Measures the characters per token of every kind, for sizing documents."""
        for kind, text in self.texts.items():
            middle = len(text) // 2
            sample = text[middle : middle + 20_000]
            self.chars_per_token[kind] = len(sample) / max(1, len(encode(sample)))

    def cut(self, r: random.Random, kind: str, chars: int) -> str:
        """About `chars` characters of one kind, from a line or sentence start to a line or sentence end."""
        text = self.texts[kind]
        if chars <= 0:
            return ""
        start = r.randrange(max(1, len(text) - chars - 2000))
        begin = _boundary(text, start, kind in PROSE_KINDS)
        end = _boundary(text, begin + chars, kind in PROSE_KINDS)
        if end - begin > 1.2 * chars + 200:
            end = begin + chars
        return text[begin:end].rstrip(" ")


def _boundary(text: str, at: int, prose: bool) -> int:
    """First character after the next sentence or line end at or after `at`."""
    line = text.find("\n", at)
    if prose:
        dot = text.find(". ", at)
        if dot >= 0 and (line < 0 or dot < line):
            return dot + 2
    return line + 1 if line >= 0 else len(text)


def _decorate(r: random.Random, needle: str, kind: str, line: str) -> str:
    """The needle as it would stand in a file of that kind, on its own line."""
    indent = line[: len(line) - len(line.lstrip(" "))] if r.random() < 0.5 else ""
    if kind in COMMENT and r.random() < 0.7:
        mark = COMMENT[kind] if r.random() < 0.6 else r.choice(("# ", "// ", "-- ", "/* ", "* "))
        return indent + mark + needle
    if kind == "log" and r.random() < 0.6:
        words = line.split(" ")
        return " ".join(words[: r.randint(1, 4)]) + " " + needle
    if kind == "markdown" and r.random() < 0.4:
        return r.choice(("- ", "* ", "> ", "# ")) + needle
    return indent + needle


def bury(
    doc: Document,
    r: random.Random,
    filler: str,
    kind: str,
    needles: list[str],
    depths: list[float] | None = None,
) -> None:
    """Adds `filler` to `doc` with every needle in it, in the given order, at the given (or uniform random) depths."""
    prose = kind in PROSE_KINDS
    depths = sorted(r.random() for _ in needles) if depths is None else depths
    done = 0
    for depth, needle in zip(depths, needles):
        target = int(depth * len(filler))
        at = max(done, _boundary(filler, max(0, target - 1), prose) if 0 < target else 0)
        at = min(at, len(filler))
        before = filler[done:at]
        doc.add(before)
        done = at
        tail = (
            before[-1:]
            if before
            else doc.parts[-2][-1:] if len(doc.parts) > 1 and doc.parts[-2] else "\n"
        )
        if tail not in ("\n", " ", ""):
            doc.add("\n" if not prose or r.random() < 0.3 else " ")
        if prose:
            u = r.random()
            if u < 0.7:
                doc.add(needle + ("\n" if filler[at : at + 1] == "\n" else " "))
            else:
                gap = "\n" if u < 0.85 else "\n\n"
                doc.add((gap if tail not in ("\n",) else "") + needle + gap)
        else:
            line_end = filler.find("\n", at)
            doc.add(
                _decorate(r, needle, kind, filler[at : line_end if line_end >= 0 else at]) + "\n"
            )
    doc.add(filler[done:])
