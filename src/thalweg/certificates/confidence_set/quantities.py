"""What is looked for the worst of over Alice's values: functions of theta that are convex over convex ones.

With theta on a cell of vertices v_i, a_i the mean of the tangents of the range r at v_i, and d convex,

    f / r  <=  max_i f(v_i) / a_i,        rho(R / r - R_B / r_B)  <=  max_i d(v_i) + r(v_i) / a_i - 1,

the latter since theta / r(theta) is a convex combination of points between v_i / r(v_i) and v_i / a_i.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates.confidence_set._tangents import Tangents, features, planned, rewards
from thalweg.irl import Linear
from thalweg.mdp import EPS, MDP, Gains, Plan, flow, shortfall, spans, two_policy_error, worst_regrets


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


@dataclass(frozen=True, eq=False)
class _Share:
    """A convex function of theta over a convex one, the return range where nothing else is said."""

    values: Linear
    mdp: MDP
    most = 1.0

    @cached_property
    def gains(self) -> Tensor:
        """(D, S, A): the features as rewards."""
        return features(self.values, self.mdp)

    def range(self, points: np.ndarray) -> Tangents:
        """Return ranges at points (N, D)."""
        return planned(self.gains, self.mdp, torch.as_tensor(points)).span

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

    occupancy: Tensor

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Regrets and ranges."""
        earned, off = _earned(self.mdp, self.occupancy, self.gains)
        best, span, missed = planned(self.gains, self.mdp, torch.as_tensor(points))
        most = ((best @ self.mdp.start).numpy() * points).sum(1) + missed.numpy()
        return _above(self.mdp, most, -points @ earned, np.abs(points) @ off), span


@dataclass(frozen=True, eq=False)
class FromStarts(_Share):
    """The largest regret from a single first state, as a share of the return range from all.

    Attributes:
        values: class of Alice's values.
        mdp: where the policies act.
        policies: (S, A), or (K, S, A) of a mixture.
        weights: (K,) chances of drawing each.
    """

    policies: Tensor
    weights: Tensor
    most = float("inf")  # one first state may lose more than the mean over them ranges

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The largest of regrets, which is convex as they are, and ranges."""
        theta, gains = torch.as_tensor(points), self.gains
        each = self.mdp.dynamics.sums(self.policies, gains, self.mdp.discount)
        off = torch.stack([
            shortfall(self.mdp, gains, Plan(value, policy.expand(len(gains), -1, -1)), alone=True)
            for value, policy in zip(each, self.policies, strict=True)
        ]).amax(0)  # fmt: skip
        own = torch.einsum("k,kds->ds", self.weights, each)
        best, span, missed = planned(gains, self.mdp, theta)
        most = torch.einsum("nds,nd->ns", best, theta)[:, self.mdp.start > 0] + missed[:, None]
        kept = -torch.einsum("ds,nd->ns", own, theta)[:, self.mdp.start > 0]
        lost = _above(self.mdp, most.numpy(), kept.numpy(), (theta.abs() @ off)[:, None].numpy())
        return lost.max(1), span


@dataclass(frozen=True, eq=False)
class BesideSafe(Regret):
    """(V* - J(policy)) / (V* - J(safe policy)): above 1 where the policy is worse than the safe one."""

    safe: Tensor
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The regrets of both."""
        top, _ = Regret.read(self, points)
        best, _, missed = planned(self.gains, self.mdp, torch.as_tensor(points))
        earned, off = _earned(self.mdp, self.safe, self.gains)
        most = (best @ self.mdp.start).numpy()
        kept = np.abs(points) @ off + missed.numpy()
        low = -_above(self.mdp, -(most * points).sum(1), points @ earned, kept)
        return top, Tangents(low, most - earned)


@dataclass(frozen=True, eq=False)
class NearlyOptimal(_Share):
    """The regret of the worst Bob within a suboptimality of his optimum, over the range.

    Attributes:
        values: class of Alice's values.
        mdp: where Bob acts.
        bob: (S, A) his reward.
        suboptimality: V* - J at most, in its units.
    """

    bob: Tensor
    suboptimality: float

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Largest regrets, as the dual bounds them, and ranges."""
        span, alice = self.range(points), rewards(self.gains, torch.as_tensor(points))
        return worst_regrets(self.mdp, alice, self.bob, self.suboptimality).numpy(), span


@dataclass(frozen=True, eq=False)
class Composed(_Share):
    """rho(R / r - R_B / r_B) + suboptimality / r_B: distance of values and Bob's learning error.

    Attributes:
        values: class of Alice's values.
        mdp: where Bob acts.
        bob: (S, A) his reward, of a range above 0.
        suboptimality: V* - J at most, in its units.
    """

    bob: Tensor
    suboptimality: float
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """The sum times the range, and the range."""
        theta, gains, span = torch.as_tensor(points), self.gains, self.range(points)
        his = self.bob - self.mdp.level(self.bob)
        size, most = (float(x) for x in spans(self.mdp, his))
        unit = np.where(span.value > 0, span.value, 1.0)  # a cell with a vertex of range 0 is not bounded by it
        own = rewards(gains, theta / torch.as_tensor(unit)[:, None])
        rounded = 8 * EPS * (rewards(gains.abs(), theta.abs() / torch.as_tensor(unit)[:, None]) + his.abs() / size)
        apart = spans(self.mdp, own - his / size, rounded)[1].numpy() + (most - size) / size
        return (apart + self.suboptimality / size) * (1 + 8 * EPS) * span.value, span

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

    reward: Tensor
    transitions: float
    most = float("inf")

    def read(self, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
        """Errors and ranges."""
        gain = rewards(self.gains, torch.as_tensor(points))
        seen = torch.ones_like(self.mdp.reachable) if self.transitions else self.mdp.reachable
        widest = torch.zeros(len(points), dtype=torch.float64)
        for sign in (1.0, -1.0):  # what departs may come anywhere
            plan = self.mdp.optimal(Gains(sign * gain))
            widest += plan.value[:, seen].amax(1) + shortfall(self.mdp, sign * gain, plan, where=seen)
        paid = torch.as_tensor(points).abs() @ self.reward
        return two_policy_error(paid, self.transitions, widest, self.mdp.discount).numpy(), self.range(points)


def _earned(mdp: MDP, occupancy: Tensor, gains: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(D,), (D,): discounted features of an occupancy, and how far they may be off.

    An occupancy that misses the flow's equations by f misses a return by |f|_1 max |R| / (1 - discount) at most.
    """
    seen = occupancy.sum(-1) > 0
    off = torch.as_tensor(flow(mdp) @ occupancy.reshape(-1).numpy()) - mdp.start
    size = gains[:, seen].abs().amax((-1, -2))
    rounded = ((mdp.dynamics.terms + mdp.actions + 8) * 4 * EPS + mdp.rounding) / (1 - mdp.discount)
    found = torch.einsum("sa,dsa->d", occupancy, gains)
    return found.numpy(), (size * (off.abs().sum() + rounded) / (1 - mdp.discount)).numpy()


def _above(mdp: MDP, first: np.ndarray, second: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The sum of two and what they may be off, above its own rounding and that of two means over states."""
    size = np.abs(first) + np.abs(second) + off
    return first + second + off + ((mdp.states + 16) * EPS + 2 * mdp.rounding) * size
