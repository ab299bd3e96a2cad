"""The largest share of a quantity over a confidence set that is covered by cells: proven, and attained.

A regret is convex in theta, the return range r too, so on a cell of vertices v_i, with a_i the mean of the tangents
of the range there,

    regret / r  <=  max_i regret(v_i) / a_i,        rho(R / r - R_B / r_B)  <=  max_i d(v_i) + r(v_i) / a_i - 1,

the latter since theta / r(theta) is a convex combination of points between v_i / r(v_i) and v_i / a_i. Cells are
halved until what is proven and what some theta of the set attains agree.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates.cover import POINTS, Cover, Reader, Tangents, tangent
from thalweg.certificates.nearly import worst_regrets
from thalweg.rl import MDP

TOLERANCE = 0.02  # relative, between what is proven and what is attained
LEAST = 1e-5  # shares below which nobody asks for more digits


class Quantity(Protocol):
    """What is looked for the worst of: a convex function of theta over another one."""

    @property
    def most(self) -> float:
        """What it can be at most, whatever theta is."""
        ...

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The upper one (N,), and the lower one, at points (N, D)."""
        ...

    def above(self, top: np.ndarray, under: np.ndarray, low: np.ndarray) -> np.ndarray:
        """A bound on each cell from its vertices (M, V), given a lower bound of what is below, above 0."""
        ...


class _Share:
    """A convex function over a convex one."""

    most = 1.0

    def above(self, top: np.ndarray, under: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Of vertices and tangents."""
        return (top / low).max(1)


@dataclass(frozen=True, eq=False)
class Regret(_Share):
    """(V* - J(policy)) / range; of a mixture of policies too, drawn once an episode.

    Attributes:
        reader: of the class of values.
        mdp: where the policy acts.
        occupancy: (S, A) of the policy, or the mean of several.
    """

    reader: Reader
    mdp: MDP
    occupancy: Tensor

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Regrets and ranges."""
        earned = torch.einsum("sa,dsa->d", self.occupancy, self.reader.values.gains(self.mdp.actions)).numpy()
        best, span = self.reader.planned(self.mdp, torch.as_tensor(points))
        return ((best @ self.mdp.start).numpy() * points).sum(1) - points @ earned, span


@dataclass(frozen=True, eq=False)
class FromStarts(_Share):
    """The largest regret from a single first state, as a share of the return range from all."""

    reader: Reader
    mdp: MDP
    policy: Tensor
    most = float("inf")  # one first state may lose more than the mean over them ranges

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The largest of regrets, which is convex as they are, and ranges."""
        theta = torch.as_tensor(points)
        own = self.mdp.solve(self.policy[None], self.reader.values.gains(self.mdp.actions))
        best, span = self.reader.planned(self.mdp, theta)
        lost = torch.einsum("nds,nd->ns", best - own, theta)[:, self.mdp.start > 0]
        return lost.amax(1).numpy(), span


@dataclass(frozen=True, eq=False)
class BesideSafe(_Share):
    """(V* - J(policy)) / (V* - J(safe policy)): above 1 where the policy is worse than the safe one."""

    reader: Reader
    mdp: MDP
    occupancy: Tensor
    safe: Tensor
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The regrets of both."""
        top, _ = Regret(self.reader, self.mdp, self.occupancy).read(points)
        gains = self.reader.values.gains(self.mdp.actions)
        best, _ = self.reader.planned(self.mdp, torch.as_tensor(points))
        slope = (best @ self.mdp.start).numpy() - torch.einsum("sa,dsa->d", self.safe, gains).numpy()
        return top, Tangents((slope * points).sum(1), slope)


@dataclass(frozen=True, eq=False)
class NearlyOptimal(_Share):
    """The regret of the worst Bob within a suboptimality of his optimum, over the range."""

    reader: Reader
    mdp: MDP
    bob: Tensor
    suboptimality: float

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Largest regrets, as the dual bounds them, and ranges."""
        theta = torch.as_tensor(points)
        _, span = self.reader.planned(self.mdp, theta)
        alice = self.reader.values.reward(theta, self.mdp.actions)
        return worst_regrets(self.mdp, alice, self.bob, self.suboptimality).numpy(), span


@dataclass(frozen=True, eq=False)
class Composed:
    """rho(R / r - R_B / r_B) + suboptimality / r_B: distance of values and Bob's learning error."""

    reader: Reader
    mdp: MDP
    bob: Tensor
    suboptimality: float
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The sum times the range, and the range."""
        theta = torch.as_tensor(points)
        _, span = self.reader.planned(self.mdp, theta)
        size = float(self.mdp.return_range(self.bob))
        own = self.reader.values.reward(theta / torch.as_tensor(span.value)[:, None], self.mdp.actions)
        apart = self.mdp.return_range(own - self.bob / size).numpy() + self.suboptimality / size
        return apart * span.value, span

    def above(self, top: np.ndarray, under: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Of vertices, and of how far the tangents lie below the range."""
        return (top / under + under / low - 1).max(1)


@dataclass(frozen=True, eq=False)
class Worst:
    """The largest value of a quantity over a confidence set.

    Attributes:
        bound: proven: no theta of the set has more.
        attained: by `theta`, which is in the set.
        theta: (D,) of the worst values found.
        cover: refined where it mattered.
    """

    bound: float
    attained: float
    theta: np.ndarray
    cover: Cover


def supremum(cover: Cover, quantity: Quantity, *, tolerance: float = TOLERANCE, budget: int = POINTS) -> Worst:
    """The supremum of a quantity over a confidence set.

    Args:
        cover: of the set.
        quantity: convex over convex.
        tolerance: relative, between what is proven and what is attained.
        budget: vertices more than the cover has, after which the bound is given as it stands.
    """
    limit = len(cover.points.values) + budget
    top, under = quantity.read(cover.points.values)
    while True:
        points, corners = cover.points.values, cover.cells.corners
        low = tangent(under, points, corners, points[corners])
        sound = (low > 0).all(1)
        found = np.full(len(corners), quantity.most)
        found[sound] = quantity.above(top[corners[sound]], under.value[corners[sound]], low[sound])
        found = np.minimum(found, quantity.most)
        inside = (cover.likelihood() >= cover.threshold) & (under.value > 0)
        here = np.where(inside, top / np.where(under.value > 0, under.value, 1.0), -np.inf)
        best = int(here.argmax())
        attained = max(float(here[best]), 0.0)
        wanted = found > attained + max(tolerance * attained, LEAST)
        if not wanted.any() or len(points) >= limit:
            return Worst(max(float(found.max(initial=0.0)), 0.0), attained, points[best], cover)
        cover = cover.halved(wanted)
        fresh = cover.points.values[len(points) :]
        if len(fresh):
            more, wider = quantity.read(fresh)
            top, under = np.concatenate([top, more]), under.also(wider)


__all__ = ["BesideSafe", "Composed", "FromStarts", "NearlyOptimal", "Quantity", "Regret", "Worst", "supremum"]
