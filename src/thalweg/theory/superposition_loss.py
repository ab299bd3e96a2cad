"""The toy model of superposition, f(x) = relu(W'W x + b), W 2 x c, on x = u e_j: its exact loss, and its k-gons.

j is uniform on the c features and u on [0, 1]. Output i sees u W_i.W_j + b_i, so the loss is a sum of c^2 integrals,
each of a parabola over the u where the output is active.
"""

import math

import torch
from torch import Tensor
from torch.func import grad, jacrev

from thalweg.errors import InputError

GONS = {  # k: length of the columns, bias; to ten digits, polished by `gon`
    4: (1.0, 0.0),
    5: (1.1704596391, -0.2822972831),
    6: (1.3205263308, -0.6181351319),
    7: (1.4483937504, -0.9669063393),
    8: (1.5504496901, -1.2911926447),
}
DEAD = -1.0  # bias of a zero column that is off; any negative one has the same loss
POLISH = 3  # Newton steps, each doubles the digits


def loss(weights: Tensor, biases: Tensor) -> Tensor:
    """E |x - f(x)|^2 exactly, without one half:

        L = (1/c) sum_ij int_0^1 (delta_ij u - relu(g u + b_i))^2 du,   g = W_i.W_j.

    With the output active for u in [lo, hi] and p = delta_ij - g, the integral over it and over the rest is

        p^2 (hi^3 - lo^3)/3 - p b (hi^2 - lo^2) + b^2 (hi - lo)   +   delta_ij (1 - hi^3 + lo^3)/3.

    Continuous with its gradient; the Hessian jumps where a border u = -b/g enters [0, 1] at b = 0.

    Args:
        weights: W, (.., 2, c).
        biases: b, (.., c).

    Returns:
        (..), L = K + L(w*); no 0/0, in the gradient neither, and no branch on data.

    Source: Chen, Lau, Mendel, Wei & Murfet 2023 (arXiv:2310.06301), lemma 3.1, of which this is a shorter form.
    """
    c = biases.shape[-1]
    same, g, b = torch.eye(c, dtype=weights.dtype, device=weights.device), weights.mT @ weights, biases[..., :, None]
    crossing = (b * g < 0) & (b.abs() < g.abs())  # of zero inside (0, 1); |b| < |g| keeps the quotient finite
    border = torch.where(crossing, -b / torch.where(crossing, g, 1.0), 0.0)
    whole = (b + g / 2 > 0).to(weights.dtype)  # without a crossing the sign at 1/2 is the sign everywhere
    lo = torch.where(g > 0, border, 0.0)
    hi = torch.where(crossing, torch.where(g > 0, 1.0, border), whole)
    p, cubes = same - g, (hi**3 - lo**3) / 3
    active = p**2 * cubes - p * b * (hi**2 - lo**2) + b**2 * (hi - lo)
    return (active + same * (1 / 3 - cubes)).sum((-2, -1)) / c


def gon(features: int, k: int, positive: int = 0) -> tuple[Tensor, Tensor]:
    """The k-gon: k columns of one length at the angles 2 pi j/k with one bias; the other columns are zero.

    By symmetry only the length and the bias are free: Newton's method on these two.

    Args:
        features: c >= k.
        k: corners, 4 to 8.
        positive: s <= c - k, zero columns of bias 1/(2c), which the loss prefers; the others have DEAD. They come
            after the corners, those of positive bias first.

    Returns:
        W (2, c) and b (c,), float64, the gradient zero to rounding.

    Raises:
        InputError: no such polygon.
    """
    if k not in GONS or not 0 <= positive <= features - k:
        raise InputError(
            f"features {features}, k {k}, positive {positive}: give 4 <= k <= 8 and 0 <= positive <= features - k"
        )
    angles = 2 * math.pi * torch.arange(k, dtype=torch.float64) / k
    corners = torch.stack([angles.cos(), angles.sin()])
    blank = torch.zeros(2, features - k, dtype=torch.float64)
    rest = torch.tensor([1 / (2 * features)] * positive + [DEAD] * (features - k - positive), dtype=torch.float64)

    def place(free: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([free[0] * corners, blank], 1), torch.cat([free[1].expand(k), rest])

    def value(free: Tensor) -> Tensor:
        return loss(*place(free))

    free = torch.tensor(GONS[k], dtype=torch.float64)
    for _ in range(POLISH if k > 4 else 0):  # the 4-gon is exact, and its Hessian jumps there
        free = free - torch.linalg.solve(jacrev(grad(value))(free), grad(value)(free))
    return place(free)


def configuration(weights: Tensor, biases: Tensor) -> tuple[Tensor, Tensor]:
    """Which polygon a point is: the corners of the hull of its columns, and positive biases of the others.

    A column is a corner where all others, seen from it, leave an angle above pi open. Near a k-gon of phase
    k^{s+} the answer is (k, s).

    Args:
        weights: W, (.., 2, c), c >= 3.
        biases: b, (.., c).

    Returns:
        k and s, (..) integers each.
    """
    apart = weights[..., :, None, :] - weights[..., :, :, None]  # (.., 2, c, c): from column i to column j
    angles = torch.atan2(apart[..., 1, :, :], apart[..., 0, :, :])
    c = biases.shape[-1]
    others = ~torch.eye(c, dtype=torch.bool, device=weights.device)
    turned = angles[..., others].reshape(*biases.shape, c - 1).sort(-1).values
    gaps = torch.cat([turned.diff(dim=-1), turned[..., :1] + 2 * math.pi - turned[..., -1:]], -1)
    corner = gaps.max(-1).values > math.pi
    return corner.sum(-1), (~corner & (biases > 0)).sum(-1)


__all__ = ["DEAD", "GONS", "configuration", "gon", "loss"]
