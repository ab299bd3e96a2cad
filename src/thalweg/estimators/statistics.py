"""Statistics of singular learning theory, from losses at draws.        C chains, N draws, S samples

    WBIC = E_w[n L_n(w)] at beta = 1/log n;    WAIC = T + beta V/n,
    T = -1/n sum_i log E_w p(x_i|w),    V = sum_i Var_w log p(x_i|w),    nu = beta V/2

Losses are -log p(x|w) in nats, up to a number that does not depend on w. The posterior that was
sampled is the model: a localization around w* is its prior, and F_n is then the free energy of the phase
around w*, not of the whole model.

Standard errors are infinitesimal jackknives: the first-order effect of each draw is a trace (C, N),
and its mean has the error that its effective sample size gives, autocorrelation and chains that
disagree included. They are Monte Carlo errors at fixed data.
Source: Watanabe, Mathematical Theory of Bayesian Statistics, 2018, ch. 6 to 8; WBIC: Watanabe 2013.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from thalweg.errors import InputError
from thalweg.estimators.diagnostics import precision, split_rhat
from thalweg.estimators.temperatures import Measured, Quantity, checked_losses

TEMPERATURE = 0.01  # relative distance from n/log n; it moves WBIC by lambda log n times as much


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


def wbic(losses: Any, nbeta: float, n: int) -> Wbic:
    """WBIC, an estimate of the free energy F_n up to O_p(sqrt(log n)).

    Args:
        losses: (C, N, S) per sample, or (C, N) means over samples, nats.
        nbeta: at which the draws were made: n/log n.
        n: sample size, at least 3.

    Raises:
        InputError: another temperature, losses of another shape or not finite.
    """
    loss = checked_losses(losses, "losses").mean(-1)
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
    excess = checked_losses(losses, "losses", per_sample=True)
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


def _beta(nbeta: float, n: int) -> float:
    """Inverse temperature, checked."""
    if n < 3 or not (np.isfinite(nbeta) and nbeta > 0):
        raise InputError(f"nbeta = {nbeta}, n = {n}: give nbeta > 0 and a sample size of at least 3")
    return float(nbeta / n)
