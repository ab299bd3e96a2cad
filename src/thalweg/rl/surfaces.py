"""Reward surfaces: the loss on a plane through w*, the loss along its gradient, and the cliffs of a run.

    L(w* + x d1 + y d2)          L(w* - s g/|g|)          g = grad L(w*)

A policy's regret is a `Landscape`; the return is -L up to a constant, and s climbs it. N points a side of
the plane, P points on a line.

Source: Sullivan, Terry, Black & Dickerson 2022, Cliff Diving (arXiv 2205.07015), and the rule of its published
code; directions after Li et al. 2018 (arXiv 1712.09913). We differ where a filter is a row of axis 0, as torch
lays out weights, where the gradient is divided by its length, and where a return of any sign is read above the
lowest one of the run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from thalweg.errors import InputError, guarded
from thalweg.landscape import Landscape, measure
from thalweg.rng import stream
from thalweg.samplers.engine import ROWS, WIDTH
from thalweg.types import Params

LENGTH = 0.4  # of a line, in weights
KEPT = 0.5  # share of its height above the run's lowest return that a cliff leaves at most
SHARE = 0.25  # of the run's range by which it falls more
SIGMAS = 3.5  # standard errors by which it falls more, where there are errors
ROUNDING = 1e-6  # of the largest loss, below which the range of a run is none


@dataclass(frozen=True, eq=False)
class Surface:
    """The loss on a plane through w*, which is its middle.

    Attributes:
        x: (N,) along d1, in lengths of it.
        y: (N,) along d2.
        loss: (N, N), row by y and column by x, in the unit of the landscape's loss.
        stderr: (N, N) standard errors of the means over samples, were they drawn anew; None where they are no draws.
    """

    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    stderr: np.ndarray | None


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


def surface(
    landscape: Landscape,
    *,
    size: int = 21,
    extent: float = 1.0,
    seed: int = 0,
    directions: Literal["filters", "gradient"] = "filters",
) -> Surface:
    """The loss on the plane w* + x d1 + y d2, x and y from -extent to extent.

    Args:
        landscape: at w*. Weights that its masks close do not move; that it is closed along the gradient is
            left aside.
        size: N, odd, so that w* is a point of the grid.
        extent: in lengths of the directions; at 1 a filter moves by its own norm.
        seed: names the directions, each normalised by filters.
        directions: `gradient` puts steepest descent in the place of d1, at d1's length.

    Raises:
        InputError: a size that is not odd, a direction of no length, a loss that is not finite.
    """
    check_plane(size, extent)
    if directions not in ("filters", "gradient"):
        raise InputError(f"directions {directions!r}: one of filters, gradient")
    flatten = landscape.layout.flatten
    d1, d2 = (flatten(direction(landscape, seed, number)) for number in (1, 2))
    if not d1.norm() > 0:
        raise InputError("every filter of w* is zero, no direction has a length: choose a later checkpoint")
    if directions == "gradient":
        d1 = -_normal(landscape) * d1.norm()
        if not d1.norm() > 0:
            raise InputError('the gradient at w* is zero: give directions="filters"')
    axis = np.linspace(-extent, extent, size)
    axis[size // 2] = 0.0
    y, x = (torch.as_tensor(part.reshape(-1, 1)).to(d1) for part in np.meshgrid(axis, axis, indexing="ij"))
    points = flatten(landscape.params) + x * d1 + y * d2
    parts = [(p.mean(1), _mean_error(p)) for p in _losses(landscape, points, "loss on the plane")]
    loss = np.concatenate([mean for mean, _ in parts]).reshape(size, size)
    if not np.isfinite(loss).all():
        row, column = np.argwhere(~np.isfinite(loss))[0]
        raise InputError(
            f"loss is not finite at x = {axis[column]:g}, y = {axis[row]:g} of the plane: give a smaller extent"
        )
    errors = None if not _drawn(landscape) else np.concatenate([e for _, e in parts]).reshape(size, size)
    return Surface(axis, axis.copy(), loss, errors)


def check_plane(size: int, extent: float) -> None:
    """Refuse a grid that cannot be had, before anything is computed.

    Raises:
        InputError: a size that is not odd, an extent that is not above 0.
    """
    if size < 3 or size % 2 == 0:
        raise InputError(f"size {size}: give an odd number of points a side, at least 3, so that w* is one of them")
    if not 0 < extent < float("inf"):
        raise InputError(f"extent {extent}: give a number above 0")


def direction(landscape: Landscape, seed: int, number: int) -> Params:
    """A Gaussian direction whose filters have the norms of those of w*.

    A filter is what belongs to one index of axis 0, the output of a torch layer; parameters of one axis (biases)
    have zero. Where no parameter has two axes, each parameter is one filter.

    Args:
        landscape: at w*; what its masks close has zero.
        seed: of the streams.
        number: 1 or 2, which direction.

    Returns:
        {name: (*shape)}.
    """
    masks = landscape.restriction.masks or {}
    flat = all(w.ndim < 2 for w in landscape.params.values())
    found = {}
    for name, w in landscape.params.items():
        if w.ndim < 2 and not flat:
            found[name] = torch.zeros_like(w)
            continue
        mask = masks[name].cpu() if name in masks else torch.ones(w.shape)
        rows = 1 if flat else len(w)
        noise = torch.randn(w.shape, generator=stream(seed, "surface", number, name), dtype=torch.float64) * mask
        wanted = (w.detach().cpu().double() * mask).reshape(rows, -1).norm(dim=1, keepdim=True)
        drawn = noise.reshape(rows, -1)
        length = drawn.norm(dim=1, keepdim=True)
        scaled = drawn * torch.where(length > 0, wanted / length, torch.zeros_like(length))
        found[name] = scaled.reshape(w.shape).to(w)
    return found


def has_plane(landscape: Landscape) -> bool:
    """Whether some filter of w* has a length; tabular logits that begin at zero have none."""
    return any(bool(d.any()) for d in direction(landscape, 0, 1).values())


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
    normal, segment = _normal(landscape), length / points
    first = segment * np.arange(1, fine + 1) / (fine + 1)
    sizes = np.concatenate([[0.0], first, segment * np.arange(1, points + 1)])
    if not normal.any():
        sizes = sizes[:1]
    along = landscape.layout.flatten(landscape.params) - torch.as_tensor(sizes).to(normal).reshape(-1, 1) * normal
    losses = np.concatenate(list(_losses(landscape, along, "loss along the gradient")))
    means = losses.mean(1)
    if not np.isfinite(means).all():
        at = sizes[~np.isfinite(means)][0]
        raise InputError(f"loss is not finite at step size {at:g} along the gradient: give a shorter length")
    covariance = np.cov(losses).reshape(len(sizes), -1) / losses.shape[1] if _drawn(landscape) else None
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


def _check_line(length: float, points: int, fine: int) -> None:
    """Refuse numbers of a line that are out of range."""
    if not 0 < length < float("inf"):
        raise InputError(f"length {length}: give a number above 0, in weights")
    if points < 1 or fine < 0:
        raise InputError(f"points {points}, fine {fine}: give at least 1 point and no negative number of fine ones")


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


def _normal(landscape: Landscape) -> Tensor:
    """(D,) the gradient of the full data at unit length, zero where it vanishes."""
    return measure(landscape).normal


def _count(landscape: Landscape) -> int:
    """Samples; 1 of an analytic function."""
    return 1 if landscape.data is None else len(landscape.data)


def _drawn(landscape: Landscape) -> bool:
    """Whether the samples are draws, so that their mean has an error."""
    return _count(landscape) > 1 and not landscape.losses.whole


def _mean_error(losses: np.ndarray) -> np.ndarray:
    """Standard errors of the means of (P, n), zero for a single sample."""
    count = losses.shape[1]
    return losses.std(1, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(len(losses))


def _losses(landscape: Landscape, points: Tensor, what: str) -> Iterator[np.ndarray]:
    """Losses of all samples, (at most WIDTH, n), of a chunk of the points (P, D) after the other."""
    batched, layout = landscape.engine == "batched", landscape.layout
    width, count = WIDTH if batched else 1, _count(landscape)
    for chunk in points.split(width):
        padded = torch.cat([chunk, chunk[-1:].expand(width - len(chunk), -1)])  # every kernel sees one shape
        weights, parts = layout.unflatten(padded), []
        for start in range(0, count, ROWS):
            batch = landscape.data.take(slice(start, start + ROWS)) if landscape.data else (None, None)

            def each(params: Params, batch: Any = batch) -> Tensor:
                return landscape.losses(params, landscape.frozen, *batch)

            with guarded(what), torch.no_grad():
                one = {name: w[0] for name, w in weights.items()}
                parts.append(vmap(each)(weights) if batched else each(one).reshape(1, -1))
        yield torch.cat(parts, 1)[: len(chunk)].cpu().double().numpy()
