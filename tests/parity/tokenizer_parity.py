"""Compares the engine's tokenizer with PyPI's `tokenizers`, live.

Trains three byte-level BPE tokenizers on the spot, in the styles of Qwen3, Llama 3 and GPT-2, and
wants the same ids and the same decoded text for every string of a list that is mean on purpose.
Then every kind of pre-tokenizer and normalizer by itself, and regexes that PCRE2 reads otherwise.

    python tests/parity/tokenizer_parity.py --kakeya build/bin/kakeya

Exit status: 0 all equal, 1 a difference (printed), 2 the engine refused something it should take.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

SEED = 20240607

QWEN3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Every kind of text that a tokenizer meets, as material for training and for the comparison.
PHRASES = [
    "The quick brown fox jumps over the lazy dog.",
    "It's what they've said: I'm sure we'll see you're right, he'd know; don't.",
    "IT'S WHAT THEY'VE SAID: I'M SURE WE'LL SEE YOU'RE RIGHT, HE'D KNOW; DON'T.",
    "it\u2019s a typographic apostrophe, rock 'n' roll, the '90s, '\u017f '\u017fo x'\u017f",
    "one 1 two 22 three 333 four 4444 five 55555 pi 3.14159 1,234,567.89 0x1F 1e-9",
    "\u0661\u0662\u0663\u0664\u0665 \u00b2\u00b3\u00b9 \u00bd\u00be \u2167 \u2460\u2461 \u096b\u096c \uff11\uff12\uff13\uff14",
    "def f(x):\n    if x > 0:\n        return x ** 2\n\telse:\n\t\treturn -x  # tab\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * c; }  // loop\r\n#define X(y) ((y)<<1)\r\n",
    '{"key": [1, 2.5, null, true], "nested": {"a\\"b": "\\u00e9"}}',
    "https://example.org/a/b?c=d&e=f#g  mailto:someone@example.com C:\\dir\\file.txt",
    "SELECT * FROM t WHERE a='b' AND c<>'d';  <html><body class=\"x\">&nbsp;</body></html>",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u8fd9\u662f\u4e00\u4e2a\u6d4b\u8bd5\u3002\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff01",
    "\u3053\u3093\u306b\u3061\u306f\u3001\u4e16\u754c\u3002\u30ab\u30bf\u30ab\u30ca\u3068\u304b\u3099\u304e\u3099 \u304c\u304e \uff76\uff9e",
    "\ud55c\uad6d\uc5b4 \uc548\ub155\ud558\uc138\uc694 \u1112\u1161\u11ab\u1100\u116e\u11a8 \u1112\u1161 \uac00\u11a8",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u200f(\u0661)\u200e",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u0ba8\u0bbf\u0bb2\u0bbe",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0439\u0438\u0306 \u0451\u0435\u0308 \u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5",
    "caf\u00e9 cafe\u0301 na\u00efve nai\u0308ve \u00c5 A\u030a \u212b \u1e69 s\u0323\u0307 s\u0307\u0323 \u1e0b\u0323 q\u0307\u0323",
    "\u0344 \u0958 \ufb01 \ufb2a \u2126 \uf900 \U0002f800 \u0f73\u0f75 \u1fee \u0340\u0341 \u2adc",
    "a\u0300\u0316\u0301\u0317\u0315\u031b\u0323 \u0300leading mark o\u0302\u0301\u0323\u0306",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd 1\ufe0f\u20e3",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1ef\U0001f1f5 \u2764\ufe0f\u2728 \u2603\ufe0e \U0001f9d1\U0001f3fb\u200d\U0001f680",
    "\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8 \U00010348 \U0001f130 \u24d0 \u2160",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\u180eh\u200bi\ufeffj\u202fk\u205fl\u1680m\x0bn\x0co\x1cp\x1fq",
    "\u00ab quoted \u00bb \u201edeutsch\u201c \u2018x\u2019 \u2026 \u2014 \u2013 \u00b7 \u00a7 \u20ac \u00a3 \u00a5 \u2260 \u2264 \u221e \u222b",
]

SPACES = [
    " ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n", "\r", " \n", "\n ",
    "  \n\n  ", " \t \n \t ", "x ", " x", "  x", "x  ", "x  y", "x   y", "x\n\ny", "x \n y",
    "x\r\n  y", "\t x", "x\t", "! \n", "!\n\n x", "!!\r\n\r\n", " !\n", "a\n b\n  c\n   d",
    " " * 17 + "x", "x" + " " * 33, "\n" * 9 + "x", "\u3000\u3000x", "\u00a0 \u00a0x", "\u2028\nx",
]

CORNERS = [
    "", "a", "ab", "\x00", "a\x00b\x00\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\uffff",
    "\U00010000", "\U0010ffff", "\ufffd", "'", "''", "'s", "'S", "'\u017f", "'\u212a", "s's'S",
    "'LL'll'Ll'lL", "'RE've'VE", "don'T", "'stop", "'dog", "x'y", "12'3", "1", "12", "123", "1234",
    "12345", "123456", "1234567", "a1b22c333d4444", "1\u0301", "\u0301", "\u0301\u0301", " \u0301",
    "\n\u0301", "_", "__init__", "-", "--", "...", "?!?!", "()", "[]{}<>", "$100", "100%", "#tag",
    "@user", "a" * 300, "ab" * 200, "1" * 100, "." * 150, "-" * 80, "=" * 79 + "\n", "\u00e9" * 70,
    "e\u0301" * 70, "\u4e2d" * 70, "\U0001f600" * 40, "\u0300" * 60, "a" + "\u0323\u0307" * 60,
]

# Special tokens' and added tokens' text: alone, doubled, broken, among words and white space.
MARKED = [
    "{s}", "{s}{s}", "a{s}b", "a {s} b", "  {s}  ", "\n{s}\n", "{s}x{a}", "{a}", "{a}{a}", "x{a}y",
    " {a} z{a}", "{a}\n\nhello{a}\n", "{s}user\nHow are you?{s}\n{s}assistant\n{a}\n\n{a}\n\n",
    "<{s}", "{s}>", "{s}'s", "1{s}2", "\u00e9{s}e\u0301{a}", "{w}", "x{w}", "{w}x", "x {w} y", "{w}.",
    "({w})", "\u00e9{w}", "{w}\u0301", "{l}", "a  {l}  b", "\n \t{l}x", "{r}", "a  {r}  b", "{r} \n\t{r} x",
    "{l} {l}", "{r} {l} {r}", "{s} {l}", "{n}", "x{n}y", "cafe\u0301{n}", "{d}", "x{d} {d}", "<de\u0301ja\u0300>", "<de\u0301j\u00e0>\u0301", "<\u212be\u0301{d}",
    "{t1}", "{t2}", "{t1}{t2}", "{t2}x{t1}", "{s_cut}", "{s_cut}{s}", "{a_cut}{a}",
]


def training_text(rng):
    words = sorted({w for p in PHRASES for w in p.split()})
    # Made-up words give the trainer something to merge.
    syllables = [a + b + c for a in "bdfklmnprst" for b in "aeiou" for c in ("", "n", "r", "s")]
    words += ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 4))) for _ in range(1200)]
    lines = list(PHRASES) * 4
    for _ in range(3000):
        line = " ".join(rng.choice(words) for _ in range(rng.randint(3, 14)))
        lines.append("  " * rng.randint(0, 3) + line + rng.choice(["", "\n", "\n\n", "\r\n", "  "]))
    return lines


def added_tokens():
    """Tokens with every flag; content by the letter that MARKED uses."""
    return {
        "s": AddedToken("<|im_start|>", special=True, normalized=False),
        "a": AddedToken("<think>", special=False, normalized=False),
        "w": AddedToken("<word>", special=False, normalized=False, single_word=True),
        "l": AddedToken("<mask>", special=True, normalized=False, lstrip=True),
        "r": AddedToken("<right>", special=False, normalized=False, rstrip=True),
        "n": AddedToken("na\u00efve token", special=False, normalized=True),
        "d": AddedToken("<d\u00e9j\u00e0>", special=True, normalized=True),
        "t1": AddedToken("<tool", special=False, normalized=False),
        "t2": AddedToken("<tool_call>", special=False, normalized=False),
    }


def build(style, lines):
    """A tokenizer in the style of "qwen3", "llama3" or "gpt2". With "-partial" behind it only the bytes of the training
    text have tokens, and others vanish; with "-unk" they become an unk_token."""
    style, _, alphabet = style.partition("-")
    unk = "<unk>" if alphabet == "unk" else None
    tokenizer = Tokenizer(models.BPE(ignore_merges=style == "llama3", unk_token=unk))
    if style == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        pattern = QWEN3_PATTERN if style == "qwen3" else LLAMA3_PATTERN
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])
    if style == "qwen3":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        initial_alphabet=[] if alphabet else pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"] * (style == "gpt2") + [unk] * (unk is not None),
        show_progress=False,
    )
    tokenizer.train_from_iterator([line for line in lines if not alphabet or line.isascii()], trainer)
    if style == "llama3":
        tokenizer.add_special_tokens(["<|begin_of_text|>"])
        bos = tokenizer.token_to_id("<|begin_of_text|>")
        template = processors.TemplateProcessing(
            single="<|begin_of_text|> $A",
            pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
            special_tokens=[("<|begin_of_text|>", bos)],
        )
        tokenizer.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), template])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    for token in added_tokens().values():
        if token.special:
            tokenizer.add_special_tokens([token])
        else:
            tokenizer.add_tokens([token])
    return tokenizer


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior=behavior, invert=invert)


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
BEHAVIORS = ("isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous")
PRE_TOKENIZERS = {
    **{f"Punctuation {b}": [pre_tokenizers.Punctuation(b)] for b in BEHAVIORS},
    "Whitespace": [pre_tokenizers.Whitespace()],
    "WhitespaceSplit": [pre_tokenizers.WhitespaceSplit()],
    "UnicodeScripts": [pre_tokenizers.UnicodeScripts()],
    "UnicodeScripts and Whitespace": [pre_tokenizers.UnicodeScripts(), pre_tokenizers.Whitespace()],
    "BertPreTokenizer": [pre_tokenizers.BertPreTokenizer()],
    "CharDelimiterSplit": [pre_tokenizers.CharDelimiterSplit("e")],
    "FixedLength": [pre_tokenizers.FixedLength(3)],
    **{f"Split {p} {b}": [split(p, b)] for b in ("isolated", "merged_with_next") for p in (
        r"\w+", r"\W+", r"[\w']+", r"[\W_]+", r"[^\w\s]", r"[^\W\d]+", r"\b\w", r"\B.", r"\b",
        r"\d{1,3}(?=(?:\d{3})*\b)", r"[a-z[0-9_]]+", r"[^a-z[0-9_]]+", r"[\p{L}&&[^aeiou]]+",
        r"[^\p{L}&&[^aeiou]]+", r"[\p{L}\p{M}&&[^\p{Han}]]+", r"\p{Han}+", r"\P{Latin}+", r"[\p{Greek}\p{Cyrillic}]+",
        r" ?[^(\s|[.,!?\u2026\u3002])]+".replace(r"\u2026", "\u2026").replace(r"\u3002", "\u3002"))},
    "Split inverted": [split(r"\w+|[^\w\s]+", "removed", True)],
    "steps behind ByteLevel": [pre_tokenizers.Punctuation("contiguous"), BYTES, pre_tokenizers.Digits(False),
                               split("[0-9][0-9][0-9]")],
}
NORMALIZERS = {
    "NFC": [normalizers.NFC()], "NFD": [normalizers.NFD()], "NFKC": [normalizers.NFKC()],
    "NFKD": [normalizers.NFKD()], "Lowercase": [normalizers.Lowercase()],
    "Strip": [normalizers.Strip()], "Strip left": [normalizers.Strip(left=True, right=False)],
    "Strip right": [normalizers.Strip(left=False, right=True)],
    "StripAccents": [normalizers.StripAccents()], "Prepend": [normalizers.Prepend("\u2581_")],
    "Replace a string": [normalizers.Replace(" ", "\u2581")],
    "Replace with nothing": [normalizers.Replace("e", "")],
    "Replace a regex": [normalizers.Replace(Regex(r"\s+|\p{M}|\b'"), " ")],
    "Replace by more": [normalizers.Replace(Regex(r"[aeiou]|\p{Han}+"), "<\u00e9>")],
    "NFD, StripAccents, Lowercase": [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()],
    "Prepend, Replace, NFKC, Strip": [normalizers.Prepend(" "), normalizers.Replace("  ", "\u00a0"),
                                      normalizers.NFKC(), normalizers.Strip()],
    "a Sequence in a Sequence": [normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()]),
                                 normalizers.Replace("\u0301", "")],
}


def with_parts(base, steps, normalizer):
    """The tokenizer with other steps before ByteLevel, or another normalizer."""
    tokenizer = Tokenizer.from_str(base)
    if steps is not None:
        whole = steps if any(isinstance(s, pre_tokenizers.ByteLevel) for s in steps) else [*steps, BYTES]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(whole)
    if normalizer is not None:
        tokenizer.normalizer = normalizers.Sequence(normalizer)
    return Tokenizer.from_str(tokenizer.to_str())  # added tokens are normalized as they are added


def known_everywhere(text):
    """Whether all of its characters are older than the tables of 2015 that `tokenizers` has for punctuation and
    normal forms: those of Unicode 3.2 are, and what neither has a decomposition nor is punctuation or a mark."""
    def known(c):
        young = unicodedata.ucd_3_2_0.category(c) == "Cn"
        changes = unicodedata.normalize("NFKD", c) != c or c.lower() != c
        return not young or not (changes or unicodedata.category(c)[0] in "PM")
    return all(known(c) for c in text)


def of_known_scripts(texts):
    """Strings whose characters have a script in the table of `tokenizers`, which is older, too."""
    scripts = pre_tokenizers.UnicodeScripts()
    none = {c for c in set("".join(texts)) if c != " " and not scripts.pre_tokenize_str(c)}
    return [t for t in texts if not none.intersection(t)]


def random_strings(rng, count):
    """Random characters: from everywhere, and from the blocks where something happens."""
    blocks = [(0x20, 0x7e), (0x9, 0xd), (0xa0, 0x17f), (0x300, 0x36f), (0x370, 0x5ff), (0x900, 0xdff),
              (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2150, 0x218f), (0x3040, 0x30ff),
              (0x4e00, 0x4eff), (0xac00, 0xacff), (0xf900, 0xfaff), (0xfb00, 0xfb4f), (0x1f300, 0x1f64f),
              (0x10000, 0x1ffff), (0x1, 0x10ffff)]

    def character():
        # What a character is depends on each library's Unicode version, so unassigned ones are left
        # out, and marks younger than Unicode 3.2: `tokenizers` normalizes with tables of 2016.
        while True:
            low, high = rng.choice(blocks)
            c = chr(rng.randint(low, high))
            young = unicodedata.ucd_3_2_0.category(c) == "Cn" and unicodedata.combining(c) != 0
            if unicodedata.category(c) not in ("Cn", "Cs") and not young:
                return c

    return ["".join(character() for _ in range(rng.randint(1, 40))) for _ in range(count)]


def strings():
    rng = random.Random(SEED)
    marks = {name: token.content for name, token in added_tokens().items()}
    marks["s_cut"], marks["a_cut"] = marks["s"][:-1], marks["a"][:-2]
    texts = list(PHRASES) + SPACES + CORNERS
    texts += [text.format(**marks) for text in MARKED]
    texts += [unicodedata.normalize("NFD", p) for p in PHRASES]
    texts += [unicodedata.normalize("NFC", p) for p in PHRASES]
    texts += [p.upper() for p in PHRASES[:11]]
    for line in rng.sample(training_text(rng), 60):
        texts.append(line + rng.choice(SPACES))
    for _ in range(80):  # phrases with white space and marks between
        parts = []
        for _ in range(rng.randint(2, 6)):
            phrase = rng.choice(PHRASES)
            start = rng.randrange(len(phrase))
            parts.append(phrase[start:start + rng.randint(1, 30)])
            parts.append(rng.choice(SPACES + list(marks.values()) + [""] * 20))
        texts.append("".join(parts))
    texts += random_strings(rng, 150)
    return texts


class Engine:
    """`kakeya tokenize` on one model folder."""

    def __init__(self, binary, folder):
        self.command = [binary, "tokenize", "-m", str(folder), "--json"]
        self.folder = pathlib.Path(folder)

    def run(self, flag, items, *flags):
        path = self.folder / "input.json"
        path.write_text(json.dumps(items), encoding="utf-8")
        done = subprocess.run([*self.command, flag, str(path), *flags], capture_output=True)
        if done.returncode != 0:
            print(f"{' '.join(self.command)} {flag} {' '.join(flags)}: exit {done.returncode}: "
                  f"{done.stderr.decode(errors='replace').strip()}", file=sys.stderr)
            sys.exit(2)
        return json.loads(done.stdout)

    def encode(self, texts, *flags):
        return self.run("--batch", texts, *flags)["ids"]

    def decode(self, ids, *flags):
        return self.run("--decode", ids, *flags)["texts"]


def show_ids(tokenizer, ids):
    return " ".join(f"{i}:{tokenizer.id_to_token(i)!r}" for i in ids)


def compare_ids(tokenizer, what, texts, want, got):
    if len(want) != len(got):
        sys.exit(f"{what}: {len(got)} results for {len(want)} strings")
    for text, a, b in zip(texts, want, got):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            print(f"{what}: ids differ at position {at} of {text!r}\n"
                  f"  tokenizers: {show_ids(tokenizer, a)}\n  kakeya:     {show_ids(tokenizer, b)}",
                  file=sys.stderr)
            sys.exit(1)


def compare_texts(what, ids, want, got):
    if len(want) != len(got):
        sys.exit(f"{what}: {len(got)} results for {len(want)} lists of ids")
    for source, a, b in zip(ids, want, got):
        if a != b:
            print(f"{what}: text differs for ids {source}\n  tokenizers: {a!r}\n  kakeya:     {b!r}",
                  file=sys.stderr)
            sys.exit(1)


def reference_ids(tokenizer, text):
    """None where `tokenizers` itself breaks: it loses count of where some changed characters came from."""
    try:
        return tokenizer.encode(text).ids
    except BaseException as error:  # a panic is no Exception
        if type(error).__name__ != "PanicException":
            raise
        return None


def compare_part(name, tokenizer, binary, texts):
    """Returns how many strings were compared."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(str(pathlib.Path(folder) / "tokenizer.json"))
        engine = Engine(binary, folder)
        for special in (False, True):
            tokenizer.encode_special_tokens = not special
            want = {text: ids for text in texts if (ids := reference_ids(tokenizer, text)) is not None}
            assert len(want) >= 300, f"only {len(want)} strings for {name}"
            got = engine.encode(list(want), *(["--special"] if special else []))
            compare_ids(tokenizer, name, list(want), list(want.values()), got)
    return len(want)


def compare(style, tokenizer, engine, texts):
    for special in (False, True):
        for bos in (True, False):
            tokenizer.encode_special_tokens = not special
            want = [tokenizer.encode(t, add_special_tokens=bos).ids for t in texts]
            flags = (["--special"] if special else []) + ([] if bos else ["--no-bos"])
            got = engine.encode(texts, *flags)
            compare_ids(tokenizer, f"{style} {' '.join(flags)}".strip(), texts, want, got)
    # `want` is now the richest: special tokens recognised. Random ids besides: broken characters.
    rng = random.Random(SEED + 1)
    size = tokenizer.get_vocab_size()
    ids = want + [[rng.randrange(size) for _ in range(rng.randint(1, 30))] for _ in range(100)]
    ids += [[i] for i in range(0, size, 7)]
    for keep in (False, True):
        texts_want = [tokenizer.decode(i, skip_special_tokens=not keep) for i in ids]
        got = engine.decode(ids, *(["--keep-special"] if keep else []))
        compare_texts(f"{style} decode{' --keep-special' if keep else ''}", ids, texts_want, got)


def merges_as_strings(path):
    """tokenizer.json as it was written until 2024: merges are "a b" and not ["a", "b"]."""
    data = json.loads(path.read_text(encoding="utf-8"))
    data["model"]["merges"] = [" ".join(m) if isinstance(m, list) else m for m in data["model"]["merges"]]
    path.write_text(json.dumps(data), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kakeya", required=True, help="path of the kakeya binary")
    args = parser.parse_args()
    lines = training_text(random.Random(SEED))
    texts = strings()
    base = build("gpt2", lines).to_str()
    older = [t for t in texts + random_strings(random.Random(SEED + 2), 250) if known_everywhere(t)]
    parts = 0
    for name, steps in PRE_TOKENIZERS.items():
        some = of_known_scripts(older) if "Scripts" in name else older
        parts += compare_part(name, with_parts(base, steps, None), args.kakeya, some)
    for name, steps in NORMALIZERS.items():
        parts += compare_part(name, with_parts(base, None, steps), args.kakeya, older)
    print(f"{len(PRE_TOKENIZERS)} pre-tokenizers and {len(NORMALIZERS)} normalizers: {parts} strings equal", flush=True)
    styles = ("qwen3", "llama3", "gpt2", "qwen3-partial", "gpt2-unk")
    for style in styles:
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = build(style, lines)
            path = pathlib.Path(folder) / "tokenizer.json"
            tokenizer.save(str(path))
            if style == "gpt2":
                merges_as_strings(path)
            compare(style, tokenizer, Engine(args.kakeya, folder), texts)
            print(f"{style}: {len(texts)} strings equal", flush=True)
    print(f"tokenizer parity: {len(texts)} strings, {len(styles)} tokenizers, all equal")
    print(f"{len(texts) * len(styles) + parts} passed, 0 failed")


if __name__ == "__main__":
    main()
