"""The largest share of a quantity over a confidence set that is covered by cells: proven, and attained.

Each cell bounds it from its vertices alone; cells are halved until what is proven and what some theta of the set
attains agree.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from thalweg.certificates.confidence_set._cost import CROWD, POINTS
from thalweg.certificates.confidence_set._simplices import slices
from thalweg.certificates.confidence_set._tangents import Tangents, plan_size, tangent
from thalweg.certificates.confidence_set.cover import NARROW, Cover
from thalweg.certificates.confidence_set.quantities import Quantity
from thalweg.errors import UnhealthyError

TOLERANCE = 0.02  # relative, between what is proven and what is attained
LEAST = 1e-5  # shares below which nobody asks for more digits


@dataclass(frozen=True, eq=False)
class Worst:
    """The largest value of a quantity over a confidence set.

    Attributes:
        bound: proven: no theta of the set has more.
        attained: by `theta`, which is in the set.
        theta: (D,) of the worst values found.
        cover: refined where it mattered.
    """

    bound: float
    attained: float
    theta: np.ndarray
    cover: Cover


def supremum(cover: Cover, quantity: Quantity, *, tolerance: float = TOLERANCE, budget: int = POINTS) -> Worst:
    """The supremum of a quantity over a confidence set.

    Args:
        cover: of the set.
        quantity: convex over convex.
        tolerance: relative, between what is proven and what is attained.
        budget: vertices more than the cover has, after which the bound is given as it stands.

    Raises:
        UnhealthyError: the set is empty: the data contradict the class.
    """
    limit = len(cover.points.values) + budget
    top, under = _read(quantity, cover.points.values)
    while True:
        points, corners = cover.points.values, cover.cells.corners
        if not len(corners):
            raise UnhealthyError("no values of the stated class are likely enough to be hers")
        parts = slices(len(corners), 2 * corners.shape[1] * points.shape[1])
        found = np.concatenate([_above(quantity, points, corners[part], top, under) for part in parts])
        inside = (cover.likelihood() >= cover.threshold) & (under.value > 0)
        here = np.where(inside, top / np.where(under.value > 0, under.value, 1.0), -np.inf)
        best = int(here.argmax())
        attained = max(float(here[best]), 0.0)
        wanted = found > attained + max(tolerance * attained, LEAST)
        if not wanted.any() or len(points) >= limit or len(corners) >= CROWD * limit:
            return Worst(max(float(found.max()), 0.0), attained, points[best], cover)
        cover = cover.halved(wanted)
        fresh = cover.points.values[len(points) :]
        if len(fresh):
            more, wider = _read(quantity, fresh)
            top, under = np.concatenate([top, more]), under.also(wider)


def _read(quantity: Quantity, points: np.ndarray) -> tuple[np.ndarray, Tangents]:
    """What a quantity is at (N, D), in parts."""
    parts = slices(len(points), plan_size(quantity.mdp, quantity.values))
    tops, unders = zip(*(quantity.read(points[part]) for part in parts), strict=True)
    return np.concatenate(tops), reduce(Tangents.also, unders)


def _above(
    quantity: Quantity, points: np.ndarray, corners: np.ndarray, top: np.ndarray, under: Tangents
) -> np.ndarray:
    """A bound on each cell of corners (M, V)."""
    low = tangent(under, points, corners, points[corners])
    sound = (low > NARROW * under.value[corners].max(1, keepdims=True)).all(1)
    found = np.full(len(corners), quantity.most)
    found[sound] = quantity.above(top[corners[sound]], under.value[corners[sound]], low[sound])
    return np.minimum(found, quantity.most)
