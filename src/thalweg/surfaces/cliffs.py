"""Cliffs of a run: steps of gradient ascent over which the return collapses.

Source: Sullivan, Terry, Black & Dickerson 2022, Cliff Diving (arXiv 2205.07015), and the rule of its published
code. We differ where a return of any sign is read above the lowest one of the run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thalweg.surfaces.line import Line

KEPT = 0.5  # share of its height above the run's lowest return that a cliff leaves at most
SHARE = 0.25  # of the run's range by which it falls more
SIGMAS = 3.5  # standard errors by which it falls more, where there are errors
ROUNDING = 1e-6  # of the largest loss, below which the range of a run is none


@dataclass(frozen=True)
class Cliff:
    """A step of gradient ascent over which the return collapses.

    Attributes:
        step: training step of the checkpoint.
        at: step size, in weights, at which the return has fallen.
        since: step size from which it falls, one or two points before.
        drop: share of the run's range of returns.
    """

    step: int
    at: float
    since: float
    drop: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """In words."""
        return (
            f"Step {self.step}: along the gradient the return falls by {self.drop:.0%} of its range in the run,"
            f" between step sizes {self.since:.3g} and {self.at:.3g}."
        )


def cliffs(lines: Sequence[tuple[int, Line]]) -> list[Cliff]:
    """Checkpoints whose gradient leads over a cliff, with the first fall of each.

    With r the return above the lowest of all lines, and its range over them, a point z is the foot of a cliff if
    for one of the two points p before it

        r(z) <= r(p) / 2        r(p) - r(z) > range / 4        r(p) - r(z) > 3.5 standard errors of the difference

    The points are w*, the last fine point of the first segment, and the ends of segments. The last condition
    speaks only where lines carry errors: at 3.5 errors one of 40 comparisons of noise alone passes in 1 % of the
    lines. Returns that differ by rounding have no range, and no cliff.

    Args:
        lines: of one run, with training steps; lines without a direction have no cliff.
    """
    losses = np.concatenate([np.zeros(0), *(found.loss for _, found in lines)])
    if not len(losses) or np.ptp(losses) <= ROUNDING * np.abs(losses).max():
        return []
    falls = ((step, _first_fall(found, float(losses.max()), float(np.ptp(losses)))) for step, found in lines)
    return [Cliff(step, *fall) for step, fall in falls if fall is not None]


def _first_fall(found: Line, top: float, span: float) -> tuple[float, float, float] | None:
    """Step size of the first foot of a cliff, the one from which it falls, and the share of the range."""
    walk, height = found.walk, top - found.loss
    for k in range(1, len(walk)):
        for before in range(k - 1, max(k - 3, -1), -1):
            i, j = walk[before], walk[k]
            drop = height[i] - height[j]
            deep = height[j] <= KEPT * height[i] and drop > SHARE * span
            if deep and drop > SIGMAS * found.error(i, j):
                return float(found.sizes[j]), float(found.sizes[i]), float(drop / span)
    return None
