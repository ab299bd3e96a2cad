"""Worst regret and worst inversion: a linear programme over occupancies proposes, planning proves.

Both are  max a(x)  under  b(x) <= 0  for x of a convex set: policies, or pairs of them. The programme's multiplier
is close to the best and its policies attain nearly as much; `_multipliers.py` proves both sides, and goes on where
they are apart.

Source: Puterman 1994, *Markov Decision Processes*, section 6.9.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse

from thalweg.mdp._linear_programmes import Scaled, lost_of, scaled, solved
from thalweg.mdp._scaled_reward import combined
from thalweg.mdp.planning import Planned, planned
from thalweg.mdp.probabilities import EPS
from thalweg.mdp.process import MDP
from thalweg.mdp.valuation import FINEST, Interval, Valuation, valuation
from thalweg.mdp.worst_regret._multipliers import Closed, Point, rounded_up, search

FINE = 1e-9  # of Alice's range, between the bounds, at which the search stops
SHARE = 1 / 16  # of what the search resolves, to which it plans
TINY = 1e-300  # of anything that divides


@dataclass(frozen=True, eq=False)
class _Two:
    """What Alice's and Bob's reward say of one process; all in units of each.

    Attributes:
        her: of Alice's.
        his: of Bob's.
        wanted: to which his returns are to be known.
    """

    her: Valuation
    his: Valuation
    wanted: float = np.inf

    @classmethod
    def of(cls, her: Valuation, his: Valuation, suboptimality: float = np.inf) -> "_Two":
        """Of both, unless the return range of Alice's reward is 0."""
        her.known_range("Alice's reward", fine=FINE, widths=0.0)
        return cls(her, his, min(his.width, max(SHARE * suboptimality / his.reward.unit, FINEST * his.largest)))

    @property
    def mdp(self) -> MDP:
        """The process on the states that policies visit."""
        return self.her.reward.mdp

    @property
    def best(self) -> Interval:
        """Bob's best return."""
        return self.his.returns_of(self.his.plan(1.0, self.wanted))

    def returns(self, policy: np.ndarray) -> tuple[Interval, Interval]:
        """Of a policy, by Alice's reward and by Bob's."""
        her, his = self.her, self.his
        hers, bobs = her.followed(policy, her.width, EPS), his.followed(policy, self.wanted, EPS)
        return her.returns_of(hers), his.returns_of(bobs)

    def planned(self, sign: float, multiplier: float) -> Planned:
        """The best policy of R_A - l R_B, or of minus it."""
        mixed = combined((self.her.reward, self.his.reward), (sign, -sign * multiplier))
        return planned(self.mdp, *mixed, SHARE * self.near)

    @property
    def near(self) -> float:
        """What the bounds may be apart, in Alice's units: rounding is not searched away."""
        return max(FINE * self.her.range.low, 2 * self.her.range.width)

    def posed(self) -> Scaled:
        """The flow, in units of what the best and worst policies of both visit."""
        return scaled(self.mdp, [one.policy for c in (self.her, self.his) for one in (c.best, c.worst)])

    def losses(self, posed: Scaled) -> tuple[np.ndarray, np.ndarray]:
        """(S A,) of Alice and of Bob: what each action loses of the best return, as shares of their ranges."""
        hers, his = (posed.weights(lost_of(c)) for c in (self.her, self.his))
        return hers / self.her.range.low, his / self.bobs

    @property
    def bobs(self) -> float:
        """The most that his return range can be."""
        return max(self.his.range.high, TINY)


def programmed(her: Valuation, his: Valuation, suboptimality: float) -> tuple[Closed, Interval, float]:
    """The worst regret of a Bob within a suboptimality: a = Reg_A, b = Reg_B - suboptimality, x a policy.

    What the search found, its bounds as shares of Alice's range, and the slack in his units.
    """
    two = _Two.of(her, his, suboptimality)
    best = two.best
    allowed = min(suboptimality / his.reward.unit, 2 * two.bobs)  # more than his range is all
    slack = max(0.0, 2 * best.width - allowed)
    given = Interval(allowed, allowed)

    def point(policy: np.ndarray) -> Point:
        a, b = two.returns(policy)
        return Point(her.optimum.minus(a), best.minus(b).minus(given), (policy,))

    def asked(multiplier: float) -> tuple[float, Point]:
        found = two.planned(-1.0, multiplier)
        parts = her.optimum.high, her.returns_of(found).high, -multiplier * best.low, multiplier * allowed
        return rounded_up(*parts), point(found.policy)

    posed = two.posed()
    a, b = two.losses(posed)
    found = solved(-a, sparse.csr_matrix(b), np.array([allowed / two.bobs]), posed.flows, posed.starts)
    first = -float(found.ineqlin.marginals[0]) * her.range.low / two.bobs
    known = [point(x) for x in (her.worst.policy, his.best.policy, posed.policy(found.x))]
    closed = search(asked, known, first, slack, two.near, her.range.high)
    return closed, Interval(closed.lower, closed.upper).over(her.range), slack


def inversion(mdp: MDP, alice: Any, bob: Any) -> Interval:
    """Bounds of the worst inversion, a share of Alice's range: a = J_A(1) - J_A(2), b the same by Bob's reward.

    h(l) is the return range of R_A - l R_B.
    """
    her, his = valuation(mdp, alice), valuation(mdp, bob)
    two = _Two.of(her, his)
    if not his.range.low > 0:  # nothing that he minds is proven
        return Interval(0.0, 1.0)

    def point(first: np.ndarray, second: np.ndarray) -> Point:
        (a, b), (c, d) = two.returns(first), two.returns(second)
        return Point(a.minus(c), b.minus(d), (first, second))

    def asked(multiplier: float) -> tuple[float, Point]:
        best, worst = (two.planned(sign, multiplier) for sign in (1.0, -1.0))
        upper = rounded_up(her.returns_of(best).high, her.returns_of(worst).high)
        return upper, point(best.policy, worst.policy)

    posed = two.posed()
    a, b = two.losses(posed)
    found = solved(
        np.concatenate([a, -a]),
        sparse.csr_matrix(np.concatenate([-b, b])),
        np.zeros(1),
        sparse.block_diag([posed.flows, posed.flows], format="csc"),
        np.concatenate([posed.starts, posed.starts]),
    )
    first = -float(found.ineqlin.marginals[0]) * her.range.low / two.bobs
    same = Point((0.0, 0.0), (0.0, 0.0), (her.best.policy,) * 2)
    known = [same, point(her.best.policy, her.worst.policy), point(*map(posed.policy, np.split(found.x, 2)))]
    closed = search(asked, known, first, 0.0, two.near, her.range.high)
    share = Interval(closed.lower, closed.upper).over(her.range)
    return Interval(share.low, min(1.0, share.high))
