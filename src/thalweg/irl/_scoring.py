"""The most likely values, for many data sets at once, by Fisher's scoring.        B data sets, D numbers in a point

    J = d log p(a|s) / d point,    I = sum_s n_s sum_a p J J^T,    point += (I + mu)^-1 J^T counts

Directions that the choices do not tell have I = 0, and stay where they are.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from thalweg.irl.likelihood import Likelihood

DRAWS, BEST = 512, 8  # points of the prior that a search looks at, and starts from
ROUNDS = 60
DAMPING = 1e-3  # of the mean curvature, at first
STILL = 1e-9  # nats: gain of a round that ends a search


def jacobians(likelihood: Likelihood, points: Tensor, environment: int) -> tuple[Tensor, Tensor]:
    """Log probabilities (B, S, A) and their derivatives (B, S, A, D), at points (B, D).

    By two passes in reverse: u . J is linear in u, and its derivative in u is J.
    """
    open_ = points.detach().requires_grad_()
    with torch.enable_grad():
        logs = likelihood.log_policy(open_, environment)
        probe = torch.zeros_like(logs, requires_grad=True)
        (along,) = torch.autograd.grad(logs, open_, probe, create_graph=True)
        parts = [torch.autograd.grad(along[:, d].sum(), probe, retain_graph=True)[0] for d in range(points.shape[1])]
    return logs.detach(), torch.stack(parts, -1)


def information(likelihood: Likelihood, points: Tensor, visits: Sequence[Tensor]) -> Tensor:
    """(B, D, D) Fisher information of the choices in states visited (S,) times each, at points (B, D)."""
    total = points.new_zeros(*points.shape, points.shape[1])
    for e in likelihood.seen():
        logs, slopes = jacobians(likelihood, points, e)
        weight = visits[e][:, None] * logs.exp()
        total = total + torch.einsum("bsa,bsad,bsae->bde", weight.expand_as(logs), slopes, slopes)
    return total


def most_likely(likelihood: Likelihood, generator: torch.Generator) -> Tensor:
    """(D,) the most likely point that is found from the best of many draws of the prior."""
    z = torch.randn(DRAWS, likelihood.width, generator=generator, dtype=torch.float64)
    points = likelihood.place(z)
    best = points[likelihood(points).argsort(descending=True)[:BEST]]
    counts = [c.expand(BEST, *c.shape) for c in likelihood.counts]
    found, value = climbed(likelihood, best, counts)
    return found[value.argmax()]


def climbed(
    likelihood: Likelihood, points: Tensor, counts: Sequence[Tensor], rounds: int = ROUNDS
) -> tuple[Tensor, Tensor]:
    """Climb from points (B, D) on counts (B, S, A) of each environment: the points reached, and their l, nats."""
    value = _value(likelihood, points, counts)
    damping = torch.full_like(value, DAMPING)
    for _ in range(rounds):
        slope, bend = _score(likelihood, points, counts)
        size = bend.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-12
        system = bend + (damping * size)[:, None, None] * torch.eye(points.shape[1], dtype=points.dtype)
        to = _inside(likelihood, points + torch.linalg.solve(system, slope))
        seen = _value(likelihood, to, counts)
        gain = seen - value
        better = gain > 0
        points, value = torch.where(better[:, None], to, points), torch.where(better, seen, value)
        if (gain.abs() <= STILL * (1 + value.abs())).all():
            break
        damping = torch.where(better, damping / 5, damping * 8)
    return points, value


def _score(likelihood: Likelihood, points: Tensor, counts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Gradient of l, and the information."""
    slope, bend = torch.zeros_like(points), points.new_zeros(*points.shape, points.shape[1])
    for e in likelihood.seen():
        logs, slopes = jacobians(likelihood, points, e)
        slope = slope + torch.einsum("bsa,bsad->bd", counts[e], slopes)
        weight = counts[e].sum(-1, keepdim=True) * logs.exp()
        bend = bend + torch.einsum("bsa,bsad,bsae->bde", weight, slopes, slopes)
    return slope, bend


def _value(likelihood: Likelihood, points: Tensor, counts: Sequence[Tensor]) -> Tensor:
    """(B,) l of each data set at its own point."""
    with torch.no_grad():
        parts = [(counts[e] * likelihood.log_policy(points, e)).sum((-1, -2)) for e in likelihood.seen()]
    return torch.stack(parts).sum(0) if parts else points.new_zeros(len(points))


def _inside(likelihood: Likelihood, points: Tensor) -> Tensor:
    """Points of the class: directions on the octahedron again, weights on the box's face where they left it."""
    values = likelihood.values
    own, rest = points[:, : values.weights], points[:, values.weights :]
    if values.bound is None:
        return torch.cat([own / own.abs().sum(-1, keepdim=True), rest], -1)
    return torch.cat([own.clamp(-values.bound, values.bound), rest], -1)
