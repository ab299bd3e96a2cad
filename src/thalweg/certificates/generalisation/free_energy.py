"""What free energy and the learning coefficient say of Bob's learning gap. Neither certifies.

`gibbs_bound` is a theorem about a free energy that only sampling gives; `predicted_gap` is its asymptotic size.
"""

import math
from typing import Any

import numpy as np

from thalweg.certificates.generalisation._losses import outside
from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.certificates.generalisation.pac_bayes import POSTERIOR
from thalweg.errors import InputError, UnhealthyError
from thalweg.estimators import RHAT_CUT, Measured, precision, split_rhat
from thalweg.phases import integrate

SURE = 4.0  # standard errors by which a mean may rise with nbeta before the draws are not believed


def gibbs_bound(nbetas: Any, losses: Any, n: int, delta: float, upper: float) -> GeneralisationBound:
    """The mean loss of the Gibbs posterior exp(-n b G_n) prior, from its free energy.

    E_rho G <= (F_n + ln(1/delta)) / (n b) + b C^2 / 8,    F_n = int_0^{n b} E_t[G_n] dt

    by thermodynamic integration from the prior on. Always `estimated`: F_n has Monte Carlo error, which no theorem
    covers. E_t[G_n] falls as t grows; where its estimates rise, the draws are wrong and there is no value.

    Args:
        nbetas: (K) rungs, ascending, from 0 to n b; b and with it the ladder must be fixed before the data.
        losses: (C, N, K) mean loss G_n at the draws of each rung, after burn-in; of `temper`, `loss.transpose(0, 1)`.
        n: levels.
        delta: in (0, 1).
        upper: C, the largest possible loss of a level.

    Returns:
        An estimated gap; its terms hold the standard error, and F_n by left sums, which lie above the integral.

    Raises:
        InputError: rungs that do not begin at 0 or do not ascend, numbers out of range.

    Source: Catoni 2007; Alquier 2021 (arXiv 2110.11216), theorem 2.1, at the Gibbs posterior.
    """
    rungs, seen = np.asarray(nbetas, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if rungs.ndim != 1 or len(rungs) < 2 or rungs[0] != 0 or not (np.diff(rungs) > 0).all():
        raise InputError(f"nbetas {rungs.tolist()}: give at least two, ascending, from 0, which is the prior")
    if seen.ndim != 3 or seen.shape[2] != len(rungs) or seen.shape[1] < 4:
        raise InputError(f"losses have shape {seen.shape}: give (C, N, {len(rungs)}) with at least 4 draws a chain")
    if n < 1 or not 0 < delta < 1 or not 0 < upper < math.inf:
        raise InputError(f"n = {n}, delta = {delta}, upper = {upper}: give at least 1, a chance, and above 0")
    if outside(seen, 0.0, upper).any():
        raise InputError(f"losses outside [0, {upper}], or not finite: give the range that losses can have")
    means, errors = seen.mean((0, 1)), np.array([precision(seen[..., k])[1] for k in range(len(rungs))])
    free = float(integrate(rungs, means, seen.var((0, 1)))[-1])
    weights = (np.diff(rungs, prepend=0.0) + np.diff(rungs, append=rungs[-1])) / 2
    nb, b = float(rungs[-1]), float(rungs[-1]) / n
    terms = {
        "free energy": free,
        "free energy, left sums": float(means[:-1] @ np.diff(rungs)),
        "posterior mean": float(means[-1]),
        "log": math.log(1 / delta),
        "nbeta": nb,
        "range": b * upper**2 / 8,
        "stderr": float(np.linalg.norm(weights * errors)) / nb,
    }
    return GeneralisationBound(
        raw=(free + terms["log"]) / nb + terms["range"],
        kind="estimated",
        delta=delta,
        assumptions=(
            *POSTERIOR,
            "the temperature was fixed beforehand",
            f"losses lie in [0, {upper:g}]",
            "sampling found F_n",
        ),
        terms=terms,
        reasons=_doubts(seen, means, errors),
    )


def predicted_gap(llc: float | Measured, nbeta: float) -> GeneralisationBound:
    """What singular learning theory expects of the posterior's mean regret above that of w*: lambda / nbeta.

    E_rho[G] - G(w*) = lambda / (n beta) (1 + o(1)). To be drawn beside a certified gap, never in its place.

    Args:
        llc: lambda, a number or an `Estimate`; an unhealthy one has no value here either.
        nbeta: above 0.

    Returns:
        A predicted gap.

    Raises:
        InputError: nbeta not above 0, a number that is not finite.

    Source: Watanabe 2009, *Algebraic Geometry and Statistical Learning Theory*, ch. 6.
    """
    if not 0 < nbeta < math.inf:
        raise InputError(f"nbeta = {nbeta}: give a number above 0")
    reasons, stderr = (), 0.0
    if isinstance(llc, int | float):
        number = float(llc)
    else:
        stderr = llc.stderr
        try:
            number = llc.value
        except UnhealthyError as error:
            number, reasons = float(getattr(llc, "raw", math.inf)), (str(error),)
    if not reasons and not math.isfinite(number):
        raise InputError(f"llc = {number}: give a finite number")
    return GeneralisationBound(
        raw=number / nbeta,
        kind="predicted",
        delta=None,
        assumptions=("n is large, and w* a minimum", "the local posterior is the Gibbs posterior around w*"),
        terms={"llc": number, "nbeta": nbeta, "stderr": stderr / nbeta},
        reasons=reasons,
    )


def _doubts(seen: np.ndarray, means: np.ndarray, errors: np.ndarray) -> tuple[str, ...]:
    """Why the draws are not believed."""
    found = []
    rise, error = np.diff(means), np.hypot(errors[1:], errors[:-1])
    worst = int((rise - SURE * error).argmax())
    if rise[worst] > SURE * error[worst] + 1e-12 * means.max():
        found.append(f"the mean loss rises by {rise[worst]:.3g} from rung {worst} on, it must fall")
    if seen.shape[0] > 1:
        mixed = [split_rhat(seen[..., k]) for k in range(seen.shape[2])]
        if max(mixed) > RHAT_CUT:
            found.append(f"chains disagree at rung {int(np.argmax(mixed))}: R-hat {max(mixed):.3f} > {RHAT_CUT}")
    return tuple(found)
