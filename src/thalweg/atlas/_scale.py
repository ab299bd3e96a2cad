"""Where values stand: a linear axis in pixels, and training time, plain or on a logarithm."""

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

DECADES = 100.0  # of the whole run to its first gap: from there on time may be logarithmic,
UNEVEN = 10.0  # if the widest gap is so many times the first
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Axis:
    """A linear scale from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixels, to a tenth."""
        span = self.high - self.low or 1.0
        return round(self.start + (value - self.low) / span * (self.end - self.start), 1)

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Round numbers within the scale, with their pixels."""
        values = MaxNLocator(count).tick_values(self.low, self.high)
        return [(self(v), written(v)) for v in values if self.low <= v <= self.high]


@dataclass(frozen=True)
class Time:
    """Training steps as they stand along an axis: as they are, or log(step - first + gap).

    Attributes:
        first: step.
        last: step.
        gap: steps between the first two checkpoints.
        logarithmic: whether the logarithm is taken.
    """

    first: float
    last: float
    gap: float
    logarithmic: bool

    def __call__(self, steps: np.ndarray | float) -> np.ndarray:
        """Along the axis."""
        steps = np.asarray(steps, dtype=np.float64)
        return np.log(np.maximum(steps - self.first + self.gap, TINY * self.gap)) if self.logarithmic else steps

    def inverse(self, places: np.ndarray | float) -> np.ndarray:
        """Steps at places along the axis."""
        places = np.asarray(places, dtype=np.float64)
        return np.exp(places) + self.first - self.gap if self.logarithmic else places

    def ticks(self, count: int) -> list[float]:
        """About so many round steps, apart from each other."""
        if not self.logarithmic:
            found = MaxNLocator(count).tick_values(self.first, self.last)
            return [float(v) for v in found if self.first <= v <= self.last]
        powers = 10.0 ** np.arange(np.floor(np.log10(self.gap)), np.log10(self.last) + 1)
        wanted = [self.first, *powers[::-1], *(2 * powers), *(5 * powers), *(self.first + powers)]
        apart, taken = float(self(self.last) - self(self.first)) / count, []
        for step in wanted:
            inside = self.first <= step <= self.last
            if inside and all(abs(self(step) - self(other)) >= apart for other in taken):
                taken.append(float(step))
        return sorted(taken)


def time_of(steps: np.ndarray) -> Time:
    """The time of checkpoints (T): logarithmic where they are spread over more than two decades, and unevenly."""
    first, last = float(steps[0]), float(steps[-1])
    gaps = np.diff(steps.astype(np.float64)) if len(steps) > 1 else np.ones(1)
    gap = float(gaps[0])
    wide = gap > 0 and (last - first + gap) / gap > DECADES and float(gaps.max()) >= UNEVEN * gap
    return Time(first, last, gap, bool(wide))


def written(value: float) -> str:
    """A number on an axis."""
    return f"{value:,.10g}".replace(",", " ")
