"""Convex functions of theta by their values and slopes at points, and the plans that give them."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates.confidence_set._simplices import Rows
from thalweg.errors import InputError
from thalweg.irl import Linear
from thalweg.mdp import EPS, MDP, Gains, Plan, levelled, shortfall, visited

NULL = 1e-9  # of the features: a direction whose advantages are less changes no return


@dataclass(frozen=True, eq=False)
class Tangents(Rows):
    """A convex function at points, with a subgradient: value (N,), slope (N, D)."""

    value: np.ndarray
    slope: np.ndarray


def tangent(f: Tangents, at: np.ndarray, corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(M, K): the mean of tangents of f, known at (N, D), at vertices (M, V) of cells; at their points (M, K, D)."""
    base = (f.value - np.einsum("nd,nd->n", f.slope, at))[corners].mean(1)
    return base[:, None] + np.einsum("md,mkd->mk", f.slope[corners].mean(1), points)


class _Plans(NamedTuple):
    """The best policies of rewards.

    Attributes:
        best: (N, D, S) their discounted features, whose product with theta is V*.
        span: the return range, which is convex in theta, from below.
        missed: (N,) how far V* may be from that product, in visited states.
    """

    best: Tensor
    span: Tangents
    missed: Tensor


def features(values: Linear, world: MDP) -> Tensor:
    """(D, S, A): the features as rewards, less a constant each, which changes no regret and costs digits."""
    gains = values.gains(world.actions)
    return gains - world.level(gains)[:, None, None]


def rewards(gains: Tensor, theta: Tensor) -> Tensor:
    """(N, S, A): of features (D, S, A) at points (N, D)."""
    return torch.einsum("dsa,nd->nsa", gains, theta)


def plan_size(world: MDP, values: Linear) -> int:
    """Numbers that plans at one point hold at once: features of all states and actions, or a dense system."""
    return max(values.weights * world.states * world.actions, math.ceil(world.dynamics.entries))


def planned(gains: Tensor, world: MDP, points: Tensor) -> _Plans:
    """The best and the worst policies of each point (N, D), of gains as of `features`."""
    reward = rewards(gains, points)
    off = (len(points.T) + 2) * EPS * rewards(gains.abs(), points.abs())  # rounding of the sum over features
    (best, missed), (worst, other) = (_planned(gains, world, points, reward, off, sign) for sign in (1.0, -1.0))
    slope = (best - worst) @ world.start
    spans = torch.einsum("nd,nd->n", slope, points)
    low = spans - missed - other - (world.states + 8) * EPS * (spans.abs() + missed + other)
    return _Plans(best, Tangents(low.numpy(), slope.numpy()), missed)


def _planned(
    gains: Tensor, world: MDP, points: Tensor, reward: Tensor, off: Tensor, sign: float
) -> tuple[Tensor, Tensor]:
    """Discounted features (N, D, S) of the best policies of rewards (N, S, A) or minus them, and what V* may miss."""
    plan = world.optimal(Gains(sign * reward))
    best = world.dynamics.sums(plan.policy, gains, world.discount)
    value = sign * torch.einsum("nds,nd->ns", best, points)
    return best, shortfall(world, sign * reward, Plan(value, plan.policy), off)


def check_ranges(values: Linear, world: MDP, number: int) -> None:
    """Refuse a class with rewards that change no return in a process: a relative choice model has none there."""
    shape = tuple(values.features.shape[:-1])
    if shape not in ((world.states,), (world.states, world.actions)):
        raise InputError(
            f"features {tuple(values.features.shape)} do not fit process {number} of {world.states} states and"
            f" {world.actions} actions: give (S, D) or (S, A, D)"
        )
    part = visited(world)
    gains = values.gains(world.actions)[:, part.states]
    flat = levelled(part.mdp, Gains(gains)).flatten(1)
    left, sizes, _ = torch.linalg.svd(flat, full_matrices=False)
    if flat.shape[1] < flat.shape[0] or float(sizes[-1]) <= NULL * float(gains.abs().max()):
        unseen = left[:, -1] * left[left[:, -1].abs().argmax(), -1].sign()
        weights = ", ".join(f"{abs(x) if round(x, 3) == 0 else x:.3f}" for x in unseen.tolist())
        raise InputError(
            f"the class holds a reward that changes no return in process {number}, of weights ({weights}): leave out"
            " a feature, or give a process that reaches it"
        )
