"""Loader processes: they build packed batches from generated documents and keep one queue per sequence length filled.

Which process made which batch depends on timing, so two runs see the same distribution but not the same order of batches.
"""

import multiprocessing as mp
import os
import queue
import random
import time
from collections import deque
from pathlib import Path

import numpy as np

import packing
import tokenizer as tokenizer_module
from document import FillerPool
from tasks import TaskMaker

CAPACITY = 40  # batches waiting per rank
REPLAY = 64  # batches kept to be used again if the queues run dry


def _produce(seed: int, pool: FillerPool, folder: str, progress, queues, lengths, batch_tokens: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = tokenizer_module.load(Path(folder))
    maker = TaskMaker(random.Random(seed), pool)
    while True:
        shares = packing.length_shares(progress.value)
        total = sum(shares)
        room = [share / total * CAPACITY + 1 - q.qsize() if share > 0 else 0 for share, q in zip(shares, queues)]
        best = max(range(len(room)), key=room.__getitem__)
        if room[best] <= 0:
            time.sleep(0.01)
            continue
        rows = max(1, batch_tokens // lengths[best])
        queues[best].put(packing.pack_batch(tokenizer, maker, progress.value, lengths[best], rows))


class Loader:
    """The processes and queues of one rank. Forked, so to be made before the first use of CUDA."""

    def __init__(self, pool: FillerPool, folder: Path, workers: int, lengths, batch_tokens: int, seed: int, progress):
        context = mp.get_context("fork")
        self.queues = [context.Queue() for _ in lengths]
        self.recent: deque = deque(maxlen=REPLAY)
        self.replayed = 0
        self._random = random.Random(seed)
        self._processes = [context.Process(target=_produce, daemon=True, args=(
            seed * 1000 + i, pool, str(folder), progress, self.queues, lengths, batch_tokens)) for i in range(workers)]
        for process in self._processes:
            process.start()

    def get(self, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """A batch of length number `wanted`, or of another one if none is ready, or a recent one again if all are empty."""
        order = [wanted] + [i for i in range(len(self.queues)) if i != wanted]
        while True:
            for i in order:
                try:
                    batch = self.queues[i].get_nowait()
                except queue.Empty:
                    continue
                self.recent.append(batch)
                return batch
            if len(self.recent) >= REPLAY // 2:
                self.replayed += 1
                return self._random.choice(self.recent)
            time.sleep(0.002)

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
