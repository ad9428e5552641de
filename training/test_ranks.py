"""Averaging over processes, with two of them on the CPU."""

import socket
import unittest

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ranks import Average


def _process(rank: int, port: int, results) -> None:
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    params = [torch.zeros(2, 3, requires_grad=True), torch.zeros(4, requires_grad=True)]
    average, told = Average(params, 2), []
    for step in range(3):
        for i, p in enumerate(params):
            p.grad = torch.full_like(p, float(10 * i + step + 2 * rank))
        told.append(average((step + 1) * 0.1 + rank))  # what rank 1 says doesn't count
        for i, p in enumerate(params):
            assert torch.equal(p.grad, torch.full_like(p, float(10 * i + step + 1)))
    results.put((rank, [round(t, 3) for t in told]))
    dist.destroy_process_group()


class RanksTest(unittest.TestCase):
    def test_gradients_are_averaged_and_progress_is_rank_0s_of_the_step_before(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        results = mp.get_context("spawn").SimpleQueue()
        mp.spawn(_process, args=(port, results), nprocs=2)
        self.assertEqual(dict(results.get() for _ in range(2)), {r: [0.0, 0.1, 0.2] for r in (0, 1)})

    def test_one_process_changes_nothing(self):
        p = torch.zeros(3, requires_grad=True)
        p.grad = torch.ones(3)
        self.assertEqual(Average([p], 1)(0.25), 0.25)
        self.assertTrue(torch.equal(p.grad, torch.ones(3)))


if __name__ == "__main__":
    unittest.main()
