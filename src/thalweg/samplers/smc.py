"""Sequential Monte Carlo from the prior to the posterior.                       N particles, T stages, K repeats

    0 = beta_0 < ... < beta_T = 1,   weights exp((beta_t - beta_{t-1}) l(z)),   Z = prod_t mean of stage t's weights

A pilot finds the stages and the moves; repeats hold both fixed and are independent of it, so that each one's Z is an
unbiased estimate. An adaptive run's is not, and log Z of either is not: such a number describes, it does not certify.
Source: Del Moral, Doucet & Jasra 2006; Jasra et al. 2011 for stages by effective sample size.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.samplers.leapfrog import acceptance, kinetic, leapfrog

Target = Callable[[Tensor], Tensor]  # (N, D) -> (N,) log likelihood at standard normal coordinates
Move = Literal["walk", "hmc"]  # how particles move at a temperature
SHARE = 0.5  # effective share of particles that a stage of the pilot leaves
WANTED = {"walk": 0.3, "hmc": 0.8}  # acceptance that the pilot finds steps for
STAGES = 200  # of a pilot at most


class _Stage(NamedTuple):
    """A temperature and how particles move at it.

    Attributes:
        beta: inverse temperature.
        factor: (D, D) of the covariance of particles, lower triangular.
        size: step in units of it.
    """

    beta: float
    factor: Tensor
    size: float


@dataclass(frozen=True, eq=False)
class Cloud:
    """Particles after the last stage.

    Attributes:
        z: (N, D).
        value: (N,) log likelihood.
        log_evidence: log Z.
        accepted: smallest share of moves that a stage accepted.
    """

    z: Tensor
    value: Tensor
    log_evidence: float
    accepted: float


def pilot(
    target: Target,
    width: int,
    particles: int,
    betas: Sequence[float] | None,
    move: Move,
    moves: int,
    own: torch.Generator,
) -> tuple[_Stage, ...]:
    """Find stages, or moves for stages that are given.

    Args:
        target: log likelihood.
        width: D.
        particles: N.
        betas: ascending to 1, without 0; None to find them.
        move: kind of move.
        moves: of each stage.
        own: stream.

    Raises:
        InputError: betas that do not ascend to 1, a log likelihood that is not finite.
    """
    if betas is not None and (not len(betas) or betas[-1] != 1 or any(b <= a for a, b in pairwise([0.0, *betas]))):
        raise InputError(f"schedule {list(betas)}: give inverse temperatures that ascend from above 0 to 1")
    z = torch.randn(particles, width, generator=own, dtype=torch.float64)
    value, beta, stages = _checked(target(z)), 0.0, []
    while beta < 1:
        if len(stages) == STAGES:
            raise InputError(f"{STAGES} stages were not enough: take more particles, or moves of kind 'hmc'")
        following = betas[len(stages)] if betas is not None else _next(value, beta)
        rows = _systematic((following - beta) * value, own)
        z, value, beta = z[rows], value[rows], following
        factor = _factor(z)
        size = 2.38 / math.sqrt(width) if move == "walk" else 0.5
        for _ in range(max(2 * moves, 8)):  # twice: steps are being found
            z, value, chance = _moved(target, z, value, _Stage(beta, factor, size), move, own)
            size *= math.exp(chance - WANTED[move])
        stages.append(_Stage(beta, factor, size))
    return tuple(stages)


def travel(
    target: Target, width: int, particles: int, stages: Sequence[_Stage], move: Move, moves: int, own: torch.Generator
) -> Cloud:
    """Run once through fixed stages with fixed moves."""
    z = torch.randn(particles, width, generator=own, dtype=torch.float64)
    value, beta, log_evidence, worst = _checked(target(z)), 0.0, 0.0, 1.0
    for stage in stages:
        weight = (stage.beta - beta) * value
        log_evidence += float(torch.logsumexp(weight, 0)) - math.log(particles)
        rows = _systematic(weight, own)
        z, value, beta = z[rows], value[rows], stage.beta
        rate = 0.0
        for _ in range(moves):
            z, value, chance = _moved(target, z, value, stage, move, own)
            rate += chance / moves
        worst = min(worst, rate)
    return Cloud(z, value, log_evidence, worst)


def _checked(value: Tensor) -> Tensor:
    """Refuse a log likelihood that is not finite."""
    if not torch.isfinite(value).all():
        raise InputError("the log likelihood is not finite at points of the prior: check the features' sizes")
    return value


def _next(value: Tensor, beta: float) -> float:
    """The temperature at which SHARE of the particles is left, by bisection."""

    def left(step: float) -> float:
        weight = step * value
        return math.exp(float(2 * torch.logsumexp(weight, 0) - torch.logsumexp(2 * weight, 0))) / len(value)

    low, high = 0.0, 1 - beta
    if left(high) >= SHARE:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) >= SHARE else (low, middle)
    return beta + low


def _systematic(weight: Tensor, own: torch.Generator) -> Tensor:
    """(N,) rows, each as often as its share of exp(weight) in the mean."""
    edges = torch.softmax(weight, 0).cumsum(0)
    comb = (torch.arange(len(weight)) + torch.rand((), generator=own, dtype=torch.float64)) / len(weight)
    return torch.searchsorted(edges / edges[-1], comb).clamp(max=len(weight) - 1)


def _factor(z: Tensor) -> Tensor:
    """Cholesky factor of the covariance, with enough of the identity that copies of one particle have one."""
    spread = torch.cov(z.T).reshape(z.shape[1], z.shape[1])
    return torch.linalg.cholesky(spread + 1e-9 * torch.eye(z.shape[1], dtype=z.dtype))


def _moved(
    target: Target, z: Tensor, value: Tensor, stage: _Stage, move: Move, own: torch.Generator
) -> tuple[Tensor, Tensor, float]:
    """One move that leaves exp(beta l) N(0, I) as it is: places, log likelihoods, share accepted."""
    speed = torch.randn(z.shape, generator=own, dtype=z.dtype)
    before, moving = kinetic(z) - stage.beta * value, 0.0
    if move == "walk":
        to = z + stage.size * speed @ stage.factor.T
        seen = target(to)
    else:
        to, seen, end = _trajectory(target, z, speed, stage, 1 + int(torch.randint(4, (), generator=own)))
        moving = kinetic(end) - kinetic(speed)
    chance = acceptance(kinetic(to) - stage.beta * seen - before + moving)
    taken = torch.rand(len(z), generator=own, dtype=torch.float64) < chance
    return torch.where(taken[:, None], to, z), torch.where(taken, seen, value), float(chance.mean())


def _trajectory(
    target: Target, z: Tensor, speed: Tensor, stage: _Stage, leapfrog_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Leapfrog in coordinates y from here, z + factor y: places, log likelihoods, speeds."""

    def force(y: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        at = z + y @ stage.factor.T
        with torch.enable_grad():
            open_ = at.detach().requires_grad_()
            seen = target(open_)
            (slope,) = torch.autograd.grad(seen.sum(), open_)
        return (at - stage.beta * slope) @ stage.factor, (at, seen.detach())

    here, size = torch.zeros_like(z), torch.tensor(stage.size, dtype=z.dtype)
    _, speed, _, (to, seen) = leapfrog(here, speed, force(here)[0], force, size, leapfrog_steps)
    return to, seen, speed
