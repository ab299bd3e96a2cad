"""Null directions, followed at constant loss over a finite distance: do many weights give one function?"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.estimators.degeneracy._coordinates import Chart, closed_direction
from thalweg.estimators.degeneracy._derivatives import DENSE
from thalweg.estimators.degeneracy._fields import FunctionField, LossField, refuse_slope
from thalweg.estimators.degeneracy.rank import Rank
from thalweg.landscape import Landscape, ModuleLosses

UNCHANGED = 1000.0  # roundings by which a loss may change on a flat curve
STEPS = 24  # of a curve; a power 2k shows where (distance/24)^(2k) exceeds the tolerance
CORRECTIONS = 12  # Newton steps back to the valley, after each step along it


@dataclass(frozen=True, eq=False)
class NullPath:
    """One null direction, followed from w* in the valley of the loss.

    Attributes:
        direction: (D,) unit vector at w*, zero where closed.
        length: of the path; well above the distance only where the valley ends, as curvatures of null
            directions grow into those across, and corrections wander.
        displacement: largest |w - w*| on it.
        loss_change: largest |L(w) - L(w*)| on it, nats.
        output_change: largest change of any output on any sample; None for a potential.
        exponent: p of a rise as t^p, t the length; None where the curve is flat or too short to say.
        flat: what was followed stays within the tolerance over the whole length.
    """

    direction: np.ndarray
    length: float
    displacement: float
    loss_change: float
    output_change: float | None
    exponent: float | None
    flat: bool


@dataclass(frozen=True, eq=False)
class NullReport:
    """Null directions, flat or merely degenerate.

    Attributes:
        rank: at w*.
        paths: one for each direction that was followed.
        tolerance: nats, or mean squared change of outputs, below which nothing has changed.
    """

    rank: Rank
    paths: tuple[NullPath, ...]
    tolerance: float

    @property
    def many_to_one(self) -> bool:
        """Whether some curve of finite length stays at one loss (or one function)."""
        return any(path.flat for path in self.paths)


def null_directions(
    landscape: Landscape,
    distance: float = 1.0,
    count: int = 8,
    *,
    kind: Literal["hessian", "jacobian"] = "hessian",
    cut: float | None = None,
    tolerance: float | None = None,
    directions: Tensor | None = None,
) -> NullReport:
    """Follow null directions of w* through the valley of the loss, over a finite distance.

    Each step goes along the direction, then back by Newton in the `rank` directions of greatest
    curvature; the direction is carried along by projection. What remains of the loss is that of the
    null coordinates alone (splitting lemma): zero on a flat curve, t^(2k) on a degenerate one.
    Single axes can all be flat where a combination is not: give it as `directions`.

    Args:
        landscape: at a minimum for `hessian`; anywhere for `jacobian`.
        distance: length of the paths, in weights.
        count: null directions to follow, at most; those nearest to single weights come first.
        kind: `hessian` keeps the loss, `jacobian` the outputs on all samples.
        cut: as in `rank`, for the kind at hand.
        tolerance: default 1000 roundings of L(w*) plus the loss of the steepest direction at this
            distance (1 nat where both are zero).
        directions: (K, D) to follow instead, projected on the null space and normalised.

    Returns:
        The rank and a path for each direction; none where w* is regular.

    Raises:
        InputError: w* is no minimum, no null part in `directions`, more than 2000 directions.
    """
    if not (distance > 0 and count > 0):
        raise InputError(f"distance = {distance}, count = {count}: give positive numbers")
    if kind not in ("hessian", "jacobian"):
        raise InputError(f"kind {kind!r}: hessian or jacobian")
    chart = Chart(landscape, closed_direction(landscape))
    if chart.width > DENSE:
        raise InputError(f"{chart.width} open directions, at most {DENSE}: restrict the landscape to a part")
    field = LossField(chart, cut) if kind == "hessian" else FunctionField(chart, cut)
    values, vectors = field.curvature(chart.origin)
    if tolerance is None:
        scale = abs(float(field.value(chart.origin))) + 0.5 * float(values[0].abs()) * distance**2
        tolerance = UNCHANGED * torch.finfo(landscape.layout.dtype).eps * (scale or 1.0)
    if isinstance(field, LossField):
        refuse_slope(field, values, vectors, distance, tolerance)
    starts = _starts(chart, vectors[:, field.rank.rank :], count, directions)
    return NullReport(field.rank, tuple(_follow(field, v, distance, tolerance) for v in starts), tolerance)


def _starts(chart: Chart, null: Tensor, count: int, directions: Tensor | None) -> list[Tensor]:
    """Unit null vectors (d,) to start along."""
    if directions is None:
        if null.shape[1] == 0:
            return []
        axes = np.asarray(scipy.linalg.qr((null @ null.T).numpy(), pivoting=True)[0])  # eigenvectors are arbitrary
        return list(torch.from_numpy(axes.T[: min(count, null.shape[1])].copy()))
    if directions.ndim != 2 or directions.shape[1] != len(chart.flat):
        raise InputError(f"directions have shape {tuple(directions.shape)}: give (K, {len(chart.flat)})")
    given = chart.coordinates(directions.to(chart.flat)).cpu().double()
    inside = given @ null @ null.T
    lengths = inside.norm(dim=1, keepdim=True)
    if (lengths <= 1e-6 * given.norm(dim=1, keepdim=True)).any():
        raise InputError("one of the directions has no null part at w*: give null directions, or a larger cut")
    return list(inside / lengths)


def _follow(field: LossField | FunctionField, start: Tensor, distance: float, tolerance: float) -> NullPath:
    """Walk along one null direction: predict along it, correct across it."""
    chart, points, tangent = field.chart, [field.chart.origin], start
    normal = field.curvature(chart.origin)[1][:, : field.rank.rank]
    for _ in range(STEPS):
        guess = points[-1] + distance / STEPS * tangent.to(chart.origin)
        values, vectors = field.curvature(guess)
        kept = (normal.T @ vectors).square().sum(0).argsort(descending=True)[: field.rank.rank]
        values, normal = values[kept], vectors[:, kept]  # those most like the last ones: curvatures may cross
        points.append(_correct(field, guess, values, normal, distance / STEPS))
        tangent = tangent - normal @ (normal.T @ tangent)
        tangent = tangent / tangent.norm()
    moved = torch.stack([(b - a).norm() for a, b in pairwise(points)]).cpu().double().cumsum(0)
    followed = torch.stack([(field.value(z) - field.value(points[0])).abs() for z in points[1:]]).cpu()
    losses = torch.stack([chart.all_losses(z).mean() for z in points])
    flat = bool((followed <= tolerance).all())
    return NullPath(
        direction=chart.move(start.to(chart.origin)).cpu().numpy(),
        length=float(moved[-1]),
        displacement=max(float(z.norm()) for z in points),
        loss_change=float((losses - losses[0]).abs().max()),
        output_change=_output_change(chart, points),
        exponent=None if flat else _exponent(moved, followed, tolerance),
        flat=flat,
    )


def _correct(field: LossField | FunctionField, z: Tensor, values: Tensor, normal: Tensor, reach: float) -> Tensor:
    """Newton in the normal directions that are curved, as far as it descends; no step beyond `reach`."""
    curved = values > field.floor
    values, normal, best = values[curved], normal[:, curved], field.value(z)
    for _ in range(CORRECTIONS if len(values) else 0):
        move = -(normal @ (normal.T @ field.slope(z).cpu() / values))
        tried = z + (move * min(1.0, reach / max(float(move.norm()), 1e-300))).to(z)
        value = field.value(tried)
        if not value < best:
            break
        z, best = tried, value
    return z


def _output_change(chart: Chart, points: list[Tensor]) -> float | None:
    """Largest change of any output along the points."""
    if not isinstance(chart.scape.losses, ModuleLosses):
        return None
    outputs = chart.of_outputs()
    first = outputs.all_losses(points[0])
    return max(float((outputs.all_losses(z) - first).abs().max()) for z in points[1:])


def _exponent(moved: Tensor, followed: Tensor, tolerance: float) -> float | None:
    """Power of the rise, from the nearest third of the points that rise above the tolerance."""
    seen = (followed > tolerance).nonzero().squeeze(1)
    near = seen[: max(3, len(seen) // 3)]
    if len(near) < 3:
        return None
    return float(np.polyfit(np.log(moved[near].numpy()), np.log(followed[near].numpy()), 1)[0])
