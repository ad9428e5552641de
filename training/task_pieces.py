"""What all task builders share: keys, facts, questions, answers and pieces of filler."""

import random

import templates as t
from document import ANSWER, CLOSING, END, TEXT, Document, FillerPool
from lexicon import NOUNS, digits, make_key, make_value

USER, ASSISTANT, SYSTEM, STOP = (
    "<|im_start|>user\n",
    "<|im_start|>assistant\n",
    "<|im_start|>system\n",
    "<|im_end|>\n",
)
FILLER_SHARES = {
    "books": 26,
    "source": 14,
    "docs": 10,
    "licence": 6,
    "legal": 5,
    "log": 6,
    "json": 5,
    "csv": 3,
    "markdown": 4,
    "story": 6,
    "syllables": 2,
    "shuffled": 3,
    "numbers": 1,
    "python": 3,
    "c": 3,
    "js": 2,
    "sql": 1,
    "shell": 2,
}
CHARS_PER_TOKEN = 3.0  # nominal: sizes are given as tokens times this


class Pieces:
    """Builds documents from one random source. `ease` in [0, 1]: the share of facts in simple wording (curriculum)."""

    def __init__(
        self, r: random.Random, pool: FillerPool, ease: float = 0.0, held_out: bool = False
    ):
        self.r, self.pool, self.ease, self.held_out = r, pool, ease, held_out
        kinds = [k for k in FILLER_SHARES if k in pool.texts]
        self._kinds, self._weights = kinds, [FILLER_SHARES[k] for k in kinds]

    def kind(self) -> str:
        return self.r.choices(self._kinds, self._weights)[0]

    def key(self, kind: str | None = None) -> str:
        return make_key(self.r, kind, self.held_out, self.pool.words)

    def fact(self, key: str | None = None, value: str | None = None) -> t.Fact:
        r = self.r
        if r.random() < self.ease:
            frame = r.choice(t.STATEMENTS[:8])
            return t.Fact(
                key or self.key("noun"),
                r.choice(t.ATTRIBUTES[:8]),
                value or digits(r, r.choice((1, 2, 3, 5))),
                frame,
            )
        key, value = key or self.key(), value or make_value(r, None, self.pool.words)
        u = r.random()
        if u < 0.13:
            return t.make_odd_fact(r, key, value, self.pool.words or NOUNS)
        return t.make_action_fact(r, key, value) if u < 0.35 else t.make_fact(r, key, value)

    def facts(self, n: int) -> list[t.Fact]:
        """`n` facts with different keys; often several share attribute, frame or kind of value (harder to tell apart)."""
        r, seen, out = self.r, set(), []
        kind = (
            r.choice(("noun", "person", "id", "identifier", "file", "words", "place"))
            if r.random() < 0.35
            else None
        )
        attribute = r.choice(t.ATTRIBUTES) if r.random() < 0.5 else None
        frame = r.choice(t.STATEMENTS) if r.random() < 0.35 else None
        number = r.random() < 0.5
        while len(out) < n:
            key = self.key(kind if self.ease < 0.5 else "noun")
            if key.lower().removeprefix("the ") in seen:
                continue
            seen.add(key.lower().removeprefix("the "))
            fact = self.fact(key, digits(r, 5 if r.random() < 0.7 else None) if number else None)
            if self.ease < 0.5 and not isinstance(fact, t.ActionFact):
                fact.attribute, fact.frame = attribute or fact.attribute, frame or fact.frame
            out.append(fact)
        return out

    def ask(self, doc: Document, fact: t.Fact, form: tuple[str, str] | None = None) -> None:
        """Adds the question and its weighted answer."""
        r = self.r
        completion = fact.completion(r) if form is None and r.random() < 0.15 else None
        if completion:
            doc.add(r.choice(("\n", "\n\n", " ")) + completion).add(" " + fact.value, ANSWER)
            doc.add(".", CLOSING if r.random() < 0.5 else None)
            return
        easy = r.random() < self.ease
        before, after = form or r.choice(t.QUESTION_FORMS[:3] if easy else t.QUESTION_FORMS)
        hint = "" if easy else r.choice(t.ANSWER_HINTS)
        self.answer(doc, before + fact.question(r, easy) + hint + after, fact.value)

    def answer(self, doc: Document, prompt: str, value: str) -> None:
        """The weight covers the space before the answer: a digit's space is a token of its own, and part of the decision."""
        doc.add(prompt).add(value if prompt.endswith("\n") else " " + value, ANSWER)

    def chat_answer(self, doc: Document, value: str) -> None:
        doc.add(ASSISTANT).add(value + "<|im_end|>", ANSWER).add("\n")

    def filler(self, chars: int, kind: str | None = None) -> tuple[str, str]:
        """About `chars` / 3 tokens of filler: `chars` is in units of prose, where a token has some three characters."""
        kind = kind or self.kind()
        return (
            self.pool.cut(
                self.r, kind, int(chars * self.pool.chars_per_token[kind] / CHARS_PER_TOKEN)
            ),
            kind,
        )

    def close(self, doc: Document) -> Document:
        return doc.add(END, TEXT)
