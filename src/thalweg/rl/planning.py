"""Planning for large processes, one reward at a time, with bounds that hold wherever it stops.

Modified policy iteration: a greedy backup, then some evaluations of the chosen rows alone,

    TV = max_a (R_a + discount P_a V),      V <- (R_pi + discount P_pi .)^k TV,      pi greedy for V.

With d = TV - V, for the best value V* and for the value V_pi of the greedy policy alike,

    V + min d / (1 - discount)  <=  V_pi  <=  V*  <=  V + max d / (1 - discount).

Source: Puterman 1994, *Markov Decision Processes*, sections 6.5 and 6.6.3 (MacQueen's bounds).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse

from thalweg.errors import InputError
from thalweg.rl.mdp import MDP

EPS = float(np.finfo(np.float64).eps)
TOLERANCE = 1e-9  # of the largest range that returns could have
ROUNDS = 10_000  # greedy backups
FEWEST_SWEEPS, SWEEPS = 30, 1.5  # evaluations between two backups: at least, and in units of 1 / (1 - discount)
LARGEST = 1e300  # of a return
PAIRWISE = 64  # roundings of numpy's sum of pairs, for up to 2^40 terms


@dataclass(frozen=True, eq=False)
class Planned:
    """Values of a process, and how far they may be off: value + low <= V_policy <= V* <= value + high.

    Attributes:
        value: (S,) discounted sum of rewards from each state on.
        policy: (S,) int64, the action that is greedy for `value`.
        low: by how much `value` may be too large, as a number of at most 0.
        high: by how much it may be too small.
    """

    value: np.ndarray
    policy: np.ndarray
    low: float
    high: float

    def returns(self, start: Any) -> tuple[float, float]:
        """Bounds of the return from the start, <start, V*> and <start, V_policy>, of the rounding too.

        Args:
            start: (S,) probabilities.
        """
        start = np.asarray(start)
        mean, total = float(np.sum(start * self.value)), float(np.sum(start))
        slack = PAIRWISE * EPS * (float(np.sum(start * np.abs(self.value))) + abs(self.low) + abs(self.high))
        return mean + total * self.low - slack, mean + total * self.high + slack


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
    return _solve(_rows(mdp), gain, mdp.discount, tolerance * scale(gain, mdp.discount), rounds, warm)


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
    rows, width = _rows(mdp), tolerance * scale(gain, mdp.discount)
    if policy.shape not in ((mdp.states,), gain.shape):
        raise InputError(
            f"policy has shape {policy.shape}: give ({mdp.states},) actions or {gain.shape} probabilities"
        )
    if policy.ndim == 1:
        chosen = np.arange(mdp.states) * mdp.actions + policy
        return _solve(rows[chosen], gain.reshape(-1)[chosen, None], mdp.discount, width, rounds, warm)
    pairs = np.arange(mdp.states * mdp.actions)
    mix = sparse.csr_matrix((policy.reshape(-1), (pairs // mdp.actions, pairs)), shape=(mdp.states, len(pairs)))
    return _solve(mix @ rows, (policy * gain).sum(1, keepdims=True), mdp.discount, width, rounds, warm, mdp.actions)


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


def _rows(mdp: MDP) -> Any:
    """(S A, S), dense or sparse."""
    if mdp.transitions is None:
        return mdp.sparse
    return mdp.transitions.reshape(-1, mdp.states).numpy()


def _solve(
    rows: Any, gain: np.ndarray, discount: float, width: float, rounds: int, warm: np.ndarray | None, mixed: int = 0
) -> Planned:
    """Modified policy iteration until high - low <= width; each row is a mixture of so many."""
    states, actions = gain.shape
    if not width >= 0 or rounds < 1:
        raise InputError("tolerance and rounds of planning must be at least 0 and 1")
    if warm is not None and (warm.shape != (states,) or not np.isfinite(warm).all()):
        raise InputError(f"warm start has shape {warm.shape}: give ({states},) finite values, or None")
    edges = _Edges(rows, gain, discount, mixed)
    value = np.zeros(states) if warm is None else warm
    first, policy, chosen, earned, before = np.arange(states) * actions, None, None, None, np.inf
    for turn in range(rounds):
        after = rows @ value
        after *= discount
        after = after.reshape(states, actions)
        after += gain
        greedy = after.argmax(1)
        best = after.reshape(-1)[first + greedy]
        low, high, rounding = edges(value, best)
        stuck = before <= high - low <= rounding / (1 - discount)  # rounding feeds itself where mixing is slow
        if stuck or high - low <= max(width, rounding) or turn == rounds - 1:
            middle = low / 2 + high / 2  # value + middle rounds by less than `rounding` allows
            return Planned(value + middle, greedy, low - middle, high - middle)
        if policy is None or not np.array_equal(greedy, policy):
            policy = greedy
            chosen, earned = rows[first + policy], gain.reshape(-1)[first + policy]
        before, value = high - low, best + discount * (low + high) / 2  # the middle of the bounds, one backup on
        for _ in range(_sweeps(discount, (high - low) / max(width, rounding))):
            value = chosen @ value
            value *= discount
            value += earned
    raise AssertionError


def _sweeps(discount: float, ratio: float) -> int:
    """Evaluations that would shrink the error by a ratio, but not more than pay under one policy."""
    if discount == 0:
        return 0
    most = max(FEWEST_SWEEPS, math.ceil(SWEEPS / (1 - discount)))
    return min(math.ceil(math.log(ratio) / -math.log(discount)), most)


class _Edges:
    """Bounds of the best value around a value and its backup."""

    def __init__(self, rows: Any, gain: np.ndarray, discount: float, mixed: int) -> None:
        terms = int(np.diff(rows.indptr).max()) if sparse.issparse(rows) else rows.shape[1]
        sums = rows @ np.ones(rows.shape[1])  # they may miss 1 by what the process allows
        self.error = (terms + mixed + 10) * EPS
        self.reward = float(np.abs(gain).max())
        self.least = 1 - discount * float(sums.max()) * (1 + self.error)
        self.most = 1 - discount * float(sums.min()) * (1 - self.error)
        if self.least <= 0:
            raise InputError(f"discount = {discount}: too near 1 where rows sum to {sums.max():.12g}, lower it")
        if not self.reward < LARGEST * self.least:
            raise InputError(f"reward of {self.reward:.3g}: its sums overflow, scale it down")

    def __call__(self, value: np.ndarray, best: np.ndarray) -> tuple[float, float, float]:
        """Low, high, and a width that is rounding: below it nothing is to be gained."""
        residual = best - value
        error = self.error * (self.reward + max(float(value.max()), -float(value.min())))
        low, high = float(residual.min()) - error, float(residual.max()) + error
        return (
            low / (self.least if low < 0 else self.most),
            high / (self.least if high > 0 else self.most),
            4 * error / self.least,
        )


__all__ = ["Planned", "follow", "plan"]
