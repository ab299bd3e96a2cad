"""The numbers of a certificate, by what is known of Alice: each a share of her return range.

Always exact <= lp <= t1, where there are all three. In a process that departs from the stated one by x of her range,
a share t becomes (t + x) / (1 - x): regret grows by x at most, and the range falls by x at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any

import torch

from thalweg.certificates.cover import Cover
from thalweg.certificates.deployed import Deployed
from thalweg.certificates.door import one_reward
from thalweg.certificates.quantities import (
    BesideSafe,
    Composed,
    Departed,
    FromStarts,
    NearlyOptimal,
    Quantity,
    Regret,
)
from thalweg.certificates.regret import composed_bound, worst_regret
from thalweg.certificates.supremum import supremum
from thalweg.values import Linear, reward_distance, two_policy_error


@dataclass(frozen=True)
class Shares:
    """Shares of Alice's return range; None where what is known of Bob says nothing.

    Attributes:
        exact: regret of his policy.
        lp: regret of any Bob as suboptimal as he is.
        t1: distance of values and his suboptimality over his range.
        per_start: largest regret from a single first state.
        beside_safe: regret over that of the safe policy; of no unit.
    """

    exact: float | None = None
    lp: float | None = None
    t1: float | None = None
    per_start: float | None = None
    beside_safe: float | None = None

    def drifted(self, x: float) -> "Shares":
        """In any process that departs by x of the range, below 1; of the safe policy nothing is known there."""

        def moved(share: float | None, most: float = inf) -> float | None:
            return None if share is None else min((share + x) / (1 - x), most)

        if x == 0:
            return self
        return Shares(moved(self.exact, 1.0), moved(self.lp, 1.0), moved(self.t1), moved(self.per_start), None)


def largest(several: Sequence[Shares]) -> Shares:
    """The worst of each, for all of several Alices; none where one of them has none."""

    def most(name: str) -> float | None:
        found = [getattr(one, name) for one in several]
        return None if None in found else max(found)

    return Shares(*(most(field.name) for field in fields(Shares)))


def of_reward(reward: Any, bob: Deployed) -> tuple[Shares, float]:
    """Of one reward, and by how much of its range the drift may change a regret.

    Raises:
        InputError: a return range of 0.
    """
    mdp = bob.mdp
    gain = one_reward(mdp, reward, "Alice's reward")
    span = float(mdp.return_range(gain))
    best, worst = mdp.optimal(gain).value, mdp.worst(gain).value
    exact = lp = t1 = starts = beside = None
    if bob.policies is not None and bob.visits is not None:
        lost = max(float(best @ mdp.start - (bob.visits * gain).sum()), 0.0)
        exact = lost / span
        own = torch.einsum("k,ks->s", bob.weights, mdp.evaluate(bob.policies, gain))
        starts = max(float((best - own)[mdp.start > 0].max()) / span, 0.0)
        if bob.safe is not None:
            besides = float(mdp.regret(bob.safe, gain))
            beside = lost / besides if besides > 0 else None
    if bob.reward is not None and bob.allowed is not None:
        lp = worst_regret(mdp, gain, bob.reward, bob.allowed).value
        apart = float(reward_distance(mdp, gain, bob.reward))
        t1 = composed_bound(apart, bob.allowed, bob.size)
        lp, t1 = _ordered(exact, lp, t1)
    drift = bob.drift
    error = two_policy_error(drift.reward, drift.transitions, float(best.max() - worst.min()), mdp.discount)
    return Shares(exact, lp, t1, starts, beside), error / span


def of_cover(cover: Cover, values: Linear, bob: Deployed) -> tuple[Shares, float]:
    """The worst over a confidence set, and the largest share by which the drift may change a regret."""
    mdp = bob.mdp

    def worst(quantity: Quantity) -> float:
        return supremum(cover, quantity).bound

    exact = lp = t1 = starts = beside = None
    if bob.policies is not None and bob.visits is not None:
        exact = worst(Regret(values, mdp, bob.visits))
        starts = worst(FromStarts(values, mdp, bob.policies, bob.weights))
        if bob.safe is not None:
            beside = worst(BesideSafe(values, mdp, bob.visits, mdp.occupancy(bob.safe)))
            beside = beside if beside < inf else None
    if bob.reward is not None and bob.allowed is not None:
        lp = worst(NearlyOptimal(values, mdp, bob.reward, bob.allowed))
        t1 = worst(Composed(values, mdp, bob.reward, bob.allowed))
        lp, t1 = _ordered(exact, lp, t1)
    each = torch.full((values.weights,), bob.drift.reward, dtype=torch.float64)
    drifts = bob.drift.transitions > 0 or bob.drift.reward > 0
    moved = worst(Departed(values, mdp, each, bob.drift.transitions)) if drifts else 0.0
    return Shares(exact, lp, t1, starts, beside), moved


def _ordered(exact: float | None, lp: float, t1: float) -> tuple[float, float]:
    """Lp and t1, each search having stopped within its tolerance: none is lowered, so none leans on another."""
    lp = lp if exact is None else max(lp, exact)
    return lp, max(t1, lp)


__all__ = ["Shares", "largest", "of_cover", "of_reward"]
