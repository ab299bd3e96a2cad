"""Convex functions of theta by their values and slopes at points, and the plans that give them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl import MDP, Gains
from thalweg.values import Linear, levelled, visited

NULL = 1e-9  # of the features: a direction whose advantages are less changes no return


@dataclass(frozen=True, eq=False)
class Tangents:
    """A convex function at points, with a subgradient: value (N,), slope (N, D)."""

    value: np.ndarray
    slope: np.ndarray

    def also(self, more: "Tangents") -> "Tangents":
        """The points of both."""
        return Tangents(np.concatenate([self.value, more.value]), np.concatenate([self.slope, more.slope]))


def tangent(f: Tangents, at: np.ndarray, corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(M, K): the mean of the tangents at the cell's vertices, at points (M, K, D) of it.

    Args:
        f: at all vertices.
        at: (N, D) where its values and slopes are taken.
        corners: (M, V).
        points: (M, K, D).
    """
    base = (f.value - np.einsum("nd,nd->n", f.slope, at))[corners].mean(1)
    return base[:, None] + np.einsum("md,mkd->mk", f.slope[corners].mean(1), points)


def plan_size(world: MDP, values: Linear) -> int:
    """Numbers that plans at one point hold at once: features of all states and actions, or a dense system."""
    dense = world.states**2 if world.sparse is None else 0
    return max(values.weights * world.states * world.actions, dense)


def planned(values: Linear, world: MDP, points: Tensor) -> tuple[Tensor, Tangents]:
    """The discounted features of the best policy of each point, and the return range.

    Args:
        values: the class, its features in the states of the world.
        world: the decision process.
        points: (N, D).

    Returns:
        (N, D, S), whose product with theta is V*; and the range, which is convex in theta.
    """
    reward = Gains(values.reward(points, world.actions))
    gains = values.gains(world.actions)
    best, worst = (world.solve(plan.policy[:, None], gains) for plan in (world.optimal(reward), world.worst(reward)))
    slope = (best - worst) @ world.start
    return best, Tangents(torch.einsum("nd,nd->n", slope, points).numpy(), slope.numpy())


def check_ranges(values: Linear, world: MDP, number: int) -> None:
    """Refuse a class with rewards that change no return in a process: a relative rule has none there.

    Raises:
        InputError: the process, and the weights of such a reward; features that do not fit it.
    """
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


__all__ = ["Tangents", "check_ranges", "plan_size", "planned", "tangent"]
