"""Documents that are hard for a restorer: long lists of pairs in many layouts, and several values of one key far apart.

The verifier is not trained on these (its own are `json_pairs` and `all_values`): they make the restorer learn to choose one chunk among
many that all hold keys and values, and to give K and V from which the order of several values can still be read.
"""

import json
import random

import templates as t
from document import ANSWER, Document, bury
from lexicon import CODE_WORDS, LOG_WORDS, NOUNS, digits, hex_text, is_held_out_key, make_value
from retrieval_tasks import SYSTEM_PROMPTS, RetrievalTasks, _merge, _near
from task_pieces import STOP, SYSTEM, USER

PAIR_HEADS = [
    "",
    "",
    "",
    "JSON data:\n",
    "data = ",
    "Configuration:\n",
    "Here are the settings.\n\n",
    "Below is a table of values.\n\n",
    "Use the data below to answer the question at the end.\n\n",
]
PAIR_QUESTIONS = [
    "What is the value of {k}?",
    'What is the value of "{k}"?',
    'What value does "{k}" have?',
    "Which value belongs to the key {k}?",
    'Give the value for key "{k}".',
    'Look up "{k}".',
    'What does the data say for "{k}"?',
    "Return the entry for {k}.",
    'What is "{k}" set to?',
    'Which number goes with "{k}"?',
    'What is the entry of the key "{k}"?',
    'Read out the value at "{k}".',
    'Which number do you find at "{k}"?',
    'What number is given for "{k}"?',
    "{k}?",
]
SEVERAL_STATEMENTS = [
    "Another {a} of {k} is {v}.",
    "A further {a} for {k} is {v}.",
    "{K} also has the {a} {v}.",
    "One {a} of {k} is {v}.",
    "One of the {a}s for {k} is {v}.",
    "{v} is one more {a} of {k}.",
    "There is a {a} for {k}: {v}.",
    "Added {v} to the {a}s of {k}.",
    "The {a} {v} belongs to {k}.",
    "{K} may also use the {a} {v}.",
    "{K} lists {v} as a {a}.",
    "{a} of {k}: {v}",
]
SEVERAL_QUESTIONS = [
    "List all {a}s of {k} in order.",
    "What are all the {a}s of {k}?",
    "Which {a}s does {k} have?",
    "Name every {a} of {k}.",
    "What are all the {a}s for {k} mentioned in the text?",
    "List every {a} for {k} in the order of the text.",
    "Which {a}s belong to {k}?",
    "Give all {a}s of {k}, in the order in which they appear.",
    "What {a}s are stated for {k}?",
    "Tell me every {a} of {k} in order.",
    "What are the {a}s for {k}, in order?",
]


def long_identifier(r: random.Random) -> str:
    """Two to five words of programs joined: long keys of few words, so that many differ in one word alone."""
    words = [
        r.choice(CODE_WORDS if r.random() < 0.85 else LOG_WORDS)
        for _ in range(r.choice((2, 3, 3, 3, 4, 4, 5)))
    ]
    return r.choices(("_", ".", "-", " ", "/"), (70, 8, 8, 6, 8))[0].join(words)


class ListTasks(RetrievalTasks):
    """Builders of these documents."""

    def pair_list(self, chars: int) -> Document:
        """Pairs in one of many layouts, then several questions."""
        r, pairs, size = self.r, {}, 0
        kind = r.choice(("long",) * 6 + ("identifier", "id", "words", "noun", "person", "file", ""))
        number = 5 if r.random() < 0.6 else r.choice((3, 4, 6, None))
        numeric, alike = r.random() < 0.8, r.random() < 0.3
        while size < chars:
            if alike and pairs and r.random() < 0.4:
                key = _near(r, r.choice(list(pairs)))
            elif kind == "long":
                key = long_identifier(r)
            else:
                key = self.key(kind or None).removeprefix("the ")
            if is_held_out_key(key) != self.held_out or key in pairs:
                continue
            pairs[key] = digits(r, number) if numeric else make_value(r, None, self.pool.words)
            size += len(key) + 14
        doc = Document().add(r.choice(PAIR_HEADS) + _layout(r, pairs))
        asked = r.sample(list(pairs), min(len(pairs), r.choice((2, 4, 6, 8, 12, 16))))
        form = r.choice(t.QUESTION_FORMS[:3] if r.random() < 0.3 else t.QUESTION_FORMS)
        frame = r.choice(PAIR_QUESTIONS) if r.random() < 0.4 else None
        for key in asked:
            if r.random() < 0.08:
                doc.add(f'\n"{key}": "').add(pairs[key] + '"', ANSWER)
                continue
            question = (frame or r.choice(PAIR_QUESTIONS)).replace("{k}", key)
            self.answer(doc, form[0] + question + form[1], pairs[key])
        return self.close(doc)

    def several_values(self, chars: int) -> Document:
        """One to three keys with two to six values each, scattered; all values of a key are asked for, in the order of the text."""
        r, doc = self.r, Document()
        facts, needles, values = [], [], {}
        for fact in self.facts(r.choice((1, 1, 2, 2, 3)) if chars > 1500 else 1):
            attribute = fact.attribute if t.names_attribute(fact.frame) else "code"
            own = fact.frame if t.names_attribute(fact.frame) else r.choice(t.STATEMENTS[:8])
            frames = [own, *SEVERAL_STATEMENTS]
            one = r.choice([own, own, *SEVERAL_STATEMENTS]) if r.random() < 0.65 else None
            kind = r.random()
            mine, n = [], r.choice((2, 3, 4, 4, 4, 5, 6))
            while len(mine) < n:
                value = digits(r, 5 if kind < 0.7 else None) if kind < 0.85 else make_value(r)
                if value not in mine:
                    mine.append(value)
            said = [t.fill(one or r.choice(frames), fact.key, attribute, v) for v in mine]
            needles = _shuffle_together(r, needles, said)
            facts.append((fact.key, attribute))
            values[fact.key] = mine
        others = self.facts(r.randint(0, 4))
        needles = _merge(r, needles, [f.statement(r) for f in others])
        chat = r.random() < 0.15
        if chat:
            doc.add((SYSTEM + r.choice(SYSTEM_PROMPTS) + STOP if r.random() < 0.4 else "") + USER)
        doc.add(r.choice(t.INSTRUCTIONS))
        text, kind = self.filler(max(0, chars - sum(map(len, needles)) - 90 * len(facts)))
        bury(doc, r, text, kind, needles)
        form = r.choice(t.QUESTION_FORMS[:3] if r.random() < 0.3 else t.QUESTION_FORMS)
        r.shuffle(facts)
        for i, (key, attribute) in enumerate(facts):
            question = t.fill(r.choice(SEVERAL_QUESTIONS), key, attribute)
            answer = ", ".join(values[key])
            if chat:
                doc.add(("\n\n" if i == 0 else USER) + question + STOP)
                self.chat_answer(doc, answer)
            else:
                self.answer(doc, form[0] + question + form[1], answer)
        return self.close(doc)


def _shuffle_together(r: random.Random, a: list[str], b: list[str]) -> list[str]:
    """Both lists in one, each in its own order."""
    a, b, out = list(a), list(b), []
    while a or b:
        out.append((a if r.random() * (len(a) + len(b)) < len(a) else b).pop(0))
    return out


def _layout(r: random.Random, pairs: dict[str, str]) -> str:
    """The pairs as a file of some kind."""
    style = r.choice(
        ("json",) * 6 + ("nested", "objects", "lines", "ini", "csv", "plain", "log", "markdown")
    )
    bare = r.random() < 0.15 and all(v.isdigit() and v[0] != "0" for v in pairs.values())
    told = {k: int(v) if bare else v for k, v in pairs.items()}
    if style == "json":
        return json.dumps(told, indent=r.choice((None, 0, 1, 2, 2, 2, 4, "\t")), ensure_ascii=False)
    if style == "nested":
        parts: dict[str, dict] = {}
        section, left = "", 0
        for key, value in told.items():
            if left == 0:
                section, left = f"{r.choice(NOUNS)}_{len(parts) + 1}", r.randint(3, 12)
                parts[section] = {}
            parts[section][key], left = value, left - 1
        return json.dumps(parts, indent=r.choice((None, 1, 2, 4)), ensure_ascii=False)
    if style == "objects":
        names = r.choice((("key", "value"), ("name", "value"), ("id", "number"), ("k", "v")))
        rows = [json.dumps(dict(zip(names, pair)), ensure_ascii=False) for pair in told.items()]
        return "[\n" + ",\n".join(rows) + "\n]" if r.random() < 0.5 else "\n".join(rows)
    if style == "log":
        hour = r.randrange(24)
        return "\n".join(
            f"{hour:02}:{i // 60 % 60:02}:{i % 60:02} {r.choice(('INFO', 'DEBUG'))} {hex_text(r, 4)} {k}={v}"
            for i, (k, v) in enumerate(pairs.items())
        )
    if style == "markdown":
        return "| name | value |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in pairs.items())
    if style == "csv":
        comma = r.choice((",", ";", "\t"))
        return f"key{comma}value\n" + "\n".join(k + comma + v for k, v in pairs.items())
    if style == "ini":
        out = []
        for i, (k, v) in enumerate(pairs.items()):
            if i % 9 == 0:
                out.append(f"[{r.choice(NOUNS)}]")
            out.append(f'{k} = "{v}"')
        return "\n".join(out)
    if style == "lines":
        return "\n".join(f"{k}: {v}" for k, v in pairs.items())
    joint = r.choice(("=", " = ", " -> ", ": ", " "))
    return r.choice(("\n", "; ", ", ")).join(k + joint + v for k, v in pairs.items())
