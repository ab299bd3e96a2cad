"""The worst regret of a nearly optimal Bob by planning alone: a convex function of one multiplier.

    sup Reg_A  =  min over l >= 0 of  V_A + max_pi J(pi; l R_B - R_A) - l (V_B - suboptimality)

Each multiplier is one planning solve and gives an upper bound (weak duality). Its policy is a line that touches the
function from below; two lines that fall and rise meet at the regret of a mixture of the two policies, which is a
lower bound. Errors of planning enter with the sign that keeps each bound.
"""

from dataclasses import dataclass

import numpy as np

from thalweg.rl.earned import combined
from thalweg.rl.mdp import MDP
from thalweg.rl.planning import Planned, planned, scale
from thalweg.rl.valuation import Valuation

SHARE = 1 / 16  # of the tolerance, for each of the errors of planning
FINEST = 1e-13  # of the scale of a reward: planning is asked for no less
LEAST = 1e-290  # of anything that divides
STALL = 3  # multipliers that have not halved the bracket
Bounds = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Problem:
    """What does not depend on the multiplier. All in units of each reward, without its level; bounds from the start.

    Attributes:
        her: what Alice's reward says of the process.
        his: the same of Bob's.
        suboptimality: of Bob's units.
        worst: best policy of minus Alice's reward.
        bobs: best policy of Bob's.
        alice_best: her best return.
        alice_range: hers.
        bob_best: his best return.
    """

    her: Valuation
    his: Valuation
    suboptimality: float
    worst: Planned
    bobs: Planned
    alice_best: Bounds
    alice_range: Bounds
    bob_best: Bounds

    @property
    def mdp(self) -> MDP:
        """The process on the states that policies visit."""
        return self.her.reward.mdp

    @property
    def slack(self) -> float:
        """By how much a certified policy may miss the suboptimality: 0 but where planning does not resolve it."""
        return max(0.0, 2 * (self.bob_best[1] - self.bob_best[0]) - self.suboptimality)

    @property
    def needed(self) -> float:
        """The return by his own reward that makes a policy Bob's."""
        return self.bob_best[1] - self.suboptimality - self.slack

    def slope(self, cut: "Cut") -> float:
        """Of the line of a policy, the middle of its bounds."""
        return cut.bob[0] / 2 + cut.bob[1] / 2 - self.bob_best[0] / 2 - self.bob_best[1] / 2 + self.suboptimality

    def mixed(self, multiplier: float) -> tuple[np.ndarray, np.ndarray]:
        """(S, A), (S, A): multiplier R_B - R_A, and by how much it may be off."""
        return combined((self.his.reward, self.her.reward), (multiplier, -1.0))

    def own(self, whose: Valuation, policy: np.ndarray, width: float, warm: np.ndarray | None = None) -> Planned:
        """The value of a policy by one of the two rewards."""
        return whose.followed(policy, max(width, FINEST * whose.largest), 0.0, warm)


@dataclass(frozen=True, eq=False)
class Cut:
    """One policy: its values by both rewards, bounds of its returns, and the bound of its multiplier."""

    multiplier: float
    upper: float  # bound of the worst regret, in units of Alice's reward
    policy: np.ndarray  # (S,) int64, or (S, A)
    alice_value: np.ndarray  # (S,)
    bob_value: np.ndarray  # (S,)
    alice: Bounds
    bob: Bounds


@dataclass(frozen=True, eq=False)
class Found:
    """What a search knows: bounds in units of Alice's reward, and the mixture that has the lower one."""

    upper: float
    lower: float
    multiplier: float
    mixture: tuple[tuple[float, np.ndarray], ...]
    evaluations: int


def prepare(her: Valuation, his: Valuation, suboptimality: float, tolerance: float) -> Problem:
    """Plan for both alone, as finely as the tolerance asks.

    Args:
        her: of Alice's reward.
        his: of Bob's, in the same process.
        suboptimality: in units of Bob's reward as it was given.
        tolerance: of Alice's range.

    Raises:
        InputError: the return range of Alice's reward is 0, or not to be told from it.
    """
    fine = SHARE * tolerance
    span = her.known_range("Alice's reward", fine=fine, widths=0.0)
    allowed = suboptimality / his.reward.unit
    bobs = his.plan(1.0, max(FINEST * his.largest, min(1e-4 * his.largest, fine * allowed)))
    worst, best = (her.plan(sign, max(fine * span[0], FINEST * her.largest)) for sign in (-1.0, 1.0))
    return Problem(her, his, allowed, worst, bobs, her.returns_of(best), span, his.returns_of(bobs))


def ends(problem: Problem, width: float) -> tuple[Cut, Cut]:
    """The lines of multipliers 0 and infinity: Alice's worst policy, and Bob's best."""
    his, worst, bobs = problem.his, problem.worst, problem.bobs
    known = max(problem.bob_best[1] - problem.bob_best[0], width / problem.alice_range[0] * problem.suboptimality)
    bob = problem.own(his, worst.policy, known)
    low, high = problem.her.returns_of(worst)
    best = problem.alice_best[1] + high
    left = Cut(0.0, best, worst.policy, -worst.value, bob.value, (-high, -low), his.returns_of(bob))
    alice = problem.own(problem.her, bobs.policy, width / SHARE)  # no end is the last line of a search
    reached = problem.her.returns_of(alice)
    return left, Cut(np.inf, np.inf, bobs.policy, alice.value, bobs.value, reached, problem.bob_best)


def cut(problem: Problem, multiplier: float, width: float, left: Cut, right: Cut) -> Cut:
    """Plan at one multiplier, to an absolute width, from the better of the values of two policies in each state."""
    mdp = problem.mdp
    mixed, error = problem.mixed(multiplier)
    finest = FINEST * max(scale(mixed, mdp.discount), LEAST)
    a, b = (multiplier * c.bob_value - c.alice_value for c in (left, right))
    found = planned(mdp, mixed, error, max(finest, width), np.maximum(a, b))
    low, high = problem.her.returns_of(found)
    warm = np.where(a >= b, left.bob_value, right.bob_value)
    bob = problem.own(problem.his, found.policy, width / max(multiplier, LEAST), warm)
    reached = problem.his.returns_of(bob)
    return Cut(
        multiplier,
        problem.alice_best[1] + high - multiplier * (problem.bob_best[0] - problem.suboptimality),
        found.policy,
        multiplier * bob.value - found.value,
        bob.value,
        (multiplier * reached[0] - high, multiplier * reached[1] - low),
        reached,
    )


def mixture(problem: Problem, falls: Cut, rises: Cut) -> tuple[float, tuple[tuple[float, np.ndarray], ...]]:
    """Regret that a certified mixture of two policies has at least; -inf where none is certified to be Bob's."""
    if falls.bob[0] >= problem.needed:
        return problem.alice_best[0] - falls.alice[1], ((1.0, falls.policy),)
    if rises.bob[0] < problem.needed:
        return -np.inf, ()
    weight = (rises.bob[0] - problem.needed) / (rises.bob[0] - falls.bob[0])
    lost = weight * falls.alice[1] + (1 - weight) * rises.alice[1]
    return problem.alice_best[0] - lost, ((weight, falls.policy), (1 - weight, rises.policy))


def search(problem: Problem, tolerance: float, limit: int) -> Found:
    """Close in on the best multiplier until upper - lower is a share of Alice's range.

    Tangents meet there in the end where few policies matter; where very many do, the function is smooth, and the
    zero of the slope between two multipliers is nearer. They take turns, and a stall halves the bracket.
    """
    span = problem.alice_range[0]
    width = SHARE * tolerance * span
    left, last = ends(problem, width)
    right, upper, multiplier = last, left.upper, 0.0
    lower, bob = max((mixture(problem, left, last), mixture(problem, last, last)), key=lambda found: found[0])
    widths, done = [], 0
    while done < limit and upper - lower > tolerance * span and problem.slope(left) < 0:
        point = _propose(problem, left, right, done, widths)
        if not left.multiplier < point < right.multiplier:
            break
        new = cut(problem, point, width, left, right)
        done += 1
        if new.upper < upper:
            upper, multiplier = new.upper, point
        left, right = (new, right) if problem.slope(new) < 0 else (left, new)
        lower, bob = max(
            ((lower, bob), mixture(problem, left, right), mixture(problem, left, last)), key=lambda found: found[0]
        )
        widths.append(right.multiplier - left.multiplier)
    return Found(upper, lower, multiplier, bob, done)


def _propose(problem: Problem, left: Cut, right: Cut, turn: int, widths: list[float]) -> float:
    """The next multiplier: where tangents meet, the zero of the slope between, or the middle after a stall."""
    a, b = left.multiplier, right.multiplier
    middle = a / 2 + b / 2 if np.isfinite(b) else 2 * a
    if np.isfinite(b) and len(widths) >= STALL and widths[-1] > widths[-STALL] / 2:
        return middle
    if np.isfinite(b) and turn % 2:
        down, up = problem.slope(left), problem.slope(right)
        return a - down * (b - a) / (up - down)
    gained = sum(right.bob) / 2 - sum(left.bob) / 2
    met = (sum(right.alice) - sum(left.alice)) / 2 / gained if gained > 0 else np.inf
    return met if a < met < b else middle  # rounded lines may meet outside


__all__ = ["Cut", "Found", "Problem", "cut", "ends", "mixture", "prepare", "search"]
