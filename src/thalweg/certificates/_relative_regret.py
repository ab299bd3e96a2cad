"""The numbers of a certificate, by what is known of Alice: each a share of her return range.

Always exact <= lp <= t1, where there are all three. In a process that departs from the stated one a share t becomes
(t + e) / (1 - e_rho): regret grows by e of her range at most, and the range falls by e_rho of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any

import torch

from thalweg.certificates._deployment import Deployed
from thalweg.certificates._distance import composed
from thalweg.certificates._inputs import one_reward
from thalweg.certificates.confidence_set.cover import Cover
from thalweg.certificates.confidence_set.quantities import (
    BesideSafe,
    Composed,
    Departed,
    FromStarts,
    NearlyOptimal,
    Quantity,
    Regret,
)
from thalweg.certificates.confidence_set.supremum import supremum
from thalweg.irl import Linear
from thalweg.mdp import EPS, Interval, ModelErrorBound, Valuation, model_error_bound, worst_regret

FINE = 10  # times the share to which her range is known, to which the worst regret is searched for


@dataclass(frozen=True)
class RelativeRegret:
    """Shares of Alice's return range, each between two sides; None where what is known of Bob says nothing.

    Attributes:
        exact: regret of his policy.
        lp: regret of any Bob as suboptimal as he is.
        t1: distance of values and his suboptimality over his range.
        per_start: largest regret from a single first state.
        beside_safe: regret over that of the safe policy; of no unit.
    """

    exact: Interval | None = None
    lp: Interval | None = None
    t1: Interval | None = None
    per_start: Interval | None = None
    beside_safe: Interval | None = None

    def drifted(self, off: ModelErrorBound) -> "RelativeRegret":
        """In any process that departs by shares of the range below 1; of the safe policy nothing is known there."""

        def moved(share: Interval | None, most: float = inf) -> Interval | None:
            if share is None:
                return None
            low, high = ((side + off.regret) / (1 - off.range) for side in share)
            return Interval(min(low, most), min(high * (1 + 8 * EPS), most))

        if off.regret == 0:
            return self
        return RelativeRegret(
            moved(self.exact, 1.0), moved(self.lp, 1.0), moved(self.t1), moved(self.per_start), None
        )

    @property
    def numbers(self) -> dict[str, float | None]:
        """The safe side of each, by name."""
        return {f.name: None if (x := getattr(self, f.name)) is None else x.high for f in fields(self)}

    @property
    def slacks(self) -> dict[str, float]:
        """By how much each may exceed what it bounds, through rounding and searches that stopped."""
        return {f.name: x.width for f in fields(self) if (x := getattr(self, f.name)) is not None}


def largest(several: Sequence[RelativeRegret]) -> RelativeRegret:
    """The worst of each, for all of several Alices; none where one of them has none."""

    def most(name: str) -> Interval | None:
        found = [getattr(one, name) for one in several]
        return None if None in found else Interval(max(x.low for x in found), max(x.high for x in found))

    return RelativeRegret(*(most(field.name) for field in fields(RelativeRegret)))


def of_reward(reward: Any, bob: Deployed) -> tuple[RelativeRegret, ModelErrorBound]:
    """Of one reward, and by how much of its range the model error may change a regret and the range."""
    mdp, model_error = bob.mdp, bob.model_error
    her = one_reward(mdp, reward, "Alice's reward")
    span = her.known_range("Alice's reward")
    exact = lp = t1 = starts = beside = None
    if bob.policies is not None:
        lost = her.regret(bob.policies, bob.weights)
        exact = Interval(*(min(side, 1.0) for side in lost.over(span)))  # a regret is no more than the range
        starts = her.starts(bob.policies, bob.weights).over(span)
        if bob.safe is not None:
            safe = her.regret(bob.safe)
            beside = lost.over(safe) if safe.low > 0 else None
    if bob.his is not None and bob.allowed is not None:
        lp, t1 = _worst(her, bob.his, bob.allowed), composed(her, bob.his, bob.allowed)
        lp, t1 = _ordered(exact, lp, t1)
    off = model_error_bound(mdp, reward, model_error.reward, model_error.transitions)
    errors = (x / (span.low * her.reward.unit) * (1 + 16 * EPS) for x in off)
    return RelativeRegret(exact, lp, t1, starts, beside), ModelErrorBound(*errors)


def _worst(her: Valuation, his: Valuation, allowed: Interval) -> Interval:
    """The regret of any Bob within a suboptimality.

    It is concave in the suboptimality and not below 0: so what it is at the low side is at least its share of what
    it is at the high one, and a little above that, where the lower bound was found.
    """
    found = worst_regret(her.reward.whole, her.reward, his.reward, allowed.high, tolerance=FINE * her.fine)
    most = allowed.high + found.slack * (1 + 4 * EPS)
    share = allowed.low / most if most > 0 else 1.0
    return Interval(found.lower * share * (1 - 4 * EPS), found.value)


def of_cover(cover: Cover, values: Linear, bob: Deployed) -> tuple[RelativeRegret, ModelErrorBound]:
    """The worst over a confidence set, and the largest share by which the model error may change a regret."""
    mdp = bob.mdp

    def worst(quantity: Quantity) -> Interval:
        found = supremum(cover, quantity)
        return Interval(min(found.attained, found.bound), found.bound)

    exact = lp = t1 = starts = beside = None
    if bob.policies is not None and bob.visits is not None:
        exact = worst(Regret(values, mdp, bob.visits))
        starts = worst(FromStarts(values, mdp, mdp.checked(bob.policies), bob.weights))
        if bob.safe is not None:
            beside = worst(BesideSafe(values, mdp, bob.visits, mdp.occupancy(bob.safe)))
            beside = beside if beside.high < inf else None
    if bob.his is not None and bob.allowed is not None:
        lp = worst(NearlyOptimal(values, mdp, bob.reward, bob.allowed.high))
        t1 = worst(Composed(values, mdp, bob.reward, bob.allowed.high))
        lp, t1 = _ordered(exact, lp, t1)
    each = torch.full((values.weights,), bob.model_error.reward, dtype=torch.float64)
    drifts = bob.model_error.transitions > 0 or bob.model_error.reward > 0
    moved = worst(Departed(values, mdp, each, bob.model_error.transitions)).high if drifts else 0.0
    return RelativeRegret(exact, lp, t1, starts, beside), ModelErrorBound(moved, moved)


def _ordered(exact: Interval | None, lp: Interval, t1: Interval) -> tuple[Interval, Interval]:
    """Lp and t1, each search having stopped within its tolerance: none is lowered, so none leans on another."""
    if exact is not None:
        lp = Interval(max(lp.low, exact.low), max(lp.high, exact.high))
    return lp, Interval(max(t1.low, lp.low), max(t1.high, lp.high))
