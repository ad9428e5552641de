"""Documents that state facts in filler and ask for them: the tasks of the recall matrix, and denser forms of them."""

import json
import random

import templates as t
from document import ANSWER, CLOSING, Document, bury
from lexicon import (
    CITIES,
    NOUNS,
    OTHER_WORDS_CITY,
    OTHER_WORDS_NUMBER,
    OTHER_WORDS_NUMBER_HELD_OUT,
    SYNONYM_PAIRS,
    digits,
    identifier,
    is_held_out_key,
    make_value,
    syllable_word,
)
from task_pieces import ASSISTANT, STOP, SYSTEM, USER, Pieces

SYSTEM_PROMPTS = [
    "You are a helpful assistant.",
    "You answer questions about the text you are given.",
    "You are a precise assistant. Answer briefly.",
    "You are an assistant with a good memory.",
    "Answer with the value only.",
]


class RetrievalTasks(Pieces):
    """Builders of retrieval documents."""

    def haystack(self, chars: int) -> Document:
        """Facts buried in filler, then questions about some of them: raw text or a chat turn."""
        r = self.r
        most = max(1, chars // 400)
        m = min(most, 1 if r.random() < 0.15 else r.choice((2, 3, 4, 6, 8, 12, 16, 24, 32)))
        facts = self.facts(m)
        asked = r.sample(facts, min(m, r.choice((1, 2, 4, 6, 8, 12, 16))))
        return self.questioned(chars, [f.statement(r) for f in facts], asked)

    def questioned(
        self, chars: int, needles: list[str], asked: list, kinds: int | None = None
    ) -> Document:
        r, doc = self.r, Document()
        chat = r.random() < 0.3
        size = max(40, chars - sum(map(len, needles)) - 90 * len(asked))
        r.shuffle(needles)
        if chat:
            if r.random() < 0.4:
                doc.add(SYSTEM + r.choice(SYSTEM_PROMPTS) + STOP)
            doc.add(USER)
        first_question = asked[0].question(r) if r.random() < 0.08 else None
        doc.add(r.choice(t.INSTRUCTIONS) if first_question is None else first_question + "\n\n")
        pieces = kinds or (1 if r.random() < 0.8 else 2)
        for i in range(pieces):
            text, kind = self.filler(size // pieces)
            share = needles[i * len(needles) // pieces : (i + 1) * len(needles) // pieces]
            bury(doc, r, text, kind, share)
        if not chat:
            form = r.choice(t.QUESTION_FORMS) if r.random() < 0.6 else None
            for fact in asked:
                self.ask(doc, fact, form)
            return self.close(doc)
        doc.add(
            r.choice(("\n\n", "\n", "\n\nQuestion: "))
            + asked[0].question(r)
            + r.choice(t.ANSWER_HINTS)
            + STOP
        )
        self.chat_answer(doc, asked[0].value)
        for fact in asked[1:]:
            doc.add(USER + fact.question(r) + STOP)
            self.chat_answer(doc, fact.value)
        return self.close(doc)

    def dense(self, chars: int) -> Document:
        """Rounds of facts with hardly any filler between them, and questions about most of them and some older ones."""
        r, doc, known = self.r, Document(), {}
        while doc.length < chars:
            facts = [f for f in self.facts(r.randint(2, 10)) if f.key.lower() not in known]
            form = r.choice(t.QUESTION_FORMS) if r.random() < 0.5 else None
            for fact in facts:
                doc.add(
                    r.choice((" ", "\n"))
                    + fact.statement(r, plain=r.random() < max(0.6, self.ease))
                )
                if r.random() < 0.5 * (1 - self.ease):
                    doc.add(
                        r.choice((" ", "\n")) + self.filler(r.randint(10, 120))[0].strip()[:160]
                    )
            known.update((f.key.lower(), f) for f in facts)
            asked = r.sample(facts, r.randint(min(2, len(facts)), len(facts)))
            asked += r.sample(list(known.values()), min(len(known), r.randint(0, 3)))
            for fact in asked:
                self.ask(doc, fact, form)
            doc.add("\n")
        return self.close(doc)

    def look_alikes(self, chars: int) -> Document:
        """Keys that differ from each other in one word, letter or digit."""
        r = self.r
        base, made = t.make_fact(r, self.key(), make_value(r)), {}
        for _ in range(r.randint(4, 24)):
            key = _near(r, base.key if r.random() < 0.7 or not made else r.choice(list(made)))
            if is_held_out_key(key.removeprefix("the ")) == self.held_out and key != base.key:
                made[key] = t.Fact(
                    key,
                    base.attribute,
                    make_value(r, "digits") if base.value.isdigit() else make_value(r),
                    base.frame,
                )
        facts = [base, *made.values()][: max(2, chars // 120)]
        asked = r.sample(facts, min(len(facts), r.randint(1, 4)))
        return self.questioned(
            chars, [f.statement(r, plain=r.random() < 0.7) for f in facts], asked
        )

    def latest(self, chars: int) -> Document:
        """A value that changes: the question asks for the current (or first) one."""
        r, fact = self.r, t.make_fact(self.r, self.key(), make_value(self.r))
        values = [
            make_value(r, "digits") if fact.value.isdigit() else make_value(r)
            for _ in range(r.randint(2, 4))
        ]
        if not t.names_attribute(fact.frame):
            fact.frame = t.STATEMENTS[0]
        changes = [
            "The {a} of {k} is now {v}.",
            "The {a} of {k} has changed to {v}.",
            "The new {a} of {k} is {v}.",
            "From today on, the {a} of {k} is {v}.",
            "Correction: the {a} for {k} is {v}.",
        ]
        needles = [
            t.fill(fact.frame if i == 0 else r.choice(changes), fact.key, fact.attribute, v)
            for i, v in enumerate(values)
        ]
        others = [f.statement(r) for f in self.facts(r.randint(0, 4))]
        doc = Document()
        text, kind = self.filler(chars - 300)
        order = _merge(r, needles, others)
        bury(doc, r, text, kind, order)
        first = r.random() < 0.3
        frames = (
            ["What was the first {a} of {k}?", "What was the original {a} of {k}?"]
            if first
            else [
                "What is the current {a} of {k}?",
                "What is the {a} of {k} now?",
                "What is the latest {a} of {k}?",
            ]
        )
        before, after = r.choice(t.QUESTION_FORMS)
        self.answer(
            doc,
            before + t.fill(r.choice(frames), fact.key, fact.attribute) + after,
            values[0 if first else -1],
        )
        return self.close(doc)

    def all_values(self, chars: int) -> Document:
        """Several values for one key; the question asks for all of them, in the order of the text."""
        r, fact = self.r, t.make_fact(self.r, self.key(), make_value(self.r))
        if not t.names_attribute(fact.frame):
            fact.frame = r.choice(t.STATEMENTS[:8])
        n = r.choice((2, 3, 4, 4, 4, 5, 6))
        values = [
            digits(r, 5 if r.random() < 0.6 else None) if fact.value.isdigit() else make_value(r)
            for _ in range(n)
        ]
        also = [
            "Another {a} of {k} is {v}.",
            "A further {a} for {k} is {v}.",
            "{K} also has the {a} {v}.",
            "One {a} of {k} is {v}.",
            "One of the {a}s for {k} is {v}.",
        ]
        same = r.random() < 0.5
        frame = r.choice([fact.frame, *also])
        needles = [
            t.fill(frame if same else r.choice([fact.frame, *also]), fact.key, fact.attribute, v)
            for v in values
        ]
        others = [f.statement(r) for f in self.facts(r.randint(0, 3))]
        doc = Document()
        text, kind = self.filler(chars - 60 * n)
        bury(doc, r, text, kind, _merge(r, needles, others))
        frames = [
            "List all {a}s of {k} in order.",
            "What are all the {a}s of {k}?",
            "Which {a}s does {k} have?",
            "Name every {a} of {k}.",
            "What are all the {a}s for {k} mentioned in the text?",
            "List every {a} for {k} in the order of the text.",
        ]
        before, after = r.choice(t.QUESTION_FORMS)
        self.answer(
            doc,
            before + t.fill(r.choice(frames), fact.key, fact.attribute) + after,
            ", ".join(values),
        )
        return self.close(doc)

    def many_questions(self, chars: int) -> Document:
        """Several questions in one prompt, answered in one line or as a list."""
        r = self.r
        facts = self.facts(r.randint(3, 9))
        asked = r.sample(facts, r.randint(2, min(4, len(facts))))
        doc = Document()
        text, kind = self.filler(chars - 130 * len(facts))
        needles = [f.statement(r) for f in facts]
        r.shuffle(needles)
        chat = r.random() < 0.3
        doc.add(USER if chat else "")
        bury(doc, r, text, kind, needles)
        style = r.randrange(3)
        questions = [f.question(r) for f in asked]
        if style == 0:
            doc.add("\n\n" + " ".join(questions))
        elif style == 1:
            doc.add(
                "\n\nQuestions:\n" + "\n".join(f"{i + 1}. {q}" for i, q in enumerate(questions))
            )
        else:
            doc.add("\n\nAnswer these questions in order:\n" + "\n".join(questions))
        doc.add(
            STOP + ASSISTANT
            if chat
            else r.choice(("\nAnswers:", "\n\nAnswers:")) + ("\n" if style == 1 else "")
        )
        if style == 1:
            for i, f in enumerate(asked):
                doc.add(f"{i + 1}. ", ANSWER / 3).add(f.value, ANSWER).add(
                    "\n" if i + 1 < len(asked) else ""
                )
        else:
            doc.add(("" if chat else " ") + ", ".join(f.value for f in asked), ANSWER)
        doc.add("<|im_end|>\n" if chat else "", CLOSING)
        return self.close(doc)

    def other_words(self, chars: int) -> Document:
        """The question shares no content word with the needle."""
        r, needles, asked = self.r, [], []
        pairs = r.sample(SYNONYM_PAIRS, r.randint(1, min(10, max(2, chars // 300))))
        frames = (
            OTHER_WORDS_NUMBER_HELD_OUT if self.held_out else OTHER_WORDS_NUMBER + OTHER_WORDS_CITY
        )
        one = r.choice(frames) if r.random() < 0.5 else None
        for said, meant in pairs:
            if r.random() < 0.5:
                said, meant = meant, said
            frame, question = one or r.choice(frames)
            nation = r.choice(list(CITIES))
            value = (
                r.choice(CITIES[nation])
                if "{n}" in question
                else digits(r, 5 if r.random() < 0.7 else None)
            )
            needles.append(
                r.choice(t.PREFIXES[:8]) + frame.replace("{k}", said).replace("{v}", value)
            )
            asked.append(_Asked(question.replace("{q}", meant).replace("{n}", nation), value))
        return self.questioned(chars, needles, r.sample(asked, min(len(asked), r.randint(1, 4))))

    def chain(self, chars: int) -> Document:
        """Variables assigned from one another; the question follows two (or one, or three) assignments."""
        r, taken, needles, asked = self.r, set(), [], []
        styles = [
            ("{a} = {b}", "{a} = {b}"),
            ("let {a} = {b};", "let {a} = {b};"),
            ("int {a} = {b};", "{a} = {b};"),
            ("The variable {a} is set to {b}.", "The variable {a} takes the value of {b}."),
            ("VAR {a} = {b}", "VAR {a} = {b}"),
            ("{a} := {b}", "{a} := {b}"),
            ("Let {a} be {b}.", "Let {a} equal {b}."),
        ]
        first, later = r.choice(styles)
        chains = []
        for _ in range(r.randint(1, 4)):
            names = []
            while len(names) < r.choice((2, 2, 2, 3, 3)):
                name = r.choice(
                    (
                        identifier(r).lower().replace("-", "_").replace(".", "_"),
                        "".join(
                            r.choice("abcdefghijklmnpqrstuvwxyz") for _ in range(r.randint(1, 3))
                        ),
                    )
                )
                if name not in taken:
                    taken.add(name)
                    names.append(name)
            value = digits(r, 5 if r.random() < 0.7 else None)
            lines = [first.replace("{a}", names[0]).replace("{b}", value)]
            lines += [later.replace("{a}", b).replace("{b}", a) for a, b in zip(names, names[1:])]
            chains.append(lines)
            asked += [
                _Asked(
                    r.choice(
                        (
                            f"What is the value of {n}?",
                            f"Which number does {n} hold?",
                            f"What is {n}?",
                            f"What value does the variable {n} have?",
                        )
                    ),
                    value,
                )
                for n in names
            ]
        while any(chains):
            needles.append(r.choice([c for c in chains if c]).pop(0))
        doc = Document()
        text, kind = self.filler(max(0, chars - 200)) if r.random() < 0.85 else ("", "python")
        bury(doc, r, text, kind, needles)
        before, after = r.choice(t.QUESTION_FORMS)
        for a in r.sample(asked, min(len(asked), r.randint(1, 4))):
            self.answer(doc, before + a.question(r) + after, a.value)
        return self.close(doc)

    def json_pairs(self, chars: int) -> Document:
        """One long JSON object (or key=value list) of pairs."""
        r, pairs, size = self.r, {}, 0
        kind = r.choice(("id", "identifier", "words", "noun", "hex", "person", None))
        number = r.random() < 0.7
        while size < chars:
            key = (
                (syllable_word(r) + digits(r, 4))
                if kind == "hex"
                else self.key(kind).removeprefix("the ")
            )
            pairs[key] = digits(r, 5 if r.random() < 0.7 else None) if number else make_value(r)
            size += len(key) + 14
        style = r.randrange(4)
        if style < 2:
            body = json.dumps(
                pairs, indent=None if style == 0 else r.choice((0, 1, 2, 4)), ensure_ascii=False
            )
        else:
            body = "\n".join((f"{k}={v}" if style == 2 else f"{k}: {v}") for k, v in pairs.items())
        doc = Document()
        doc.add(
            r.choice(
                (
                    "",
                    "",
                    "JSON data:\n",
                    "Extract the value of the key from the data below.\n\n",
                    "data = ",
                )
            )
            + body
        )
        frames = [
            "What is the value of {k}?",
            'What is the value of "{k}"?',
            'What value does "{k}" have?',
            "Which value belongs to the key {k}?",
            'Give the value for key "{k}".',
            "{k}?",
            "The value of the key {k}?",
        ]
        form = r.choice(t.QUESTION_FORMS)
        for key in r.sample(list(pairs), min(len(pairs), r.randint(2, 8))):
            if style < 2 and r.random() < 0.15:
                doc.add(f'\n"{key}": "').add(pairs[key] + '"', ANSWER)
            else:
                self.answer(
                    doc, form[0] + r.choice(frames).replace("{k}", key) + form[1], pairs[key]
                )
        return self.close(doc)


class _Asked:
    """A fixed question with its answer, asked like a `Fact`."""

    def __init__(self, question: str, value: str):
        self._question, self.value = question, value

    def question(self, r: random.Random, easy: bool = False) -> str:
        return self._question

    def completion(self, r: random.Random) -> None:
        return None


def _merge(r: random.Random, ordered: list[str], others: list[str]) -> list[str]:
    """`others` at random places between the elements of `ordered`, which keep their order."""
    out = list(ordered)
    for x in others:
        out.insert(r.randint(0, len(out)), x)
    return out


def _near(r: random.Random, key: str) -> str:
    """A key that is almost `key`."""
    words = key.split(" ")
    i = r.randrange(len(words))
    if len(words) > 1 and r.random() < 0.5 and words[i] != "the":
        words[i] = r.choice(NOUNS) if r.random() < 0.7 else syllable_word(r)
        return " ".join(words)
    spots = [j for j, c in enumerate(key) if c.isalnum()] or [0]
    j = r.choice(spots)
    c = r.choice("0123456789") if key[j].isdigit() else r.choice("abcdefghiklmnoprstuvw")
    return key[:j] + (c.upper() if key[j].isupper() else c) + key[j + 1 :]
