"""Loader processes: they build packed batches from generated documents and keep some of every sequence length ready.

A batch is written to a file in shared memory and announced through a pipe: announcements are tiny and written by the worker itself, so
no worker ever waits for another one's interpreter lock (a queue with feeder threads starved the GPU).
Which process made which batch depends on timing, so two runs see the same distribution but not the same order of batches.
"""

import multiprocessing as mp
import os
import random
import shutil
import tempfile
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


def _produce(
    seed: int,
    pool: FillerPool,
    folder: str,
    progress,
    pipes,
    waiting,
    lengths,
    batch_tokens: int,
    store: str,
    mixture: dict[str, float],
) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = tokenizer_module.load(Path(folder))
    maker = TaskMaker(random.Random(seed), pool)
    made, parent = 0, os.getppid()
    while os.getppid() == parent:  # ends with the training process, however that ends
        shares = packing.length_shares(progress.value)
        total = sum(shares)
        room = [
            share / total * CAPACITY + 1 - count if share > 0 else 0
            for share, count in zip(shares, waiting)
        ]
        best = max(range(len(room)), key=room.__getitem__)
        if room[best] <= 0:
            time.sleep(0.01)
            continue
        rows = max(1, batch_tokens // lengths[best])
        ids, weights = packing.pack_batch(
            tokenizer, maker, progress.value, lengths[best], rows, mixture
        )
        path, made = f"{store}/{seed}-{made}.npz", made + 1
        np.savez(path, ids=ids, weights=weights)
        with waiting.get_lock():
            waiting[best] += 1
        pipes[best].put(path)


class Loader:
    """The processes and pipes of one rank. Forked, so to be made before the first use of CUDA."""

    def __init__(
        self,
        pool: FillerPool,
        folder: Path,
        workers: int,
        lengths,
        batch_tokens: int,
        seed: int,
        progress,
        mixture: dict[str, float] = packing.MAIN_MIXTURE,
    ):
        context = mp.get_context("fork")
        memory = "/dev/shm"
        self.store = tempfile.mkdtemp(
            prefix="batches-", dir=memory if os.access(memory, os.W_OK) else None
        )
        self.pipes = [context.SimpleQueue() for _ in lengths]
        self.waiting = context.Array("i", len(lengths))
        self.recent: deque = deque(maxlen=REPLAY)
        self.replayed = 0
        self._random = random.Random(seed)
        self._processes = [
            context.Process(
                target=_produce,
                daemon=True,
                args=(
                    seed * 1000 + i,
                    pool,
                    str(folder),
                    progress,
                    self.pipes,
                    self.waiting,
                    lengths,
                    batch_tokens,
                    self.store,
                    mixture,
                ),
            )
            for i in range(workers)
        ]
        for process in self._processes:
            process.start()

    def get(self, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """A batch of length number `wanted`, or of another one if none is ready, or a recent one again if there is none at all."""
        order = [wanted] + [i for i in range(len(self.pipes)) if i != wanted]
        while True:
            for i in order:
                if self.pipes[i].empty():
                    continue
                path = self.pipes[i].get()
                with self.waiting.get_lock():
                    self.waiting[i] -= 1
                with np.load(path) as file:
                    batch = file["ids"], file["weights"]
                os.unlink(path)
                self.recent.append(batch)
                return batch
            if len(self.recent) >= REPLAY // 2:
                self.replayed += 1
                return self._random.choice(self.recent)
            time.sleep(0.002)

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        shutil.rmtree(self.store, ignore_errors=True)
