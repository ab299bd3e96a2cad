"""Planning for processes of any size, one reward at a time, with bounds that hold wherever it stops.

Some thousand states are solved directly where that is cheaper, see `bracket`. Else modified policy iteration: a
greedy backup, then some evaluations of the chosen rows alone,

    TV = max_a (R_a + discount P_a V),      V <- (R_pi + discount P_pi .)^k TV,      pi greedy for V.

With d = TV - V, for the best value V* and for the value V_pi of the greedy policy alike,

    V + min d / (1 - discount)  <=  V_pi  <=  V*  <=  V + max d / (1 - discount).

A level that all values share is kept apart, since it would cost digits.

Source: Puterman 1994, *Markov Decision Processes*, sections 6.5 and 6.6.3 (MacQueen's bounds).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import aslinearoperator, bicgstab

from thalweg.effort import affordable
from thalweg.errors import InputError
from thalweg.mdp import _value_bounds as bracket
from thalweg.mdp._rows import filled
from thalweg.mdp._sparse import in_single, most_terms
from thalweg.mdp.probabilities import EPS, chances_of
from thalweg.mdp.process import MDP

TOLERANCE = 1e-9  # of the largest range that returns could have
ROUNDS = 10_000  # greedy backups
FEWEST_SWEEPS, SWEEPS = 30, 0.3  # evaluations between two backups: at least, and in units of 1 / (1 - discount)
LARGEST = 1e300  # of a return
PAIRWISE = 64  # roundings of numpy's sum of pairs, for up to 2^40 terms
UNSETTLED, FEW_SWEEPS = 1e-3, 30  # share of states whose action has changed, above which so many evaluations pay
MANY = 60  # evaluations of a policy alone, from which a Krylov method is cheaper
LONG = 1e-4  # 1 - discount, from which a sum of corrections is known to some digits in single precision
STEP, STEPS = 1e-4, 200  # by how much that shrinks a residual, in so many steps at most
ROUGH = 1e-13  # by which rows miss 1 that were not rounded in float64
LEAST = 1e-290  # of anything that divides
FEW = 64  # states that are always solved directly
MOST = 4000  # states that may be
ENTRY = 2e-9  # seconds for a chance in an evaluation
PIVOT = 5e-11  # seconds for a multiplication of a dense solve
SOLVES = 12  # direct solves of one planning
DIGITS = 25.0  # nats by which planning shrinks an error
FINEST = 1e-14  # of that range: no sweeps come nearer


@dataclass(frozen=True, eq=False)
class Planned:
    """Values of a process, and how far they may be off: value + low <= V_policy <= V* <= value + high.

    Attributes:
        value: (S,) discounted sum of rewards from each state on.
        policy: (S,) int64, the action that is greedy for `value`.
        low: by how much `value` may be too large, as a number of at most 0, or one for each state (S,).
        high: by how much it may be too small, the same.
        direct: whether it was solved, so that no more digits are to be had.
    """

    value: np.ndarray
    policy: np.ndarray
    low: Any
    high: Any
    direct: bool = False

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(S,), (S,): below V_policy, above V*."""
        slack = EPS * (np.abs(self.value) + np.abs(self.low) + np.abs(self.high))
        return self.value + self.low - slack, self.value + self.high + slack

    @property
    def span(self) -> float:
        """Above the span of values."""
        low, high = self.bounds
        return float(high.max() - low.min())

    def returns(self, start: Any, off: float = 0.0) -> tuple[float, float]:
        """Bounds of the return from the start, <start, V_policy> and <start, V*>, of the rounding too.

        Args:
            start: (S,) probabilities.
            off: by how much each may be off, relative.
        """
        start = np.asarray(start)
        mean, low, high = (float(np.sum(start * x)) for x in (self.value, self.low, self.high))
        slack = PAIRWISE * EPS * (float(np.sum(start * np.abs(self.value))) + abs(low) + abs(high))
        slack += off * float(np.sum(start * np.abs(self.value - mean))) if off else 0.0
        return mean + low - slack, mean + high + slack


def plan(
    mdp: MDP, reward: Any, *, tolerance: float = TOLERANCE, rounds: int = ROUNDS, warm: np.ndarray | None = None
) -> Planned:
    """The best policy and its value, to a tolerance.

    It stops when high - low <= tolerance (max R - min R) / (1 - discount), when what is left is rounding, or after
    `rounds` backups; the bounds hold in each case. Rounding of a backup of K successors is allowed for by
    (K + 10) eps (max |R| + max |V|), over 1 - discount.

    Args:
        mdp: dense or sparse.
        reward: of any shape that the process takes, a single one.
        tolerance: at least 0.
        rounds: at least 1.
        warm: (S,) values to begin from, default 0.

    Raises:
        InputError: a batch of rewards, or numbers out of their range.
    """
    gain = single(mdp, reward)
    width = tolerance * scale(gain, mdp.discount)
    return _as_given(mdp, _solve(mdp.dynamics.matrix, gain, mdp.discount, width, rounds, warm))


def follow(
    mdp: MDP,
    policy: np.ndarray,
    reward: Any,
    *,
    tolerance: float = TOLERANCE,
    rounds: int = ROUNDS,
    warm: np.ndarray | None = None,
) -> Planned:
    """The value of a given policy, with bounds: V + low <= V_policy <= V + high.

    Args:
        mdp: dense or sparse.
        policy: (S,) int64 actions, or (S, A) probabilities.
        reward: as in `plan`.
        tolerance: as in `plan`.
        rounds: as in `plan`.
        warm: as in `plan`.

    Returns:
        The value; its `policy` is 0 throughout, since there was nothing to choose.

    Raises:
        InputError: as `plan`, or a policy of another shape.
    """
    gain = single(mdp, reward)
    width = tolerance * scale(gain, mdp.discount)
    if policy.shape not in ((mdp.states,), gain.shape):
        raise InputError(
            f"policy has shape {policy.shape}: give ({mdp.states},) actions or {gain.shape} probabilities"
        )
    rows, paid, mixed = _chosen(mdp, gain, policy)
    return _as_given(mdp, _solve(rows, paid, mdp.discount, width, rounds, warm, mixed))


def planned(mdp: MDP, gain: np.ndarray, error: Any, width: float, warm: np.ndarray | None = None) -> Planned:
    """As `plan`, of mean rewards that may be off, and of rows that may be off by `MDP.rounding`.

    Args:
        mdp: of states that are all reached.
        gain: (S, A), of size about 1 and without a large constant.
        error: (S, A), or one number, by which a reward may be off.
        width: to which high - low is wanted, above 0.
        warm: (S,) values to begin from.

    Raises:
        InputError: it would not end in reasonable time.
    """
    rows = mdp.dynamics.matrix
    if _directly(mdp, gain, width):
        choice = None if warm is None else torch.as_tensor(_backup(rows, gain, mdp.discount, warm).argmax(1))
        return _of_bracket(bracket.best(filled(mdp), torch.as_tensor(gain), torch.as_tensor(error), choice))
    open_to = (float(np.max(error)), mdp.rounding)
    return _solve(rows, gain, mdp.discount, width, ROUNDS, warm, 0, open_to)


def followed(
    mdp: MDP,
    policy: np.ndarray,
    gain: np.ndarray,
    error: Any,
    width: float,
    warm: np.ndarray | None = None,
    off: float = 0.0,
) -> Planned:
    """As `planned`, of a policy: actions (S,) int64, or probabilities (S, A) that may be off by `off`, relative."""
    if _directly(mdp, gain, width):
        chances = torch.as_tensor(chances_of(policy, mdp.actions))
        return _of_bracket(bracket.own(filled(mdp), chances, torch.as_tensor(gain), torch.as_tensor(error), off))
    rows, paid, mixed = _chosen(mdp, gain, policy)
    open_to = (float(np.max(error)) + off * float(np.abs(gain).max()), mdp.rounding + off)
    return _solve(rows, paid, mdp.discount, width, ROUNDS, warm, mixed, open_to)


def _chosen(mdp: MDP, gain: np.ndarray, policy: np.ndarray) -> tuple[Any, np.ndarray, int]:
    """Rows, rewards (S, 1) and the number of actions that are mixed, of one policy."""
    rows = mdp.dynamics.matrix
    if policy.ndim == 1:
        chosen = np.arange(mdp.states) * mdp.actions + policy
        return rows[chosen], gain.reshape(-1)[chosen, None], 0
    pairs = np.arange(mdp.states * mdp.actions)
    mix = sparse.csr_matrix((policy.reshape(-1), (pairs // mdp.actions, pairs)), shape=(mdp.states, len(pairs)))
    return mix @ rows, (policy * gain).sum(1, keepdims=True), mdp.actions


def _of_bracket(found: bracket.Bracket) -> Planned:
    """A direct solution as what was planned."""
    value, below, above, policy = (x.numpy() for x in found)
    return Planned(value, policy.argmax(-1), -below, above, True)


def _as_given(mdp: MDP, found: Planned) -> Planned:
    """Wide enough for the rows as they were given too, where these missed 1 by more than rounding."""
    if mdp.rounding <= ROUGH:
        return found
    missed = mdp.discount * mdp.rounding * float(np.abs(found.value).max()) / (1 - mdp.discount)
    return replace(found, low=found.low - missed, high=found.high + missed)


def _directly(mdp: MDP, gain: np.ndarray, width: float) -> bool:
    """Whether direct solves are cheaper than sweeps to a width, or alone can; refused where neither ends."""
    share = width / max(scale(gain, mdp.discount), LEAST)
    if mdp.states <= FEW or (mdp.states <= MOST and share < FINEST):
        return True
    seconds = mdp.dynamics.entries * ENTRY * min(DIGITS, max(1.0, -math.log(max(share, LEAST)))) / (1 - mdp.discount)
    if mdp.states <= MOST and SOLVES * PIVOT * mdp.states**3 < seconds:
        return True
    what = f"planning for {mdp.states:,} states at discount {mdp.discount:g}"
    affordable(what, f"lower the discount, or describe the process by at most {MOST:,} states", seconds=seconds)
    return False


def _backup(rows: Any, gain: np.ndarray, discount: float, value: np.ndarray) -> np.ndarray:
    """(S, A): the value of an action now and of a value afterwards."""
    after = rows @ value
    after *= discount
    after = after.reshape(gain.shape)
    after += gain
    return after


def single(mdp: MDP, reward: Any) -> np.ndarray:
    """(S, A): one reward as its mean over the next state.

    Raises:
        InputError: a batch.
    """
    gain = mdp.mean_reward(reward)
    if gain.ndim != 2:
        raise InputError(f"reward has shape {tuple(gain.shape)}, a batch: plan for one reward at a time")
    return np.ascontiguousarray(gain.detach().numpy())


def scale(gain: np.ndarray, discount: float) -> float:
    """The largest range that returns could have, (max R - min R) / (1 - discount)."""
    return float(gain.max() - gain.min()) / (1 - discount)


def _solve(
    rows: Any,
    gain: np.ndarray,
    discount: float,
    width: float,
    rounds: int,
    warm: np.ndarray | None,
    mixed: int = 0,
    open_to: tuple[float, float] | None = None,
) -> Planned:
    """Modified policy iteration until high - low <= width; each row is a mixture of `mixed`.

    `open_to`: by how much a reward may be off, and an entry of a row, relative; then a level is kept apart, which
    supposes that rows sum to 1.
    """
    states, actions = gain.shape
    if not width >= 0 or rounds < 1:
        raise InputError("tolerance and rounds of planning must be at least 0 and 1")
    if warm is not None and (warm.shape != (states,) or not np.isfinite(warm).all()):
        raise InputError(f"warm start has shape {warm.shape}: give ({states},) finite values, or None")
    edges = _Edges(rows, gain, discount, mixed, open_to or (0.0, 0.0))
    value, level, paid = np.zeros(states) if warm is None else warm, 0.0, gain
    coarse = rows if 1 - discount < LONG else in_single(rows)  # half of what sweeps read
    first, before = np.arange(states) * actions, np.inf
    policy: Any = None
    chosen: Any = None
    for turn in range(rounds):
        middle = float(value.max()) / 2 + float(value.min()) / 2
        if open_to and abs(middle) > value.max() - value.min():  # what all values share costs digits
            level, value = level + middle, value - middle
            paid = gain - (1 - discount) * level
            edges.reward = float(np.abs(paid).max())
        after = _backup(rows, paid, discount, value)
        greedy = after.argmax(1)
        best = after.reshape(-1)[first + greedy]
        low, high, rounding = edges(value, best)
        stuck = before <= high - low <= rounding / (1 - discount)  # rounding feeds itself where mixing is slow
        if stuck or high - low <= max(width, rounding) or turn == rounds - 1:
            middle = low / 2 + high / 2 + level
            rounded = 4 * EPS * (float(np.abs(value).max()) + abs(middle) + abs(level))
            return Planned(
                value + middle, greedy, low - (middle - level) - rounded, high - (middle - level) + rounded
            )
        sweeps = _sweeps(discount, (high - low) / max(width, rounding))
        if policy is None or not np.array_equal(greedy, policy):
            if policy is not None and np.count_nonzero(greedy != policy) > UNSETTLED * states:
                sweeps = min(sweeps, FEW_SWEEPS)  # of a policy that will not stay
            policy, chosen = greedy, coarse[first + greedy]
        before, middle = high - low, low / 2 + high / 2  # which all values still lack
        if actions == 1 and sweeps >= MANY:
            value = _corrected(rows, paid[:, 0], discount, value + middle)
        else:
            value = value + _summed(chosen, best - value - (1 - discount) * middle, discount, sweeps) + middle
    raise AssertionError


def _summed(rows: Any, residual: np.ndarray, discount: float, sweeps: int) -> np.ndarray:
    """What evaluations of the rows add to a value: its residual now, that of the next step, and so on."""
    unit = float(np.abs(residual).max())
    if unit == 0:
        return residual
    off = (residual / unit).astype(rows.dtype)
    found = off
    for _ in range(sweeps):
        found = rows @ found
        found *= rows.dtype.type(discount)
        found += off
    return found.astype(np.float64) * unit


def _corrected(rows: Any, earned: np.ndarray, discount: float, value: np.ndarray) -> np.ndarray:
    """A value less some of its residual, by BiCGSTAB; the value itself where that made it no smaller; and a sweep."""
    off = earned + discount * (rows @ value) - value
    system: Any = aslinearoperator(sparse.identity(len(value))) - discount * aslinearoperator(rows)
    step, _ = bicgstab(system, off, rtol=STEP, maxiter=STEPS)
    better = np.abs(off - system.matvec(step)).max() < np.abs(off).max()
    return earned + discount * (rows @ (value + step if better else value))


def _sweeps(discount: float, ratio: float) -> int:
    """Evaluations that would shrink the error by a ratio, but not more than pay under one policy."""
    if discount == 0:
        return 0
    most = max(FEWEST_SWEEPS, math.ceil(SWEEPS / (1 - discount)))
    return min(math.ceil(math.log(ratio) / -math.log(discount)), most)


class _Edges:
    """Bounds of the best value around a value and its backup."""

    def __init__(
        self, rows: Any, gain: np.ndarray, discount: float, mixed: int, open_to: tuple[float, float]
    ) -> None:
        self.error, self.least = (most_terms(rows) + mixed + 10) * EPS, 1 - discount
        self.paid, self.moved = open_to
        self.reward = float(np.abs(gain).max())
        if not self.reward < LARGEST * self.least:
            raise InputError(f"reward of {self.reward:.3g}: its sums overflow, scale it down")

    def __call__(self, value: np.ndarray, best: np.ndarray) -> tuple[float, float, float]:
        """Low, high, and a width that is rounding: below it nothing is to be gained."""
        residual, size = best - value, max(float(value.max()), -float(value.min()))
        error = self.error * (self.reward + size) + self.paid + 2 * self.moved * size
        low, high = (float(residual.min()) - error) / self.least, (float(residual.max()) + error) / self.least
        return low, high, 4 * error / self.least
