"""Tests of the generated data: python -m unittest test_data (needs numpy and tokenizers only)."""

import random
import unittest
from pathlib import Path

import corpus
import list_tasks
import packing
import templates
import tokenizer as tokenizer_module
from document import ANSWER, Document, FillerPool, bury
from lexicon import is_held_out_key, make_key
from tasks import TaskMaker

# Of the phrasings that `kakeya prove` asks in (src/eval/recall/prompts/phrasings.cc) for lists and pairs.
PROVED = ("A valid ", "Among the ", "one after another", "from first to last", "stored under", "stands under", "filed under")

MODEL = Path(__file__).resolve().parent.parent / "models" / "demo"


def small_pool() -> FillerPool:
    text = corpus.books(False)[0]
    lines = "".join(f"2026-01-01 INFO worker {i} finished\n" for i in range(4000))
    return FillerPool({"books": text, "log": lines}, corpus.book_words(False)[:500])


class DataTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer, cls.pool = tokenizer_module.load(MODEL), small_pool()

    def maker(self, seed: int, held_out: bool = False) -> TaskMaker:
        return TaskMaker(random.Random(seed), self.pool, held_out=held_out)

    def test_held_out_books_are_a_tenth_and_disjoint(self):
        held, kept = corpus.books(True), corpus.books(False)
        share = sum(map(len, held)) / sum(map(len, held + kept))
        self.assertAlmostEqual(share, 0.1, delta=0.02)
        self.assertFalse(set(held) & set(kept))

    def test_keys_lie_on_their_side_of_the_split(self):
        for side in (False, True):
            r = random.Random(3)
            for _ in range(300):
                self.assertEqual(
                    is_held_out_key(make_key(r, None, side).removeprefix("the ")), side
                )

    def test_every_task_weighs_its_answers(self):
        for task in {**packing.MAIN_MIXTURE, **packing.RESTORER_MIXTURE}:
            doc = getattr(self.maker(5), task)(1500)
            ids, weights = packing.encode(self.tokenizer, doc)
            self.assertEqual(len(ids), len(weights))
            if task not in ("plain", "copy_noise", "copy_text"):
                self.assertGreater((weights == ANSWER).sum(), 0, task)

    def test_answer_weight_covers_the_space_and_every_digit(self):
        doc = Document()
        self.maker(1).answer(doc, "Question: what?\nAnswer:", "48213")
        ids, weights = packing.encode(self.tokenizer, doc.add("\n"))
        weighted = self.tokenizer.decode([i for i, w in zip(ids, weights) if w == ANSWER])
        self.assertEqual(weighted, " 48213")

    def test_needles_are_buried_in_order_at_their_depths(self):
        filler = "One sentence stands here. " * 400
        doc = Document()
        bury(
            doc,
            random.Random(0),
            filler,
            "books",
            ["FIRST NEEDLE.", "SECOND NEEDLE."],
            [0.25, 0.75],
        )
        first, second = doc.text.index("FIRST"), doc.text.index("SECOND")
        self.assertAlmostEqual(first / len(doc.text), 0.25, delta=0.03)
        self.assertAlmostEqual(second / len(doc.text), 0.75, delta=0.03)
        self.assertEqual(doc.text.count("One sentence stands here."), 400)

    def test_values_of_a_key_are_asked_in_the_order_of_the_text(self):
        for seed in range(40):
            doc = self.maker(seed).several_values(2400)
            spans = [s for s in doc.spans if s[2] == ANSWER]
            for begin, end, _ in spans:
                answer = doc.text[begin:end].removesuffix("<|im_end|>").strip()
                asked = doc.text[:begin]
                places = [asked.find(value) for value in answer.split(", ")]
                self.assertNotIn(-1, places)

    def test_pair_lists_hold_what_they_ask_for(self):
        for seed in range(40):
            doc = self.maker(seed).pair_list(1500)
            begin, end, _ = doc.spans[0]
            value = doc.text[begin:end].strip().strip('"')
            self.assertIn(value, doc.text[:begin])

    def test_lists_are_not_asked_for_in_the_phrasings_of_prove(self):
        for frame in (
            list_tasks.SEVERAL_STATEMENTS + list_tasks.SEVERAL_QUESTIONS + list_tasks.PAIR_QUESTIONS
        ):
            for mark in PROVED:
                self.assertNotIn(mark.lower(), frame.lower())

    def test_rows_are_full_and_weights_fit_a_byte(self):
        ids, weights = packing.pack_batch(self.tokenizer, self.maker(2), 0.5, 512, 3)
        self.assertEqual(ids.shape, (3, 513))
        self.assertEqual(weights.shape, (3, 513))
        self.assertLess(ids.max(), 4096)
        self.assertEqual(weights.max(), int(ANSWER * packing.WEIGHT_SCALE))

    def test_training_never_uses_a_held_out_phrasing(self):
        marks = (
            "special magic number",
            "Engraved on the back",
            "Whoever wants to enter",
            "One of the gate codes",
            "Remember this:",
        )
        text = "".join(
            packing.make_document(self.maker(i), mixture, 400).text
            for mixture in (packing.MAIN_MIXTURE, packing.RESTORER_MIXTURE)
            for i in range(200)
        )
        for mark in marks:
            self.assertNotIn(mark, text)
            self.assertTrue(any(mark in f.statement for f in templates.HELD_OUT_FAMILIES))


if __name__ == "__main__":
    unittest.main()
