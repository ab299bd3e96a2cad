"""Worst regret and worst inversion: a linear programme over occupancies proposes, planning proves.

Both are  max a(x)  under  b(x) <= 0  for x of a convex set: policies, or pairs of them. The programme's multiplier
is close to the best and its policies attain nearly as much; `multipliers.py` proves both sides, and goes on where
they are apart.

Source: Puterman 1994, *Markov Decision Processes*, section 6.9.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from thalweg.certificates.multipliers import Bounds, Point, rounded_up, search
from thalweg.errors import InputError
from thalweg.rl.mdp import MDP
from thalweg.values import visited
from thalweg.values.brackets import EPS, Centred, Rows, best_return, centred, return_of
from thalweg.values.programmes import Scaled, lost_of, scaled, solved

FINE = 1e-9  # of Alice's range, between the bounds, at which the search stops


@dataclass(frozen=True, eq=False)
class Two:
    """Alice's and Bob's reward in the states that policies visit."""

    states: np.ndarray
    rows: Rows
    alice: Centred
    bob: Centred

    @classmethod
    def of(cls, mdp: MDP, alice: np.ndarray, bob: np.ndarray) -> "Two":
        """Centre both.

        Raises:
            InputError: the return range of Alice's reward is 0, or not to be told from it.
        """
        states, part = visited(mdp)
        rows, there = Rows.of(part), states.numpy()
        hers, his = (centred(rows, reward[there]) for reward in (alice, bob))
        if not hers.span[0] > 0:
            high = np.ldexp(hers.span[1], hers.exponent)
            raise InputError(
                f"the return range of Alice's reward is 0 (at most {high:.2g}), every policy returns the same: regret"
                " has no share of it"
            )
        return cls(there, rows, hers, his)

    def returns(self, policy: np.ndarray) -> tuple[Bounds, Bounds]:
        """Of a policy, by Alice's reward and by Bob's."""
        gains = np.stack([self.alice.gain, self.bob.gain])
        low, high = return_of(self.rows, policy, gains, np.abs(gains))
        return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))

    def priced(self, multiplier: float) -> tuple[np.ndarray, np.ndarray]:
        """(S, A): R_A - l R_B, and the size that its rounding is a share of."""
        hers, his = self.alice.gain, multiplier * self.bob.gain
        return hers - his, (1 + 4 * EPS) * (np.abs(hers) + np.abs(his))

    @property
    def near(self) -> float:
        """What the bounds may be apart, in units of Alice's centred reward: rounding is not searched away."""
        low, high = self.alice.span
        return max(FINE * low, 2 * (high - low))

    def posed(self) -> Scaled:
        """The flow, in units of what the best and worst policies of both visit."""
        return scaled(self.rows, [one for c in (self.alice, self.bob) for one in (c.best.policy, c.worst.policy)])

    def losses(self, posed: Scaled) -> tuple[np.ndarray, np.ndarray]:
        """(S A,) of Alice, a share of her range, and of Bob: what each action loses of the best return."""
        hers, his = (posed.weights(np.maximum(lost_of(self.rows, c), 0.0)) for c in (self.alice, self.bob))
        return hers / self.alice.span[0], his


@dataclass(frozen=True, eq=False)
class Programmed:
    """The worst regret as a share of Alice's range: see `WorstRegret`, of which it has the fields."""

    value: float
    lower: float
    multiplier: float
    mixture: tuple[tuple[float, np.ndarray], ...]
    slack: float
    evaluations: int


def programmed(mdp: MDP, alice: np.ndarray, bob: np.ndarray, suboptimality: float) -> Programmed:
    """The worst regret of a Bob within a suboptimality: a = Reg_A, b = Reg_B - suboptimality, x a policy.

    Raises:
        InputError: the return range of Alice's reward is 0, or HiGHS gave up.
    """
    two = Two.of(mdp, alice, bob)
    hers, his = two.alice, two.bob
    allowed = min(float(np.ldexp(suboptimality, -his.exponent)), 1 + 2 * his.span[1])  # more than his range is all
    slack = max(0.0, 2 * (his.best.high - his.best.low) - allowed)

    def point(policy: np.ndarray) -> Point:
        a, b = two.returns(policy)
        lost = (his.best.low - b[1] - allowed, his.best.high - b[0] - allowed)
        return Point((hers.best.low - a[1], hers.best.high - a[0]), lost, (policy,))

    def asked(multiplier: float) -> tuple[float, Point]:
        gain, size = two.priced(multiplier)
        planned = best_return(two.rows, -gain, size)
        parts = hers.best.high, planned.high, -multiplier * his.best.low, multiplier * allowed
        return rounded_up(*parts), point(planned.policy)

    posed = two.posed()
    a, b = two.losses(posed)
    found = solved(-a, sparse.csr_matrix(b), np.array([allowed]), posed.flows, posed.starts)
    first = -float(found.ineqlin.marginals[0]) * hers.span[0]
    known = [point(x) for x in (hers.worst.policy, his.best.policy, posed.policy(found.x))]
    closed = search(asked, known, first, slack, two.near, hers.span[1])
    exponent = hers.exponent - his.exponent
    return Programmed(
        min(1.0, closed.upper / hers.span[0] + 8 * EPS),
        max(0.0, closed.lower / hers.span[1] - 8 * EPS),
        float(np.ldexp(closed.multiplier, exponent)),
        tuple((chance, _whole(mdp, two.states, x.policies[0])) for chance, x in closed.mixture),
        float(np.ldexp(slack, his.exponent)),
        closed.evaluations,
    )


def inversion(mdp: MDP, alice: np.ndarray, bob: np.ndarray) -> Bounds:
    """Bounds of the worst inversion, a share of Alice's range: a = J_A(1) - J_A(2), b the same by Bob's reward.

    h(l) is the return range of R_A - l R_B.

    Raises:
        InputError: as `programmed`.
    """
    two = Two.of(mdp, alice, bob)
    hers, his = two.alice, two.bob
    if not his.span[0] > 0:  # nothing that he minds is proven
        return 0.0, 1.0

    def point(first: np.ndarray, second: np.ndarray) -> Point:
        (a, b), (c, d) = two.returns(first), two.returns(second)
        return Point((a[0] - c[1], a[1] - c[0]), (b[0] - d[1], b[1] - d[0]), (first, second))

    def asked(multiplier: float) -> tuple[float, Point]:
        gain, size = two.priced(multiplier)
        best, worst = best_return(two.rows, gain, size), best_return(two.rows, -gain, size)
        return rounded_up(best.high, worst.high), point(best.policy, worst.policy)

    posed = two.posed()
    a, b = two.losses(posed)
    found = solved(
        np.concatenate([a, -a]),
        sparse.csr_matrix(np.concatenate([-b, b])),
        np.zeros(1),
        sparse.block_diag([posed.flows, posed.flows], format="csc"),
        np.concatenate([posed.starts, posed.starts]),
    )
    first = -float(found.ineqlin.marginals[0]) * hers.span[0]
    same = Point((0.0, 0.0), (0.0, 0.0), (hers.best.policy,) * 2)
    known = [same, point(hers.best.policy, hers.worst.policy), point(*map(posed.policy, np.split(found.x, 2)))]
    closed = search(asked, known, first, 0.0, two.near, hers.span[1])
    lower, upper = closed.lower / hers.span[1] - 8 * EPS, closed.upper / hers.span[0] + 8 * EPS
    return max(0.0, lower), min(1.0, upper)


def _whole(mdp: MDP, states: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """(S, A) probabilities in the whole process; even where nobody comes."""
    full = np.full((mdp.states, mdp.actions), 1 / mdp.actions)
    full[states] = policy if policy.ndim == 2 else np.eye(mdp.actions)[policy]
    return full


__all__ = ["Programmed", "inversion", "programmed"]
