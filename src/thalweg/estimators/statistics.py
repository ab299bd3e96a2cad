"""Statistics of singular learning theory, from losses at draws.        C chains, N draws, S samples

    WBIC = E_w[n L_n(w)] at beta = 1/log n;    WAIC = T + beta V/n,
    T = -1/n sum_i log E_w p(x_i|w),    V = sum_i Var_w log p(x_i|w),    nu = beta V/2

Losses are -log p(x|w) in nats, up to a number that does not depend on w. The posterior that was
sampled is the model: a tether around w* is its prior, and F_n is then the free energy of the phase
around w*, not of the whole model.

Standard errors are infinitesimal jackknives: the first-order effect of each draw is a trace (C, N),
and its mean has the error that its effective sample size gives, autocorrelation and chains that
disagree included. They are Monte Carlo errors at fixed data.
Source: Watanabe, Mathematical Theory of Bayesian Statistics, 2018, ch. 6 to 8; WBIC: Watanabe 2013.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import logsumexp
from scipy.stats import chi2, norm

from thalweg.errors import InputError
from thalweg.estimators.health import precision, split_rhat

FEWEST = 4  # draws of a chain: its halves need a variance
TEMPERATURE = 0.01  # relative distance from n/log n; it moves WBIC by lambda log n times as much


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
class Wbic:
    """The widely applicable Bayesian information criterion.

    Attributes:
        value: E[n L_n(w)] at beta = 1/log n, nats of the whole data.
        stderr: Monte Carlo standard error.
        ess: effective sample size, draws.
        rhat: split R-hat of the loss; healthy below 1.05.
    """

    value: float
    stderr: float
    ess: float
    rhat: float


@dataclass(frozen=True, eq=False)
class Waic:
    """The widely applicable information criterion and what it is made of, nats per sample.

    Attributes:
        waic: estimate of the Bayes generalisation loss.
        bayes_training: T, of the mean of p over draws; biased upwards by about V/(2 n ess).
        gibbs_training: G_t, mean loss of single draws.
        variance: V, the functional variance, nats^2 of the whole data.
        nu: singular fluctuation, beta V/2.
        gap: generalisation minus training loss, of Bayes and of Gibbs alike: 2 nu/n = beta V/n.
        baseline: L_n(w*).
        pointwise: (S,) each sample's part of `waic`; its standard deviation over sqrt(S) is the
            error from having these data and not others.
        beta: inverse temperature.
        n: sample size.
        ess: effective sample size of the loss, draws.
        rhat: split R-hat of the loss; healthy below 1.05.
    """

    waic: Quantity
    bayes_training: Quantity
    gibbs_training: Quantity
    variance: Quantity
    nu: Quantity
    gap: Quantity
    baseline: float
    pointwise: np.ndarray
    beta: float
    n: int
    ess: float
    rhat: float


@dataclass(frozen=True)
class Errors:
    """Expected losses of theory at leading order, nats per sample.

    Attributes:
        bayes_generalisation: minus L(w0), the population loss.
        bayes_training: minus L_n(w0), the same w0 on the data.
        gibbs_generalisation: minus L(w0).
        gibbs_training: minus L_n(w0).
    """

    bayes_generalisation: Quantity
    bayes_training: Quantity
    gibbs_generalisation: Quantity
    gibbs_training: Quantity


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


def wbic(losses: Any, nbeta: float, n: int) -> Wbic:
    """WBIC, an estimate of the free energy F_n up to O_p(sqrt(log n)).

    Args:
        losses: (C, N, S) per sample, or (C, N) means over samples, nats.
        nbeta: at which the draws were made: n/log n.
        n: sample size, at least 3.

    Raises:
        InputError: another temperature, losses of another shape or not finite.
    """
    loss = _draws(losses, "losses").mean(-1)
    beta = _beta(nbeta, n)
    wanted = n / np.log(n)
    if abs(nbeta / wanted - 1) > TEMPERATURE:
        raise InputError(f"nbeta = {nbeta:g} (beta = {beta:.3g}): WBIC needs draws at n/log n = {wanted:.6g}")
    ess, error = precision(loss)
    return Wbic(float(n * loss.mean()), float(n * error), ess, split_rhat(loss))


def waic(losses: Any, baseline: Any, nbeta: float, n: int) -> Waic:
    """WAIC, functional variance and training losses at any temperature; beta = 1 (nbeta = n) is Bayes.

    Args:
        losses: (C, N, S) at draws, nats; all n samples or a fair subset.
        baseline: (S,) the same at w*; it is what rounding is kept small against.
        nbeta: at which the draws were made.
        n: sample size.

    Returns:
        All with Monte Carlo standard errors.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, a temperature of 0 or less.
    """
    base = np.asarray(baseline, dtype=np.float64)
    excess = _draws(losses, "losses", per_sample=True)
    if base.shape != excess.shape[2:]:
        raise InputError(
            f"baseline has shape {base.shape}, the losses {excess.shape}: give one loss at w* per sample"
        )
    if not np.isfinite(base).all():
        raise InputError("baseline is not finite: check the losses at w*")
    beta = _beta(nbeta, n)
    excess = excess - base
    count = excess.shape[0] * excess.shape[1]
    training = np.log(count) - logsumexp(-excess, axis=(0, 1))  # (S,) -log E_w p, relative to w*
    effect_t = -np.exp(training - excess).mean(-1)
    deviation = np.square(excess - excess.mean((0, 1)))
    effect_v = n * deviation.mean(-1)
    variance = deviation.sum((0, 1)) / (count - 1)
    total, gibbs, offset = n * float(variance.mean()), excess.mean(-1), float(base.mean())
    ess, gibbs_error = precision(gibbs)
    error_v = precision(effect_v)[1]
    pointwise = base + training + beta * variance
    return Waic(
        waic=Quantity(float(pointwise.mean()), precision(effect_t + beta * effect_v / n)[1]),
        bayes_training=Quantity(offset + float(training.mean()), precision(effect_t)[1]),
        gibbs_training=Quantity(offset + float(gibbs.mean()), gibbs_error),
        variance=Quantity(total, error_v),
        nu=Quantity(beta * total / 2, beta * error_v / 2),
        gap=Quantity(beta * total / n, beta * error_v / n),
        baseline=offset,
        pointwise=pointwise,
        beta=beta,
        n=n,
        ess=ess,
        rhat=split_rhat(gibbs),
    )


def predict(llc: Measured, nu: Measured, beta: float, n: int) -> Errors:
    """Expected losses of Bayes and Gibbs, from lambda and nu.

        Bayes:  ((lambda - nu)/beta +- nu)/n        Gibbs:  (lambda/beta +- nu)/n,     + generalisation

    so that generalisation minus training is 2 nu/n for both, not 2 lambda/n.

    Args:
        llc: lambda, as an `Estimate` or a `Quantity`.
        nu: singular fluctuation at this temperature, e.g. `Waic.nu`; independent of `llc`.
        beta: inverse temperature.
        n: sample size.

    Returns:
        Leading order in 1/n; with multiplicity m the next is -(m - 1)/(n log n).
    """
    _beta(beta * n, n)

    def combine(bayes: int, sign: int) -> Quantity:
        a, b = 1 / beta, sign - bayes / beta
        return Quantity((a * llc.value + b * nu.value) / n, float(np.hypot(a * llc.stderr, b * nu.stderr)) / n)

    return Errors(combine(1, 1), combine(1, -1), combine(0, 1), combine(0, -1))


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
    one, two = _draws(first, "first losses").mean(-1), _draws(second, "second losses").mean(-1)
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


def _draws(losses: Any, name: str, *, per_sample: bool = False) -> np.ndarray:
    """Losses as float64 (C, N, S); means over samples become S = 1."""
    array = np.asarray(losses, dtype=np.float64)
    if array.ndim == 2 and not per_sample:
        array = array[:, :, None]
    if array.ndim != 3 or 0 in array.shape or array.shape[1] < FEWEST:
        raise InputError(f"{name} have shape {array.shape}: give (chains, draws, samples), at least {FEWEST} draws")
    if not np.isfinite(array).all():
        lost = int((~np.isfinite(array).all((1, 2))).sum())
        raise InputError(f"{name} are not finite in {lost} of {len(array)} chains: sample with a smaller step_size")
    return array


def _beta(nbeta: float, n: int) -> float:
    """Inverse temperature, checked."""
    if n < 3 or not (np.isfinite(nbeta) and nbeta > 0):
        raise InputError(f"nbeta = {nbeta}, n = {n}: give nbeta > 0 and a sample size of at least 3")
    return float(nbeta / n)
