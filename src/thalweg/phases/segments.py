"""A curve as straight pieces that meet: where its slope changes.                      T checkpoints, K knots

Least squares over the values at the knots, weighted by the errors; a knot more has to lower chi-square by
PENALTY log T. Knots sit at checkpoints. The first guess is by ruptures; then knots are moved, added and
taken away, one at a time and each wherever it helps most, until nothing does.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import ruptures

PENALTY = 4.0  # times log T, for each knot between the ends
GRID = 200  # checkpoints for which every position is tried


@dataclass(frozen=True, eq=False)
class Pieces:
    """A fit.

    Attributes:
        axis: (T) ascending.
        knots: numbers of checkpoints, the first and the last among them.
        values: (K) of the curve at the knots.
        covariance: (K, K) of the values.
        chi: sum of squared residuals, in errors.
    """

    axis: np.ndarray
    knots: tuple[int, ...]
    values: np.ndarray
    covariance: np.ndarray
    chi: float

    @cached_property
    def fitted(self) -> np.ndarray:
        """(T) the pieces at all checkpoints."""
        return np.interp(self.axis, self.axis[list(self.knots)], self.values)

    @property
    def cost(self) -> float:
        """Chi-square, and what the knots cost."""
        return self.chi + PENALTY * np.log(len(self.axis)) * (len(self.knots) - 2)


def hats(axis: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """(M, T, K) piecewise-linear basis of M sets of knots (M, K)."""
    at = axis[knots]  # (M, K)
    x = axis[None, :, None]
    left = np.concatenate([at[:, :1] - 1, at[:, :-1]], 1)[:, None]
    right = np.concatenate([at[:, 1:], at[:, -1:] + 1], 1)[:, None]
    here = at[:, None]
    return np.clip(np.minimum((x - left) / (here - left), (right - x) / (right - here)), 0, None)


def solve(axis: np.ndarray, curve: np.ndarray, error: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """(M) chi-square of M sets of knots (M, K)."""
    basis = hats(axis, knots) / error[:, None]
    target = curve / error
    moment = np.einsum("mtk,t->mk", basis, target)
    normal = np.einsum("mtk,mtl->mkl", basis, basis)
    values = np.linalg.solve(normal, moment[..., None])[..., 0]
    return target @ target - (values * moment).sum(1)


def fit(axis: np.ndarray, curve: np.ndarray, error: np.ndarray, first: tuple[int, ...] | None = None) -> Pieces:
    """The best pieces that single changes reach.

    Args:
        axis: (T) ascending.
        curve: (T).
        error: (T) > 0.
        first: knots to begin with.
    """
    count = len(axis)
    knots = tuple(first or guess(axis, curve, error))
    price = PENALTY * np.log(count)
    cost = float(solve(axis, curve, error, np.array([knots]))[0]) + price * (len(knots) - 2)
    while True:
        options = neighbours(knots, count)
        costs = [solve(axis, curve, error, np.array(sets)) + price * (len(sets[0]) - 2) for sets in options if sets]
        best = min(range(len(costs)), key=lambda i: costs[i].min())
        if costs[best].min() >= cost - 1e-9:
            return pieces(axis, curve, error, knots)
        sets = [s for s in options if s][best]
        knots, cost = tuple(sets[int(costs[best].argmin())]), float(costs[best].min())


def neighbours(knots: tuple[int, ...], count: int) -> list[list[tuple[int, ...]]]:
    """Sets of knots one change away: moved, added, taken away."""
    free = [t for t in range(1, count - 1) if t not in knots]
    stride = max(1, len(free) // GRID)
    added = [tuple(sorted((*knots, t))) for t in free[::stride]]
    removed = [knots[:i] + knots[i + 1 :] for i in range(1, len(knots) - 1)]
    moved = [
        (*knots[:i], t, *knots[i + 1 :])
        for i in range(1, len(knots) - 1)
        for t in range(knots[i - 1] + 1, knots[i + 1])
        if t != knots[i]
    ]
    return [moved, added, removed]


def pieces(axis: np.ndarray, curve: np.ndarray, error: np.ndarray, knots: tuple[int, ...]) -> Pieces:
    """The fit of these knots."""
    basis = hats(axis, np.array([knots]))[0] / error[:, None]
    covariance = np.linalg.inv(basis.T @ basis)
    values = covariance @ (basis.T @ (curve / error))
    return Pieces(axis, knots, values, covariance, float(np.square(curve / error - basis @ values).sum()))


def guess(axis: np.ndarray, curve: np.ndarray, error: np.ndarray) -> list[int]:
    """Knots by ruptures: chords between checkpoints."""
    signal = (curve / np.median(error))[:, None]
    ends = ruptures.Pelt(model="clinear", min_size=2, jump=max(1, len(curve) // GRID)).fit(signal)
    return sorted({0, len(curve) - 1, *(end - 1 for end in ends.predict(pen=PENALTY * np.log(len(curve))))})


def redrawn_knots(found: Pieces, error: np.ndarray, draws: int) -> np.ndarray:
    """(draws, K) knots found again on curves drawn around the fit, always the same draws."""
    drawn = np.random.default_rng(0).normal(found.fitted, error, size=(draws, len(found.axis))) / error
    knots = np.tile(found.knots, (draws, 1))
    for j in range(1, len(found.knots) - 1):
        places = np.arange(found.knots[j - 1] + 1, found.knots[j + 1])
        sets = np.tile(found.knots, (len(places), 1))
        sets[:, j] = places
        basis = hats(found.axis, sets) / error[:, None]
        moment = np.einsum("mtk,rt->mrk", basis, drawn)
        inverse = np.linalg.inv(np.einsum("mtk,mtl->mkl", basis, basis))
        gained = np.einsum("mrk,mkl,mrl->rm", moment, inverse, moment, optimize=True)
        knots[:, j] = places[gained.argmax(1)]
    return knots
