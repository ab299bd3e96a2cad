"""The plane of loss and learning coefficient, in which lines of equal free energy are straight.

    n L + λ log n = F        dλ/dL = -n / log n

Source: Watanabe 2009, *Algebraic geometry and statistical learning theory*: the free energy to its first two orders.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thalweg.atlas._chart import BANDS, BLUE, Chart

LINES = 9  # of equal free energy
ARROWS = 5  # along the way
MARGIN = 0.1  # of the range, on each side

Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Plane:
    """Checkpoints in the order of training, those of them that have numbers.

    Attributes:
        n: samples, 2 or more.
        index: (P) which checkpoints.
        loss: (P) nats per sample.
        llc: (P).
        errors: (P) standard errors of `llc`, zero where there is none.
        healthy: (P) drawn filled; the others hollow.
        points: (P) colours.
        segments: (P - 1) colours of what joins them.
    """

    n: int
    index: np.ndarray
    loss: np.ndarray
    llc: np.ndarray
    errors: np.ndarray
    healthy: np.ndarray
    points: tuple[str, ...]
    segments: tuple[str, ...]

    def window(self) -> tuple[float, float, float, float]:
        """Least and largest loss, least and largest coefficient of the panel."""
        return *_range(self.loss), *_range(self.llc)

    def equal_energy(self) -> list[tuple[Point, Point]]:
        """Ends of lines of equal free energy, spaced evenly over the window and cut at its edges."""
        left, right, foot, top = self.window()
        weight = float(np.log(self.n))
        energies = np.linspace(self.n * left + weight * foot, self.n * right + weight * top, LINES + 2)[1:-1]
        lines = []
        for energy in energies:
            start, end = (max(left, (energy - weight * top) / self.n), min(right, (energy - weight * foot) / self.n))
            lines.append(((start, (energy - self.n * start) / weight), (end, (energy - self.n * end) / weight)))
        return lines

    def arrows(self) -> list[int]:
        """Segments that carry an arrow head: evenly along the way, as it is seen."""
        left, right, foot, top = self.window()
        length = np.hypot(np.diff(self.loss) / (right - left), np.diff(self.llc) / (top - foot))
        if not length.sum():
            return []
        way = np.cumsum(length) / length.sum()
        return sorted({int(np.searchsorted(way, (k + 0.5) / ARROWS)) for k in range(ARROWS)})

    def ends(self) -> list[tuple[int, int]]:
        """First and last point, and on which side the way leaves room for a name: 1 above, -1 below."""
        last = len(self.llc) - 1
        neighbours = [(0, min(1, last)), (last, max(0, last - 1))][: last + 1]
        return [(i, 1 if self.llc[i] > self.llc[j] else -1) for i, j in neighbours]


def plane_of(chart: Chart) -> Plane:
    """The plane of a chart: its first loss, its first learning coefficient."""
    loss, llc = chart.losses[0], chart.llcs[0]
    index = np.flatnonzero(np.isfinite(loss.values) & np.isfinite(llc.values))
    steps = chart.steps[index]
    errors = np.zeros(len(index)) if llc.errors is None else np.nan_to_num(llc.errors[index])
    return Plane(
        chart.n,
        index,
        loss.values[index],
        llc.values[index],
        errors,
        llc.healthy[index],
        tuple(_colour(chart, step, step) for step in steps),
        tuple(_colour(chart, a, b) for a, b in pairwise(steps)),
    )


def _colour(chart: Chart, start: int, end: int) -> str:
    """That of the transition that holds these steps, if one does."""
    held = (BANDS[t.kind] for t in chart.transitions if t.start <= start and end <= t.end)
    return next(held, BLUE)


def _range(values: np.ndarray) -> Point:
    """From below the least to above the largest."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = MARGIN * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room
