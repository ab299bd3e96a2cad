"""How degenerate a point is: ranks of Fisher matrix, Jacobian and Hessian, and curves of equal loss.

    rank(Hess L(w*))/2 <= lambda <= d/2        at a minimum; d open directions, S samples

A null direction of the Hessian alone proves no degeneracy of the *map* w -> function: w^4 has one and
is injective. `null_directions` follows each of them at constant loss over a finite distance. Where
that works, many weights give one function; where the loss rises as t^(2k), it reports 2k.

Only open directions count: all works in coordinates z of the restriction, w = w* + z at z = 0.
Derivatives are in the type of the landscape, and factorised in float64. If each entry is known to
10 eps of that type, singular values are known to 10 eps |J|_F <= 10 sqrt(min(rows, d)) eps of the
largest (Weyl), plus max(rows, d) roundings of float64: the default cut.
Source: Watanabe, Algebraic Geometry and Statistical Learning Theory, 2009, ch. 1, remark 7.9.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import sqrt
from typing import Literal

import numpy as np
import scipy.linalg
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from thalweg.errors import InputError, guarded
from thalweg.landscape import Landscape, measure
from thalweg.landscape.build import ModuleLosses
from thalweg.landscape.loss import PerSample
from thalweg.tree import leaves, map_tensors

Kind = Literal["fisher", "jacobian", "hessian"]
REFUSALS = (RuntimeError, NotImplementedError)  # what vmap raises

DENSE = 2000  # directions of which a Hessian, or all null directions, are computed
ENTRIES = 1 << 26  # of the triangle that a Jacobian is reduced to: half a gigabyte
BLOCK = 1 << 22  # entries of derivatives held at a time
ROWS = 1024  # samples a pass of the Hessian
DIGITS = 10.0  # roundings to which an entry of a derivative is trusted
UNCHANGED = 1000.0  # roundings by which a loss may change on a flat curve
VANISHING = 100.0  # roundings of the Jacobian below which gradients of losses are nothing
TANGENTS = 32  # columns of a Hessian at a time
STEPS = 24  # of a curve; a power 2k shows where (distance/24)^(2k) exceeds the tolerance
CORRECTIONS = 12  # Newton steps back to the valley, after each step along it


@dataclass(frozen=True, eq=False)
class Rank:
    """A numerical rank.

    Attributes:
        rank: values above `cut` times the largest.
        singular_values: descending. Of the Jacobian and of the per-sample gradients divided by
            sqrt(S), so that their squares are Fisher eigenvalues; of the Hessian its |eigenvalues|.
        cut: relative to the largest value.
        gap: smallest value kept over largest left out; infinite where none is, or it is zero. A
            rank with a gap below about 10 depends on the cut.
        null_dimension: open directions minus rank.
        negative: eigenvalues of the Hessian below -cut times the largest: w* is no minimum.
        kind: fisher, jacobian or hessian.
    """

    rank: int
    singular_values: np.ndarray
    cut: float
    gap: float
    null_dimension: int
    negative: int
    kind: Kind

    @property
    def dimension(self) -> int:
        """Open directions d."""
        return self.rank + self.null_dimension


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


def rank(landscape: Landscape, kind: Kind = "fisher", cut: float | None = None) -> Rank:
    """The rank at w* of one of three matrices over the open directions.

    Args:
        landscape: with data, or a potential (Hessian only).
        kind: `fisher`, gradients of per-sample losses (the empirical Fisher matrix). They vanish
            where squared errors do, at an interpolating minimum, which is refused.
            `jacobian`, outputs of the module on all samples: the map w -> function. Logits keep
            the direction that shifts them all, which changes no probability.
            `hessian`, second derivatives of L_n, exact; the bound on lambda is about this one.
        cut: relative to the largest value, in (0, 1); default rounding, as above. A trained
            w* is a minimum up to a gradient only: give a cut that lies in the gap.

    Returns:
        The rank and what it was read from. Gradients and outputs are reduced by QR, not squared to
        a Gram matrix, so that small values survive.

    Raises:
        InputError: no samples, too many directions, derivatives that do not exist or vanish.
    """
    chart = _Chart(landscape, _closed(landscape))
    if kind == "hessian":
        eigenvalues = torch.linalg.eigvalsh(_hessian(chart, chart.origin)).cpu().numpy()
        cut = _cut(cut, chart.width, chart)
        largest = float(np.abs(eigenvalues).max())
        negative = int((eigenvalues < -cut * largest).sum())
        return _rank(np.sort(np.abs(eigenvalues))[::-1], cut, chart.width, kind, negative)
    if kind not in ("fisher", "jacobian"):
        raise InputError(f"kind {kind!r}: one of fisher, jacobian, hessian")
    if landscape.data is None:
        raise InputError(f'kind {kind!r} needs samples and a potential has none: use kind="hessian"')
    samples = len(landscape.data)
    losses = _outputs(landscape) if kind == "jacobian" else landscape.losses
    triangle, rows = _triangle(replace(chart, scape=replace(landscape, losses=losses)), chart.origin)
    if kind == "fisher":
        _refuse_vanishing(chart, triangle, samples)
    values = torch.linalg.svdvals(triangle).cpu().numpy() / sqrt(samples)
    return _rank(values, _cut(cut, rows, chart), chart.width, kind, 0)


def bounds(rank: int, d: int) -> tuple[float, float]:
    """Where lambda lies at a minimum: (rank/2, d/2).

    Args:
        rank: of the Hessian of L at w*; at a realizable one also of Fisher matrix and Jacobian. Away
            from the minimum the rank may be larger, and rank/2 bounds nothing.
        d: open directions.

    Raises:
        InputError: a rank outside 0 to d.
    """
    if not 0 <= rank <= d:
        raise InputError(f"rank {rank} of {d} directions: give 0 <= rank <= d")
    return rank / 2, d / 2


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
    chart = _Chart(landscape, _closed(landscape))
    if chart.width > DENSE:
        raise InputError(f"{chart.width} open directions, at most {DENSE}: restrict the landscape to a part")
    field = _Loss(chart, cut) if kind == "hessian" else _Function(chart, cut)
    values, vectors = field.curvature(chart.origin)
    if tolerance is None:
        scale = abs(float(field.value(chart.origin))) + 0.5 * float(values[0].abs()) * distance**2
        tolerance = UNCHANGED * torch.finfo(landscape.layout.dtype).eps * (scale or 1.0)
    if isinstance(field, _Loss):
        _refuse_slope(field, values, vectors, distance, tolerance)
    starts = _starts(chart, vectors[:, field.rank.rank :], count, directions)
    return NullReport(field.rank, tuple(_follow(field, v, distance, tolerance) for v in starts), tolerance)


# ------------------------------------------------------------------------------------------------ coordinates


@dataclass(frozen=True, eq=False)
class _Chart:
    """The open directions of a landscape as coordinates z: the weights that move, less one closed direction."""

    scape: Landscape
    closed: Tensor | None  # (D,) unit normal, or None

    @cached_property
    def flat(self) -> Tensor:
        """(D,) w*."""
        return self.scape.layout.flatten(self.scape.params)

    @cached_property
    def index(self) -> Tensor:
        """Weights that move."""
        mask = self.scape.mask
        return torch.arange(len(self.flat), device=self.flat.device) if mask is None else mask.nonzero().squeeze(1)

    @cached_property
    def mirror(self) -> Tensor | None:
        """Unit u of the reflection 1 - 2uu^T that takes the first axis to the closed direction."""
        if self.closed is None:
            return None
        u = self.closed[self.index].clone()
        u[0] += 1.0 if u[0] >= 0 else -1.0
        return u / u.norm()

    @cached_property
    def width(self) -> int:
        """Open directions d."""
        width = len(self.index) - (self.closed is not None)
        if width == 0:
            raise InputError("the restriction leaves no direction open: open another weight")
        return width

    @cached_property
    def origin(self) -> Tensor:
        """(d,) z of w*."""
        return self.flat.new_zeros(self.width)

    def move(self, z: Tensor) -> Tensor:
        """Coordinates (d,) as a move of weights (D,)."""
        if self.mirror is not None:
            z = torch.cat([z.new_zeros(1), z])
            z = z - 2 * (z @ self.mirror) * self.mirror
        return torch.zeros_like(self.flat).index_add(0, self.index, z)

    def coordinates(self, move: Tensor) -> Tensor:
        """The open part of a move of weights (K, D) as coordinates (K, d)."""
        z = move[:, self.index]
        return z if self.mirror is None else (z - 2 * torch.outer(z @ self.mirror, self.mirror))[:, 1:]

    def losses(self, z: Tensor, start: int, stop: int) -> Tensor:
        """What the landscape gives for some samples."""
        batch = self.scape.data.take(slice(start, stop)) if self.scape.data else (None, None)
        return self.scape.losses(self.scape.layout.unflatten(self.flat + self.move(z)), self.scape.frozen, *batch)

    def all_losses(self, z: Tensor) -> Tensor:
        """The same for all samples, in float64."""
        with torch.no_grad():
            spans = pairwise([*range(0, _samples(self.scape), ROWS), _samples(self.scape)])
            return torch.cat([self.losses(z, *span) for span in spans]).to(torch.float64)


class _Raw(PerSample):
    """In the place of a loss: the outputs themselves, (B, k)."""

    def __init__(self) -> None:
        """There is no loss to keep."""

    def __call__(self, outputs: object, targets: Tensor) -> Tensor:
        """All numbers that the module returned, flat for each sample."""
        numbers = [t.reshape(len(targets), -1) for t in leaves(outputs) if t.is_floating_point()]
        return torch.cat(numbers, 1)


def _outputs(scape: Landscape) -> ModuleLosses:
    """The outputs of a landscape's module as if they were its losses."""
    if not isinstance(scape.losses, ModuleLosses):
        raise InputError('outputs are known of landscapes made by tw.landscape only: use kind="hessian"')
    return replace(scape.losses, loss=_Raw())


def _closed(scape: Landscape) -> Tensor | None:
    """The direction of the gradient, where the restriction closes it and it does not vanish."""
    if not scape.restriction.orthogonal_to_gradient:
        return None
    normal = measure(scape).normal
    return normal if normal.any() else None


def _samples(scape: Landscape) -> int:
    """Rows of data; one for a potential."""
    return 1 if scape.data is None else len(scape.data)


# ---------------------------------------------------------------------------------------------- derivatives


def _hessian(chart: _Chart, z: Tensor) -> Tensor:
    """(d, d) second derivatives of L_n exact, in float64: twice reverse, row by row where vmap refuses."""
    if chart.width > DENSE:
        raise InputError(
            f"a Hessian over {chart.width} directions, at most {DENSE}: restrict the landscape to a part, or use"
            ' kind="jacobian"'
        )
    samples, total = _samples(chart.scape), torch.zeros(chart.width, chart.width, dtype=torch.float64)
    for start in range(0, samples, ROWS):
        stop = min(start + ROWS, samples)
        with guarded("second derivatives of the loss"):
            total += _second(lambda z, a=start, b=stop: chart.losses(z, a, b).sum(), z).detach().cpu().double()
    total /= samples
    if not torch.isfinite(total).all():
        raise InputError("second derivatives of the loss are not finite: move w* off the singular point")
    return 0.5 * (total + total.T)


def _second(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Hessian of a scalar."""
    try:
        return jacrev(grad(f), chunk_size=TANGENTS)(z)
    except REFUSALS:
        found = torch.autograd.functional.hessian(f, z)
        assert isinstance(found, Tensor)
        return found


def _triangle(chart: _Chart, z: Tensor) -> tuple[Tensor, int]:
    """R (min(rows, d), d) of a QR of the derivatives of all rows at z, in float64, and the number of rows.

    It has the singular values of the whole, which is never held.
    """
    samples = _samples(chart.scape)
    with guarded("outputs of the module"), torch.no_grad():
        each = chart.losses(z, 0, 1).numel()
    rows = samples * each
    if min(rows, chart.width) * chart.width > ENTRIES:
        raise InputError(
            f"derivatives of {rows} outputs by {chart.width} directions are too many: restrict the landscape to a"
            " part, or give it fewer samples"
        )
    triangle = torch.zeros(0, chart.width, dtype=torch.float64)
    for block in _derivatives(chart, z, max(1, BLOCK // (each * chart.width))):
        triangle = torch.linalg.qr(torch.cat([triangle, block.cpu().double()]), mode="r").R
    if not torch.isfinite(triangle).all():
        raise InputError("derivatives are not finite: check the weights and the data")
    return triangle, rows


def _derivatives(chart: _Chart, z: Tensor, size: int) -> Iterator[Tensor]:
    """Derivatives of what the landscape gives (rows, d), for `size` samples at a time."""
    samples = _samples(chart.scape)
    for start in range(0, samples, size):
        stop = min(start + size, samples)
        with guarded("derivatives of the module"):
            try:
                yield _by_sample(chart, z, start, stop)
            except REFUSALS:
                rows = torch.autograd.functional.jacobian(
                    lambda z, a=start, b=stop: chart.losses(z, a, b).flatten(), z
                )
                assert isinstance(rows, Tensor)
                yield rows


def _by_sample(chart: _Chart, z: Tensor, start: int, stop: int) -> Tensor:
    """One reverse pass for each output of each sample, over that sample alone."""
    scape = chart.scape
    assert scape.data is not None
    inputs, targets = scape.data.take(slice(start, stop))

    def single(z: Tensor, inputs: object, target: Tensor) -> Tensor:
        one = map_tensors(lambda t: t[None], inputs)
        params = scape.layout.unflatten(chart.flat + chart.move(z))
        return scape.losses(params, scape.frozen, one, target[None]).flatten()

    return vmap(jacrev(single), in_dims=(None, 0, 0))(z, inputs, targets).flatten(0, 1).detach()


def _refuse_vanishing(chart: _Chart, triangle: Tensor, samples: int) -> None:
    """Gradients of losses that are rounding have a rank of rounding."""
    size = float(triangle.norm()) / sqrt(samples)
    floor = 0.0
    if isinstance(chart.scape.losses, ModuleLosses):
        outputs = replace(chart, scape=replace(chart.scape, losses=_outputs(chart.scape)))
        first = next(_derivatives(outputs, chart.origin, min(16, samples)))
        floor = VANISHING * torch.finfo(first.dtype).eps * float(first.double().norm()) / sqrt(min(16, samples))
    if size <= floor:
        raise InputError(
            f"gradients of single losses vanish at w* (root mean square {size:.1g}: an interpolating minimum): use"
            ' kind="jacobian"'
        )


# ---------------------------------------------------------------------------------------------------- ranks


def _cut(cut: float | None, rows: int, chart: _Chart) -> float:
    """The given cut, or rounding."""
    if cut is None:
        entries = DIGITS * sqrt(min(rows, chart.width)) * torch.finfo(chart.flat.dtype).eps
        return entries + max(rows, chart.width) * torch.finfo(torch.float64).eps
    if not 0 < cut < 1:
        raise InputError(f"cut = {cut}: give a number between 0 and 1, relative to the largest value")
    return float(cut)


def _rank(values: np.ndarray, cut: float, width: int, kind: Kind, negative: int) -> Rank:
    """Count the values (K,) above the cut."""
    kept = int((values > cut * values[0]).sum())
    separated = 0 < kept < len(values) and values[kept] > 0
    gap = float(values[kept - 1] / values[kept]) if separated else float("inf")
    return Rank(kept, values, cut, gap, width - kept, negative, kind)


# --------------------------------------------------------------------------------------------------- curves


class _Loss:
    """What is followed: the loss, in the valley of its Hessian."""

    def __init__(self, chart: _Chart, cut: float | None) -> None:
        self.chart, self.rank = chart, rank(chart.scape, "hessian", cut)
        self.floor = self.rank.cut * self.rank.singular_values[0]  # of curvature

    def value(self, z: Tensor) -> Tensor:
        """L_n."""
        return self.chart.all_losses(z).mean()

    def slope(self, z: Tensor) -> Tensor:
        """(d,) gradient in float64."""
        samples, total = _samples(self.chart.scape), torch.zeros_like(z)
        for start in range(0, samples, ROWS):
            total += grad(lambda z, a=start: self.chart.losses(z, a, min(a + ROWS, samples)).sum())(z)
        return total.double() / samples

    def curvature(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues (d,), the largest first, and eigenvectors (d, d)."""
        values, vectors = torch.linalg.eigh(_hessian(self.chart, z))
        order = values.abs().argsort(descending=True)
        return values[order], vectors[:, order]


class _Function:
    """What is followed: half the squared change of outputs, in the valley of J^T J."""

    def __init__(self, chart: _Chart, cut: float | None) -> None:
        self.outputs = replace(chart, scape=replace(chart.scape, losses=_outputs(chart.scape)))
        self.chart, self.rank = chart, rank(chart.scape, "jacobian", cut)
        self.floor = (self.rank.cut * self.rank.singular_values[0]) ** 2
        self.start, self.samples = self.outputs.all_losses(chart.origin), _samples(chart.scape)

    def value(self, z: Tensor) -> Tensor:
        """Mean over samples of |f - f*|^2/2."""
        return 0.5 * (self.outputs.all_losses(z) - self.start).square().sum() / self.samples

    def slope(self, z: Tensor) -> Tensor:
        """(d,) gradient in float64: J^T (f - f*)."""
        change = (self.outputs.all_losses(z) - self.start).to(z.dtype)

        def half(z: Tensor) -> Tensor:
            return (self.outputs.losses(z, 0, self.samples) * change).sum()

        return grad(half)(z).double() / self.samples

    def curvature(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Squared singular values (d,) and right singular vectors (d, d) of J/sqrt(S)."""
        _, values, right = torch.linalg.svd(_triangle(self.outputs, z)[0], full_matrices=True)
        padded = torch.zeros(len(z), dtype=torch.float64)
        padded[: len(values)] = values.square() / self.samples
        return padded, right.T


def _refuse_slope(field: "_Loss", values: Tensor, vectors: Tensor, distance: float, tolerance: float) -> None:
    """A slope, or a descent, would be taken for a curve of equal loss."""
    if field.rank.negative:
        raise InputError(
            f"the Hessian at w* has {field.rank.negative} negative eigenvalues: descend to a minimum first, or use"
            ' kind="jacobian"'
        )
    kept, slope = field.rank.rank, vectors.T @ field.slope(field.chart.origin).cpu()
    fall = 0.5 * float((slope[:kept].square() / values[:kept]).sum()) + distance * float(slope[kept:].norm())
    if fall > tolerance:
        raise InputError(
            f"w* is no minimum: the loss can fall by {fall:.1g} within this distance, tolerance {tolerance:.1g}:"
            ' descend first, give a larger tolerance, or use kind="jacobian"'
        )


def _starts(chart: _Chart, null: Tensor, count: int, directions: Tensor | None) -> list[Tensor]:
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


def _follow(field: "_Loss | _Function", start: Tensor, distance: float, tolerance: float) -> NullPath:
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


def _correct(field: "_Loss | _Function", z: Tensor, values: Tensor, normal: Tensor, reach: float) -> Tensor:
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


def _output_change(chart: _Chart, points: list[Tensor]) -> float | None:
    """Largest change of any output along the points."""
    if not isinstance(chart.scape.losses, ModuleLosses):
        return None
    outputs = replace(chart, scape=replace(chart.scape, losses=_outputs(chart.scape)))
    first = outputs.all_losses(points[0])
    return max(float((outputs.all_losses(z) - first).abs().max()) for z in points[1:])


def _exponent(moved: Tensor, followed: Tensor, tolerance: float) -> float | None:
    """Power of the rise, from the nearest third of the points that rise above the tolerance."""
    seen = (followed > tolerance).nonzero().squeeze(1)
    near = seen[: max(3, len(seen) // 3)]
    if len(near) < 3:
        return None
    return float(np.polyfit(np.log(moved[near].numpy()), np.log(followed[near].numpy()), 1)[0])
