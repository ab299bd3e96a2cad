"""What is held constant along a curve: the loss, by its Hessian, or the function, by its Jacobian."""

import torch
from torch import Tensor
from torch.func import grad

from thalweg.errors import InputError
from thalweg.estimators.degeneracy._coordinates import ROWS, Chart, sample_count
from thalweg.estimators.degeneracy._derivatives import hessian, triangle_of
from thalweg.estimators.degeneracy.rank import rank


class LossField:
    """What is followed: the loss, in the valley of its Hessian."""

    def __init__(self, chart: Chart, cut: float | None) -> None:
        self.chart, self.rank = chart, rank(chart.scape, "hessian", cut)
        self.floor = self.rank.cut * self.rank.singular_values[0]  # of curvature

    def value(self, z: Tensor) -> Tensor:
        """L_n."""
        return self.chart.all_losses(z).mean()

    def slope(self, z: Tensor) -> Tensor:
        """(d,) gradient in float64."""
        samples, total = sample_count(self.chart.scape), torch.zeros_like(z)
        for start in range(0, samples, ROWS):
            total += grad(lambda z, a=start: self.chart.losses(z, a, min(a + ROWS, samples)).sum())(z)
        return total.double() / samples

    def curvature(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues (d,), the largest first, and eigenvectors (d, d)."""
        values, vectors = torch.linalg.eigh(hessian(self.chart, z))
        order = values.abs().argsort(descending=True)
        return values[order], vectors[:, order]


class FunctionField:
    """What is followed: half the squared change of outputs, in the valley of J^T J."""

    def __init__(self, chart: Chart, cut: float | None) -> None:
        self.outputs = chart.of_outputs()
        self.chart, self.rank = chart, rank(chart.scape, "jacobian", cut)
        self.floor = (self.rank.cut * self.rank.singular_values[0]) ** 2
        self.start, self.samples = self.outputs.all_losses(chart.origin), sample_count(chart.scape)

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
        _, values, right = torch.linalg.svd(triangle_of(self.outputs, z)[0], full_matrices=True)
        padded = torch.zeros(len(z), dtype=torch.float64)
        padded[: len(values)] = values.square() / self.samples
        return padded, right.T


def refuse_slope(field: LossField, values: Tensor, vectors: Tensor, distance: float, tolerance: float) -> None:
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
