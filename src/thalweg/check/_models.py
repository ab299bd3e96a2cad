"""The landscapes of the check: analytic functions at a known w*, and modules with data whose K is known exactly."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.landscape import Landscape, landscape, potential
from thalweg.types import Params

SAMPLES = 1000
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def flat(fn: Callable[[Tensor], Tensor], center: Sequence[float], n: int) -> Landscape:
    """A function of one vector w, float64."""
    return potential(lambda params: fn(params["w"]), {"w": torch.tensor(center, dtype=torch.float64)}, n)


def matrices(widths: Sequence[int], rank: int) -> Params:
    """Layers that are the identity on the first `rank` coordinates and zero elsewhere."""
    ones = (torch.arange(max(widths)) < rank).double().diag()
    return {f"W{i}": ones[:rows, :columns].clone() for i, (columns, rows) in enumerate(pairwise(widths))}


def _product(params: Params) -> Tensor:
    """W_L .. W_1, the layers in their order."""
    layers = list(params.values())
    found = layers[0]
    for layer in layers[1:]:
        found = layer @ found
    return found


def linear_network(center: Params, n: int) -> Landscape:
    """K = |W_L .. W_1 - T|^2 / 2, with T the product at w*."""
    truth = _product(center)
    return potential(lambda params: 0.5 * (_product(params) - truth).square().sum(), center, n)


def tanh_network(hidden: int, n: int) -> Landscape:
    """K = E_x (sum_i a_i tanh(b_i x))^2 / 2 at 0, the expectation by 32 Gauss-Hermite nodes."""
    x, p = torch.from_numpy(NODES), torch.from_numpy(WEIGHTS)

    def loss(w: Tensor) -> Tensor:
        return 0.5 * (p * (w[:hidden] @ torch.tanh(w[hidden:, None] * x)).square()).sum()

    return flat(loss, [0.0] * (2 * hidden), n)


def tanh_gram(*b: np.ndarray) -> np.ndarray:
    """E_x tanh(b_i x) tanh(b_j x) by the same nodes, (.., p, p)."""
    return _gram([np.tanh(c[..., None] * NODES) for c in np.broadcast_arrays(*b)], WEIGHTS)


def relu_gram(*b: np.ndarray) -> np.ndarray:
    """E_x relu(b_i x) relu(b_j x), x ~ N(0, 1): half of b_i b_j where they have one sign."""
    sides = [np.stack([c.clip(min=0), c.clip(max=0)], -1) for c in np.broadcast_arrays(*b)]
    return _gram(sides, np.array(0.5))


def relu_pair(w: Tensor) -> Tensor:
    """E_x (a_1 relu(b_1 x) + a_2 relu(b_2 x))^2 / 2, exactly: each half line of x sees the b of its sign."""
    a, b = w[:2], w[2:]
    return 0.25 * ((a * b.clamp(min=0)).sum().square() + (a * b.clamp(max=0)).sum().square())


def _whitened(width: int, seed: int) -> Tensor:
    """Inputs (1000, width) with X'X = 1000 exactly, up to rounding, so that empirical means are population's."""
    g = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(SAMPLES, width, generator=g, dtype=torch.float64))
    return q * SAMPLES**0.5


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """|y - f|^2 / 2, nats per sample: a Gaussian of unit variance."""
    return 0.5 * (outputs - targets).square().sum(-1)


def linear_module(center: Params, n: int) -> Landscape:
    """`nn.Sequential` of linear layers on whitened inputs and targets without noise: K as of `linear_network`."""
    layers = [nn.Linear(w.shape[1], w.shape[0], bias=False).double() for w in center.values()]
    with torch.no_grad():
        for layer, w in zip(layers, center.values(), strict=True):
            layer.weight.copy_(w)
    inputs = _whitened(layers[0].in_features, seed=0)
    return landscape(nn.Sequential(*layers), (inputs, inputs @ _product(center).T), half_square, n=n)


def regression_module(weights: int, noise: float, n: int) -> Landscape:
    """`nn.Linear` at its least-squares solution on noisy targets: K is |w - w*|^2 / 2 exactly."""
    inputs = _whitened(weights, seed=1)
    targets = inputs.sum(1, keepdim=True) + noise * _whitened(1, seed=2)
    module = nn.Linear(weights, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_((inputs.T @ targets).T / SAMPLES)
    return landscape(module, (inputs, targets), half_square, n=n)


class _TanhUnit(nn.Module):
    """A tanh(b x)."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.b = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1) -> (B, 1)."""
        return self.a * torch.tanh(self.b * x)


def tanh_module(n: int) -> Landscape:
    """One unit on 1000 inputs, targets zero."""
    x = _whitened(1, seed=3)
    return landscape(_TanhUnit(), (x, torch.zeros_like(x)), half_square, n=n)


def tanh_module_gram(*b: np.ndarray) -> np.ndarray:
    """Of the same 1000 inputs."""
    x = _whitened(1, seed=3).numpy()[:, 0]
    return _gram([np.tanh(c[..., None] * x) for c in np.broadcast_arrays(*b)], np.array(1 / len(x)))


def contaminated(w: Tensor) -> Tensor:
    """(1-a) N(0,1) + a N(b,1) against N(0,1), half the chi-squared distance: a^2 (e^{b^2} - 1) / 2."""
    return 0.5 * w[0].square() * torch.expm1(w[1].square())


def two_components(w: Tensor) -> Tensor:
    """(N(u,1) + N(v,1)) / 2 against N(0,1), half the chi-squared distance, w = (u, v)."""
    u, v = w
    return 0.125 * (torch.expm1(u.square()) + torch.expm1(v.square()) + 2 * torch.expm1(u * v))


def two_components_turned(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The same of s = (u+v)/sqrt 2 and t = (u-v)/sqrt 2, in which it is even and the localization as before."""
    u, v = (s + t) / np.sqrt(2), (s - t) / np.sqrt(2)
    return 0.125 * (np.expm1(u**2) + np.expm1(v**2) + 2 * np.expm1(u * v))


def topics(w: Tensor) -> Tensor:
    """Two words, two documents, two topics: |A B - A0 B0|^2 / 2 at equal columns; w = (p, q, s, t).

    A = [[p, q], [1-p, 1-q]], B = [[s, t], [1-s, 1-t]], A0 B0 = 1/2 everywhere.
    """
    p, q, s, t = w
    first, second = p * s + q * (1 - s) - 0.5, p * t + q * (1 - t) - 0.5
    return first.square() + second.square()


def topics_gram(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """K of `topics` as (1/2) d' G d, d = (p - 1/2, q - 1/2)."""
    s, t = np.broadcast_arrays(s, t)
    return _gram([np.stack([s, t], -1), np.stack([1 - s, 1 - t], -1)], np.array(2.0))


def _gram(features: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """sum_x weights(x) f_i(x) f_j(x), (.., p, p), of features (.., x)."""
    return np.stack([np.stack([(u * v * weights).sum(-1) for v in features], -1) for u in features], -2)


def nonnegative(center: Params, n: int) -> Landscape:
    """K = | |A| |B| |^2 / 2 at 0: even in each weight, so the law on the orthant is the nonnegative one's."""
    return potential(lambda params: 0.5 * _product({k: w.abs() for k, w in params.items()}).square().sum(), center, n)
