"""The largest a(x) under b(x) <= 0 by its multiplier, for x of a convex set of which planning finds the ends.

    max { a(x) : b(x) <= 0 }  <=  h(l) = max_x a(x) - l b(x),     l >= 0

A mixture of two x, of which one has b <= 0, is a lower bound. Where both are apart, the x of h(l) is a line below h,
and the lines known so far meet at the next multiplier.

Source: Kelley 1960, *The cutting-plane method for solving convex programs*."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.mdp.probabilities import EPS

LIMIT = 40  # multipliers
STALL = 3  # of them that have not halved the bracket
Bounds = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Point:
    """One x: proven bounds of a and b, and the policies that it is made of.

    Attributes:
        gain: of a.
        excess: of b.
        policies: its parts.
        multiplier: for which it is best, NaN where it is best for none.
        values: what a search for another may begin from.
    """

    gain: Bounds
    excess: Bounds
    policies: tuple[np.ndarray, ...]
    multiplier: float = np.nan
    values: Any = None

    @property
    def over(self) -> float:
        """The middle of b."""
        return self.excess[0] / 2 + self.excess[1] / 2


@dataclass(frozen=True, eq=False)
class Closed:
    """Bounds of the largest a under b <= `slack`, and the mixture that has the lower one."""

    upper: float
    lower: float
    multiplier: float
    mixture: tuple[tuple[float, Point], ...]
    evaluations: int


def search(
    asked: Callable[[float], tuple[float, Point]],
    known: Sequence[Point],
    first: float,
    slack: float,
    near: float,
    most: float,
    limit: int | None = None,
) -> Closed:
    """Close in on the best multiplier until the bounds are `near`.

    Tangents meet there in the end where few x matter; where very many do, h is smooth, and the zero of its slope
    between two multipliers is nearer. They take turns, and a stall halves the bracket.

    Args:
        asked: l -> a proven bound of h(l), and the x that has it.
        known: x to begin with, one of which has b <= slack.
        first: the first multiplier, NaN for where lines meet.
        slack: by which b may exceed 0.
        near: where to stop.
        most: bound of h(0).
        limit: multipliers at most, default LIMIT.
    """
    points, upper, multiplier, tried = list(known), most, 0.0, set()
    lower, mixture, meets = _mixed(points, slack)
    proposed, widths = first if 0 < first < np.inf else meets, []
    while upper - lower > near and len(tried) < (LIMIT if limit is None else limit):
        if not 0 < proposed < np.inf or proposed in tried:
            proposed = meets
        if not 0 < proposed < np.inf or proposed in tried:
            break
        bound, new = asked(proposed)
        tried.add(proposed)
        if bound < upper:
            upper, multiplier = bound, proposed
        points.append(new)
        lower, mixture, meets = _mixed(points, slack)
        proposed = _proposed(points, meets, len(tried), widths)
    return Closed(upper, lower, multiplier, mixture, len(tried))


def _proposed(points: Sequence[Point], meets: float, turn: int, widths: list[float]) -> float:
    """The next multiplier: where lines meet, the zero of the slope between, or the middle after a stall."""
    falls = max((x for x in points if x.over > 0 and x.multiplier >= 0), key=lambda x: x.multiplier, default=None)
    rises = min((x for x in points if x.over <= 0 and x.multiplier >= 0), key=lambda x: x.multiplier, default=None)
    if falls is None or rises is None or not falls.multiplier < rises.multiplier:
        return meets
    a, b = falls.multiplier, rises.multiplier
    widths.append(b - a)
    if not np.isfinite(b):
        return meets if a < meets else 2 * a
    if len(widths) >= STALL and widths[-1] > widths[-STALL] / 2:
        return a / 2 + b / 2
    if turn % 2:
        return a + falls.over * (b - a) / (falls.over - rises.over)
    return meets if a < meets < b else a / 2 + b / 2


def _mixed(points: Sequence[Point], slack: float) -> tuple[float, tuple[tuple[float, Point], ...], float]:
    """The best mixture of one or two points with b <= slack: its a, itself, and the multiplier where lines meet."""
    held = [x for x in points if x.excess[1] <= slack]
    if not held:
        return -np.inf, (), np.nan
    best = max(held, key=lambda x: x.gain[0])
    lower, mixture, meets = best.gain[0], ((1.0, best),), (-np.inf, np.nan)
    for over in points:
        if over.excess[1] <= slack:
            continue
        for under in held:
            weight = (slack - under.excess[1]) / (over.excess[1] - under.excess[1])
            weight *= 1 - 4 * EPS  # towards the one that is held
            gain = weight * over.gain[0] + (1 - weight) * under.gain[0]
            meets = max(meets, (gain, (over.gain[0] - under.gain[0]) / (over.excess[1] - under.excess[1])))
            if gain > lower:
                lower, mixture = gain, ((weight, over), (1 - weight, under))
    return lower, mixture, meets[1]


def rounded_up(*parts: float) -> float:
    """A sum, rounded up."""
    return sum(parts) + 4 * len(parts) * EPS * sum(abs(part) for part in parts)
