"""Synthetic filler text of many kinds, by small random grammars. Every function returns a few hundred characters."""

import json
import random

from lexicon import (
    ADJECTIVES,
    CODE_WORDS,
    FIRST_NAMES,
    LOG_WORDS,
    NOUNS,
    digits,
    file_name,
    hex_text,
    identifier,
    machine_id,
    noun_phrase,
    person,
    place,
    syllable_word,
)


def _name(r):
    return "_".join(r.choice(CODE_WORDS) for _ in range(r.randint(1, 3)))


def _camel(r):
    head, *rest = _name(r).split("_")
    return head + "".join(w.capitalize() for w in rest)


def _number(r):
    return r.choice(
        (
            str(r.randrange(10)),
            str(r.randrange(100)),
            str(r.randrange(5000)),
            f"{r.random() * 100:.2f}",
            "0x" + hex_text(r, 4),
        )
    )


def _expr(r, name=_name):
    a, b = name(r), name(r)
    return r.choice(
        (
            a,
            _number(r),
            f"{a} + {_number(r)}",
            f"{a} * {b}",
            f"{a}[{b}]",
            f"{name(r)}({a}, {b})",
            f"{a}.{b}",
            f"{a} - {b}",
            f"{name(r)}({a})",
            f"{a} % {_number(r)}",
            f"{a} / {b}",
        )
    )


def python_code(r):
    lines = []
    if r.random() < 0.3:
        lines += [
            f"class {_camel(r).capitalize()}:",
            f'    """{r.choice(ADJECTIVES).capitalize()} {r.choice(CODE_WORDS)} of the {r.choice(NOUNS)}."""',
            "",
        ]
    lines.append(
        f"def {_name(r)}({', '.join(sorted({_name(r) for _ in range(r.randint(0, 4))}))}):"
    )
    for _ in range(r.randint(2, 9)):
        lines.append(
            "    "
            + r.choice(
                (
                    f"{_name(r)} = {_expr(r)}",
                    f"if {_name(r)} > {_number(r)}:\n        return {_expr(r)}",
                    f"for {_name(r)} in range({_number(r)}):\n        {_name(r)} += {_expr(r)}",
                    f"# {r.choice(CODE_WORDS)} the {noun_phrase(r)}",
                    f"{_name(r)}.append({_expr(r)})",
                    f'raise ValueError("bad {r.choice(CODE_WORDS)}: {r.choice(LOG_WORDS)}")',
                    f"self.{_name(r)} = {_expr(r)}",
                    f'{_name(r)} = {{"{_name(r)}": {_number(r)}, "{_name(r)}": "{r.choice(NOUNS)}"}}',
                    f"assert {_expr(r)} == {_number(r)}",
                    f"with open({json.dumps(file_name(r))}) as f:\n        {_name(r)} = f.read()",
                )
            )
        )
    return "\n".join(lines) + f"\n    return {_expr(r)}\n\n"


def c_code(r):
    kind = (
        "int",
        "float",
        "size_t",
        "char*",
        "double",
        "uint32_t",
        "bool",
        "auto",
        "std::string",
        "const auto&",
        "long",
    )
    lines = []
    if r.random() < 0.3:
        lines.append(
            r.choice(
                (
                    f"#include <{r.choice(CODE_WORDS)}.h>",
                    f'#include "{r.choice(CODE_WORDS)}/{_name(r)}.h"',
                    f"#define {_name(r).upper()} {_number(r)}",
                    f"// {r.choice(CODE_WORDS).capitalize()} of the {noun_phrase(r)}.",
                )
            )
        )
    if r.random() < 0.25:
        lines.append(f"struct {_camel(r).capitalize()} {{")
        lines += [f"  {r.choice(kind)} {_name(r)};" for _ in range(r.randint(2, 6))] + ["};", ""]
    args = ", ".join(f"{r.choice(kind)} {_name(r)}" for _ in range(r.randint(0, 3)))
    lines.append(
        f"{r.choice(('static ', 'inline ', ''))}{r.choice(kind)} {r.choice((_name, _camel))(r)}({args}) {{"
    )
    for _ in range(r.randint(2, 9)):
        lines.append(
            "  "
            + r.choice(
                (
                    f"{r.choice(kind)} {_name(r)} = {_expr(r)};",
                    f"if ({_name(r)} < {_number(r)}) {{\n    return {_expr(r)};\n  }}",
                    f"for (int i = 0; i < {_name(r)}; ++i) {{\n    {_name(r)}[i] = {_expr(r)};\n  }}",
                    f"/* {noun_phrase(r)} */",
                    f"{_name(r)}->{_name(r)} = {_expr(r)};",
                    f'printf("%d {r.choice(LOG_WORDS)}\\n", {_name(r)});',
                    f"{_name(r)} += {_expr(r)};",
                    f"while ({_name(r)} != {_number(r)}) {_name(r)}++;",
                    f"switch ({_name(r)}) {{ case {_number(r)}: break; default: return {_number(r)}; }}",
                )
            )
        )
    return "\n".join(lines) + f"\n  return {_expr(r)};\n}}\n\n"


def js_code(r):
    lines = [
        r.choice(
            (
                f"function {_camel(r)}({_camel(r)}, {_camel(r)}) {{",
                f"const {_camel(r)} = async ({_camel(r)}) => {{",
                f"export function {_camel(r)}({{ {_camel(r)} }}) {{",
            )
        )
    ]
    for _ in range(r.randint(2, 8)):
        lines.append(
            "  "
            + r.choice(
                (
                    f"const {_camel(r)} = {_expr(r, _camel)};",
                    f"let {_camel(r)} = [{_number(r)}, {_number(r)}];",
                    f"if ({_camel(r)} === {_number(r)}) return {_expr(r, _camel)};",
                    f'console.log("{r.choice(LOG_WORDS)}", {_camel(r)});',
                    f"{_camel(r)}.map(x => x.{_camel(r)});",
                    f"await fetch(`/{r.choice(CODE_WORDS)}/${{{_camel(r)}}}`);",
                    f"// {noun_phrase(r)}",
                )
            )
        )
    return "\n".join(lines) + "\n};\n\n"


def sql_code(r):
    table, cols = r.choice(CODE_WORDS) + "s", [_name(r) for _ in range(r.randint(2, 5))]
    return r.choice(
        (
            f"SELECT {', '.join(cols)}\nFROM {table}\nWHERE {cols[0]} > {_number(r)} AND {cols[1]} = '{r.choice(NOUNS)}'\nORDER BY {cols[0]} DESC LIMIT {r.randrange(1, 99)};\n\n",
            f"INSERT INTO {table} ({', '.join(cols)}) VALUES ({', '.join(_number(r) for _ in cols)});\n",
            f"UPDATE {table} SET {cols[0]} = {_number(r)} WHERE id = {r.randrange(9999)};\n",
            "CREATE TABLE "
            + table
            + " (\n  "
            + ",\n  ".join(
                f"{c} {r.choice(('INTEGER', 'TEXT', 'REAL', 'VARCHAR(64) NOT NULL'))}" for c in cols
            )
            + "\n);\n\n",
        )
    )


def shell_code(r):
    return (
        "\n".join(
            r.choice(
                (
                    f"export {_name(r).upper()}={_number(r)}",
                    f"cp -r {file_name(r)} /{r.choice(CODE_WORDS)}/{r.choice(CODE_WORDS)}/",
                    f'if [ -f "{file_name(r)}" ]; then\n  echo "{noun_phrase(r)}"\nfi',
                    f"for f in *.{r.choice(('txt', 'log', 'c'))}; do\n  wc -l \"$f\"\ndone",
                    f"grep -rn '{r.choice(LOG_WORDS)}' {r.choice(CODE_WORDS)}/ | sort | head -{r.randrange(1, 50)}",
                    f"# {noun_phrase(r)}",
                    f"curl -s http://{r.choice(NOUNS)}.example:{r.randrange(1000, 9999)}/{r.choice(CODE_WORDS)}",
                    f"{_name(r)}=$({r.choice(CODE_WORDS)} --{r.choice(CODE_WORDS)} {_number(r)})",
                )
            )
            for _ in range(r.randint(3, 9))
        )
        + "\n"
    )


PARTIES = "the Licensee|the Licensor|the Contributor|the Recipient|the Buyer|the Seller|the Tenant|the Landlord|the Company|the Employee|either party|the Agency|each Participant".split(
    "|"
)
OBJECTS = "the Software|the Work|this Agreement|the Documentation|the Premises|any Derivative Work|the Goods|the Services|the Confidential Information|the source code|any portion thereof|the Deposit|the Property".split(
    "|"
)
ACTS = "copy|modify|distribute|sublicense|publish|transfer|assign|disclose|inspect|terminate|indemnify|retain|reproduce|sell|use|deliver|return".split(
    "|"
)
CONDITIONS = [
    "subject to the terms of Section {n}",
    "provided that the above copyright notice appears in all copies",
    "without prior written consent",
    "to the extent permitted by applicable law",
    "notwithstanding anything to the contrary in clause {n}",
    "within {n} days of receipt",
    "free of charge",
    "in whole or in part",
    "whether express or implied",
    "including but not limited to any warranty of merchantability",
    "as set out in Schedule {n}",
    "in the event of a breach",
    "by reason of any act or omission",
    "at its sole discretion",
]


def legal(r):
    out = [f"{r.randint(1, 20)}.{r.randint(1, 9)} "] if r.random() < 0.5 else []
    for _ in range(r.randint(2, 5)):
        who, what, cond = (
            r.choice(PARTIES),
            r.choice(OBJECTS),
            r.choice(CONDITIONS).format(n=r.randint(1, 30)),
        )
        out.append(
            r.choice(
                (
                    f"{who[0].upper() + who[1:]} shall not {r.choice(ACTS)} {what}, {cond}. ",
                    f'{what[0].upper() + what[1:]} is provided "as is", {cond}. ',
                    f"In no event shall {who} be liable for any {r.choice(('direct', 'indirect', 'special', 'consequential'))} damages arising from the use of {what}. ",
                    f"{who[0].upper() + who[1:]} may {r.choice(ACTS)} and {r.choice(ACTS)} {what} {cond}, and {r.choice(PARTIES)} agrees to {r.choice(ACTS)} {r.choice(OBJECTS)}. ",
                    f"Permission is hereby granted to {who} to {r.choice(ACTS)} {what} {cond}. ",
                    f"If {who} fails to {r.choice(ACTS)} {what}, {r.choice(PARTIES)} is entitled to {r.choice(ACTS)} it {cond}. ",
                )
            )
        )
    return "".join(out).rstrip() + r.choice(("\n", "\n\n", " "))


def log(r, style=None):
    style = r.randrange(4) if style is None else style
    stamp = f"2026-{r.randint(1, 12):02}-{r.randint(1, 28):02}T{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}"
    level, module = r.choice(("INFO", "WARN", "ERROR", "DEBUG", "TRACE")), r.choice(LOG_WORDS)
    text = r.choice(
        (
            f"{r.choice(LOG_WORDS)} {machine_id(r)} {r.choice(('started', 'failed', 'finished', 'timed out', 'accepted'))}",
            f"{r.choice(LOG_WORDS)}={_number(r)} {r.choice(LOG_WORDS)}={_number(r)}",
            f"took {r.randrange(9999)} ms",
            f"user {person(r)} logged in from 10.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(256)}",
            f"wrote {r.randrange(10**6)} bytes to {file_name(r)}",
            f"retrying {r.choice(LOG_WORDS)} ({r.randint(1, 5)}/5)",
        )
    )
    return (
        f"{stamp} {level} [{module}] {text}\n",
        f"[{stamp[11:]}] {module}: {text}\n",
        f"{stamp.replace('T', ' ')},{r.randrange(1000):03} - {module} - {level} - {text}\n",
        f'10.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(256)} - - [{stamp}] "GET /{r.choice(CODE_WORDS)}/{r.randrange(9999)} HTTP/1.1" {r.choice((200, 304, 404, 500))} {r.randrange(99999)}\n',
    )[style]


def _json_value(r, depth=0):
    u = r.random()
    if depth < 2 and u < 0.15:
        return {_name(r): _json_value(r, depth + 1) for _ in range(r.randint(1, 4))}
    if depth < 2 and u < 0.25:
        return [_json_value(r, depth + 1) for _ in range(r.randint(1, 4))]
    return r.choice(
        (
            r.randrange(10 ** r.randint(1, 6)),
            r.choice(NOUNS),
            person(r),
            True,
            False,
            None,
            round(r.random() * 100, 2),
            place(r),
            machine_id(r),
            hex_text(r, 8),
        )
    )


def json_text(r):
    obj = {_name(r): _json_value(r) for _ in range(r.randint(2, 6))}
    return json.dumps(obj, indent=r.choice((None, None, 2, 4))) + r.choice(("\n", ",\n"))


def csv(r):
    cols = r.randint(3, 6)
    return "".join(
        ",".join(
            r.choice((digits(r), r.choice(NOUNS), person(r), _number(r), place(r)))
            for _ in range(cols)
        )
        + "\n"
        for _ in range(r.randint(3, 10))
    )


def markdown(r):
    return r.choice(
        (
            f"{'#' * r.randint(1, 3)} {noun_phrase(r).title()}\n\n",
            f"- {r.choice(ADJECTIVES)} {r.choice(NOUNS)}: {noun_phrase(r)}\n",
            f"* `{identifier(r)}` - {noun_phrase(r)}\n",
            f"| {r.choice(NOUNS)} | {digits(r)} | {r.choice(ADJECTIVES)} |\n",
            f"The {noun_phrase(r)} is described in [{r.choice(NOUNS)}]({file_name(r)}). See also **{r.choice(CODE_WORDS)}**.\n\n",
            f"```\n{shell_code(r)}```\n\n",
            f"{r.randint(1, 9)}. Open the {noun_phrase(r)} and {r.choice(ACTS)} the {r.choice(CODE_WORDS)}.\n",
        )
    )


def story(r):
    """Plain sentences in today's English with names and places: the look of notes, mails and reports."""
    a, b, t = person(r), person(r), noun_phrase(r)
    return r.choice(
        (
            f"{a} walked to the {t} and waited for {b}.",
            f"On {r.choice(('Monday', 'Tuesday', 'Friday'))} {a} wrote a letter about the {t}.",
            f"Nobody at {place(r)} had heard of the {t} before.",
            f"The {t} belongs to {a}, who bought it in {place(r)}.",
            f'"I will think about it," said {a}.',
            f"{a} and {b} discussed the {r.choice(CODE_WORDS)} for {r.randint(2, 59)} minutes.",
            f"It rained in {place(r)}, so the {r.choice(NOUNS)} stayed closed.",
            f"The meeting of {r.choice(FIRST_NAMES)} with the {r.choice(NOUNS)} team was moved.",
            f"Chapter {r.randint(1, 40)} explains why the {t} matters.",
            f"{b} asked {a} for {r.randint(2, 900)} copies of the {r.choice(NOUNS)} plan.",
        )
    ) + r.choice((" ", " ", " ", "\n\n"))


def syllables(r):
    return " ".join(syllable_word(r) for _ in range(r.randint(6, 20))) + r.choice(
        (". ", ". ", "\n", ", ")
    )


def random_numbers(r):
    return " ".join(digits(r) for _ in range(r.randint(5, 20))) + r.choice((". ", "\n"))


SYNTHETIC = {
    "python": python_code,
    "c": c_code,
    "js": js_code,
    "sql": sql_code,
    "shell": shell_code,
    "legal": legal,
    "log": log,
    "json": json_text,
    "csv": csv,
    "markdown": markdown,
    "story": story,
    "syllables": syllables,
    "numbers": random_numbers,
}


def synthesize(kind: str, seed: int, chars: int) -> str:
    """At least `chars` characters of one kind; the same seed gives the same text."""
    r = random.Random(f"{kind}-{seed}")
    if kind == "shuffled":
        from corpus import book_words

        words = book_words(False)
        return "".join(
            r.choice(words) + r.choice((" ", " ", " ", " ", " ", " ", ". ", ", ", "\n"))
            for _ in range(chars // 7)
        )
    parts, total, style = [], 0, None
    while total < chars:
        if kind == "log":
            if style is None or r.random() < 0.02:
                style = r.randrange(4)
            text = log(r, style)
        else:
            text = SYNTHETIC[kind](r)
        parts.append(text)
        total += len(text)
    return "".join(parts)
