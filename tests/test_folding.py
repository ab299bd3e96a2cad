"""What no moving weight reaches is computed once, and gives the gradients that computing it again gives."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import thalweg as tw
from thalweg.landscape import ModuleLosses, measure
from thalweg.runtime import threads
from thalweg.samplers import Engine, Settings, _fold, advance, chunks, start, width
from thalweg.samplers._cut import PRODUCTS

N = 70


class Attention(nn.Module):
    """Embedding and output are one tensor."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.qkv = nn.Embedding(11, 12), nn.LayerNorm(12), nn.Linear(12, 36)
        self.head, self.out = nn.Linear(12, 12), nn.Linear(12, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens):
        q, k, v = self.qkv(self.norm(self.embed(tokens))).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(F.gelu(self.head(mixed))).transpose(1, 2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.out = nn.Embedding(11, 6), nn.LSTM(6, 7, batch_first=True), nn.Linear(7, 11)

    def forward(self, tokens):
        return self.out(self.lstm(self.embed(tokens))[0][:, -1])


class Mixing(nn.Sequential):
    """A layer takes a share of the samples beside, or nothing."""

    share = 0.0

    def forward(self, x):
        hidden = self[2](self[1](self[0](x)))
        return self[3](hidden - self.share * hidden.mean(0))


def dense():
    return nn.Sequential(
        nn.Linear(20, 33), nn.ReLU(inplace=True), nn.LayerNorm(33), nn.Linear(33, 9), nn.Tanh(), nn.Linear(9, 10)
    )


def convolutional():
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(27, 10))
    )


def tokens(g):
    return torch.randint(11, (N, 9), generator=g)


def numbers(*shape):
    return lambda g: torch.randn(N, *shape, generator=g)


HELD = {
    "0.weight": (33, 20),
    "0.bias": (33,),
    "2.weight": (33,),
    "2.bias": (33,),
    "3.weight": (9, 33),
    "3.bias": (9,),
}
SOME = torch.arange(90).reshape(10, 9) % 3 > 0
CASES = {  # module, inputs, classes or tokens, restriction, engine
    "head of a dense network": (dense, numbers(20), {"names": "5.*"}, "batched"),
    "a layer amid": (dense, numbers(20), {"names": "3.*"}, "batched"),
    "held by masks": (
        dense,
        numbers(20),
        {"masks": {k: torch.zeros(s, dtype=torch.bool) for k, s in HELD.items()}},
        "batched",
    ),
    "entries of a head": (dense, numbers(20), {"names": "5.*", "masks": {"5.weight": SOME}}, "batched"),
    "head of a convolutional network": (convolutional, numbers(1, 5, 5), {"names": "5.*"}, "serial"),
    "head of an LSTM": (Recurrent, tokens, {"names": "out.*"}, "serial"),
    "head of a transformer whose output is tied": (Attention, tokens, {"names": "head.*"}, "batched"),
}


def module_of(kind, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = CASES[kind][0]()
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return module


def world(kind):
    _, inputs, restriction, engine = CASES[kind]
    g = torch.Generator().manual_seed(5)
    x = inputs(g)
    y = x if kind.endswith("tied") else torch.randint(10, (N,), generator=g)
    scape = tw.landscape(module_of(kind, 0), (x, y), F.cross_entropy).restrict(**restriction)
    assert scape.engine == engine
    return scape


def given(scape, count):
    """Weights near w*, frozen tensors and batches of so many replicas."""
    g = torch.Generator().manual_seed(6)
    flat = scape.layout.flatten(scape.params).expand(count, -1)
    open_ = torch.ones_like(flat[0]) if scape.mask is None else scape.mask
    params = flat + 0.1 * open_ * torch.randn(flat.shape, generator=g, dtype=flat.dtype)
    frozen = {k: torch.stack([w] * count) for k, w in scape.frozen.items()}
    return params, frozen, (None, torch.randint(N, (count, 12), generator=g))


def engines(scape):
    """One that folds, and one that computes everything."""
    folded, whole = Engine(scape, compiled=False), Engine(scape, compiled=False)
    whole.fold = None
    return folded, whole


def is_folded(scape):
    folded, (params, frozen, batches) = Engine(scape, compiled=False), given(scape, width(scape))
    with torch.no_grad():
        for batch in batches:
            folded.gradient(frozen, batch)(params)
    return bool(folded.fold) and len(folded.fold.which) > 0


class Products(TorchDispatchMode):
    """Counts products of matrices and convolutions."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket in PRODUCTS
        return func(*args, **(kwargs or {}))


def products(engine, params, frozen, batch):
    """Of one gradient, after one that prepares."""
    with torch.no_grad():
        gradient = engine.gradient(frozen, batch)
        gradient(params)
        with Products() as seen:
            return *gradient(params), seen.count


def assert_close(a, b):
    assert (a - b).abs().max() <= 2e-6 * b.abs().max()


@pytest.mark.parametrize("kind", CASES)
def test_a_folded_gradient_is_the_whole_one_without_the_body(kind):
    scape = world(kind)
    (folded, whole), (params, frozen, batches) = engines(scape), given(scape, width(scape))
    for batch in batches:
        grad, loss, few = products(folded, params, frozen, batch)
        exact_grad, exact_loss, many = products(whole, params, frozen, batch)
        assert_close(grad, exact_grad)
        assert_close(loss, exact_loss)
        assert few < many


@pytest.mark.parametrize("count", [1, 16])
def test_one_replica_and_many_call_the_head_alone(count):
    scape = world("head of a dense network")
    (folded, whole), (params, frozen, batches) = engines(scape), given(scape, count)
    for batch in batches:
        found, exact = (products(e, params, frozen, batch) for e in (folded, whole))
        assert_close(found[0], exact[0])
        assert (found[2], exact[2]) == (2, 4)  # a product forth and one back, and two of the body


@pytest.mark.parametrize("kind", ["head of a dense network", "held by masks"])
def test_no_gradient_is_taken_of_what_is_held(kind):
    scape = world(kind)
    params, frozen, batches = given(scape, 16)
    for engine in engines(scape):
        grad, _, _ = products(engine, params, frozen, batches[0])
        closed = torch.zeros_like(grad[0], dtype=torch.bool) if scape.mask is None else scape.mask == 0
        assert not grad[:, closed].any()
        assert (grad[:, ~closed] != 0).all(1).any()


@pytest.mark.parametrize("kind", ["head of a dense network", "held by masks", "head of a convolutional network"])
@pytest.mark.parametrize("batch_size", [12, N])
def test_a_checkpoint_has_the_same_bits_beside_others(kind, batch_size):
    """Each has a body of its own; the control is that another has other numbers."""
    scape = world(kind)
    centers = [measure(scape.at(module_of(kind, seed).state_dict())) for seed in range(3)]
    settings = Settings(chains=2, burn_in=0, draws=20, batch_size=batch_size, gamma=5.0).resolve(scape.n)

    def moved(steps):
        engine, seen = Engine(scape, compiled=False), {}
        for chunk in chunks([centers[t] for t in steps], steps, 2, width(scape)):
            _, block = advance(engine, settings, chunk, start(chunk))
            assert engine.fold is not None
            assert len(engine.fold.known) == len(chunk.centers)
            seen |= dict(zip(chunk.names, block.loss, strict=True))
        return seen

    with threads(1):
        together, alone = moved([0, 1, 2]), moved([0]) | moved([1]) | moved([2])
    assert all(torch.equal(together[name], alone[name]) for name in alone)
    assert not torch.equal(together[0, 0], together[1, 0])


def test_another_body_is_folded_anew():
    """Of other checkpoints, and where held weights are others than before."""
    scape = world("held by masks")
    (folded, whole), (params, frozen, batches) = engines(scape), given(scape, 16)
    other = params + 0.1 * torch.arange(16)[:, None] / 16
    for weights in (params, other, params):
        (grad, loss, _), exact = (products(e, weights, frozen, batches[1]) for e in (folded, whole))
        assert_close(grad, exact[0])
        assert_close(loss, exact[1])


def test_frozen_by_requires_grad_or_by_restriction_is_the_same():
    scape = world("head of a dense network")
    module = module_of("head of a dense network", 0)
    for name, w in module.named_parameters():
        w.requires_grad_(name.startswith("5."))
    asked = tw.landscape(module, (scape.data.inputs, scape.data.targets), F.cross_entropy)
    a, b = (products(Engine(s, compiled=False), *given(s, 16)[:2], None) for s in (scape, asked))
    assert torch.equal(a[0], b[0])
    assert a[2] == b[2] == 2


class Weighted(ModuleLosses):
    """A loss of its own, which uses the inputs."""

    def __call__(self, params, frozen, inputs, targets):
        return super().__call__(params, frozen, inputs, targets) * inputs[:, 0].square()


def test_a_loss_of_its_own_that_uses_the_inputs():
    scape = world("head of a dense network")
    scape = replace(scape, losses=Weighted(scape.losses.module, scape.losses.loss))
    (folded, whole), (params, frozen, batches) = engines(scape), given(scape, 16)
    for batch in batches:
        (grad, loss, few), exact = (products(e, params, frozen, batch) for e in (folded, whole))
        assert_close(grad, exact[0])
        assert_close(loss, exact[1])
        assert few == 2


@pytest.mark.parametrize(("share", "able"), [(0.0, True), (1.0, False), (0.03, False)])
def test_a_body_that_mixes_samples_is_not_folded(share, able):
    """The first is the control: the same module, whose layer takes nothing of the others."""
    torch.manual_seed(0)
    x, y = torch.randn(N, 20), torch.randint(10, (N,))
    module = Mixing(nn.Linear(20, 33), nn.ReLU(), nn.Linear(33, 9), nn.Linear(9, 10))
    scape = tw.landscape(module, (x, y), F.cross_entropy).restrict("3.*")
    scape.losses.module.share = share
    assert is_folded(scape) == able
    (folded, whole), (params, frozen, batches) = engines(scape), given(scape, 16)
    for batch in batches:
        assert_close(products(folded, params, frozen, batch)[0], products(whole, params, frozen, batch)[0])


class Branching(nn.Sequential):
    def forward(self, x):
        return super().forward(x if bool((x < 1e6).all()) else x / 2)


def test_what_stays_whole(monkeypatch):
    """Nothing frozen, a body that looks at numbers, one that would take more than the limit."""
    scape = world("head of a dense network")
    assert is_folded(scape)
    assert not is_folded(replace(scape, params=scape.params | scape.frozen, frozen={}))
    torch.manual_seed(0)
    looks = Branching(nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 10))
    data = (torch.randn(N, 20), torch.randint(10, (N,)))
    assert not is_folded(tw.landscape(looks, data, F.cross_entropy).restrict("2.*"))
    monkeypatch.setattr(_fold, "LIMIT", 9 * 4 * N - 1)
    assert not is_folded(scape)
