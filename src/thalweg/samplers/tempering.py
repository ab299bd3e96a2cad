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
from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rng import stream
from thalweg.samplers.leapfrog import acceptance, kinetic, leapfrog

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
    leapfrog_steps: int = 3,
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
        leapfrog_steps: leapfrog steps of a trajectory in the mean.
        seed: names the stream of all that is random.
        tick: called with 1 after each sweep.

    Raises:
        InputError: rungs that do not ascend, numbers out of range, a loss that is not finite at the start.
    """
    rungs = _rungs(nbetas)
    if min(sweeps, every, leapfrog_steps) < 1 or burn_in < 0:
        given = f"sweeps {sweeps}, every {every}, leapfrog steps {leapfrog_steps}, burn_in {burn_in}"
        raise InputError(f"{given}: give at least 1, 1, 1, 0")
    count, depth, wide = len(starts), len(rungs), starts.shape[1]
    heat = rungs.repeat(count)[:, None]  # row r K + k
    held = _seen(loss, starts.double().repeat_interleave(depth, 0))
    if not held.value.isfinite().all():
        raise InputError("the loss is not finite at the start: start elsewhere")
    own = stream(seed, "tempering")
    steps = torch.full((depth,), 0.1, dtype=torch.float64)
    kept: list[tuple[Tensor, Tensor]] = []
    accepted, tried, made = (torch.zeros(size, dtype=torch.float64) for size in (depth, depth - 1, depth - 1))
    for sweep in range(burn_in + sweeps):
        jitter = JITTER ** (2 * torch.rand(count * depth, generator=own, dtype=torch.float64) - 1)
        size = (steps.repeat(count) * jitter)[:, None]
        length = int(torch.randint(1, 2 * leapfrog_steps, (), generator=own))
        held, chance = _trajectory(loss, held, heat, size, length, own)
        rate = chance.reshape(count, depth).mean(0)
        if sweep < burn_in:
            steps = steps * torch.exp(RATE * (rate - TARGET))
        order, traded, pairs = _trade(held.value.reshape(count, depth), rungs, sweep % 2, own)
        held = _Point(*(part[order] for part in held))
        if sweep >= burn_in:
            accepted += rate / sweeps
            made[pairs] += traded
            tried[pairs] += 1
            if (sweep - burn_in) % every == 0:
                kept.append((held.value.reshape(count, depth), held.place.reshape(count, depth, wide)))
        tick(1)
    losses, weights = (torch.stack(column) for column in zip(*kept, strict=True))
    return Tempered(rungs, losses, weights, accepted, made / tried.clamp(min=1))


def _rungs(nbetas: Sequence[float]) -> Tensor:
    """(K) float64, ascending."""
    rungs = torch.as_tensor(list(nbetas), dtype=torch.float64)
    if rungs.ndim != 1 or len(rungs) < 2 or rungs[0] < 0 or (rungs.diff() <= 0).any():
        raise InputError(f"nbetas {list(nbetas)}: give at least two, ascending, from 0 on")
    return rungs


class _Point(NamedTuple):
    """Places (B, D), their losses (B,) and gradients (B, D)."""

    place: Tensor
    value: Tensor
    slope: Tensor


def _seen(loss: Callable[[Tensor], Tensor], place: Tensor) -> _Point:
    """What is seen at places."""
    with torch.enable_grad():
        open_ = place.detach().requires_grad_()
        value = loss(open_)
        (slope,) = torch.autograd.grad(value.sum(), open_)
    return _Point(place, value.detach(), slope)


def _trajectory(
    loss: Callable[[Tensor], Tensor], held: _Point, heat: Tensor, size: Tensor, length: int, own: torch.Generator
) -> tuple[_Point, Tensor]:
    """Leapfrog with acceptance: where each chain is then, and the probability of acceptance."""

    def energy(at: _Point, speed: Tensor) -> Tensor:
        return heat[:, 0] * at.value + kinetic(at.place) + kinetic(speed)

    def force(place: Tensor) -> tuple[Tensor, _Point]:
        at = _seen(loss, place)
        return heat * at.slope + place, at

    start = torch.randn(held.place.shape, generator=own, dtype=held.place.dtype)
    _, speed, _, to = leapfrog(held.place, start, heat * held.slope + held.place, force, size, length)
    chance = acceptance(energy(to, speed) - energy(held, start))
    taken = torch.rand(len(chance), generator=own, dtype=torch.float64) < chance
    rows = taken[:, None]
    return _Point(*(torch.where(rows if a.ndim > 1 else taken, a, b) for a, b in zip(to, held, strict=True))), chance


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
