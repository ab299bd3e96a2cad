"""Simplices that halve exactly, over directions or over a box.                M cells, V vertices, N points, D weights"""

from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np


@dataclass(frozen=True, eq=False)
class Cells:
    """Simplices: (M, V) numbers of their vertices, and (M,) log shares of the prior."""

    corners: np.ndarray
    share: np.ndarray


@dataclass(eq=False)
class Points:
    """Vertices (N, D), each once."""

    values: np.ndarray
    number: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: np.ndarray) -> "Points":
        """Of rows that differ."""
        return cls(values, {row.tobytes(): i for i, row in enumerate(values)})

    def add(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of rows, and the rows that are new; halves of dyadic numbers are exact, so equal means equal."""
        numbers, new = [], []
        for row in rows + 0.0:  # no negative zero
            key = row.tobytes()
            if key not in self.number:
                self.number[key] = len(self.number)
                new.append(row)
            numbers.append(self.number[key])
        fresh = np.array(new).reshape(-1, rows.shape[1])
        self.values = np.concatenate([self.values, fresh])
        return np.array(numbers), fresh


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


def split(points: Points, cells: Cells) -> tuple[Cells, np.ndarray]:
    """Halve every cell across its longest edge; the new vertices too."""
    at = points.values[cells.corners]
    lengths = np.square(at[:, :, None] - at[:, None]).sum(-1)
    width = at.shape[1]
    i, j = np.divmod(lengths.reshape(len(at), -1).argmax(1), width)
    rows = np.arange(len(at))
    numbers, fresh = points.add((at[rows, i] + at[rows, j]) / 2)
    one, two = cells.corners.copy(), cells.corners.copy()
    one[rows, i], two[rows, j] = numbers, numbers
    return Cells(np.concatenate([one, two]), np.tile(cells.share - np.log(2), 2)), fresh


__all__ = ["Cells", "Points", "first_cells", "split"]
