"""Convex functions of theta by their values and slopes at points, and the plans that give them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thalweg.rl import MDP
from thalweg.values import Linear


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


def planned(values: Linear, world: MDP, points: Tensor) -> tuple[Tensor, Tangents]:
    """The discounted features of the best policy of each point, and the return range.

    Args:
        values: the class, its features in the states of the world.
        world: the decision process.
        points: (N, D).

    Returns:
        (N, D, S), whose product with theta is V*; and the range, which is convex in theta.
    """
    reward = values.reward(points, world.actions)
    gains = values.gains(world.actions)
    best, worst = (world.solve(plan.policy[:, None], gains) for plan in (world.optimal(reward), world.worst(reward)))
    slope = (best - worst) @ world.start
    return best, Tangents(torch.einsum("nd,nd->n", slope, points).numpy(), slope.numpy())


__all__ = ["Tangents", "planned", "tangent"]
