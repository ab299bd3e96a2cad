"""Exact derivatives in the open directions: the Hessian of L_n, and Jacobians reduced to a triangle as they come."""

from collections.abc import Callable, Iterator
from math import sqrt

import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from thalweg.errors import InputError, guarded
from thalweg.estimators.degeneracy._coordinates import ROWS, Chart, sample_count
from thalweg.landscape import ModuleLosses
from thalweg.tree import map_tensors

REFUSALS = (RuntimeError, NotImplementedError)  # what vmap raises
DENSE = 2000  # directions of which a Hessian, or all null directions, are computed
ENTRIES = 1 << 26  # of the triangle that a Jacobian is reduced to: half a gigabyte
BLOCK = 1 << 22  # entries of derivatives held at a time
VANISHING = 100.0  # roundings of the Jacobian below which gradients of losses are nothing
TANGENTS = 32  # columns of a Hessian at a time


def hessian(chart: Chart, z: Tensor) -> Tensor:
    """(d, d) second derivatives of L_n exact, in float64: twice reverse, row by row where vmap refuses."""
    if chart.width > DENSE:
        raise InputError(
            f"a Hessian over {chart.width} directions, at most {DENSE}: restrict the landscape to a part, or use"
            ' kind="jacobian"'
        )
    samples, total = sample_count(chart.scape), torch.zeros(chart.width, chart.width, dtype=torch.float64)
    for start in range(0, samples, ROWS):
        stop = min(start + ROWS, samples)
        with guarded("second derivatives of the loss"):
            summed = second_derivative(lambda z, a=start, b=stop: chart.losses(z, a, b).sum(), z)
            total += summed.detach().cpu().double()
    total /= samples
    if not torch.isfinite(total).all():
        raise InputError("second derivatives of the loss are not finite: move w* off the singular point")
    return 0.5 * (total + total.T)


def second_derivative(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Hessian of a scalar."""
    try:
        return jacrev(grad(f), chunk_size=TANGENTS)(z)
    except REFUSALS:
        found = torch.autograd.functional.hessian(f, z)
        assert isinstance(found, Tensor)
        return found


def triangle_of(chart: Chart, z: Tensor) -> tuple[Tensor, int]:
    """R (min(rows, d), d) of a QR of the derivatives of all rows at z, in float64, and the number of rows.

    It has the singular values of the whole, which is never held.
    """
    samples = sample_count(chart.scape)
    with guarded("outputs of the module"), torch.no_grad():
        each = chart.losses(z, 0, 1).numel()
    rows = samples * each
    if min(rows, chart.width) * chart.width > ENTRIES:
        raise InputError(
            f"derivatives of {rows} outputs by {chart.width} directions are too many: restrict the landscape to a"
            " part, or give it fewer samples"
        )
    triangle = torch.zeros(0, chart.width, dtype=torch.float64)
    for block in derivatives(chart, z, max(1, BLOCK // (each * chart.width))):
        triangle = torch.linalg.qr(torch.cat([triangle, block.cpu().double()]), mode="r").R
    if not torch.isfinite(triangle).all():
        raise InputError("derivatives are not finite: check the weights and the data")
    return triangle, rows


def derivatives(chart: Chart, z: Tensor, size: int) -> Iterator[Tensor]:
    """Derivatives of what the landscape gives (rows, d), for `size` samples at a time."""
    samples = sample_count(chart.scape)
    for start in range(0, samples, size):
        stop = min(start + size, samples)
        with guarded("derivatives of the module"):
            rows = _rows(chart, z, start, stop)
        yield rows


def _rows(chart: Chart, z: Tensor, start: int, stop: int) -> Tensor:
    """Of a few samples, by vmap or else by torch's own Jacobian."""
    try:
        return by_sample(chart, z, start, stop)
    except REFUSALS:
        rows = torch.autograd.functional.jacobian(lambda z: chart.losses(z, start, stop).flatten(), z)
        assert isinstance(rows, Tensor)
        return rows


def by_sample(chart: Chart, z: Tensor, start: int, stop: int) -> Tensor:
    """One reverse pass for each output of each sample, over that sample alone."""
    scape = chart.scape
    assert scape.data is not None
    inputs, targets = scape.data.take(slice(start, stop))

    def single(z: Tensor, inputs: object, target: Tensor) -> Tensor:
        one = map_tensors(lambda t: t[None], inputs)
        params = scape.layout.unflatten(chart.flat + chart.move(z))
        return scape.losses(params, scape.frozen, one, target[None]).flatten()

    return vmap(jacrev(single), in_dims=(None, 0, 0))(z, inputs, targets).flatten(0, 1).detach()


def refuse_vanishing(chart: Chart, triangle: Tensor, samples: int) -> None:
    """Gradients of losses that are rounding have a rank of rounding."""
    size = float(triangle.norm()) / sqrt(samples)
    floor = 0.0
    if isinstance(chart.scape.losses, ModuleLosses):
        outputs = chart.of_outputs()
        first = next(derivatives(outputs, chart.origin, min(16, samples)))
        floor = VANISHING * torch.finfo(first.dtype).eps * float(first.double().norm()) / sqrt(min(16, samples))
    if size <= floor:
        raise InputError(
            f"gradients of single losses vanish at w* (root mean square {size:.1g}: an interpolating minimum): use"
            ' kind="jacobian"'
        )
