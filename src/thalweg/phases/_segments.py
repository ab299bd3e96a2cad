"""A curve as straight pieces that meet: where its slope changes.                      T checkpoints, K knots

Least squares over the values at the knots, weighted by the errors; a knot more has to lower chi-square by
PENALTY log T. Knots sit at checkpoints. The first guess is the best chain of chords between checkpoints; then knots
are moved, added and taken away, one at a time (moves of more than MANY knots together) and each wherever it helps
most, until nothing does.

Errors may be followed by the next one's: e_i = follow e_{i-1} + .., an AR(1) process. Each row of the least
squares then holds two neighbouring checkpoints, which lie in one piece, so the normal matrix is tridiagonal
whatever `follow` is. Running sums from a knot give the rows up to every checkpoint beside it, and all places
of one knot are tried in O(T).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

PENALTY = 4.0  # times log T, for each knot between the ends
MANY = 16  # knots; above it moves that do not meet are made at once
MOST = 100  # knots: a curve that bends everywhere, without noise, is followed as closely as these can
GRID = 200  # places that the first guess is made of; afterwards every checkpoint is tried


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


class Rows(NamedTuple):
    """Least squares of one curve, or of several: row i is here_i f_i - before_i f_{i-1} = target_i + N(0, 1)."""

    axis: np.ndarray  # (T)
    here: np.ndarray  # (T)
    before: np.ndarray  # (T), 0 at the first
    target: np.ndarray  # (.., T)

    def of(self, curves: np.ndarray) -> np.ndarray:
        """(.., T) what the rows make of curves."""
        last = np.concatenate([curves[..., :1], curves[..., :-1]], -1)
        return self.here * curves - self.before * last


def rows(axis: np.ndarray, curve: np.ndarray, error: np.ndarray, follow: float) -> Rows:
    """The rows whose residuals are independent, of unit variance."""
    fresh = np.full(len(axis), np.sqrt(1 - follow**2))
    fresh[0] = 1
    before = np.concatenate([[0.0], follow / error[:-1]]) / fresh
    made = Rows(axis, 1 / error / fresh, before, curve)
    return made._replace(target=made.of(curve))


class Sums(NamedTuple):
    """The rows between a fixed knot and every checkpoint on one side of it, as a quadratic form in both values."""

    near: Any  # of the fixed knot's value
    cross: Any
    far: Any  # of the other's
    near_moment: Any
    far_moment: Any

    def at(self, i: slice | int) -> "Sums":
        """Of some of the checkpoints."""
        return Sums(*(np.asarray(part)[..., i] for part in self))


class Message(NamedTuple):
    """All rows on one side of a knot, the other knots' values already at their best: d v^2 - 2 m v - gain."""

    d: Any = 0.0
    m: Any = 0.0
    gain: Any = 0.0


def sums(r: Rows, fixed: int, last: int) -> Sums:
    """Running sums from a knot towards `last`, nearest checkpoint first; distances from the knot lose no digits."""
    step = 1 if last > fixed else -1
    i = np.arange(fixed + 1, last + 1) if step > 0 else np.arange(fixed, last, -1)
    away, prior = np.abs(r.axis[i] - r.axis[fixed]), np.abs(r.axis[i - 1] - r.axis[fixed])
    flat, slope = r.here[i] - r.before[i], r.here[i] * away - r.before[i] * prior
    target, length = r.target[..., i], away if step > 0 else prior
    flats, mixed, slopes = np.cumsum(flat**2), np.cumsum(flat * slope) / length, np.cumsum(slope**2) / length**2
    level, tilt = np.cumsum(flat * target, -1), np.cumsum(slope * target, -1) / length
    return Sums(flats - 2 * mixed + slopes, mixed - slopes, slopes, level - tilt, tilt)


def passed(message: Message, s: Sums) -> Message:
    """The message of the fixed knot, handed on to the checkpoints on its other side."""
    d, m, gain, near, cross, far, near_moment, far_moment = map(np.asarray, (*message, *s))
    whole, moment = d + near, m + near_moment
    return Message(far - cross**2 / whole, far_moment - cross / whole * moment, gain + moment**2 / whole)


def messages(r: Rows, knots: tuple[int, ...]) -> tuple[list[Message], list[Message]]:
    """What every knot hears from its left, and from its right."""
    right = [Message()]
    for a, b in zip(knots[-2::-1], knots[:0:-1], strict=True):
        right.append(passed(right[-1], sums(r, b, a).at(-1)))
    left = [Message(r.here[0] ** 2, r.here[0] * r.target[..., 0])]
    for a, b in pairwise(knots):
        left.append(passed(left[-1], sums(r, a, b).at(-1)))
    return left, right[::-1]


def between(r: Rows, a: int, b: int, left: Message, right: Message) -> np.ndarray:
    """(.., b - a - 1) how much lower chi-square is with a knot at each checkpoint between two neighbouring knots."""
    left, right = (Message(*(np.asarray(part)[..., None] for part in side)) for side in (left, right))
    one, two = passed(left, sums(r, a, b).at(slice(-1))), passed(right, sums(r, b, a).at(slice(-2, None, -1)))
    return one.gain + two.gain + (one.m + two.m) ** 2 / (one.d + two.d)


def fit(axis: np.ndarray, curve: np.ndarray, error: np.ndarray, follow: float = 0.0) -> Pieces:
    """The best pieces that single changes reach; `follow` in [0, 1) correlates the errors (T) of neighbours."""
    found = pieces(axis, curve, error, guess(axis, curve, error), follow)
    chord = np.interp(axis, axis[[0, -1]], curve[[0, -1]])  # in every fit; without it sums of squares lose no digits
    r = rows(axis, curve - chord, error, follow)
    while True:
        options = list(neighbours(r, found.knots))
        tried = [max(options, key=lambda option: option[0])[1]]
        if len(found.knots) > MANY:
            tried.append(together(options))
        better = min((pieces(axis, curve, error, knots, follow) for knots in tried), key=lambda each: each.cost)
        if not better.cost < found.cost - 1e-9:
            return found
        found = better


def together(options: list[tuple[float, tuple[int, ...]]]) -> tuple[int, ...]:
    """All moves that pay, of knots that are not neighbours, in one set; without it many knots take many rounds."""
    (now, knots), *_ = options
    made, held = list(knots), set()
    for gain, moved in sorted(options, reverse=True):
        if gain > now and len(moved) == len(knots) and moved != knots:
            (i,) = (i for i in range(len(knots)) if moved[i] != knots[i])
            if i not in held:
                made[i] = moved[i]
                held |= {i - 1, i, i + 1}
    return tuple(made)


def neighbours(r: Rows, knots: tuple[int, ...]) -> Iterator[tuple[float, tuple[int, ...]]]:
    """These knots, then sets one change away (moved, added, taken away): best of each place, with what it pays."""
    left, right = messages(r, knots)
    price = PENALTY * np.log(len(r.axis))
    yield float(left[-1].gain + left[-1].m ** 2 / left[-1].d) - price * (len(knots) - 2), knots
    for i in range(1, len(knots) - 1):
        a, b = knots[i - 1], knots[i + 1]
        gains = between(r, a, b, left[i - 1], right[i + 1]) - price * (len(knots) - 2)
        yield float(gains.max()), (*knots[:i], a + 1 + int(gains.argmax()), *knots[i + 1 :])
    for i, (a, b) in enumerate(pairwise(knots)):
        if b - a > 1 and len(knots) < MOST:
            gains = between(r, a, b, left[i], right[i + 1]) - price * (len(knots) - 1)
            yield float(gains.max()), (*knots[: i + 1], a + 1 + int(gains.argmax()), *knots[i + 1 :])
    for i in range(1, len(knots) - 1):
        joined = passed(left[i - 1], sums(r, knots[i - 1], knots[i + 1]).at(-1))
        both = joined.gain + (joined.m + right[i + 1].m) ** 2 / (joined.d + right[i + 1].d) + right[i + 1].gain
        yield float(both) - price * (len(knots) - 3), knots[:i] + knots[i + 1 :]


def hats(axis: np.ndarray, knots: tuple[int, ...]) -> np.ndarray:
    """(T, K) piecewise-linear basis."""
    return np.stack([np.interp(axis, axis[list(knots)], row) for row in np.eye(len(knots))], 1)


def pieces(
    axis: np.ndarray, curve: np.ndarray, error: np.ndarray, knots: tuple[int, ...], follow: float = 0.0
) -> Pieces:
    """The fit of these knots."""
    r = rows(axis, curve, error, follow)
    basis = r.of(hats(axis, knots).T).T
    covariance = np.linalg.inv(basis.T @ basis)
    values = covariance @ (basis.T @ r.target)
    return Pieces(axis, knots, values, covariance, float(np.square(r.target - basis @ values).sum()))


def guess(axis: np.ndarray, curve: np.ndarray, error: np.ndarray) -> tuple[int, ...]:
    """Knots of the cheapest chain of chords between checkpoints; for a higher price where they are too many."""
    places = np.unique(np.linspace(0, len(axis) - 1, min(len(axis), GRID)).round().astype(int))
    basis = np.stack([curve - curve[0], axis - axis[0], np.ones(len(axis))], 1)
    (y, x), price = basis[places, :2].T, PENALTY * np.log(len(axis))
    gram = np.cumsum(np.einsum("ti,tj,t->tij", basis, basis, error**-2.0), 0)[places]
    while True:
        whole, before = np.zeros(len(places)), np.zeros(len(places), dtype=int)  # cost of a chain that ends there
        for b in range(1, len(places)):
            slope = (y[b] - y[:b]) / (x[b] - x[:b])
            chord = np.stack([np.ones(b), -slope, slope * x[b] - y[b]], 1)  # times the basis: what a chord misses
            cost = whole[:b] + np.einsum("ai,aij,aj->a", chord, gram[b] - gram[:b], chord) + price
            before[b], whole[b] = cost.argmin(), cost.min()
        knots = [len(places) - 1]
        while knots[-1]:
            knots.append(int(before[knots[-1]]))
        if len(knots) <= MOST:
            return tuple(places[knots[::-1]].tolist())
        price *= 4


def redrawn_knots(found: Pieces, error: np.ndarray, draws: int, follow: float = 0.0) -> np.ndarray:
    """(draws, K) knots found again on curves drawn around the fit, always the same draws."""
    r = rows(found.axis, found.fitted, error, follow)
    noise = np.random.default_rng(0).normal(size=(draws, len(found.axis)))
    r = r._replace(target=r.target + noise)
    left, right = messages(r, found.knots)
    knots = np.tile(found.knots, (draws, 1))
    for j in range(1, len(found.knots) - 1):
        a, b = found.knots[j - 1], found.knots[j + 1]
        knots[:, j] = a + 1 + between(r, a, b, left[j - 1], right[j + 1]).argmax(1)
    return knots
