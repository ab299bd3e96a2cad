"""The loss along the gradient:     L(w* - s g/|g|)          g = grad L(w*),  s >= 0 in weights

A policy's regret is a `Landscape`; the return is -L up to a constant, and s climbs it. P points on a line.

Source: Sullivan, Terry, Black & Dickerson 2022, Cliff Diving (arXiv 2205.07015), and its published code. We differ
where the gradient is divided by its length.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from thalweg.errors import InputError
from thalweg.landscape import Landscape, measure
from thalweg.surfaces._losses import are_drawn, losses_at
from thalweg.types import Params

LENGTH = 0.4  # of a line, in weights


@dataclass(frozen=True, eq=False)
class Line:
    """The loss along the direction of steepest descent at w*.

    Attributes:
        sizes: (P,) ascending from 0 in weights: w*, `fine` points within the first segment, then the ends of
            the segments. (1,) where the gradient is zero, and there is no direction.
        loss: (P,) in the unit of the landscape's loss.
        covariance: (P, P) of the errors of `loss`, in its unit squared; None where there are none.
        fine: points within the first segment.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, sizes out of order.
    """

    sizes: np.ndarray
    loss: np.ndarray
    covariance: np.ndarray | None = None
    fine: int = 10

    def __post_init__(self) -> None:
        count = len(self.sizes)
        if self.loss.shape != (count,) or (self.covariance is not None and self.covariance.shape != (count, count)):
            raise InputError(f"line of {count} sizes has losses {self.loss.shape}: give one for each size")
        if not count or self.sizes[0] != 0 or not (np.diff(self.sizes) > 0).all():
            raise InputError("sizes of a line do not ascend from 0: begin with the point w* itself")
        if not 0 <= self.fine <= max(count - 2, 0) and count > 1:
            raise InputError(f"line of {count} points has {self.fine} fine ones: leave an end of the first segment")
        if not np.isfinite(self.loss).all():
            raise InputError("losses of a line are not finite: give a shorter length")

    @property
    def directed(self) -> bool:
        """Whether there is a direction: at a point without gradient there is none."""
        return len(self.sizes) > 1

    @property
    def stderr(self) -> np.ndarray | None:
        """(P,) standard errors of `loss`."""
        return None if self.covariance is None else np.sqrt(np.diag(self.covariance))

    def error(self, i: int, j: int) -> float:
        """Standard error of loss[j] - loss[i]; 0 where losses are exact."""
        if self.covariance is None:
            return 0.0
        c = self.covariance
        return float(np.sqrt(max(c[i, i] + c[j, j] - 2 * c[i, j], 0.0)))  # rounding may leave it below 0

    @property
    def walk(self) -> np.ndarray:
        """Numbers of the points that cliffs are read from: w*, the last fine point, the ends of segments."""
        return np.arange(len(self.sizes))[[0, *range(max(self.fine, 1), len(self.sizes))]]


def line(landscape: Landscape, *, length: float = LENGTH, points: int = 20, fine: int = 10) -> Line:
    """The loss along steepest descent, w* - s g/|g|: a step of gradient ascent of the return, whatever its size.

    Args:
        landscape: at w*; the gradient is that of all its data, in the directions that its masks leave open.
        length: of the line, in weights.
        points: ends of equal segments, without w*.
        fine: further points that divide the first segment evenly.

    Returns:
        The line; of w* alone where the gradient is zero. With drawn samples it carries the covariance of the means:
        they are the same samples all along, so a difference is known better than either loss. Exact regret has none.

    Raises:
        InputError: numbers out of range, a loss that is not finite.
    """
    _check_line(length, points, fine)
    normal, segment = measure(landscape).normal, length / points
    first = segment * np.arange(1, fine + 1) / (fine + 1)
    sizes = np.concatenate([[0.0], first, segment * np.arange(1, points + 1)])
    if not normal.any():
        sizes = sizes[:1]
    along = landscape.layout.flatten(landscape.params) - torch.as_tensor(sizes).to(normal).reshape(-1, 1) * normal
    losses = np.concatenate(list(losses_at(landscape, along, "loss along the gradient")))
    means = losses.mean(1)
    if not np.isfinite(means).all():
        at = sizes[~np.isfinite(means)][0]
        raise InputError(f"loss is not finite at step size {at:g} along the gradient: give a shorter length")
    covariance = np.cov(losses).reshape(len(sizes), -1) / losses.shape[1] if are_drawn(landscape) else None
    return Line(sizes, means, covariance, fine if len(sizes) > 1 else 0)


def along(
    landscape: Landscape,
    states_by_step: Iterable[tuple[int, Params]],
    *,
    length: float = LENGTH,
    points: int = 20,
    fine: int = 10,
) -> list[tuple[int, Line]]:
    """The lines of all checkpoints of a run.

    Args:
        landscape: of the policy, at any weights.
        states_by_step: training step and weights; read one by one.
        length: as of `line`.
        points: as of `line`.
        fine: as of `line`.

    Raises:
        InputError: the step, and what `line` or `Landscape.at` says of it.
    """
    _check_line(length, points, fine)
    lines = []
    for step, state in states_by_step:
        try:
            lines.append((step, line(landscape.at(state), length=length, points=points, fine=fine)))
        except InputError as error:
            raise InputError(f"step {step}: {error}") from error
    return lines


def _check_line(length: float, points: int, fine: int) -> None:
    """Refuse numbers of a line that are out of range."""
    if not 0 < length < float("inf"):
        raise InputError(f"length {length}: give a number above 0, in weights")
    if points < 1 or fine < 0:
        raise InputError(f"points {points}, fine {fine}: give at least 1 point and no negative number of fine ones")
