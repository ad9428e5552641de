"""Tests of the restorer and its regime: python -m unittest test_restorer (needs torch, some seconds on a CPU)."""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import torch

import hf_verifier
import restorer as restorer_module
import restored_attention as attention
from recurrence import ABSENT, RecurrenceConfig, recurrence
from restorer import CHUNK
from restorer_regime import ALL, NONE, Regime
from train_restorer import pick_queries

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures"
SINK, LENGTH = 4, 6 * CHUNK


def tiny(model: str = "qwen3-window", **changes) -> Regime:
    torch.manual_seed(3)
    verifier = hf_verifier.Verifier(FIXTURES / "models" / model)
    s = verifier.shape
    shape = restorer_module.VerifierShape(
        s.layers, s.hidden, s.heads, s.kv_heads, s.head_dim, s.vocabulary
    )
    config = restorer_module.RestorerConfig(
        layers=2, hidden=32, heads=2, head_dim=16, ffn=48, code_dim=16, token_dim=8, segments=4,
        summary_dim=32, pool_heads=4, verifier=shape, **changes,
    )  # fmt: skip
    restorer = restorer_module.Restorer(config)
    if config.recurrence:  # zeros in a new one
        torch.nn.init.normal_(restorer.count)
        torch.nn.init.normal_(restorer.next, std=0.2)
    return Regime(verifier, restorer)


def few_ids(rows: int = 2, length: int = LENGTH) -> torch.Tensor:
    """Of an alphabet so small that n-grams recur."""
    return torch.randint(3, 9, (rows, length))


def random_ids(regime: Regime, rows: int = 2, length: int = LENGTH) -> torch.Tensor:
    return torch.randint(0, regime.verifier.shape.vocabulary, (rows, length))


def begin(i: int) -> int:
    return CHUNK * (max(0, i - CHUNK + 1) // CHUNK)


def slow_bounded(regime: Regime, ids: list[int], k: int) -> torch.Tensor:
    """One sequence, one query at a time, straight from the definition; returns the logits."""
    v, r, s = regime.verifier, regime.restorer, regime.verifier.shape
    n, group = len(ids) // CHUNK, s.heads // s.kv_heads
    embedding = v.embedding[torch.tensor(ids)]
    h, e = slow_states(r, embedding, slow_recurrent(regime, ids))
    raw = h @ r.code.T
    code = raw.clone()
    for t in range(len(ids) if r.int8 else 0):
        scale = raw[t].abs().max() / 127
        code[t] = (raw[t] / scale).round() * scale
    u = torch.cat((code, e @ r.token.T), -1)
    z = torch.zeros(n, 4, r.config.summary_dim)
    width = r.config.summary_dim // r.config.pool_heads
    for c in range(n):
        for g in range(4):
            part = h[c * CHUNK + 16 * g : c * CHUNK + 16 * g + 16]
            share, value = (part @ r.pool.T).softmax(0), part @ r.proj.T
            for p in range(r.config.pool_heads):
                cut = slice(p * width, (p + 1) * width)
                z[c, g, cut] = (share[:, p : p + 1] * value[:, cut]).sum(0)
            scale = z[c, g].abs().max() / 7
            z[c, g] = (z[c, g] / scale).round() * scale
    cos, sin = hf_verifier.rope_tables(len(ids), s, "cpu")
    x = v.embedding[torch.tensor(ids)]
    for layer, w in enumerate(v.layers):
        q_pre, q, _, key, value = hf_verifier.before_attention(x, w, cos, sin, s.eps, s.head_dim)
        kr = u @ r.k_weight[layer].T + r.k_bias[layer]
        kr = hf_verifier.finish_keys(
            kr.view(-1, s.kv_heads, s.head_dim), w.get("k_norm"), cos, sin, s.eps
        )
        vr = (u @ r.v_weight[layer].T + r.v_bias[layer]).view(-1, s.kv_heads, s.head_dim)
        y = torch.zeros(len(ids), s.heads, s.head_dim)
        for i in range(len(ids)):
            for kv in range(s.kv_heads):
                ask = q_pre[i, kv * group : (kv + 1) * group].flatten()
                chosen = slow_choice(regime, layer, kv, ask, z, i, k)
                exact = [j for j in range(i + 1) if j < SINK or j >= begin(i)]
                far = [j for c in chosen for j in range(c * CHUNK, (c + 1) * CHUNK) if j >= SINK]
                keys = torch.cat((key[exact, kv], kr[far, kv]))
                values = torch.cat((value[exact, kv], vr[far, kv]))
                for head in range(kv * group, (kv + 1) * group):
                    p = (keys @ q[i, head] * s.head_dim**-0.5).softmax(0)
                    y[i, head] = p @ values
        x = hf_verifier.after_attention(x, y.flatten(1), w, s.eps)
    return regime.logits(x)


def slow_choice(regime, layer, kv, ask, z, i, k) -> list[int]:
    r, evicted = regime.restorer, begin(i) // CHUNK
    if k in (ALL, NONE):
        return list(range(evicted)) if k == ALL else []
    s = r.select_weight[layer, kv] @ ask + r.select_bias[layer, kv]
    null, s = s[-1], s[:-1]
    scale = s.abs().max() / 127
    s = (s / scale).round() * scale
    scored = []
    for c in range(evicted):
        bucket = min(15, (i // CHUNK - c).bit_length() - 1)
        score = (z[c] @ s).max() + r.select_distance[layer, kv, bucket]
        if score >= null + r.config.min_share_log:
            scored.append((-score.item(), c))
    return sorted(c for _, c in sorted(scored)[:k])


def slow_recurrence(ids: list[int], c: RecurrenceConfig) -> tuple[list[list[int]], list[list[int]]]:
    """Buckets and followers straight from the definition."""
    buckets, followers = [], []
    for p in range(len(ids)):
        counts, latest = [], None
        for n in c.lengths:
            gram = ids[p - n + 1 : p + 1] if p >= n - 1 else None
            found = [q for q in range(n - 1, p) if gram and ids[q - n + 1 : q + 1] == gram]
            counts.append(min(len(found), c.buckets - 1))
            latest = found[-1] if found else latest
        buckets.append(counts)
        after = [] if latest is None else ids[latest + 1 : min(p, latest + 1 + c.next)]
        followers.append(after + [ABSENT] * (c.next - len(after)))
    return buckets, followers


def slow_recurrent(regime: Regime, ids: list[int]) -> torch.Tensor | float:
    r, c = regime.restorer, regime.restorer.config
    if not c.recurrence:
        return 0.0
    norm = lambda x: x / (x.square().mean(-1, keepdim=True) + c.rms_norm_eps).sqrt()
    out = torch.zeros(len(ids), c.hidden)
    for p, (counts, after) in enumerate(zip(*slow_recurrence(ids, c.recurrence))):
        for i, count in enumerate(counts):
            out[p] += r.count[i, count]
        for j, follower in enumerate(after):
            if follower != ABSENT:
                cut = slice(j * c.token_dim, (j + 1) * c.token_dim)
                out[p] += r.next[:, cut] @ (r.token @ norm(regime.verifier.embedding[follower]))
    return out


def slow_states(r, embedding: torch.Tensor, recurrent) -> tuple[torch.Tensor, torch.Tensor]:
    """Chunk after chunk, head after head."""
    c = r.config
    norm = lambda x, w: x / (x.square().mean(-1, keepdim=True) + c.rms_norm_eps).sqrt() * w
    e = norm(embedding, 1.0)
    x = e @ r.embed_in.T + recurrent
    for layer in r.layers:
        out = x.clone()
        for begin_at in range(0, len(x), CHUNK):
            low = max(0, begin_at - CHUNK)
            h = norm(x[low : begin_at + CHUNK], layer.norm1)
            at = torch.arange(low, begin_at + CHUNK) - begin_at + CHUNK
            cos, sin = restorer_module.rope_angles(at, c.head_dim, c.rope_theta)
            parts = []
            for head in range(c.heads):
                cut = slice(head * c.head_dim, (head + 1) * c.head_dim)
                q = restorer_module.rotate(norm(h @ layer.wq[cut].T, layer.q_norm), cos, sin)
                k = restorer_module.rotate(norm(h @ layer.wk[cut].T, layer.k_norm), cos, sin)
                p = (q[-CHUNK:] @ k.T * c.head_dim**-0.5).softmax(-1)
                parts.append(p @ (h @ layer.wv[cut].T))
            y = x[begin_at : begin_at + CHUNK] + torch.cat(parts, -1) @ layer.wo.T
            g = norm(y, layer.norm2)
            g = torch.nn.functional.silu(g @ layer.gate.T) * (g @ layer.up.T)
            out[begin_at : begin_at + CHUNK] = y + g @ layer.down.T
        x = out
    return norm(x, r.final_norm), e


class RestorerTest(unittest.TestCase):
    def test_bounded_pass_equals_the_definition(self):
        for model in ("qwen3-window", "llama-untied-sharded"):
            regime = tiny(model, min_share_log=0.0)
            with torch.no_grad():
                regime.restorer.select_distance.normal_()
                ids = random_ids(regime)
                for k in (NONE, 2, ALL):
                    x, _ = regime.bounded(ids, regime.propose(ids), k)
                    got = regime.logits(x).view(*ids.shape, -1)
                    for row in range(2):
                        wanted = slow_bounded(regime, ids[row].tolist(), k)
                        error = (got[row] - wanted).abs().max() / wanted.abs().max()
                        self.assertLess(error.item(), 2e-4, (model, k))

    def test_bounded_pass_with_recurrence_equals_the_definition(self):
        regime = tiny(recurrence=RecurrenceConfig((1, 2, 4), 4, 3))
        regime.restorer.int8 = False  # the sums' order may push a code over an edge of rounding
        with torch.no_grad():
            ids = few_ids()
            x, _ = regime.bounded(ids, regime.propose(ids), ALL)
            got = regime.logits(x).view(*ids.shape, -1)
            for row in range(2):
                wanted = slow_bounded(regime, ids[row].tolist(), ALL)
                error = (got[row] - wanted).abs().max() / wanted.abs().max()
                self.assertLess(error.item(), 2e-4)

    def test_recurrence_is_as_defined(self):
        for alphabet in (2, 5, 40):
            for c in (RecurrenceConfig(), RecurrenceConfig((2,), 2, 1)):
                ids = torch.randint(0, alphabet, (3, 150))
                buckets, followers = recurrence(ids, c)
                for row in range(3):
                    wanted = slow_recurrence(ids[row].tolist(), c)
                    self.assertEqual(buckets[row].tolist(), wanted[0])
                    self.assertEqual(followers[row].tolist(), wanted[1])

    def test_a_restorer_goes_on_with_recurrence_as_it_was(self):
        plain = tiny()
        more = restorer_module.Restorer(replace(plain.restorer.config, recurrence=RecurrenceConfig()))
        more.load_state_dict(plain.restorer.state_dict(), strict=False)
        ids = few_ids()
        with torch.no_grad():
            a, b = (Regime(plain.verifier, r).propose(ids) for r in (plain.restorer, more))
        self.assertTrue(torch.equal(a.k, b.k) and torch.equal(a.z, b.z))

    def test_oracle_equals_transformers(self):
        from transformers import AutoModelForCausalLM

        for folder in sorted((FIXTURES / "models").iterdir()):
            verifier = hf_verifier.Verifier(folder)
            regime = Regime(verifier, None)
            ids = random_ids(regime, 1, 2 * CHUNK)
            reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            with torch.no_grad():
                wanted = reference(ids).logits[0]
                got = regime.logits(regime.oracle(ids).x)
            error = (got - wanted).abs().max() / wanted.abs().max()
            self.assertLess(error.item(), 1e-4, folder.name)

    def test_no_token_sees_the_future(self):
        for seen in (None, RecurrenceConfig()):
            regime = tiny(recurrence=seen)
            self.check_no_token_sees_the_future(regime, few_ids(1) if seen else random_ids(regime, 1))

    def check_no_token_sees_the_future(self, regime, ids):
        for at in (LENGTH - 1, LENGTH - CHUNK, LENGTH - CHUNK - 1, 200, 66):
            other = ids.clone()
            other[0, at] = (ids[0, at] + 1) % regime.verifier.shape.vocabulary
            with torch.no_grad():
                for k in (2, ALL):
                    a, b = (
                        regime.bounded(i, regime.propose(i), k)[0].view(LENGTH, -1)
                        for i in (ids, other)
                    )
                    self.assertTrue(torch.equal(a[:at], b[:at]), (at, k))
                    self.assertFalse(torch.equal(a[at:], b[at:]))

    def test_codes_depend_on_their_chunk_and_as_many_before_as_there_are_layers(self):
        regime = tiny()
        ids = random_ids(regime, 1)
        other = ids.clone()
        other[0, 70] = (ids[0, 70] + 1) % regime.verifier.shape.vocabulary  # in chunk 1
        with torch.no_grad():
            a, b = (regime.propose(i).k.view(2, 6, CHUNK, -1) for i in (ids, other))
        changed = [not torch.equal(a[:, c], b[:, c]) for c in range(6)]
        self.assertEqual(changed, [False, True, True, True, False, False])

    def test_rows_are_independent(self):
        regime = tiny()
        ids = random_ids(regime)
        with torch.no_grad():
            both = regime.bounded(ids, regime.propose(ids), 2)[0].view(2, LENGTH, -1)
            second = regime.bounded(ids[1:], regime.propose(ids[1:]), 2)[0]
        self.assertLess((both[1] - second).abs().max().item(), 1e-4)

    def test_window_and_sinks(self):
        i, j = torch.arange(LENGTH)[:, None], torch.arange(2 * LENGTH)[None]
        seen = attention.allowed(LENGTH, SINK, CHUNK, i, j)
        for q in range(LENGTH):
            for p in range(LENGTH):
                exact = p <= q and (p < SINK or p >= begin(q))
                self.assertEqual(seen[q, p].item(), exact)
                self.assertEqual(seen[q, LENGTH + p].item(), SINK <= p < begin(q))

    def test_window_without_restoration_equals_the_fixture(self):
        from safetensors.torch import load_file

        folder = FIXTURES / "models" / "qwen3-window"
        reference = load_file(str(folder / "reference.safetensors"))
        regime = Regime(hf_verifier.Verifier(folder), None)
        ids, start = reference["ids"].long(), int(reference["window_from"])
        padded = torch.zeros(1, LENGTH, dtype=torch.long)
        padded[0, : len(ids)] = ids
        with torch.no_grad():
            got = regime.logits(regime.bounded(padded, None, NONE)[0])[start : len(ids)]
        self.assertLess((got - reference["window_logits"]).abs().max().item(), 2e-3)

    def test_mass_of_chunks(self):
        regime = tiny()
        ids, at = random_ids(regime, 1), torch.tensor([[3, 130, 300, LENGTH - 1]])
        oracle = regime.oracle(ids, at)
        v, s = regime.verifier, regime.verifier.shape
        cos, sin = v.tables(LENGTH)
        x = v.embedding[ids[0]]
        _, q, _, k, _ = hf_verifier.before_attention(x, v.layers[0], cos, sin, s.eps, s.head_dim)
        for m, i in enumerate(at[0].tolist()):
            p = torch.stack(
                [(k[: i + 1, 0] @ q[i, h] * s.head_dim**-0.5).softmax(0) for h in range(s.heads)]
            ).mean(0)
            wanted = torch.zeros(1 + LENGTH // CHUNK)
            for j in range(i + 1):
                far = SINK <= j < begin(i)
                wanted[1 + j // CHUNK if far else 0] += p[j]
            self.assertLess((oracle.mass[0, 0, 0, m] - wanted).abs().max().item(), 1e-5)

    def test_export_and_load(self):
        for seen in (None, RecurrenceConfig()):
            self.check_export_and_load(tiny(recurrence=seen))

    def check_export_and_load(self, regime):
        with tempfile.TemporaryDirectory() as folder:
            restorer_module.export(regime.restorer, Path(folder), "0" * 32)
            loaded = restorer_module.load(Path(folder))
        self.assertEqual(loaded.config, regime.restorer.config)
        for name, p in restorer_module.tensors(regime.restorer).items():
            same = torch.equal(restorer_module.tensors(loaded)[name], p.bfloat16().float())
            self.assertTrue(same, name)

    def test_untrained_distances_get_the_farthest_trained_bias(self):
        model = tiny().restorer
        with torch.no_grad():
            model.select_distance.copy_(torch.arange(16.0).expand_as(model.select_distance))
        restorer_module.extend_distances(model, 8192)  # 127 chunks away at most: bucket 6
        self.assertEqual(model.select_distance[0, 0].tolist(), [*range(7), *[6.0] * 9])

    def test_every_parameter_has_a_gradient_through_int8(self):
        regime = tiny(recurrence=RecurrenceConfig(buckets=4))
        ids, at = few_ids(), torch.tensor([[200, 300], [210, 383]])
        oracle, restored = regime.oracle(ids, at), regime.propose(ids)
        x, asked = regime.bounded(ids, restored, 2, at)
        loss = regime.divergence(oracle.x, x).mean()
        loss = loss + regime.distillation(asked, oracle.mass, restored.z, at)
        loss.backward()
        for name, p in regime.restorer.named_parameters():
            self.assertGreater(p.grad.abs().max().item(), 0, name)

    def test_picked_queries(self):
        answers = torch.zeros(1, 256, dtype=torch.bool)
        answers[0, 100:105] = True
        at = pick_queries(answers, 15)[0]
        self.assertEqual(sorted(at[:5].tolist()), [100, 101, 102, 103, 104])
        self.assertTrue(all(77 <= i <= 104 for i in at[5:10].tolist()))


if __name__ == "__main__":
    unittest.main()
