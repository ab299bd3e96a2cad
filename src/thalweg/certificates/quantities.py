"""What is looked for the worst of over Alice's values: functions of theta that are convex over convex ones.

With theta on a cell of vertices v_i, a_i the mean of the tangents of the range r at v_i, and d convex,

    f / r  <=  max_i f(v_i) / a_i,        rho(R / r - R_B / r_B)  <=  max_i d(v_i) + r(v_i) / a_i - 1,

the latter since theta / r(theta) is a convex combination of points between v_i / r(v_i) and v_i / a_i.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates.nearly import worst_regrets
from thalweg.certificates.tangents import Tangents, planned
from thalweg.rl import MDP, Gains
from thalweg.values import Linear, two_policy_error


class Quantity(Protocol):
    """A convex function of theta over another one."""

    @property
    def values(self) -> Linear:
        """The class that theta is of."""
        ...

    @property
    def mdp(self) -> MDP:
        """The process that is planned in."""
        ...

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
        values: class of Alice's values, its features in the states of the process.
        mdp: where the policy acts.
        occupancy: (S, A) of the policy, or the mean of several.
    """

    values: Linear
    mdp: MDP
    occupancy: Tensor

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Regrets and ranges."""
        earned = torch.einsum("sa,dsa->d", self.occupancy, self.values.gains(self.mdp.actions)).numpy()
        best, span = planned(self.values, self.mdp, torch.as_tensor(points))
        return ((best @ self.mdp.start).numpy() * points).sum(1) - points @ earned, span


@dataclass(frozen=True, eq=False)
class FromStarts(_Share):
    """The largest regret from a single first state, as a share of the return range from all.

    Attributes:
        values: class of Alice's values.
        mdp: where the policies act.
        policies: (S, A), or (K, S, A) of a mixture.
        weights: (K,) chances of drawing each.
    """

    values: Linear
    mdp: MDP
    policies: Tensor
    weights: Tensor
    most = float("inf")  # one first state may lose more than the mean over them ranges

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The largest of regrets, which is convex as they are, and ranges."""
        theta = torch.as_tensor(points)
        each = self.mdp.solve(self.policies[:, None], self.values.gains(self.mdp.actions))
        own = torch.einsum("k,kds->ds", self.weights, each)
        best, span = planned(self.values, self.mdp, theta)
        lost = torch.einsum("nds,nd->ns", best - own, theta)[:, self.mdp.start > 0]
        return lost.amax(1).numpy(), span


@dataclass(frozen=True, eq=False)
class BesideSafe(_Share):
    """(V* - J(policy)) / (V* - J(safe policy)): above 1 where the policy is worse than the safe one."""

    values: Linear
    mdp: MDP
    occupancy: Tensor
    safe: Tensor
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The regrets of both."""
        top, _ = Regret(self.values, self.mdp, self.occupancy).read(points)
        gains = self.values.gains(self.mdp.actions)
        best, _ = planned(self.values, self.mdp, torch.as_tensor(points))
        slope = (best @ self.mdp.start).numpy() - torch.einsum("sa,dsa->d", self.safe, gains).numpy()
        return top, Tangents((slope * points).sum(1), slope)


@dataclass(frozen=True, eq=False)
class NearlyOptimal(_Share):
    """The regret of the worst Bob within a suboptimality of his optimum, over the range.

    Attributes:
        values: class of Alice's values.
        mdp: where Bob acts.
        bob: (S, A) his reward.
        suboptimality: V* - J at most, in its units.
    """

    values: Linear
    mdp: MDP
    bob: Tensor
    suboptimality: float

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Largest regrets, as the dual bounds them, and ranges."""
        theta = torch.as_tensor(points)
        _, span = planned(self.values, self.mdp, theta)
        alice = self.values.reward(theta, self.mdp.actions)
        return worst_regrets(self.mdp, alice, self.bob, self.suboptimality).numpy(), span


@dataclass(frozen=True, eq=False)
class Composed:
    """rho(R / r - R_B / r_B) + suboptimality / r_B: distance of values and Bob's learning error.

    Attributes:
        values: class of Alice's values.
        mdp: where Bob acts.
        bob: (S, A) his reward, of a range above 0.
        suboptimality: V* - J at most, in its units.
    """

    values: Linear
    mdp: MDP
    bob: Tensor
    suboptimality: float
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The sum times the range, and the range."""
        theta = torch.as_tensor(points)
        _, span = planned(self.values, self.mdp, theta)
        size = float(self.mdp.return_range(self.bob))
        unit = np.where(span.value > 0, span.value, 1.0)  # a cell with a vertex of range 0 is not bounded by it
        own = self.values.reward(theta / torch.as_tensor(unit)[:, None], self.mdp.actions)
        apart = self.mdp.return_range(Gains(own - self.bob / size)).numpy() + self.suboptimality / size
        return apart * span.value, span

    def above(self, top: np.ndarray, under: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Of vertices, and of how far the tangents lie below the range."""
        return (top / under + under / low - 1).max(1)


@dataclass(frozen=True, eq=False)
class Departed(_Share):
    """What a regret, or the range, may differ by in a process that departs from the stated one, over the range.

    2 (eps_R |theta| + discount eps_tau span / 2) / (1 - discount), span = max V* - min V_worst.

    Attributes:
        values: class of Alice's values.
        mdp: the stated process.
        reward: (D,) eps_R of each feature.
        transitions: eps_tau, L1.
    """

    values: Linear
    mdp: MDP
    reward: Tensor
    transitions: float
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Errors and ranges."""
        theta = torch.as_tensor(points)
        rewards = Gains(self.values.reward(theta, self.mdp.actions))
        highest, lowest = (plan.value for plan in (self.mdp.optimal(rewards), self.mdp.worst(rewards)))
        spans = highest.amax(1) - lowest.amin(1)
        paid = theta.abs() @ self.reward
        errors = two_policy_error(paid, self.transitions, spans, self.mdp.discount)
        return errors.numpy(), planned(self.values, self.mdp, theta)[1]


__all__ = ["BesideSafe", "Composed", "Departed", "FromStarts", "NearlyOptimal", "Quantity", "Regret"]
