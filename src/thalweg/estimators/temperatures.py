"""Numbers with errors, and what several temperatures tell of lambda.       C chains, N draws, S samples

    slope:  lambda = (E_1[L] - E_2[L]) / (1/nbeta_1 - 1/nbeta_2);    order:  lambda - (m - 1)/log nbeta

Losses are -log p(x|w) in nats, up to a number that does not depend on w.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.stats import chi2, norm

from thalweg.errors import InputError
from thalweg.estimators.diagnostics import precision

FEWEST = 4  # draws of a chain: its halves need a variance


class Measured(Protocol):
    """What has a value and a standard error: a `Quantity`, an `Estimate`."""

    @property
    def value(self) -> float:
        """The number."""
        ...

    @property
    def stderr(self) -> float:
        """Its standard error."""
        ...


@dataclass(frozen=True)
class Quantity:
    """A number with its error.

    Attributes:
        value: the number.
        stderr: its standard error, in the same unit; 0 for what is known exactly.
    """

    value: float
    stderr: float = 0.0


@dataclass(frozen=True)
class Agreement:
    """Whether two independent estimates agree.

    Attributes:
        difference: first minus second.
        z: difference in standard errors.
        p: probability of a |z| at least as large if both estimate one number.
    """

    difference: float
    z: float
    p: float


@dataclass(frozen=True)
class Multiplicity:
    """A fit of lambda - (m - 1)/log nbeta.

    Attributes:
        llc: lambda.
        order: m - 1.
        correlation: of the errors of both.
        chi2: weighted sum of squares that is left.
        p: probability of a `chi2` at least as large if the law holds; NaN with two points.
    """

    llc: Quantity
    order: Quantity
    correlation: float
    chi2: float
    p: float


def slope(first: Any, first_nbeta: float, second: Any, second_nbeta: float) -> Quantity:
    """Lambda from two temperatures, without a loss at w*:  (E_1[L] - E_2[L]) / (1/nbeta_1 - 1/nbeta_2).

    n cancels from (E_1[nL] - E_2[nL])/(1/beta_1 - 1/beta_2). With multiplicity m the answer lies
    below lambda by about (m - 1)/log nbeta, like the estimate at one temperature.

    Args:
        first: losses (C, N) or (C, N, S) at draws, nats per sample; losses minus a common baseline
            (the excess of a trace) do as well, with less noise.
        first_nbeta: of these draws.
        second: another, independent run on the same data; its shape may differ.
        second_nbeta: another nbeta.

    Raises:
        InputError: equal temperatures, losses of another shape or not finite.
    """
    for nbeta in (first_nbeta, second_nbeta):
        if not (np.isfinite(nbeta) and nbeta > 0):
            raise InputError(f"nbeta = {nbeta}: give a positive number")
    lever = 1 / first_nbeta - 1 / second_nbeta
    if lever == 0:
        raise InputError(f"both runs have nbeta = {first_nbeta:g}: a slope needs two temperatures")
    one, two = checked_losses(first, "first losses").mean(-1), checked_losses(second, "second losses").mean(-1)
    error = np.hypot(precision(one)[1], precision(two)[1])
    return Quantity(float((one.mean() - two.mean()) / lever), float(error / abs(lever)))


def agree(first: Measured, second: Measured) -> Agreement:
    """Compare two independent estimates of one number, with normal errors.

    Raises:
        InputError: numbers that are not finite, negative errors.
        UnhealthyError: one is an `Estimate` without a value.
    """
    numbers = (first.value, first.stderr, second.value, second.stderr)
    if not np.isfinite(numbers).all() or min(first.stderr, second.stderr) < 0:
        raise InputError(f"estimates {numbers[:2]} and {numbers[2:]} (value, stderr): give finite ones, stderr >= 0")
    difference, error = first.value - second.value, float(np.hypot(first.stderr, second.stderr))
    z = difference / error if error > 0 else float(np.sign(difference)) * np.inf if difference else 0.0
    return Agreement(difference, z, float(2 * norm.sf(abs(z))))


def multiplicity(nbetas: Sequence[float], llcs: Sequence[float], stderrs: Sequence[float]) -> Multiplicity:
    """Fit lambda-hat(nbeta) = lambda - (m - 1)/log nbeta by weighted least squares.

    The law is asymptotic: with m > 1 the true curve is lambda - (m - 1)/(log nbeta + c) with a c of
    order one that is not fitted, and m - 1 comes out low (0.68 for w1^2 w2^2 on the unit square with
    nbeta from 10^3 to 10^6; there c = 1.96). Read it as m > 1 or not.

    Args:
        nbetas: (K,) of independent estimates, above 1, at least two that differ.
        llcs: (K,) estimates.
        stderrs: (K,) their standard errors, above 0.

    Raises:
        InputError: unequal lengths, values out of these ranges.
    """
    nb, llc, error = (np.asarray(a, dtype=np.float64) for a in (nbetas, llcs, stderrs))
    if nb.ndim != 1 or not nb.shape == llc.shape == error.shape:
        raise InputError(f"shapes {nb.shape}, {llc.shape}, {error.shape}: give one llc and stderr for each nbeta")
    if not np.isfinite([nb, llc, error]).all() or (nb <= 1).any() or (error <= 0).any():
        raise InputError("nbetas, llcs or stderrs out of range: nbeta > 1, stderr > 0, all finite")
    if len(np.unique(nb)) < 2:
        raise InputError(f"{len(np.unique(nb))} different nbeta: a line needs two")
    design = np.stack([np.ones_like(nb), -1 / np.log(nb)], 1) / error[:, None]
    fit = np.linalg.lstsq(design, llc / error, rcond=None)[0]
    covariance = np.linalg.inv(design.T @ design)
    spread = np.sqrt(np.diag(covariance))
    left = float(np.square(design @ fit - llc / error).sum())
    return Multiplicity(
        llc=Quantity(float(fit[0]), float(spread[0])),
        order=Quantity(float(fit[1]), float(spread[1])),
        correlation=float(covariance[0, 1] / spread.prod()),
        chi2=left,
        p=float(chi2.sf(left, len(nb) - 2)) if len(nb) > 2 else float("nan"),
    )


def checked_losses(losses: Any, name: str, *, per_sample: bool = False) -> np.ndarray:
    """Losses as float64 (C, N, S), shape and finiteness checked; means over samples become S = 1."""
    array = np.asarray(losses, dtype=np.float64)
    if array.ndim == 2 and not per_sample:
        array = array[:, :, None]
    if array.ndim != 3 or 0 in array.shape or array.shape[1] < FEWEST:
        raise InputError(f"{name} have shape {array.shape}: give (chains, draws, samples), at least {FEWEST} draws")
    if not np.isfinite(array).all():
        lost = int((~np.isfinite(array).all((1, 2))).sum())
        raise InputError(f"{name} are not finite in {lost} of {len(array)} chains: sample with a smaller step_size")
    return array
