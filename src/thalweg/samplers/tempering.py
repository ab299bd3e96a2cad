"""Parallel tempering over all of weight space.        R ladders, K rungs, D weights, M kept sweeps

    rung k:  w ~ exp(-n_k L(w)) N(w; 0, I),      neighbours k, k+1 trade places with probability
    min(1, exp((n_{k+1} - n_k) (L(w_{k+1}) - L(w_k))))

Each sweep is one HMC trajectory of every rung of every ladder, all in one batch, and a round of trades, of even
and odd pairs in turn. A rung's step is found in burn-in and then held; each trajectory jitters it (a step that
follows each chain is biased low on singular points).
Source: Geyer 1991; Neal 2011, *MCMC using Hamiltonian dynamics*, section 5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rng import stream

TARGET, RATE = 0.8, 0.05  # acceptance that steps are found for, and how fast
JITTER = 2.0  # steps are drawn log-uniformly over a factor of its square


@dataclass(frozen=True, eq=False)
class Tempered:
    """What was kept.

    Attributes:
        nbetas: (K) rungs, ascending.
        loss: (M, R, K) L(w), nats per sample.
        weights: (M, R, K, D).
        accepted: (K) share of trajectories that were accepted after burn-in.
        swapped: (K - 1) share of trades that were made.
    """

    nbetas: Tensor
    loss: Tensor
    weights: Tensor
    accepted: Tensor
    swapped: Tensor


def temper(
    loss: Callable[[Tensor], Tensor],
    starts: Tensor,
    nbetas: Sequence[float],
    *,
    sweeps: int,
    burn_in: int,
    every: int = 1,
    leaps: int = 3,
    seed: int = 0,
    tick: Callable[[int], None] = lambda _: None,
) -> Tempered:
    """Sample the posterior at all rungs.

    Args:
        loss: (B, D) -> (B,) nats per sample, each row from its own weights alone; differentiable.
        starts: (R, D) where all rungs of a ladder begin, float64; the prior is standard normal.
        nbetas: (K) inverse temperatures n beta >= 0, ascending; the lowest should mix by itself.
        sweeps: after burn-in.
        burn_in: sweeps in which steps are found and nothing is kept.
        every: sweeps from one that is kept to the next.
        leaps: leapfrog steps of a trajectory in the mean.
        seed: names the stream of all that is random.
        tick: called with 1 after each sweep.

    Raises:
        InputError: rungs that do not ascend, numbers out of range, a loss that is not finite at the start.
    """
    rungs = torch.as_tensor(list(nbetas), dtype=torch.float64)
    if rungs.ndim != 1 or len(rungs) < 2 or rungs[0] < 0 or (rungs.diff() <= 0).any():
        raise InputError(f"nbetas {list(nbetas)}: give at least two, ascending, from 0 on")
    if min(sweeps, every, leaps) < 1 or burn_in < 0:
        raise InputError(
            f"sweeps {sweeps}, every {every}, leaps {leaps}, burn_in {burn_in}: give at least 1, 1, 1, 0"
        )
    count, depth, wide = len(starts), len(rungs), starts.shape[1]
    heat = rungs.repeat(count)  # row r K + k
    place = starts.double().repeat_interleave(depth, 0)
    value, slope = _graded(loss, place)
    if not value.isfinite().all():
        raise InputError("the loss is not finite at the start: start elsewhere")
    own = stream(seed, "tempering")
    steps = torch.full((depth,), 0.1, dtype=torch.float64)
    kept: list[tuple[Tensor, Tensor]] = []
    accepted, tried, made = (
        torch.zeros(depth).double(),
        torch.zeros(depth - 1).double(),
        torch.zeros(depth - 1).double(),
    )
    for sweep in range(burn_in + sweeps):
        jitter = JITTER ** (2 * torch.rand(count * depth, generator=own, dtype=torch.float64) - 1)
        size = (steps.repeat(count) * jitter)[:, None]
        length = int(torch.randint(1, 2 * leaps, (), generator=own))
        place, value, slope, chance = _trajectory(loss, place, value, slope, heat, size, length, own)
        rate = chance.reshape(count, depth).mean(0)
        if sweep < burn_in:
            steps = steps * torch.exp(RATE * (rate - TARGET))
        order, traded, pairs = _trade(value.reshape(count, depth), rungs, sweep % 2, own)
        place, value, slope = place[order], value[order], slope[order]
        if sweep >= burn_in:
            accepted += rate / sweeps
            made[pairs] += traded
            tried[pairs] += 1
            if (sweep - burn_in) % every == 0:
                kept.append((value.reshape(count, depth).clone(), place.reshape(count, depth, wide).clone()))
        tick(1)
    losses, weights = (torch.stack(column) for column in zip(*kept, strict=True))
    return Tempered(rungs, losses, weights, accepted, made / tried.clamp(min=1))


def _graded(loss: Callable[[Tensor], Tensor], place: Tensor) -> tuple[Tensor, Tensor]:
    """Loss (B,) and its gradient (B, D)."""
    with torch.enable_grad():
        open_ = place.detach().requires_grad_()
        value = loss(open_)
        (slope,) = torch.autograd.grad(value.sum(), open_)
    return value.detach(), slope


def _trajectory(
    loss: Callable[[Tensor], Tensor],
    place: Tensor,
    value: Tensor,
    slope: Tensor,
    heat: Tensor,
    size: Tensor,
    length: int,
    own: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Leapfrog with acceptance: the new place, its loss and gradient, and the probability of acceptance."""

    def energy(at: Tensor, seen: Tensor, speed: Tensor) -> Tensor:
        return heat * seen + at.square().sum(1) / 2 + speed.square().sum(1) / 2

    speed = torch.randn(place.shape, generator=own, dtype=place.dtype)
    before = energy(place, value, speed)
    to, seen, tilt = place, value, slope
    speed = speed - size / 2 * (heat[:, None] * tilt + to)
    for leap in range(length):
        to = to + size * speed
        seen, tilt = _graded(loss, to)
        speed = speed - size / (1 if leap + 1 < length else 2) * (heat[:, None] * tilt + to)
    chance = torch.nan_to_num(torch.exp(before - energy(to, seen, speed)), nan=0.0).clamp(max=1.0)
    taken = torch.rand(len(place), generator=own, dtype=torch.float64) < chance
    return (
        torch.where(taken[:, None], to, place),
        torch.where(taken, seen, value),
        torch.where(taken[:, None], tilt, slope),
        chance,
    )


def _trade(value: Tensor, rungs: Tensor, parity: int, own: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Rows in their new order, the share of trades made of each pair, and the pairs' lower rungs."""
    count, depth = value.shape
    lower = torch.arange(parity, depth - 1, 2)
    gain = (rungs[lower + 1] - rungs[lower]) * (value[:, lower + 1] - value[:, lower])
    taken = torch.rand(gain.shape, generator=own, dtype=torch.float64).log() < gain
    order = torch.arange(depth).repeat(count, 1)
    order[:, lower] += taken.long()
    order[:, lower + 1] -= taken.long()
    rows = order + depth * torch.arange(count)[:, None]
    return rows.flatten(), taken.double().mean(0), lower
