"""Returns between proven bounds, rounding counted entry by entry: rare states that pay much keep their digits.

Let (T V)(s) = max_a (R + discount P V)(s, a), computed in float64 with an error of at most E(s, a),

    E = k eps (|R| + discount P |V| + |V|) + discount |1 - P 1| P |V|.

A value with V >= T V + E is at least V*, and one with V <= T_pi V - E at most that of pi. Both are made from a direct
solve, V +- (I - discount P_pi)^-1 (residual + E), and then verified, so what is proven does not lean on the solve.
Rewards are centred and divided by a power of two first, and that is exact up to E. Rows, and the start, stand for
themselves divided by their sums; E also covers what the sums miss.            S states, A actions

Source: Puterman 1994, theorem 6.2.2; Higham 2002, *Accuracy and Stability of Numerical Algorithms*, ch. 3 and 8."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
from scipy.linalg import get_lapack_funcs
from scipy.sparse.linalg import splu

from thalweg.errors import InputError
from thalweg.rl import MDP, plan
from thalweg.rl.rows import transition_rows

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
GETRF, GETRS = get_lapack_funcs(("getrf", "getrs"), dtype=np.float64)  # without the wrappers' checks
DENSE = 300  # states up to which solves are dense
LARGE = 500  # states from which modified policy iteration makes the first policy
SHORT = 0.99  # discount at which it does, at most: its work grows with 1 / (1 - discount)
ROUNDS = 200  # of policy iteration: what it leaves undone widens the bounds
REPAIRS = 6  # of a value that is to be proven
Solve = Callable[[np.ndarray, bool], np.ndarray]


@dataclass(frozen=True, eq=False)
class Rows:
    """A process as (S A, S) rows, with the relative error of a product by each of them.

    Attributes:
        matrix: (S A, S), dense or CSR.
        start: (S,) chances.
        discount: in [0, 1).
        error: (S, A).
    """

    matrix: Any
    start: np.ndarray
    discount: float
    error: np.ndarray

    @classmethod
    def of(cls, mdp: MDP) -> "Rows":
        """Of a process whose states are all reached: see `visited`."""
        matrix = transition_rows(mdp)
        error = 2 * (np.diff(matrix.indptr) + 10) * EPS + np.abs(1 - np.asarray(matrix.sum(1)).reshape(-1))
        matrix = matrix.toarray() if mdp.states <= DENSE else matrix
        return cls(matrix, mdp.start.numpy(), mdp.discount, error.reshape(mdp.states, mdp.actions))

    def under(self, policy: np.ndarray) -> "Rows":
        """Of a policy, (S,) actions or (S, A) probabilities: a process of one action."""
        states, actions = self.error.shape
        if policy.ndim == 1:
            chosen = np.arange(states) * actions + policy
            return Rows(self.matrix[chosen], self.start, self.discount, self.error.reshape(-1)[chosen, None])
        missed = np.abs(1 - policy.sum(1, keepdims=True))
        error = self.error.max(1, keepdims=True) + 2 * (actions + 4) * EPS + missed
        if not sparse.issparse(self.matrix):
            mixed = (policy[:, None] @ self.matrix.reshape(states, actions, states))[:, 0]
            return Rows(mixed, self.start, self.discount, error)
        pairs = np.arange(states * actions)
        mix = sparse.csr_matrix((policy.reshape(-1), (pairs // actions, pairs)), shape=(states, len(pairs)))
        return Rows(mix @ self.matrix, self.start, self.discount, error)

    def ahead(self, value: np.ndarray) -> np.ndarray:
        """(S, A): discount P V."""
        return self.discount * (self.matrix @ value).reshape(self.error.shape)

    def backup(self, gain: np.ndarray, size: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(S, A): R + discount P V, and E."""
        near = np.abs(value)
        error = self.error * (size + self.ahead(near)) + 4 * EPS * near[:, None] + TINY
        return gain + self.ahead(value), error

    def solver(self) -> Solve:
        """Of x in (I - discount P) x = b, or of its transpose, for the rows of one action.

        The transpose is dominated by its diagonal along columns, so that no row changes place, and what is rare stays
        rare.
        """
        states = len(self.start)
        if not sparse.issparse(self.matrix):
            factors, pivots, _ = GETRF(np.eye(states) - self.discount * self.matrix.T)
            return lambda right, transposed: GETRS(factors, pivots, right, trans=int(not transposed))[0]
        system = (sparse.identity(states, format="csr") - self.discount * self.matrix).T.tocsc()
        held = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        return lambda right, transposed: held.solve(right, "N" if transposed else "T")

    def visits(self) -> np.ndarray:
        """(S,): the occupancy, for the rows of one action."""
        return np.maximum(self.solver()(self.start, True), 0.0)

    def total(self, value: np.ndarray, sign: int) -> float:
        """<start, V>, rounded up or down."""
        miss = abs(1 - float(self.start.sum())) + 2 * (len(value) + 10) * EPS
        return float(self.start @ value) + sign * miss * float(self.start @ np.abs(value))


@dataclass(frozen=True, eq=False)
class Bracket:
    """Bounds of <start, V*>, of which `low` is one of the policy's own return too.

    Attributes:
        low: proven.
        high: proven.
        policy: (S,) actions.
        value: (S,) of that policy, as the solve has it.
    """

    low: float
    high: float
    policy: np.ndarray
    value: np.ndarray

    def over(self, exponent: int) -> "Bracket":
        """Of the reward divided by a power of two."""
        low, high = (float(np.ldexp(x, -exponent)) for x in (self.low, self.high))
        return Bracket(low, high, self.policy, np.ldexp(self.value, -exponent))


@dataclass(frozen=True, eq=False)
class Centred:
    """A reward less a constant, over a power of two: regret and the return range change by that factor alone.

    Attributes:
        gain: (S, A).
        exponent: of the power of two.
        best: of the return.
        worst: of minus the return.
    """

    gain: np.ndarray
    exponent: int
    best: Bracket
    worst: Bracket

    @property
    def span(self) -> tuple[float, float]:
        """Bounds of the return range."""
        return self.best.low + self.worst.low, self.best.high + self.worst.high


def centred(rows: Rows, reward: np.ndarray) -> Centred:
    """Centre a reward (S, A) by the uniform policy's return, a mean that counts rare states for what they are."""
    gain, first = _halved(reward)
    even = rows.under(np.full(gain.shape, 1 / gain.shape[1]))
    mean = (1 - rows.discount) * float(even.visits() @ gain.mean(1))
    gain, second = _halved(gain - mean)
    size = np.abs(gain)
    best, worst = best_return(rows, gain, size), best_return(rows, -gain, size)
    third = int(np.frexp(max(best.high + worst.high, TINY))[1]) if best.low > -worst.low else 0
    best, worst = (b.over(third) for b in (best, worst))
    return Centred(np.ldexp(gain, -third), first + second + third, best, worst)


def best_return(rows: Rows, gain: np.ndarray, size: np.ndarray) -> Bracket:
    """Plan by policy iteration from direct solves, and prove both bounds.

    Args:
        rows: the process.
        gain: (S, A) its reward.
        size: (S, A) of what the reward was added up from, at least |gain|: its rounding is a share of that.
    """
    choice = _first(rows, gain)
    seen = set()
    while True:
        own = rows.under(choice)
        solve = own.solver()
        mean, near = (_under(choice, x)[:, None] for x in (gain, size))
        value = _refined(own, mean, near, solve)
        after, error = rows.backup(gain, size, value)
        better = after.max(1) > _under(choice, after) + 2 * error.max(1)
        seen.add(choice.tobytes())
        new = np.where(better, after.argmax(1), choice)
        if new.tobytes() in seen or len(seen) == ROUNDS:
            break
        choice = new
    upper = _above(rows, gain, size, value, choice, solve)
    lower = _above(own, -mean, near, -value, np.zeros(len(choice), np.int64), solve)
    return Bracket(-own.total(lower, 1), rows.total(upper, 1), choice, value)


def return_of(rows: Rows, policy: np.ndarray, gains: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) bounds of the return of a policy by each of K rewards (K, S, A).

    Args:
        rows: the process.
        policy: (S,) actions, or (S, A) probabilities.
        gains: (K, S, A).
        sizes: (K, S, A), as in `best_return`.
    """
    own, only = rows.under(policy), np.zeros(len(rows.start), np.int64)
    solve, bounds = own.solver(), []
    for gain, size in zip(gains, sizes, strict=True):
        mean, near = (_under(policy, x)[:, None] for x in (gain, size))
        value = _refined(own, mean, near, solve)
        upper, lower = (_above(own, x, near, v, only, solve) for x, v in ((mean, value), (-mean, -value)))
        bounds.append((-own.total(lower, 1), own.total(upper, 1)))
    low, high = np.array(bounds).T
    return low, high


def _halved(reward: np.ndarray) -> tuple[np.ndarray, int]:
    """Over the power of two that brings the largest entry below 1."""
    exponent = int(np.frexp(np.abs(reward).max())[1])
    return np.ldexp(reward, -exponent), exponent


def _under(policy: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """(S,): the mean over a policy's actions."""
    return gain[np.arange(len(gain)), policy] if policy.ndim == 1 else (policy * gain).sum(1)


def _first(rows: Rows, gain: np.ndarray) -> np.ndarray:
    """(S,) actions to begin from."""
    states, actions = gain.shape
    if states < LARGE:
        return gain.argmax(1)
    mdp = MDP([rows.matrix[a::actions] for a in range(actions)], rows.start, min(rows.discount, SHORT))
    return plan(mdp, gain, tolerance=1e-6).policy


def _refined(own: Rows, gain: np.ndarray, size: np.ndarray, solve: Solve) -> np.ndarray:
    """The value by a solve and one step of refinement."""
    value = solve(gain[:, 0], False)
    return value + solve(own.backup(gain, size, value)[0][:, 0] - value, False)


def _above(
    rows: Rows, gain: np.ndarray, size: np.ndarray, value: np.ndarray, choice: np.ndarray, solve: Solve
) -> np.ndarray:
    """A value that is proven to be at least V*: the given one, lifted where it falls short of its own backup."""
    for _ in range(REPAIRS):
        after, error = rows.backup(gain, size, value)
        reached = after + error
        short = reached.max(1) - value
        if (short <= 0).all():
            return value
        greedy = reached.argmax(1)
        if not np.array_equal(greedy[short > 0], choice[short > 0]):
            choice = np.where(short > 0, greedy, choice)
            solve = rows.under(choice).solver()
        margin = 2 * np.maximum(short, 0.0) + _under(choice, error)
        value = value + np.maximum(solve(margin, False), 0.0)
    lift = float(np.abs(value).max()) * EPS
    for _ in range(64):  # the same everywhere: whatever the solves are worth, discount < 1 makes it suffice
        after, error = rows.backup(gain, size, value)
        short = float(((after + error).max(1) - value).max())
        if short <= 0:
            return value
        lift = max(2 * lift, 2 * short / (1 - rows.discount))
        value = value + lift
    raise InputError(f"discount = {rows.discount}: too near 1 for float64 to bound a return, lower it")


__all__ = ["Bracket", "Centred", "Rows", "best_return", "centred", "return_of"]
