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

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import torch

from thalweg.errors import InputError
from thalweg.estimators.degeneracy._coordinates import Chart, closed_direction
from thalweg.estimators.degeneracy._derivatives import hessian, refuse_vanishing, triangle_of
from thalweg.landscape import Landscape

Kind = Literal["fisher", "jacobian", "hessian"]
DIGITS = 10.0  # roundings to which an entry of a derivative is trusted


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
    chart = Chart(landscape, closed_direction(landscape))
    if kind == "hessian":
        eigenvalues = torch.linalg.eigvalsh(hessian(chart, chart.origin)).cpu().numpy()
        cut = _cut_of(cut, chart.width, chart)
        largest = float(np.abs(eigenvalues).max())
        negative = int((eigenvalues < -cut * largest).sum())
        return _counted(np.sort(np.abs(eigenvalues))[::-1], cut, chart.width, kind, negative)
    if kind not in ("fisher", "jacobian"):
        raise InputError(f"kind {kind!r}: one of fisher, jacobian, hessian")
    if landscape.data is None:
        raise InputError(f'kind {kind!r} needs samples and a potential has none: use kind="hessian"')
    samples = len(landscape.data)
    triangle, rows = triangle_of(chart.of_outputs() if kind == "jacobian" else chart, chart.origin)
    if kind == "fisher":
        refuse_vanishing(chart, triangle, samples)
    values = torch.linalg.svdvals(triangle).cpu().numpy() / sqrt(samples)
    return _counted(values, _cut_of(cut, rows, chart), chart.width, kind, 0)


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


def _cut_of(cut: float | None, rows: int, chart: Chart) -> float:
    """The given cut, or rounding."""
    if cut is None:
        entries = DIGITS * sqrt(min(rows, chart.width)) * torch.finfo(chart.flat.dtype).eps
        return entries + max(rows, chart.width) * torch.finfo(torch.float64).eps
    if not 0 < cut < 1:
        raise InputError(f"cut = {cut}: give a number between 0 and 1, relative to the largest value")
    return float(cut)


def _counted(values: np.ndarray, cut: float, width: int, kind: Kind, negative: int) -> Rank:
    """Count the values (K,) above the cut."""
    kept = int((values > cut * values[0]).sum())
    separated = 0 < kept < len(values) and values[kept] > 0
    gap = float(values[kept - 1] / values[kept]) if separated else float("inf")
    return Rank(kept, values, cut, gap, width - kept, negative, kind)
