"""The grammar of retrieval: how a fact is stated, asked for and answered.

A statement is prefix + frame(key, attribute, value) + suffix, a question is a frame too; the training grammar spans some
tens of thousands of combinations. Families marked held out here are used by the evaluation only: among them are the
phrasings that a sceptical outsider types first ("The special magic number for X is 12345.").
"""

import random
from dataclasses import dataclass

ATTRIBUTES = """code|number|secret code|secret number|access number|password|PIN|passcode|serial number|locker number|
price|id|phone extension|account number|room number|ticket number|order number|registration number|key|token|reference|
reference number|index|score|value|total|port|postal code|licence number|membership number|seat number|flight number|
invoice number|customer number|rank|weight|balance|budget|deposit|target|quota|signal|frequency|channel|combination|
safe combination|door code|lock code|entry code|confirmation code|booking code|tracking number|batch number|part number|
model number|case number|file number|page number|badge number|lucky number|favourite number|code word|call sign|label|
verification code|security code|activation key|product key|magic word|number of visitors|height|distance|count|limit|
version|checksum|seed|hidden code|private key|unlock code|personal number|voucher|coupon code|answer""".replace(
    "\n", ""
)
ATTRIBUTES = ATTRIBUTES.split("|")
HELD_OUT_ATTRIBUTES = [
    "access code",
    "special magic number",
    "vault number",
    "pass phrase",
    "gate code",
    "identity number",
]

# {k} key, {K} key with a capital, {a} attribute, {v} value; the same in questions.
STATEMENTS = [
    "The {a} of {k} is {v}.",
    "The {a} for {k} is {v}.",
    "The {a} of {k} is {v}.",
    "The {a} for {k} is {v}.",
    "{K} has the {a} {v}.",
    "{K} was given the {a} {v}.",
    "{K}'s {a} is {v}.",
    "The {bare} {a} is {v}.",
    "The {bare} {a}: {v}.",
    "{v} is the {a} of {k}.",
    "{v} is the {a} for {k}.",
    "For {k}, the {a} is {v}.",
    "For {k} use the {a} {v}.",
    "The {a} that belongs to {k} is {v}.",
    "The {a} assigned to {k} was {v}.",
    "As for {k}, its {a} is {v}.",
    "We changed the {a} of {k} to {v}.",
    "They set the {a} for {k} to {v}.",
    "The {a} of {k} equals {v}.",
    "The {a} of {k} turned out to be {v}.",
    "If anyone asks for the {a} of {k}, it is {v}.",
    "The {a} known for {k} is {v}.",
    "{K} is listed with {a} {v}.",
    "{K} goes by the {a} {v}.",
    "{K} ({a}): {v}",
    "{K}: {v}",
    "{K} = {v}",
    "{K} -> {v}",
    "{K} | {a} | {v}",
    "{a} of {k}: {v}",
    "{a} for {k}: {v}",
    "{a} ({k}) = {v}",
    "[{k}] {a}: {v}",
    "{k}.{snake} = {v}",
    '{snake}["{k}"] = {v}',
    '"{k}": "{v}",',
    '"{k}": {v},',
    "set {snake} of {k} to {v}",
    "{K}, {a} {v}.",
    "On record, the {a} of {k} is {v}.",
    "One reads {v} as the {a} of {k}.",
    "Write down {v} as the {a} of {k}.",
    "The current {a} of {k} is {v}.",
    "The correct {a} for {k} is {v}.",
    "The {a} which opens {k} is {v}.",
    "You will need {v}, the {a} of {k}.",
    "{K} got {v} as {a}.",
    "The clerk noted {v} as the {a} for {k}.",
    "There is a {a} for {k}: {v}.",
    "The {a} linked to {k} is {v}.",
]
PREFIXES = [
    "",
    "",
    "",
    "",
    "",
    "",
    "Note: ",
    "Note that ",
    "By the way, ",
    "Important: ",
    "FYI, ",
    "P.S. ",
    "Keep in mind that ",
    "It is recorded that ",
    "Reminder: ",
    "As agreed, ",
    "He whispered: ",
    "Please note: ",
    "Attention: ",
    "For the record, ",
    "She added that ",
    "Fact: ",
    "They say that ",
    "Do not forget that ",
    "Somebody wrote: ",
    "Update: ",
    "Memo: ",
]
SUFFIXES = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    " Keep it safe.",
    " This is important.",
    " Do not lose it.",
    " Nobody else knows.",
    " Please keep it to yourself.",
    " That is all.",
    " You may need it later.",
]
QUESTIONS = [
    "What is the {a} of {k}?",
    "What is the {a} for {k}?",
    "What is the {a} of {k}?",
    "What is the {a} for {k}?",
    "What is {k}'s {a}?",
    "What is the {bare} {a}?",
    "Which {a} does {k} have?",
    "Which {a} belongs to {k}?",
    "Give the {a} of {k}.",
    "Tell me the {a} of {k}.",
    "Tell me the {a} for {k}.",
    "State the {a} for {k}.",
    "What {a} was given for {k}?",
    "What was the {a} of {k}?",
    "What was the {a} for {k}?",
    "Do you remember the {a} of {k}?",
    "I need the {a} of {k}.",
    "Look up the {a} of {k}.",
    "{K}: what is the {a}?",
    "{a} of {k}?",
    "{K} {a}?",
    "According to the text, what is the {a} of {k}?",
    "From the text above, what is the {a} for {k}?",
    "What does the text say about the {a} of {k}?",
    "Find the {a} of {k}.",
    "Which {a} is mentioned for {k}?",
    "Can you tell me the {a} of {k}?",
    "Could you give me the {a} for {k}?",
    "What {a} is assigned to {k}?",
    "Repeat the {a} of {k}.",
    "Recall the {a} of {k}.",
    "How does the {a} of {k} read?",
    "Please give the {a} for {k}.",
    "The {a} of {k}, please.",
    "Report the {a} for {k}.",
    "Based on the document, what is the {a} of {k}?",
]
BARE_QUESTIONS = [  # for statements that name no attribute ("{K} = {v}")
    "What is the value of {k}?",
    "What is {k}?",
    "What does {k} equal?",
    "Which value does {k} have?",
    "{K}?",
    "What value was given for {k}?",
    "Look up {k}.",
    "What belongs to {k}?",
    "Give the value for {k}.",
]
COMPLETIONS = [
    "The {a} of {k} is",
    "The {a} for {k} is",
    "{K}'s {a} is",
    "The {bare} {a} is",
    "{K} has the {a}",
    "{a} of {k}:",
    "As said above, the {a} of {k} is",
    "To repeat: the {a} for {k} is",
    "The {a} of {k} was",
    "So the {a} of {k} is",
    "As mentioned, the {a} for {k} is",
    "The {a} that belongs to {k} is",
]
# (before the question, between question and answer). The answer follows with one space unless the second ends in one.
QUESTION_FORMS = [
    ("\nQuestion: ", "\nAnswer:"),
    ("\nQuestion: ", "\nAnswer:"),
    ("\n\nQuestion: ", "\nAnswer:"),
    ("\nQ: ", "\nA:"),
    ("\n\nQ: ", "\nA:"),
    ("\nQ: ", " A:"),
    ("\nQuestion: ", " Answer:"),
    ("\n\n### Question\n", "\n### Answer\n"),
    ("\n\nUser: ", "\nAssistant:"),
    ("\n\nHuman: ", "\n\nAssistant:"),
    ("\n\n", "\n"),
    ("\n", "\n"),
    ("\n\n", "\n\n"),
    ("\n> ", "\n"),
    ("\n\n", "\nThe answer is"),
    ("\n- ", " -"),
    ("\n\n[question] ", "\n[answer]"),
    ("\n\nQuery: ", "\nResult:"),
]
INSTRUCTIONS = [
    "",
    "",
    "",
    "",
    "Read the text and answer the question at the end.\n\n",
    "Below is a document. Answer the question.\n\n",
    "Here is a long text with some facts hidden in it.\n\n",
    "Remember the facts in this text.\n\n",
    "Context:\n",
    "Document:\n",
    "Text: ",
    "Use the following text.\n\n",
]
ANSWER_HINTS = [
    "",
    "",
    "",
    "",
    "",
    " Answer with the value only.",
    " Reply with the value.",
    " Be brief.",
    " Only the answer.",
]


@dataclass(frozen=True)
class HeldOutFamily:
    """A statement and question phrasing that training never produces."""

    name: str
    statement: str
    question: str
    attribute: str
    completion: str = ""


HELD_OUT_FAMILIES = [
    HeldOutFamily(
        "magic-number",
        "The special magic number for {k} is {v}.",
        "What is the special magic number for {k}?",
        "special magic number",
        "The special magic number for {k} is",
    ),
    HeldOutFamily(
        "access-code",
        "The access code for {k} is {v}.",
        "What is the access code for {k}?",
        "access code",
        "The access code for {k} is",
    ),
    HeldOutFamily(
        "remember",
        "Remember this: the vault number of {k} is {v}.",
        "What is the vault number of {k}?",
        "vault number",
    ),
    HeldOutFamily(
        "one-of",
        "One of the gate codes is worth knowing: {k} answers to {v}.",
        "Which gate code does {k} answer to?",
        "gate code",
    ),
    HeldOutFamily(
        "whoever",
        "Whoever wants to enter {k} must type {v} first.",
        "What must be typed to enter {k}?",
        "pass phrase",
    ),
    HeldOutFamily(
        "engraved",
        "Engraved on the back of {k} one finds {v}.",
        "What is engraved on the back of {k}?",
        "engraving",
    ),
    HeldOutFamily(
        "registered",
        "{K} is registered under {v} in our books.",
        "Under which number is {k} registered?",
        "identity number",
    ),
    HeldOutFamily(
        "remember-id",
        "Please remember: {v} is the identity number used by {k}.",
        "Which identity number is used by {k}?",
        "identity number",
    ),
]


def fill(frame: str, key: str, attribute: str = "", value: str = "") -> str:
    bare = key.removeprefix("the ")
    text = (
        frame.replace("{k}", key).replace("{K}", key[:1].upper() + key[1:]).replace("{bare}", bare)
    )
    text = text.replace("{snake}", attribute.lower().replace(" ", "_")).replace("{a}", attribute)
    return text.replace("{v}", value)


def names_attribute(frame: str) -> bool:
    return "{a}" in frame or "{snake}" in frame


@dataclass
class Fact:
    """One key, attribute and value with the frame that states it."""

    key: str
    attribute: str
    value: str
    frame: str

    def statement(self, r: random.Random, plain: bool = False) -> str:
        text = fill(self.frame, self.key, self.attribute, self.value)
        if plain:
            return text
        prefix = r.choice(PREFIXES)
        if prefix.endswith((", ", "that ")) and text.startswith(
            ("The ", "There ", "They ", "For ", "On ", "One ", "If ", "As ")
        ):
            text = text[0].lower() + text[1:]
        if prefix and not text.endswith((".", ",")):
            prefix = ""
        suffix = r.choice(SUFFIXES) if text.endswith(".") else ""
        return prefix + text + suffix

    def question(self, r: random.Random, easy: bool = False) -> str:
        frames = QUESTIONS if names_attribute(self.frame) else BARE_QUESTIONS
        return fill(r.choice(frames[:4] if easy else frames), self.key, self.attribute)

    def completion(self, r: random.Random) -> str | None:
        if not names_attribute(self.frame):
            return None
        return fill(r.choice(COMPLETIONS), self.key, self.attribute)


def make_fact(r: random.Random, key: str, value: str, attribute: str | None = None) -> Fact:
    return Fact(key, attribute or r.choice(ATTRIBUTES), value, r.choice(STATEMENTS))


# Facts told as an action: no attribute is named, the question takes up the verb.
PARTICIPLES = """marked with|labelled|filed under|stored under|known by|stamped with|tagged with|tied to|sold for|bought for|hidden behind|
listed under|found at|kept under|sealed with|signed with|numbered|recorded as|saved as|printed on|written beside|opened with|closed with|locked with|
started with|counted as|measured at|delivered as|announced as|encoded as|mapped to|indexed by|joined with|paid with|protected by|rated|scored at|
shipped under|traded for|valued at|booked under|called|identified by|insured for|linked to|matched with|named after|pinned to|renamed to|reset to""".replace(
    "\n", ""
).split(
    "|"
)
GOALS = """open|leave|reach|start|stop|unlock|find|call|book|use|repair|read|enable|restart|visit|claim|rent|move|load|activate|inspect|cross|join|
board|clean|borrow|release|contact|finish|approve""".replace(
    "\n", ""
).split(
    "|"
)
MEANS = """enter/entered|say/said|dial/dialled|press/pressed|use/used|show/shown|write/written|give/given|send/sent|mention/mentioned|
present/presented|choose/chosen|remember/remembered|speak/spoken|supply/supplied""".replace(
    "\n", ""
).split(
    "|"
)


@dataclass
class ActionFact(Fact):
    """A fact with a question of its own."""

    asked: str = ""

    def question(self, r: random.Random, easy: bool = False) -> str:
        return self.asked

    def completion(self, r: random.Random) -> None:
        return None


def make_action_fact(r: random.Random, key: str, value: str) -> ActionFact:
    if r.random() < 0.5:
        participle = r.choice(PARTICIPLES)
        verb, _, preposition = participle.partition(" ")
        frame = r.choice(
            (
                f"{{K}} was {participle} {{v}}.",
                f"{{K}} is {participle} {{v}}.",
                f"They say {{k}} was {participle} {{v}}.",
                f"In the end {{k}} got {participle} {{v}}.",
                f"{{K}} had been {participle} {{v}} all along.",
            )
        )
        asked = r.choice(
            (
                f"What was {{k}} {participle}?",
                f"What is {{k}} {participle}?",
                f"{preposition.capitalize() + ' what' if preposition else 'How'} was {{k}} {verb}?",
                f"{preposition.capitalize() + ' which value' if preposition else 'How'} is {{k}} {verb}?",
            )
        )
        return ActionFact(key, "value", value, frame, fill(asked, key))
    goal, (means, done) = r.choice(GOALS), r.choice(MEANS).split("/")
    frame = r.choice(
        (
            f"To {goal} {{k}}, {means} {{v}}.",
            f"Anyone who wants to {goal} {{k}} has to {means} {{v}}.",
            f"If you must {goal} {{k}}, just {means} {{v}}.",
            f"You can {goal} {{k}} only if you {means} {{v}}.",
            f"{means.capitalize()} {{v}} in order to {goal} {{k}}.",
            f"{{v}} must be {done} before one can {goal} {{k}}.",
        )
    )
    asked = r.choice(
        (
            f"What must one {means} to {goal} {{k}}?",
            f"What should be {done} to {goal} {{k}}?",
            f"How can I {goal} {{k}}?",
            f"What has to be {done} if I want to {goal} {{k}}?",
            f"What do I need to {goal} {{k}}?",
            f"Which value must be {done} in order to {goal} {{k}}?",
        )
    )
    return ActionFact(key, "value", value, frame, fill(asked, key))


FUNCTION_WORDS = "the a of to in on is was by our his her with for at must has had may from under over and then now".split()


def make_odd_fact(r: random.Random, key: str, value: str, words: list[str]) -> ActionFact:
    """Key and value among random words, asked for with some of those words: nothing to lean on but the key itself."""

    def some(low: int, high: int) -> list[str]:
        return [
            r.choice(FUNCTION_WORDS if r.random() < 0.5 else words)
            for _ in range(r.randint(low, high))
        ]

    before, between, after = some(0, 5), some(0, 5), some(0, 3) if r.random() < 0.5 else []
    first, second = ("{k}", "{v}") if r.random() < 0.7 else ("{v}", "{k}")
    frame = " ".join([*before, first, *between, second, *after])
    kept = [w for w in before + between if r.random() < 0.6]
    at = r.randint(0, len(kept))
    asked = " ".join(
        [
            r.choice(("What", "Which", "What", "How", "Which number", "What value", "")),
            *kept[:at],
            "{k}",
            *kept[at:],
        ]
    ).strip()
    frame, asked = frame[0].upper() + frame[1:] if frame[0] != "{" else frame, (
        asked[0].upper() + asked[1:] if asked[0] != "{" else asked
    )
    return ActionFact(key, "value", value, frame + ".", fill(asked + "?", key))
