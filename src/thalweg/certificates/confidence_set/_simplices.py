"""Simplices that halve exactly, over directions or over a box.          M cells, V vertices, N points, D weights"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import permutations, product
from math import factorial
from typing import Self

import numpy as np

CHUNK = 1 << 22  # numbers that are worked on at a time, 32 MiB


@dataclass(frozen=True, eq=False)
class Rows:
    """Arrays with a row for each of the same things, and parts that are such."""

    def also(self, more: Self) -> Self:
        """The rows of both."""
        pairs = {f.name: (getattr(self, f.name), getattr(more, f.name)) for f in fields(self)}
        return replace(
            self, **{k: a.also(b) if isinstance(a, Rows) else np.append(a, b, 0) for k, (a, b) in pairs.items()}
        )

    def only(self, keep: np.ndarray) -> Self:
        """Some of them, (N,) bool; of what has no parts."""
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Cells(Rows):
    """Simplices: (M, V) numbers of their vertices, and (M,) log shares of the prior."""

    corners: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class Points:
    """Vertices (N, D), each once, and the number of each by its bytes."""

    values: np.ndarray
    number: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: np.ndarray) -> "Points":
        """Of rows that differ."""
        return cls(values, {row.tobytes(): i for i, row in enumerate(values)})

    def add(self, rows: np.ndarray) -> tuple["Points", np.ndarray]:
        """With more rows (K, D), and their numbers; halves of dyadic numbers are exact, so equal means equal."""
        number, numbers, new = dict(self.number), [], []
        for row in rows + 0.0:  # no negative zero
            key = row.tobytes()
            if key not in number:
                number[key] = len(number)
                new.append(row)
            numbers.append(number[key])
        return Points(np.concatenate([self.values, np.array(new).reshape(-1, rows.shape[1])]), number), np.array(
            numbers
        )


def counted(weights: int, bound: float | None) -> tuple[int, int]:
    """How many cells a class starts with, and vertices of each: 2^D of D without a bound, D! of D + 1 with one."""
    return (2**weights, weights) if bound is None else (factorial(weights), weights + 1)


def slices(count: int, numbers: int) -> Iterator[slice]:
    """Parts of `count` rows, each of so many numbers, that fit in a chunk."""
    step = max(1, CHUNK // max(1, numbers))
    return (slice(start, start + step) for start in range(0, count, step))


def first_cells(weights: int, bound: float | None) -> tuple[Points, Cells]:
    """The octahedron's facets |x|_1 = 1; with a bound, Kuhn's simplices of the box |x_i| <= bound."""
    d = weights
    if bound is None:
        points = np.concatenate([np.eye(d), -np.eye(d)]) + 0.0
        corners = np.array([[i + d * side for i, side in enumerate(sides)] for sides in product((0, 1), repeat=d)])
    else:
        points = bound * np.array(list(product((-1.0, 1.0), repeat=d)))
        place = 2 ** np.arange(d)[::-1]
        corners = np.array([np.concatenate([[0], np.cumsum(place[list(order)])]) for order in permutations(range(d))])
    return Points.of(points), Cells(corners, np.full(len(corners), -np.log(len(corners))))


def split(points: Points, cells: Cells) -> tuple[Points, Cells]:
    """Halve every cell across its longest edge; with the new vertices."""
    count, width = cells.corners.shape
    edge, rows = np.empty(count, dtype=np.int64), np.arange(count)
    for part in slices(count, width**2 * points.values.shape[1]):
        at = points.values[cells.corners[part]]
        lengths = np.square(at[:, :, None] - at[:, None]).sum(-1)
        edge[part] = lengths.reshape(len(at), -1).argmax(1)
    i, j = np.divmod(edge, width)
    one, other = (points.values[cells.corners[rows, k]] for k in (i, j))
    points, numbers = points.add((one + other) / 2)
    one, two = cells.corners.copy(), cells.corners.copy()
    one[rows, i], two[rows, j] = numbers, numbers
    return points, Cells(np.concatenate([one, two]), np.tile(cells.share - np.log(2), 2))
