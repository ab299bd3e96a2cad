"""A replica's numbers are the same bits whoever moves beside it, in either engine, compiled or not."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg as tw
from thalweg.landscape import measure
from thalweg.runtime import threads
from thalweg.samplers import Engine, Settings, advance, chunks, start, width

CHECKPOINTS, CHAINS, STEPS = 11, 3, 140  # more than a block, and no multiple of a slab


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.left, self.out = nn.Embedding(13, 6), nn.Linear(6, 17), nn.Linear(17, 13, bias=False)
        self.register_buffer("running_scale", torch.ones(13))

    def forward(self, pairs):
        hidden = F.gelu(self.left(self.embed(pairs[..., 0])) + self.left(self.embed(pairs[..., 1])))
        return self.out(hidden) * self.running_scale


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.qkv, self.norm, self.out = (
            nn.Embedding(11, 12),
            nn.Linear(12, 36),
            nn.LayerNorm(12),
            nn.Linear(12, 11),
        )

    def forward(self, tokens):
        q, k, v = self.qkv(self.norm(self.embed(tokens))).chunk(3, -1)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, -1])


def gelu64():
    return nn.Sequential(nn.Linear(7, 13), nn.GELU(), nn.Linear(13, 11), nn.GELU(), nn.Linear(11, 3)).double()


def normed():
    return nn.Sequential(nn.Linear(7, 33), nn.BatchNorm1d(33), nn.ReLU(), nn.Linear(33, 5), nn.LogSoftmax(1))


def layered():
    """In-place activations, layer norm, odd widths in float32."""
    return nn.Sequential(
        nn.Linear(20, 33), nn.ReLU(inplace=True), nn.LayerNorm(33), nn.Linear(33, 9), nn.SiLU(), nn.Linear(9, 10)
    )


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 9, 4))


def random_data(kind):
    g = torch.Generator().manual_seed(5)
    return {
        "adder": lambda: (torch.randint(13, (90, 2), generator=g), torch.randint(13, (90,), generator=g)),
        "gelu64": lambda: (torch.randn(90, 7, generator=g).double(), torch.randn(90, 3, generator=g).double()),
        "attention": lambda: (torch.randint(11, (90, 9), generator=g), torch.randint(11, (90,), generator=g)),
        "normed": lambda: (torch.randn(90, 7, generator=g), torch.randint(5, (90,), generator=g)),
        "layered": lambda: (torch.randn(90, 20, generator=g), torch.randint(10, (90,), generator=g)),
        "convolutional": lambda: (torch.randn(90, 1, 5, 5, generator=g), torch.randint(4, (90,), generator=g)),
    }[kind]()


MODELS = {
    "adder": (Adder, F.cross_entropy, "batched"),
    "gelu64": (gelu64, F.mse_loss, "batched"),
    "attention": (Attention, F.cross_entropy, "batched"),
    "normed": (normed, F.nll_loss, "serial"),
    "layered": (layered, F.cross_entropy, "batched"),
    "convolutional": (convolutional, F.cross_entropy, "serial"),
}


def world(kind):
    build, loss, engine = MODELS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        modules = [build() for _ in range(CHECKPOINTS)]
        for module in modules:  # statistics belong to their checkpoint
            for name, buffer in module.named_buffers():
                if "running" in name:
                    buffer.add_(torch.rand_like(buffer))
    scape = tw.landscape(modules[0], random_data(kind), loss).restrict(orthogonal_to_gradient=True)
    assert scape.engine == engine
    return scape, [measure(scape.at(m.state_dict())) for m in modules]


def losses(scape, centers, group, compiled=False):
    """(checkpoint, chain) -> losses, moved in groups of checkpoints."""
    settings = Settings(chains=CHAINS, burn_in=0, draws=STEPS, batch_size=10, gamma=5.0).resolve(scape.n)
    engine, seen = Engine(scape, compiled=compiled), {}
    with threads(1):
        for first in range(0, len(centers), group):
            steps = list(range(first, min(first + group, len(centers))))
            for chunk in chunks([centers[i] for i in steps], steps, CHAINS, width(scape)):
                state, parts = start(chunk), []
                while state.step < settings.steps:
                    state, block = advance(engine, settings, chunk, state)
                    parts.append(torch.cat([block.loss, block.excess]))
                for row, name in enumerate(chunk.names):
                    seen[name] = torch.cat(parts, 1)[[row, row + len(chunk.names)]]
    return seen


@pytest.mark.parametrize("kind", MODELS)
def test_groups_of_1_5_and_all_checkpoints_give_the_same_bits(kind):
    scape, centers = world(kind)
    whole = losses(scape, centers, CHECKPOINTS)
    assert len(whole) == CHECKPOINTS * CHAINS
    assert all(torch.isfinite(v).all() for v in whole.values())
    for group in (1, 5):
        grouped = losses(scape, centers, group)
        assert all(torch.equal(whole[name], grouped[name]) for name in whole)


@pytest.mark.parametrize("kind", ["adder", "gelu64"])
def test_compiled_steps_have_bits_of_their_own_the_same_for_every_group(kind):
    scape, centers = world(kind)
    whole = losses(scape, centers, CHECKPOINTS, compiled=True)
    grouped = losses(scape, centers, 5, compiled=True)
    assert all(torch.equal(whole[name], grouped[name]) for name in whole)
    plain = losses(scape, centers, CHECKPOINTS)
    for name in whole:  # other bits, the same numbers
        assert torch.allclose(whole[name][:, :20], plain[name][:, :20], rtol=1e-3, atol=1e-5)


def test_the_bit_test_can_fail():
    """Control: another chain, another checkpoint and another seed are other numbers."""
    scape, centers = world("gelu64")
    seen = losses(scape, centers[:2], 2)
    names = list(seen)
    assert all(not torch.equal(seen[a], seen[b]) for i, a in enumerate(names) for b in names[:i])
    assert not torch.equal(centers[0].losses, centers[1].losses)


def test_engines_take_the_same_steps():
    """Serial and batched agree to rounding: the batched engine computes no other gradient."""
    from dataclasses import replace

    scape, centers = world("gelu64")
    serial = replace(scape, engine="serial")
    batched, alone = losses(scape, centers[:2], 2), losses(serial, centers[:2], 2)
    for name in batched:
        assert torch.allclose(batched[name], alone[name], rtol=1e-8, atol=1e-10)
