"""The worst regret of a nearly optimal Bob by planning alone: a convex function of one multiplier.

    sup Reg_A  =  min over l >= 0 of  V_A + max_pi J(pi; l R_B - R_A) - l (V_B - suboptimality)

Each multiplier is one planning solve, which begins from the values of its neighbours; `_multipliers.py` closes in.
"""

from dataclasses import dataclass

import numpy as np

from thalweg.mdp._scaled_reward import combined
from thalweg.mdp.planning import Planned, planned, scale
from thalweg.mdp.valuation import FINEST, Interval, Valuation
from thalweg.mdp.worst_regret._multipliers import Closed, Point, rounded_up, search

SHARE = 1 / 16  # of the tolerance, for each of the errors of planning
LEAST = 1e-290  # of anything that divides


@dataclass(frozen=True, eq=False)
class Dual:
    """What does not depend on the multiplier. All in units of each reward, without its level; bounds from the start.

    Attributes:
        her: what Alice's reward says of the process.
        his: the same of Bob's.
        allowed: his suboptimality, of his units.
        worst: best policy of minus Alice's reward.
        bobs: best policy of Bob's.
        alice_best: her best return.
        alice_range: hers.
        width: of hers, to which is planned.
    """

    her: Valuation
    his: Valuation
    allowed: float
    worst: Planned
    bobs: Planned
    alice_best: Interval
    alice_range: Interval
    width: float

    @classmethod
    def of(cls, her: Valuation, his: Valuation, suboptimality: float, tolerance: float) -> "Dual":
        """Plan for both alone, to a tolerance of Alice's range; the suboptimality as Bob's reward was given."""
        fine = SHARE * tolerance
        span = her.known_range("Alice's reward", fine=fine, widths=0.0)
        allowed = suboptimality / his.reward.unit
        bobs = his.plan(1.0, max(FINEST * his.largest, min(1e-4 * his.largest, fine * allowed)))
        worst, best = (her.plan(sign, max(fine * span.low, FINEST * her.largest)) for sign in (-1.0, 1.0))
        return cls(her, his, allowed, worst, bobs, her.returns_of(best), span, fine * span.low)

    @property
    def bob_best(self) -> Interval:
        """His best return."""
        return self.his.returns_of(self.bobs)

    @property
    def slack(self) -> float:
        """By how much a certified policy may miss the suboptimality: 0 but where planning does not resolve it."""
        return max(0.0, 2 * self.bob_best.width - self.allowed)

    def search(self, tolerance: float, limit: int) -> Closed:
        """Close in on the best multiplier until the bounds are a share of Alice's range apart."""
        ends = self._ends()
        points, most = list(ends), rounded_up(self.alice_best.high, self.her.returns_of(self.worst).high)

        def asked(multiplier: float) -> tuple[float, Point]:
            left = max((x for x in points if x.multiplier < multiplier), key=lambda x: x.multiplier)
            right = min((x for x in points if x.multiplier > multiplier), key=lambda x: x.multiplier)
            bound, found = self._at(multiplier, left, right)
            points.append(found)
            return bound, found

        return search(asked, ends, np.nan, self.slack, tolerance * self.alice_range.low, most, limit)

    def _point(self, multiplier: float, policy: np.ndarray, hers: np.ndarray, his: Planned, alice: Interval) -> Point:
        """A policy, its values by both rewards, and its return by Alice's."""
        lost = self.bob_best.minus(self.his.returns_of(his))
        excess = lost.minus(Interval(self.allowed, self.allowed))
        return Point(self.alice_best.minus(alice), excess, (policy,), multiplier, (hers, his.value))

    def _ends(self) -> tuple[Point, Point]:
        """The lines of multipliers 0 and infinity: Alice's worst policy, and Bob's best."""
        known = max(self.bob_best.width, self.width / self.alice_range.low * self.allowed)
        low, high = self.her.returns_of(self.worst)
        left = self._value(self.his, self.worst.policy, known)
        alice = self._value(self.her, self.bobs.policy, self.width / SHARE)  # no end is the last line of a search
        return (
            self._point(0.0, self.worst.policy, -self.worst.value, left, Interval(-high, -low)),
            self._point(np.inf, self.bobs.policy, alice.value, self.bobs, self.her.returns_of(alice)),
        )

    def _at(self, multiplier: float, left: Point, right: Point) -> tuple[float, Point]:
        """Plan at one multiplier, from the better of the values of two policies in each state."""
        mixed, error = combined((self.his.reward, self.her.reward), (multiplier, -1.0))
        mdp = self.her.reward.mdp
        finest = FINEST * max(scale(mixed, mdp.discount), LEAST)
        a, b = (multiplier * bob - alice for alice, bob in (left.values, right.values))
        found = planned(mdp, mixed, error, max(finest, self.width), np.maximum(a, b))
        low, high = self.her.returns_of(found)
        warm = np.where(a >= b, left.values[1], right.values[1])
        his = self._value(self.his, found.policy, self.width / max(multiplier, LEAST), warm)
        reached = self.his.returns_of(his)
        alice = Interval(multiplier * reached.low - high, multiplier * reached.high - low)
        bound = rounded_up(self.alice_best.high, high, -multiplier * self.bob_best.low, multiplier * self.allowed)
        return bound, self._point(multiplier, found.policy, multiplier * his.value - found.value, his, alice)

    def _value(self, whose: Valuation, policy: np.ndarray, width: float, warm: np.ndarray | None = None) -> Planned:
        """The value of a policy by one of the two rewards."""
        return whose.followed(policy, max(width, FINEST * whose.largest), 0.0, warm)
