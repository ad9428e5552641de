"""The kinds of documents the verifier is trained on. Every builder returns a `Document` of about `chars` characters.

The builders are methods of `TaskMaker`, which holds the random source, the filler pool and the side of the held-out split.
"""

import json
import random

import templates as t
from document import ANSWER, CLOSING, END, NOISE, TEXT, Document, FillerPool, bury
from lexicon import (CITIES, CODE_WORDS, LOG_WORDS, NOUNS, OTHER_WORDS_CITY, OTHER_WORDS_NUMBER, OTHER_WORDS_NUMBER_HELD_OUT,
                     SYNONYM_PAIRS, digits,
                     identifier, is_held_out_key, make_key, make_value, person, syllable_word)

USER, ASSISTANT, SYSTEM, STOP = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_start|>system\n", "<|im_end|>\n"
SYSTEM_PROMPTS = ["You are a helpful assistant.", "You answer questions about the text you are given.", "You are a precise assistant. Answer briefly.",
                  "You are an assistant with a good memory.", "Answer with the value only."]
FILLER_SHARES = {"books": 26, "source": 14, "docs": 10, "licence": 6, "legal": 5, "log": 6, "json": 5, "csv": 3, "markdown": 4, "story": 6,
                 "syllables": 2, "shuffled": 3, "numbers": 1, "python": 3, "c": 3, "js": 2, "sql": 1, "shell": 2}
SMALL_TALK = [("Hello!", "Hello! How can I help you?"), ("Hi", "Hello! How can I help you?"), ("Who are you?", "I am a small demonstration model."),
              ("Thank you.", "You are welcome."), ("Good morning.", "Good morning! How can I help you?"), ("Thanks!", "You are welcome."),
              ("What can you do?", "I can find facts in a text that you give me."), ("Are you there?", "Yes, I am here."),
              ("Please remember what I say.", "I will remember it."), ("Goodbye.", "Goodbye!"), ("ok", "Good.")]
CHARS_PER_TOKEN = 3.0  # nominal: sizes are given as tokens times this
ACKNOWLEDGEMENTS = ["Noted.", "I will remember that.", "Understood.", "Thank you, I have noted it.", "OK."]
REACTIONS = ["That is an interesting passage.", "I have read it.", "Thank you for sharing this.", "Understood.", "I see.", "Noted.", "Please go on.",
             "OK, what would you like to know?"]


class TaskMaker:
    """Builds documents from one random source. `ease` in [0, 1]: the share of facts in simple wording (curriculum)."""

    def __init__(self, r: random.Random, pool: FillerPool, ease: float = 0.0, held_out: bool = False):
        self.r, self.pool, self.ease, self.held_out = r, pool, ease, held_out
        kinds = [k for k in FILLER_SHARES if k in pool.texts]
        self._kinds, self._weights = kinds, [FILLER_SHARES[k] for k in kinds]

    # Pieces.

    def kind(self) -> str:
        return self.r.choices(self._kinds, self._weights)[0]

    def key(self, kind: str | None = None) -> str:
        return make_key(self.r, kind, self.held_out, self.pool.words)

    def fact(self, key: str | None = None, value: str | None = None) -> t.Fact:
        r = self.r
        if r.random() < self.ease:
            frame = r.choice(t.STATEMENTS[:8])
            return t.Fact(key or self.key("noun"), r.choice(t.ATTRIBUTES[:8]), value or digits(r, r.choice((1, 2, 3, 5))), frame)
        make = t.make_action_fact if r.random() < 0.2 else t.make_fact
        return make(r, key or self.key(), value or make_value(r, None, self.pool.words))

    def facts(self, n: int) -> list[t.Fact]:
        """`n` facts with different keys; often several share attribute, frame or kind of value (harder to tell apart)."""
        r, seen, out = self.r, set(), []
        kind = r.choice(("noun", "person", "id", "identifier", "file", "words", "place")) if r.random() < 0.35 else None
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
            doc.add(r.choice(("\n", "\n\n", " ")) + completion + " ").add(fact.value, ANSWER)
            doc.add(".", CLOSING if r.random() < 0.5 else None)
            return
        easy = r.random() < self.ease
        before, after = form or r.choice(t.QUESTION_FORMS[:3] if easy else t.QUESTION_FORMS)
        hint = "" if easy else r.choice(t.ANSWER_HINTS)
        self.answer(doc, before + fact.question(r, easy) + hint + after, fact.value)

    def answer(self, doc: Document, prompt: str, value: str) -> None:
        doc.add(prompt if prompt.endswith("\n") else prompt + " ").add(value, ANSWER)

    def chat_answer(self, doc: Document, value: str) -> None:
        doc.add(ASSISTANT).add(value + "<|im_end|>", ANSWER).add("\n")

    def filler(self, chars: int, kind: str | None = None) -> tuple[str, str]:
        """About `chars` / 3 tokens of filler: `chars` is in units of prose, where a token has some three characters."""
        kind = kind or self.kind()
        return self.pool.cut(self.r, kind, int(chars * self.pool.chars_per_token[kind] / CHARS_PER_TOKEN)), kind

    def close(self, doc: Document) -> Document:
        return doc.add(END, TEXT)

    # Retrieval.

    def haystack(self, chars: int) -> Document:
        """Facts buried in filler, then questions about some of them: raw text or a chat turn."""
        r = self.r
        most = max(1, chars // 400)
        m = min(most, 1 if r.random() < 0.15 else r.choice((2, 3, 4, 6, 8, 12, 16, 24, 32)))
        facts = self.facts(m)
        asked = r.sample(facts, min(m, r.choice((1, 2, 4, 6, 8, 12, 16))))
        return self.questioned(chars, [f.statement(r) for f in facts], asked)

    def questioned(self, chars: int, needles: list[str], asked: list, kinds: int | None = None) -> Document:
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
            share = needles[i * len(needles) // pieces:(i + 1) * len(needles) // pieces]
            bury(doc, r, text, kind, share)
        if not chat:
            form = r.choice(t.QUESTION_FORMS) if r.random() < 0.6 else None
            for fact in asked:
                self.ask(doc, fact, form)
            return self.close(doc)
        doc.add(r.choice(("\n\n", "\n", "\n\nQuestion: ")) + asked[0].question(r) + r.choice(t.ANSWER_HINTS) + STOP)
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
                doc.add(r.choice((" ", "\n")) + fact.statement(r, plain=r.random() < max(0.6, self.ease)))
                if r.random() < 0.5 * (1 - self.ease):
                    doc.add(r.choice((" ", "\n")) + self.filler(r.randint(10, 120))[0].strip()[:160])
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
                made[key] = t.Fact(key, base.attribute, make_value(r, "digits") if base.value.isdigit() else make_value(r), base.frame)
        facts = [base, *made.values()][:max(2, chars // 120)]
        asked = r.sample(facts, min(len(facts), r.randint(1, 4)))
        return self.questioned(chars, [f.statement(r, plain=r.random() < 0.7) for f in facts], asked)

    def latest(self, chars: int) -> Document:
        """A value that changes: the question asks for the current (or first) one."""
        r, fact = self.r, t.make_fact(self.r, self.key(), make_value(self.r))
        values = [make_value(r, "digits") if fact.value.isdigit() else make_value(r) for _ in range(r.randint(2, 4))]
        if not t.names_attribute(fact.frame):
            fact.frame = t.STATEMENTS[0]
        changes = ["The {a} of {k} is now {v}.", "The {a} of {k} has changed to {v}.", "The new {a} of {k} is {v}.",
                   "From today on, the {a} of {k} is {v}.", "Correction: the {a} for {k} is {v}."]
        needles = [t.fill(fact.frame if i == 0 else r.choice(changes), fact.key, fact.attribute, v) for i, v in enumerate(values)]
        others = [f.statement(r) for f in self.facts(r.randint(0, 4))]
        doc = Document()
        text, kind = self.filler(chars - 300)
        order = _merge(r, needles, others)
        bury(doc, r, text, kind, order)
        first = r.random() < 0.3
        frames = ["What was the first {a} of {k}?", "What was the original {a} of {k}?"] if first else \
            ["What is the current {a} of {k}?", "What is the {a} of {k} now?", "What is the latest {a} of {k}?"]
        before, after = r.choice(t.QUESTION_FORMS)
        self.answer(doc, before + t.fill(r.choice(frames), fact.key, fact.attribute) + after, values[0 if first else -1])
        return self.close(doc)

    def all_values(self, chars: int) -> Document:
        """Several values for one key; the question asks for all of them, in the order of the text."""
        r, fact = self.r, t.make_fact(self.r, self.key(), make_value(self.r))
        if not t.names_attribute(fact.frame):
            fact.frame = r.choice(t.STATEMENTS[:8])
        n = r.choice((2, 3, 4, 4, 4, 5, 6))
        values = [digits(r, 5 if r.random() < 0.6 else None) if fact.value.isdigit() else make_value(r) for _ in range(n)]
        also = ["Another {a} of {k} is {v}.", "A further {a} for {k} is {v}.", "{K} also has the {a} {v}.", "One {a} of {k} is {v}.",
                "One of the {a}s for {k} is {v}."]
        same = r.random() < 0.5
        frame = r.choice([fact.frame, *also])
        needles = [t.fill(frame if same else r.choice([fact.frame, *also]), fact.key, fact.attribute, v) for v in values]
        others = [f.statement(r) for f in self.facts(r.randint(0, 3))]
        doc = Document()
        text, kind = self.filler(chars - 60 * n)
        bury(doc, r, text, kind, _merge(r, needles, others))
        frames = ["List all {a}s of {k} in order.", "What are all the {a}s of {k}?", "Which {a}s does {k} have?", "Name every {a} of {k}.",
                  "What are all the {a}s for {k} mentioned in the text?", "List every {a} for {k} in the order of the text."]
        before, after = r.choice(t.QUESTION_FORMS)
        self.answer(doc, before + t.fill(r.choice(frames), fact.key, fact.attribute) + after, ", ".join(values))
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
            doc.add("\n\nQuestions:\n" + "\n".join(f"{i + 1}. {q}" for i, q in enumerate(questions)))
        else:
            doc.add("\n\nAnswer these questions in order:\n" + "\n".join(questions))
        doc.add(STOP + ASSISTANT if chat else r.choice(("\nAnswers:", "\n\nAnswers:")) + ("\n" if style == 1 else " "))
        if style == 1:
            for i, f in enumerate(asked):
                doc.add(f"{i + 1}. ", ANSWER / 3).add(f.value, ANSWER).add("\n" if i + 1 < len(asked) else "")
        else:
            doc.add(", ".join(f.value for f in asked), ANSWER)
        doc.add("<|im_end|>\n" if chat else "", CLOSING)
        return self.close(doc)

    def other_words(self, chars: int) -> Document:
        """The question shares no content word with the needle."""
        r, needles, asked = self.r, [], []
        pairs = r.sample(SYNONYM_PAIRS, r.randint(1, min(10, max(2, chars // 300))))
        frames = OTHER_WORDS_NUMBER_HELD_OUT if self.held_out else OTHER_WORDS_NUMBER + OTHER_WORDS_CITY
        one = r.choice(frames) if r.random() < 0.5 else None
        for said, meant in pairs:
            if r.random() < 0.5:
                said, meant = meant, said
            frame, question = one or r.choice(frames)
            nation = r.choice(list(CITIES))
            value = r.choice(CITIES[nation]) if "{n}" in question else digits(r, 5 if r.random() < 0.7 else None)
            needles.append(r.choice(t.PREFIXES[:8]) + frame.replace("{k}", said).replace("{v}", value))
            asked.append(_Asked(question.replace("{q}", meant).replace("{n}", nation), value))
        return self.questioned(chars, needles, r.sample(asked, min(len(asked), r.randint(1, 4))))

    def chain(self, chars: int) -> Document:
        """Variables assigned from one another; the question follows two (or one, or three) assignments."""
        r, taken, needles, asked = self.r, set(), [], []
        styles = [("{a} = {b}", "{a} = {b}"), ("let {a} = {b};", "let {a} = {b};"), ("int {a} = {b};", "{a} = {b};"),
                  ("The variable {a} is set to {b}.", "The variable {a} takes the value of {b}."), ("VAR {a} = {b}", "VAR {a} = {b}"),
                  ("{a} := {b}", "{a} := {b}"), ("Let {a} be {b}.", "Let {a} equal {b}.")]
        first, later = r.choice(styles)
        chains = []
        for _ in range(r.randint(1, 4)):
            names = []
            while len(names) < r.choice((2, 2, 2, 3, 3)):
                name = r.choice((identifier(r).lower().replace("-", "_").replace(".", "_"), "".join(r.choice("abcdefghijklmnpqrstuvwxyz") for _ in range(r.randint(1, 3)))))
                if name not in taken:
                    taken.add(name)
                    names.append(name)
            value = digits(r, 5 if r.random() < 0.7 else None)
            lines = [first.replace("{a}", names[0]).replace("{b}", value)]
            lines += [later.replace("{a}", b).replace("{b}", a) for a, b in zip(names, names[1:])]
            chains.append(lines)
            asked += [_Asked(r.choice((f"What is the value of {n}?", f"Which number does {n} hold?", f"What is {n}?", f"What value does the variable {n} have?")), value)
                      for n in names]
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
            key = (syllable_word(r) + digits(r, 4)) if kind == "hex" else self.key(kind).removeprefix("the ")
            pairs[key] = digits(r, 5 if r.random() < 0.7 else None) if number else make_value(r)
            size += len(key) + 14
        style = r.randrange(4)
        if style < 2:
            body = json.dumps(pairs, indent=None if style == 0 else r.choice((0, 1, 2, 4)), ensure_ascii=False)
        else:
            body = "\n".join((f"{k}={v}" if style == 2 else f"{k}: {v}") for k, v in pairs.items())
        doc = Document()
        doc.add(r.choice(("", "", "JSON data:\n", "Extract the value of the key from the data below.\n\n", "data = ")) + body)
        frames = ["What is the value of {k}?", "What is the value of \"{k}\"?", "What value does \"{k}\" have?", "Which value belongs to the key {k}?",
                  "Give the value for key \"{k}\".", "{k}?", "The value of the key {k}?"]
        form = r.choice(t.QUESTION_FORMS)
        for key in r.sample(list(pairs), min(len(pairs), r.randint(2, 8))):
            if style < 2 and r.random() < 0.15:
                doc.add(f'\n"{key}": "').add(pairs[key] + '"', ANSWER)
            else:
                self.answer(doc, form[0] + r.choice(frames).replace("{k}", key) + form[1], pairs[key])
        return self.close(doc)

    # Chat.

    def chat_memory(self, chars: int) -> Document:
        """A long chat of many turns; facts told early (and later) are asked for in the end."""
        r, doc = self.r, Document()
        if r.random() < 0.5:
            doc.add(SYSTEM + r.choice(SYSTEM_PROMPTS) + STOP)
        facts = self.facts(r.randint(1, 6))
        waiting, told = list(facts), []
        while doc.length < chars - 150 * len(facts) or waiting:
            u = r.random()
            if waiting and (u < 0.35 or doc.length > 0.7 * chars or not told):
                told.append(waiting.pop())
                doc.add(USER + told[-1].statement(r) + STOP).add(ASSISTANT + r.choice(ACKNOWLEDGEMENTS) + STOP, TEXT)
            elif told and u < 0.45:
                fact = r.choice(told)
                doc.add(USER + fact.question(r) + STOP)
                self.chat_answer(doc, fact.value)
            elif u < 0.55:
                user, reply = r.choice(SMALL_TALK)
                doc.add(USER + user + STOP).add(ASSISTANT + reply + STOP, TEXT)
            else:
                text, _ = self.filler(r.randint(60, max(80, min(1500, chars // 6))))
                doc.add(USER + text.strip() + STOP).add(ASSISTANT + r.choice(REACTIONS) + STOP, TEXT)
        for fact in r.sample(facts, min(len(facts), r.randint(1, 4))):
            doc.add(USER + fact.question(r) + STOP)
            self.chat_answer(doc, fact.value)
        return self.close(doc)

    def tools(self, chars: int) -> Document:
        """Tool calls as JSON and answers out of the tools' responses."""
        r, doc = self.r, Document()
        names = [f"{r.choice(('get', 'find', 'lookup', 'fetch', 'read', 'check', 'query'))}_{r.choice(CODE_WORDS + LOG_WORDS)}" for _ in range(r.randint(1, 4))]
        params = {n: r.choice(("name", "query", "id", "key", "city", "path", "user")) for n in names}
        specs = [{"type": "function", "function": {"name": n, "description": f"Returns the {n.split('_')[1]}.", "parameters": {
            "type": "object", "properties": {p: {"type": "string"}}, "required": [p]}}} for n, p in params.items()]
        head = r.choice(SYSTEM_PROMPTS) + "\n\n" if r.random() < 0.5 else ""
        doc.add(SYSTEM + head + TOOL_HEADER + "".join("\n" + json.dumps(s) for s in specs) + TOOL_FOOTER + STOP)
        history = []
        while doc.length < chars or not history:
            name, key, value = r.choice(names), self.key().removeprefix("the "), make_value(r)
            what = name.split("_")[1]
            if history and r.random() < 0.3:
                old = r.choice(history)
                doc.add(USER + r.choice((f"What was the {old[0]} of {old[1]} again?", f"Remind me of the {old[0]} for {old[1]}.")) + STOP)
                self.chat_answer(doc, old[2])
                continue
            if r.random() < 0.4:
                text, _ = self.filler(r.randint(60, max(80, min(1200, chars // 5))))
                doc.add(USER + text.strip() + STOP).add(ASSISTANT + r.choice(REACTIONS) + STOP, TEXT)
            doc.add(USER + r.choice((f"What is the {what} of {key}?", f"Use {name} for {key}.", f"Look up the {what} for {key}.")) + STOP)
            call = json.dumps({"name": name, "arguments": {params[name]: key}}, ensure_ascii=False)
            doc.add(ASSISTANT).add(f"<tool_call>\n{call}\n</tool_call><|im_end|>", ANSWER / 2).add("\n")
            noise = {r.choice(CODE_WORDS): digits(r) for _ in range(r.randint(0, 5))}
            items = list({**noise, what: value}.items())
            r.shuffle(items)
            response = json.dumps(dict(items), ensure_ascii=False)
            doc.add(USER + f"<tool_response>\n{response}\n</tool_response>" + STOP)
            self.chat_answer(doc, value)
            if not any(h[:2] == (what, key) for h in history):
                history.append((what, key, value))
        return self.close(doc)

    def small_talk(self, chars: int) -> Document:
        r, doc = self.r, Document()
        while doc.length < chars:
            if r.random() < 0.3:
                doc.add(SYSTEM + r.choice(SYSTEM_PROMPTS) + STOP)
            for _ in range(r.randint(1, 3)):
                if r.random() < 0.5:
                    user, reply = r.choice(SMALL_TALK)
                    doc.add(USER + user + STOP + ASSISTANT).add(reply + "<|im_end|>", TEXT).add("\n")
                else:
                    word = make_value(r, None, self.pool.words)
                    doc.add(USER + r.choice((f"Repeat: {word}", f"Say {word}.", f"Please repeat the following: {word}", f"Echo {word}")) + STOP)
                    self.chat_answer(doc, word)
            self.close(doc)
        return doc

    # Copying and plain text.

    def copy_noise(self, chars: int) -> Document:
        """A segment of random words, again and again."""
        r, doc = self.r, Document(base=NOISE)
        words = [r.choice((syllable_word(r), digits(r), r.choice(NOUNS), identifier(r), r.choice(self.pool.words or NOUNS))) for _ in range(r.randint(5, 90))]
        segment = " ".join(words) + r.choice(("\n", ". ", " "))
        doc.add(segment)
        while doc.length < chars:
            doc.add(segment, 1.0)
        return self.close(doc)

    def copy_text(self, chars: int) -> Document:
        """A passage that returns word for word after other text."""
        r, doc = self.r, Document()
        size = r.randint(60, max(80, min(900, chars // 3)))
        passage, _ = self.filler(size)
        between, _ = self.filler(max(0, chars - 2 * len(passage)))
        doc.add(passage + "\n\n" + between + "\n\n" + passage[:30]).add(passage[30:], 1.5)
        return self.close(doc)

    def plain(self, chars: int) -> Document:
        kind = "books" if self.r.random() < 0.5 else self.kind()
        return self.close(Document(base=NOISE if kind in ("syllables", "numbers", "shuffled") else TEXT).add(self.pool.cut(self.r, kind, chars)))


TOOL_HEADER = ("# Tools\n\nYou can call these functions; each line between <tools> and </tools> describes one of them as JSON.\n<tools>")
TOOL_FOOTER = ("\n</tools>\n\nTo call a function, write its name and arguments as JSON between <tool_call> and </tool_call>:\n"
               "<tool_call>\n{\"name\": \"function\", \"arguments\": {\"argument\": \"value\"}}\n</tool_call>")


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
    return key[:j] + (c.upper() if key[j].isupper() else c) + key[j + 1:]
