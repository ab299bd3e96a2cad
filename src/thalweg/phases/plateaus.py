"""Plateaus of a loss: where it stays, found from the loss alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.errors import InputError
from thalweg.phases._numbers import ascending, given
from thalweg.phases._segments import fit

GRAIN = 0.01  # of the range of the loss: smaller turns are no turns
FLAT = 0.05  # of the range: a piece that changes by more is no plateau
FEWEST = 3  # checkpoints


@dataclass(frozen=True)
class Plateau:
    """A stay.

    Attributes:
        start: training step of its first checkpoint, as it was given.
        end: of its last.
        first: number of its first checkpoint.
        last: number of its last.
        level: median loss over it, nats per sample.
    """

    start: float
    end: float
    first: int
    last: int
    level: float


def plateaus(steps: Sequence[int] | np.ndarray, loss: Sequence[float] | np.ndarray) -> list[Plateau]:
    """Find where a loss stays: straight pieces that meet, of which the flat ones are taken and joined.

    Args:
        steps: (T) training steps, ascending, T >= 5.
        loss: (T) nats per sample. A loss that never moves is one plateau.

    Raises:
        InputError: NaN, lengths that differ, steps that do not ascend, too few checkpoints.
    """
    time, curve = given("steps", steps), given("loss", loss).astype(np.float64)
    if time.shape != curve.shape or time.ndim != 1 or len(time) < FEWEST + 2:
        raise InputError(f"steps {time.shape}, loss {curve.shape}: give one loss for each of at least {FEWEST + 2}")
    if not np.isfinite(curve).all() or not (time[1:] > time[:-1]).all():
        raise InputError("loss holds NaN, or steps do not ascend: give sorted checkpoints with a loss each")
    span = float(np.ptp(curve))
    if span == 0:
        return [_plateau(time, curve, 0, len(time) - 1)]
    pieces = fit(ascending(time), curve, np.full(len(time), GRAIN * span))
    stays: list[list[int]] = []
    for i, (a, b) in enumerate(zip(pieces.knots[:-1], pieces.knots[1:], strict=True)):
        if abs(pieces.values[i + 1] - pieces.values[i]) > FLAT * span or b - a < FEWEST:
            continue
        if stays and stays[-1][1] == a and abs(pieces.values[i + 1] - pieces.fitted[stays[-1][0]]) <= FLAT * span:
            stays[-1][1] = b
        else:
            stays.append([a, b])
    return [_plateau(time, curve, a, b) for a, b in stays]


def _plateau(time: np.ndarray, curve: np.ndarray, first: int, last: int) -> Plateau:
    return Plateau(time[first].item(), time[last].item(), first, last, float(np.median(curve[first : last + 1])))
