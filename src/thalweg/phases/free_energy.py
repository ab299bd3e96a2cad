"""Free energies of phases: which one a Bayesian of n samples is in, and where it changes its mind.

    F_n = n L + lambda log n - (m - 1) log log n + c,    c = -log(prior at w*) and what else does not grow with n

The leading terms alone misplace a crossing by a factor of two where c is of their size; c holds the log determinant
of the positive Hessian and the volume of the orbit, and is not the prior's alone. `integrate` measures differences
of F with nothing left out, from losses along a ladder of temperatures.
Source: Watanabe 2009, *Algebraic Geometry and Statistical Learning Theory*, theorem 6.7.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import softmax

from thalweg.errors import InputError

LEAST, MOST = math.e, 1e15  # samples between which a crossing is looked for; log log n needs n > 1
GRID = 4000


@dataclass(frozen=True)
class Phase:
    """One phase of a model: a neighbourhood of its own in weight space.

    Attributes:
        name: for messages and figures.
        loss: L, nats per sample.
        llc: lambda, local to the phase.
        multiplicity: m >= 1.
        constant: c, nats; the prior's part is |w*|^2/2 for a standard normal one.
    """

    name: str
    loss: float
    llc: float
    multiplicity: int = 1
    constant: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: not finite, a negative lambda, m < 1.
        """
        numbers = (self.loss, self.llc, self.constant)
        if not np.isfinite(numbers).all() or self.llc < 0 or self.multiplicity < 1:
            raise InputError(
                f"phase {self.name!r}: loss, llc, constant {numbers}, m {self.multiplicity}: give finite numbers,"
                " llc >= 0, m >= 1"
            )


def free_energy(phase: Phase, n: float | np.ndarray) -> np.ndarray:
    """F_n of a phase, nats, for one n or several, each above 1.

    Raises:
        InputError: n <= 1, where log log n is none.
    """
    count = np.asarray(n, dtype=np.float64)
    if not (np.isfinite(count) & (count > 1)).all():
        raise InputError(f"n = {n}: give numbers above 1")
    logs = np.log(count)
    return count * phase.loss + phase.llc * logs - (phase.multiplicity - 1) * np.log(logs) + phase.constant


def posterior(phases: Sequence[Phase], n: float | np.ndarray) -> np.ndarray:
    """Shares (.., P) of the phases in a Bayesian's posterior, by their free energies.

    Raises:
        InputError: no phase, n <= 1.
    """
    if not phases:
        raise InputError("no phases: give at least one")
    return softmax(-np.stack([free_energy(phase, n) for phase in phases], -1), axis=-1)


def preferred(phases: Sequence[Phase], n: float) -> Phase:
    """The phase of least free energy at n samples.

    Raises:
        InputError: no phase, n <= 1.
    """
    return phases[int(posterior(phases, n).argmax())]


def critical_n(first: Phase, second: Phase, *, constants: bool = True) -> float | None:
    """Samples at which a Bayesian changes for good from one phase to the other: the last crossing of their F.

    Args:
        first: a phase.
        second: another; the order does not matter.
        constants: whether c takes part; without it the crossing is that of the leading terms.

    Returns:
        n, or None where the free energies do not cross between e and 1e15: one phase is preferred in that range.
    """
    constant = second.constant - first.constant if constants else 0.0

    def difference(log_n: Any) -> Any:
        n = np.exp(log_n)
        order = second.multiplicity - first.multiplicity
        return n * (second.loss - first.loss) + (second.llc - first.llc) * log_n - order * np.log(log_n) + constant

    grid = np.linspace(math.log(LEAST), math.log(MOST), GRID)
    signs = np.sign(difference(grid))
    crossings = np.flatnonzero(signs[:-1] * signs[1:] <= 0)
    if not len(crossings):
        return None
    last = crossings[-1]
    found = root_scalar(difference, bracket=(grid[last], grid[last + 1]), xtol=1e-12)
    return math.exp(found.root)


def integrate(nbetas: Sequence[float] | np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Thermodynamic integration: free energies along a ladder, above the first rung, nothing left out.

        F(n_k) - F(n_0) = int_{n_0}^{n_k} E_n[L] dn,    d E_n[L] / dn = -Var_n[L]

    by the trapezoid rule with its end correction, whose error is of the fourth order in the gaps. For the
    difference of two phases, integrate each with the draws of its own and subtract.

    Args:
        nbetas: (K) inverse temperatures, ascending.
        means: (.., K) posterior means of L, nats per sample.
        variances: (.., K) posterior variances of L.

    Returns:
        (.., K) nats, 0 at the first.

    Raises:
        InputError: shapes that differ, rungs that do not ascend, numbers that are not finite.
    """
    at, mean, variance = (np.asarray(x, dtype=np.float64) for x in (nbetas, means, variances))
    if at.ndim != 1 or len(at) < 2 or mean.shape != variance.shape or mean.shape[-1] != len(at):
        raise InputError(
            f"shapes {at.shape}, {mean.shape}, {variance.shape}: give a mean and a variance for each rung"
        )
    gap = np.diff(at)
    if (gap <= 0).any() or not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise InputError(
            "rungs do not ascend, or numbers are not finite: a rung where a phase has no draws has no mean"
        )
    area = gap * (mean[..., 1:] + mean[..., :-1]) / 2 + gap**2 / 12 * np.diff(variance)
    return np.concatenate([np.zeros_like(mean[..., :1]), np.cumsum(area, -1)], -1)
