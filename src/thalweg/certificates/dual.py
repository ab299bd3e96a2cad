"""The worst regret of a nearly optimal Bob by planning alone: a convex function of one multiplier.

    sup Reg_A  =  min over l >= 0 of  V_A + max_pi J(pi; l R_B - R_A) - l (V_B - suboptimality)

Each multiplier is one planning solve and gives an upper bound (weak duality). Its policy is a line that touches the
function from below; two lines that fall and rise meet at the regret of a mixture of the two policies, which is a
lower bound. Errors of planning enter with the sign that keeps each bound.
"""

from dataclasses import dataclass

import numpy as np

from thalweg.errors import InputError
from thalweg.rl.mdp import MDP
from thalweg.rl.planning import EPS, Planned, follow, plan, scale

SHARE = 1 / 16  # of the tolerance, for each of the errors of planning
FINEST = 1e-13  # of the scale of a reward: planning is asked for no less
STALL = 3  # multipliers that have not halved the bracket
Bounds = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Problem:
    """What does not depend on the multiplier. Rewards are (S, A); bounds are of returns from the start."""

    mdp: MDP
    alice: np.ndarray
    bob: np.ndarray
    suboptimality: float
    worst: Planned  # of minus Alice's reward
    bobs: Planned  # best of Bob's
    alice_best: Bounds
    alice_range: Bounds
    bob_best: Bounds

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


def prepare(mdp: MDP, alice: np.ndarray, bob: np.ndarray, suboptimality: float, tolerance: float) -> Problem:
    """Plan for both alone, as finely as the tolerance asks.

    Raises:
        InputError: the return range of Alice's reward is 0, or not to be told from it.
    """
    fine = SHARE * tolerance
    best, worst, span = ranged(mdp, alice, fine)
    size = scale(bob, mdp.discount)
    wanted = max(FINEST, min(1e-4, fine * suboptimality / size)) if size > 0 else 1.0
    bobs, start = plan(mdp, bob, tolerance=wanted), mdp.start.numpy()
    return Problem(mdp, alice, bob, suboptimality, worst, bobs, best.returns(start), span, bobs.returns(start))


def ranged(mdp: MDP, reward: np.ndarray, fine: float) -> tuple[Planned, Planned, Bounds]:
    """Alice's best, the best of minus her reward, and bounds of her return range that are a share `fine` of it apart.

    Raises:
        InputError: the range is 0, or not to be told from it.
    """
    start, share, best, worst = mdp.start.numpy(), 1e-4, None, None
    while True:
        best = plan(mdp, reward, tolerance=share, warm=None if best is None else best.value)
        worst = plan(mdp, -reward, tolerance=share, warm=None if worst is None else worst.value)
        low, high = (a + b for a, b in zip(best.returns(start), worst.returns(start), strict=True))
        if high - low <= fine * low or share <= FINEST:
            break
        share = max(FINEST, share * min(1e-2, fine * low / (high - low) if low > 0 else 1e-2))
    if low <= 0:
        raise InputError(
            f"the return range of Alice's reward is 0 (at most {high:.2g}), every policy returns the same: regret has"
            " no share of it"
        )
    return best, worst, (low, high)


def ends(problem: Problem, width: float) -> tuple[Cut, Cut]:
    """The lines of multipliers 0 and infinity: Alice's worst policy, and Bob's best."""
    mdp, start = problem.mdp, problem.mdp.start.numpy()
    size = scale(problem.bob, mdp.discount)
    wanted = max(FINEST, (problem.bob_best[1] - problem.bob_best[0]) / size) if size > 0 else 1.0
    bob = follow(mdp, problem.worst.policy, problem.bob, tolerance=wanted)
    low, high = problem.worst.returns(start)
    left = Cut(
        0.0,
        problem.alice_best[1] + high,
        problem.worst.policy,
        -problem.worst.value,
        bob.value,
        (-high, -low),
        bob.returns(start),
    )
    alice = follow(mdp, problem.bobs.policy, problem.alice, tolerance=width / scale(problem.alice, mdp.discount))
    right = Cut(
        np.inf,
        np.inf,
        problem.bobs.policy,
        alice.value,
        problem.bobs.value,
        alice.returns(start),
        problem.bob_best,
    )
    return left, right


def cut(problem: Problem, multiplier: float, width: float, left: Cut, right: Cut) -> Cut:
    """Plan at one multiplier, to an absolute width, from the better of the values of two policies in each state."""
    mdp, start = problem.mdp, problem.mdp.start.numpy()
    mixed = multiplier * problem.bob - problem.alice
    size = max(scale(mixed, mdp.discount), np.finfo(np.float64).tiny)
    a, b = (multiplier * c.bob_value - c.alice_value for c in (left, right))
    planned = plan(mdp, mixed, tolerance=max(FINEST, width / size), warm=np.maximum(a, b))
    mixing = 4 * EPS * (np.abs(problem.alice).max() + multiplier * np.abs(problem.bob).max()) / (1 - mdp.discount)
    low, high = planned.returns(start)
    low, high = low - mixing, high + mixing
    size = max(multiplier * scale(problem.bob, mdp.discount), np.finfo(np.float64).tiny)
    warm = np.where(a >= b, left.bob_value, right.bob_value)
    bob = follow(mdp, planned.policy, problem.bob, tolerance=max(FINEST, width / size), warm=warm)
    reached = bob.returns(start)
    return Cut(
        multiplier,
        problem.alice_best[1] + high - multiplier * (problem.bob_best[0] - problem.suboptimality),
        planned.policy,
        multiplier * bob.value - planned.value,
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


__all__ = ["Cut", "Found", "Problem", "cut", "ends", "mixture", "prepare", "ranged", "search"]
