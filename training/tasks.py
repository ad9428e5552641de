"""All kinds of documents the verifier and the restorer are trained on. Every builder returns a `Document` of about `chars` characters.

Here: chats, tool calls, copying and plain text; retrieval is in `retrieval_tasks.py`, lists are in `list_tasks.py`.
"""

import json

from document import ANSWER, NOISE, TEXT, Document
from lexicon import CODE_WORDS, LOG_WORDS, NOUNS, digits, identifier, make_value, syllable_word
from list_tasks import ListTasks
from retrieval_tasks import SYSTEM_PROMPTS
from task_pieces import ASSISTANT, STOP, SYSTEM, USER

SMALL_TALK = [
    ("Hello!", "Hello! How can I help you?"),
    ("Hi", "Hello! How can I help you?"),
    ("Who are you?", "I am a small demonstration model."),
    ("Thank you.", "You are welcome."),
    ("Good morning.", "Good morning! How can I help you?"),
    ("Thanks!", "You are welcome."),
    ("What can you do?", "I can find facts in a text that you give me."),
    ("Are you there?", "Yes, I am here."),
    ("Please remember what I say.", "I will remember it."),
    ("Goodbye.", "Goodbye!"),
    ("ok", "Good."),
]
ACKNOWLEDGEMENTS = [
    "Noted.",
    "I will remember that.",
    "Understood.",
    "Thank you, I have noted it.",
    "OK.",
]
REACTIONS = [
    "That is an interesting passage.",
    "I have read it.",
    "Thank you for sharing this.",
    "Understood.",
    "I see.",
    "Noted.",
    "Please go on.",
    "OK, what would you like to know?",
]
TOOL_HEADER = "# Tools\n\nYou can call these functions; each line between <tools> and </tools> describes one of them as JSON.\n<tools>"
TOOL_FOOTER = (
    "\n</tools>\n\nTo call a function, write its name and arguments as JSON between <tool_call> and </tool_call>:\n"
    '<tool_call>\n{"name": "function", "arguments": {"argument": "value"}}\n</tool_call>'
)


class TaskMaker(ListTasks):
    """Builds any kind of document."""

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
                doc.add(USER + told[-1].statement(r) + STOP).add(
                    ASSISTANT + r.choice(ACKNOWLEDGEMENTS) + STOP, TEXT
                )
            elif told and u < 0.45:
                fact = r.choice(told)
                doc.add(USER + fact.question(r) + STOP)
                self.chat_answer(doc, fact.value)
            elif u < 0.55:
                user, reply = r.choice(SMALL_TALK)
                doc.add(USER + user + STOP).add(ASSISTANT + reply + STOP, TEXT)
            else:
                text, _ = self.filler(r.randint(60, max(80, min(1500, chars // 6))))
                doc.add(USER + text.strip() + STOP).add(
                    ASSISTANT + r.choice(REACTIONS) + STOP, TEXT
                )
        for fact in r.sample(facts, min(len(facts), r.randint(1, 4))):
            doc.add(USER + fact.question(r) + STOP)
            self.chat_answer(doc, fact.value)
        return self.close(doc)

    def tools(self, chars: int) -> Document:
        """Tool calls as JSON and answers out of the tools' responses."""
        r, doc = self.r, Document()
        names = [
            f"{r.choice(('get', 'find', 'lookup', 'fetch', 'read', 'check', 'query'))}_{r.choice(CODE_WORDS + LOG_WORDS)}"
            for _ in range(r.randint(1, 4))
        ]
        params = {
            n: r.choice(("name", "query", "id", "key", "city", "path", "user")) for n in names
        }
        specs = [
            {
                "type": "function",
                "function": {
                    "name": n,
                    "description": f"Returns the {n.split('_')[1]}.",
                    "parameters": {
                        "type": "object",
                        "properties": {p: {"type": "string"}},
                        "required": [p],
                    },
                },
            }
            for n, p in params.items()
        ]
        head = r.choice(SYSTEM_PROMPTS) + "\n\n" if r.random() < 0.5 else ""
        doc.add(
            SYSTEM
            + head
            + TOOL_HEADER
            + "".join("\n" + json.dumps(s) for s in specs)
            + TOOL_FOOTER
            + STOP
        )
        history = []
        while doc.length < chars or not history:
            name, key, value = r.choice(names), self.key().removeprefix("the "), make_value(r)
            what = name.split("_")[1]
            if history and r.random() < 0.3:
                old = r.choice(history)
                doc.add(
                    USER
                    + r.choice(
                        (
                            f"What was the {old[0]} of {old[1]} again?",
                            f"Remind me of the {old[0]} for {old[1]}.",
                        )
                    )
                    + STOP
                )
                self.chat_answer(doc, old[2])
                continue
            if r.random() < 0.4:
                text, _ = self.filler(r.randint(60, max(80, min(1200, chars // 5))))
                doc.add(USER + text.strip() + STOP).add(
                    ASSISTANT + r.choice(REACTIONS) + STOP, TEXT
                )
            doc.add(
                USER
                + r.choice(
                    (
                        f"What is the {what} of {key}?",
                        f"Use {name} for {key}.",
                        f"Look up the {what} for {key}.",
                    )
                )
                + STOP
            )
            call = json.dumps({"name": name, "arguments": {params[name]: key}}, ensure_ascii=False)
            doc.add(ASSISTANT).add(f"<tool_call>\n{call}\n</tool_call><|im_end|>", ANSWER / 2).add(
                "\n"
            )
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
                    doc.add(USER + user + STOP + ASSISTANT).add(reply + "<|im_end|>", TEXT).add(
                        "\n"
                    )
                else:
                    word = make_value(r, None, self.pool.words)
                    doc.add(
                        USER
                        + r.choice(
                            (
                                f"Repeat: {word}",
                                f"Say {word}.",
                                f"Please repeat the following: {word}",
                                f"Echo {word}",
                            )
                        )
                        + STOP
                    )
                    self.chat_answer(doc, word)
            self.close(doc)
        return doc

    def copy_noise(self, chars: int) -> Document:
        """A segment of random words, again and again."""
        r, doc = self.r, Document(base=NOISE)
        words = [
            r.choice(
                (
                    syllable_word(r),
                    digits(r),
                    r.choice(NOUNS),
                    identifier(r),
                    r.choice(self.pool.words or NOUNS),
                )
            )
            for _ in range(r.randint(5, 90))
        ]
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
        """Text to be modelled for its own sake; the only place where natural filler has weight, so that it is not learned by heart."""
        kinds = {
            "books": 42,
            "source": 30,
            "docs": 10,
            "story": 4,
            "markdown": 3,
            "log": 2,
            "json": 2,
            "legal": 3,
            "python": 2,
            "c": 2,
        }
        kinds = {k: w for k, w in kinds.items() if k in self.pool.texts}
        kind = self.r.choices(list(kinds), list(kinds.values()))[0]
        return self.close(Document(base=TEXT).add(self.pool.cut(self.r, kind, chars)))
