"""The families of tasks: what is trained on what. Each gives a module, data to train on, data to test on, a loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from thalweg.recipes._configuration import Configuration
from thalweg.recipes._training import Training
from thalweg.recipes.modular_addition import Adder, sums
from thalweg.recipes.superposition._runs import Toy, squared
from thalweg.rng import stream
from thalweg.samplers import Settings
from thalweg.theory import superposition_loss

Data = tuple[Tensor, Tensor]


class Task(Configuration):
    """One family at one size.

    Attributes:
        family: a name of `FAMILIES`.
        sizes: what the family's function asks for.
        training: of each run.
        sampler: of each survey.
    """

    family: str
    sizes: dict[str, float]
    training: Training
    sampler: Settings


@dataclass(frozen=True, eq=False)
class Problem:
    """What one run trains."""

    build: Callable[[], nn.Module]  # with its initialisation, from torch's global stream
    train: Data
    test: Data  # not trained on
    loss: Callable[[Tensor, Tensor], Tensor]  # each sample's, nats


def modular_addition(seed: int, *, modulus: float, embedding: float, hidden: float, train_share: float) -> Problem:
    """Addition mod p, as in its own recipe."""
    inside, outside = sums(int(modulus), train_share, seed)
    return Problem(lambda: Adder(int(modulus), int(embedding), int(hidden)), inside, outside, each_class)


def superposition(seed: int, *, samples: float, noise: float) -> Problem:
    """The toy model of superposition from its 4-gon, as in its own recipe."""

    def build() -> nn.Module:
        module, (weights, _) = Toy(6), superposition_loss.gon(6, 4)
        with torch.no_grad():
            module.W.copy_(weights + noise * torch.randn(weights.shape, dtype=weights.dtype))
            module.b.copy_(noise * torch.randn(6, dtype=weights.dtype))
        return module

    def draw(name: str) -> Data:
        own, count = stream(seed, name), int(samples)
        x = torch.zeros(count, 6, dtype=torch.float64)
        chosen = torch.randint(6, (count,), generator=own)
        x[torch.arange(count), chosen] = torch.rand(count, generator=own, dtype=torch.float64)
        return x, x

    return Problem(build, draw("train"), draw("test"), squared)


class Linear(nn.Module):
    """A product of square matrices, from a small start."""

    def __init__(self, width: int, depth: int, scale: float) -> None:
        super().__init__()
        self.layers = nn.ParameterList([nn.Parameter(scale * torch.randn(width, width)) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, width)."""
        for layer in self.layers:
            x = x @ layer.T
        return x


def half_square(output: Tensor, target: Tensor) -> Tensor:
    """|y - f|^2/2: nats, of noise of unit variance."""
    return (output - target).square().sum(-1) / 2


def deep_linear(seed: int, *, samples: float, width: float, depth: float, scale: float) -> Problem:
    """Learn y = T x + e, e ~ N(0, 1), T of rank three with singular values 4, 2, 1: learned one after another."""
    own, wide = stream(seed, "teacher"), int(width)
    left, right = (torch.linalg.qr(torch.randn(wide, wide, generator=own))[0][:, :3] for _ in range(2))
    teacher = left @ torch.diag(torch.tensor([4.0, 2.0, 1.0])) @ right.T

    def draw(name: str) -> Data:
        g = stream(seed, name)
        x = torch.randn(int(samples), wide, generator=g)
        return x, x @ teacher.T + torch.randn(int(samples), wide, generator=g)

    return Problem(lambda: Linear(wide, int(depth), scale), draw("train"), draw("test"), half_square)


class Attention(nn.Module):
    """Two layers of causal attention and nothing else: embedding, positions, heads, unembedding."""

    def __init__(self, vocabulary: int, length: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(vocabulary, width)
        self.place = nn.Parameter(torch.randn(length, width) / 4)
        self.mix = nn.ModuleList([nn.Linear(width, 3 * width, bias=False) for _ in range(2)])
        self.out = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(2)])
        self.unembed = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("after", torch.ones(length, length).triu(1) * -1e9)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, vocabulary)."""
        count, length = tokens.shape
        x = self.embed(tokens) + self.place
        for mix, out in zip(self.mix, self.out, strict=True):
            q, k, v = mix(x).reshape(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            weight = (q @ k.mT / q.shape[-1] ** 0.5 + self.after).softmax(-1)
            x = x + out((weight @ v).transpose(1, 2).reshape(count, length, -1))
        return self.unembed(x)


def next_tokens(output: Tensor, target: Tensor) -> Tensor:
    """Mean over the second half's positions of each sequence, nats."""
    half = target.shape[1] // 2
    each = F.cross_entropy(output[:, half:].transpose(1, 2), target[:, half:], reduction="none")
    return each.mean(1)


def induction(seed: int, *, samples: float, vocabulary: float, half: float, width: float, heads: float) -> Problem:
    """Sequences whose second half repeats the first. A sample is a sequence, its loss in nats per token."""

    def draw(name: str) -> Data:
        first = torch.randint(int(vocabulary), (int(samples), int(half)), generator=stream(seed, name))
        whole = torch.cat([first, first, first[:, :1]], 1)
        return whole[:, :-1], whole[:, 1:]

    def build() -> nn.Module:
        return Attention(int(vocabulary), 2 * int(half), int(width), int(heads))

    return Problem(build, draw("train"), draw("test"), next_tokens)


def digits(seed: int, *, train_share: float, hidden: float) -> Problem:
    """Handwritten digits of 8 x 8 pixels: the 1,797 of the UCI test set (Alpaydin & Kaynak 1998)."""
    found: Any = load_digits()
    x, y = torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)
    order = torch.randperm(len(y), generator=stream(seed, "split"))
    cut = int(train_share * len(y))
    inside, outside = order[:cut], order[cut:]

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(64, int(hidden)), nn.GELU(), nn.Linear(int(hidden), 10))

    return Problem(build, (x[inside], y[inside]), (x[outside], y[outside]), each_class)


def each_class(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each sample."""
    return F.cross_entropy(output, target, reduction="none")


FAMILIES: dict[str, Callable[..., Problem]] = {
    "modular addition": modular_addition,
    "superposition": superposition,
    "deep linear": deep_linear,
    "induction": induction,
    "digits": digits,
}
