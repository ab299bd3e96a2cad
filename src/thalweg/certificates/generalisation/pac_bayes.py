"""Bob's learning gap: his mean loss, or regret, on all episodes or levels, from n of them.    Losses in [0, C]

his policy was fixed before these episodes          `empirical_bernstein` or `hoeffding`
he is a posterior that has seen these levels        `pac_bayes_kl`; of Gaussian weights, `certified_gap`

Each holds with probability at least 1 - delta over the episodes. The smaller of two such bounds does not: choose the
one before the data are seen, or give each its part of delta. Episodes that a policy under training produced depend on
it and are no test; levels that were drawn beforehand, with the exact regret of every policy on each, are.
"""

import math
from typing import Any

import numpy as np
import torch

from thalweg.certificates.generalisation._losses import outside
from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.errors import InputError

FIXED = (
    "the policy was fixed before these episodes were drawn",
    "the episodes are independent and of the deployment's distribution",
    "this bound was chosen before the episodes were seen",
)
POSTERIOR = (
    "the levels are independent, of the deployment's distribution, and not chosen by the policy",
    "the prior does not depend on them",
)
HALVINGS = 200  # of an interval of floats, until its ends are neighbours


def empirical_bernstein(
    samples: Any, delta: float, upper: float, *, lower: float = 0.0, tail: float = 0.0
) -> GeneralisationBound:
    """The mean loss of a policy that was fixed before the test, from its sample mean and variance.

    E X <= mean + sqrt(2 V ln(2/delta) / n) + 7 (upper - lower) ln(2/delta) / (3 (n - 1)) + tail

    Args:
        samples: (n,) losses, n >= 2, in [lower, upper].
        delta: chance that the bound fails, in (0, 1).
        upper: the largest possible loss, known beforehand; not the largest seen.
        lower: the smallest possible one; an episode can beat V*, so that its regret may be negative.
        tail: what an episode that was cut may lose after the cut at most, see `truncation_tail`.

    Returns:
        A certified gap; it may exceed `upper`, where it says nothing.

    Raises:
        InputError: losses outside the range, fewer than two, numbers out of range.

    Source: Maurer & Pontil 2009 (arXiv 0907.3740), theorem 4; V is the unbiased sample variance.
    """
    losses, spread = _losses(samples, delta, lower, upper, tail, 2), upper - lower
    logs, n = math.log(2 / delta), len(losses)
    terms = {
        "mean": float(losses.mean()),
        "variance": math.sqrt(2 * float(losses.var(ddof=1)) * logs / n),
        "range": 7 * spread * logs / (3 * (n - 1)),
        "tail": tail,
    }
    return _fixed(terms, delta, lower, upper)


def hoeffding(
    samples: Any, delta: float, upper: float, *, lower: float = 0.0, tail: float = 0.0
) -> GeneralisationBound:
    """The same from the mean alone: E X <= mean + (upper - lower) sqrt(ln(1/delta) / (2 n)) + tail.

    The better choice where the standard deviation is near half the range, or n below about a hundred.

    Args:
        samples: (n,) losses in [lower, upper].
        delta: chance that the bound fails, in (0, 1).
        upper: the largest possible loss.
        lower: the smallest possible one.
        tail: as of `empirical_bernstein`.

    Raises:
        InputError: as `empirical_bernstein`.

    Source: Hoeffding 1963, theorem 2.
    """
    losses = _losses(samples, delta, lower, upper, tail, 1)
    width = (upper - lower) * math.sqrt(math.log(1 / delta) / (2 * len(losses)))
    return _fixed({"mean": float(losses.mean()), "range": width, "tail": tail}, delta, lower, upper)


def truncation_tail(discount: float, horizon: int, largest: float) -> float:
    """What a discounted sum loses at most after it was cut: discount^H largest / (1 - discount).

    Args:
        discount: in [0, 1).
        horizon: H, steps that are in the sum.
        largest: what one later step can add to the loss; where that is V* less the return, minus the least reward,
            and 0 where no reward is negative.

    Raises:
        InputError: numbers out of range.
    """
    if not (0 <= discount < 1 and horizon >= 0 and 0 <= largest < math.inf):
        raise InputError(
            f"discount = {discount}, horizon = {horizon}, largest = {largest}: give [0, 1), and at least 0"
        )
    return discount**horizon * largest / (1 - discount)


def kl_inverse(q: float, bound: float) -> float:
    """The largest p with kl(q||p) <= bound, of coins: kl(q||p) = q ln(q/p) + (1 - q) ln((1 - q)/(1 - p)).

    By halving; what is returned is the end of the last interval where kl exceeds the bound.

    Args:
        q: in [0, 1].
        bound: nats, at least 0.

    Returns:
        p in [q, 1], to the last digit of float64; grows with q and with the bound.

    Raises:
        InputError: numbers out of range.
    """
    if not (0 <= q <= 1 and bound >= 0):
        raise InputError(f"q = {q}, bound = {bound}: give a chance and at least 0 nats")
    low, high = q, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if _kl(q, middle) > bound else (middle, high)
    return high if bound > 0 else q


def pac_bayes_kl(empirical: float, divergence: float, n: int, delta: float, upper: float) -> GeneralisationBound:
    """The mean loss of a posterior that has seen the levels, bounded for all posteriors at once:

    kl( E_rho G_n / C || E_rho G / C ) <= (KL(rho||prior) + ln(2 sqrt(n) / delta)) / n,    inverted numerically.

    Args:
        empirical: E_rho G_n, mean loss on the n levels of policies drawn from rho, or a bound of it; in [0, C].
        divergence: KL(rho||prior), nats.
        n: levels.
        delta: chance that the bound fails, in (0, 1).
        upper: C, the largest possible loss of a level.

    Returns:
        A certified gap, at most C.

    Raises:
        InputError: numbers out of range.

    Source: Seeger 2002; Maurer 2004 (arXiv cs/0411099), theorem 5, whose 2 sqrt(n) holds from n = 1 on.
    """
    _check(delta, 0.0, upper)
    if n < 1 or not 0 <= divergence < math.inf:
        raise InputError(f"n = {n}, divergence = {divergence}: give at least one level and at least 0 nats")
    if not 0 <= empirical <= upper:
        raise InputError(f"empirical = {empirical}: a mean of losses in [0, {upper}], give one")
    logs = math.log(2 * math.sqrt(n) / delta)
    terms = {
        "empirical": float(empirical),
        "divergence": float(divergence),
        "log": logs,
        "nats": (divergence + logs) / n,
    }
    raw = upper * kl_inverse(empirical / upper, terms["nats"])
    return GeneralisationBound(
        raw=raw, kind="certified", delta=delta, assumptions=(*POSTERIOR, f"losses lie in [0, {upper:g}]"), terms=terms
    )


def gaussian_divergence(mean: Any, scale: Any, prior_mean: Any, prior_scale: Any) -> float:
    """KL(N(mean, scale^2) || N(prior_mean, prior_scale^2)) of independent weights, nats.

    sum_i ln(s0_i / s_i) + (s_i^2 + (m_i - m0_i)^2) / (2 s0_i^2) - 1/2

    Args:
        mean: (D,).
        scale: (D,) or a number, standard deviations above 0.
        prior_mean: (D,) or a number.
        prior_scale: (D,) or a number, above 0.

    Raises:
        InputError: shapes that do not fit, scales that are not above 0, numbers that are not finite.
    """
    given = [torch.as_tensor(x, dtype=torch.float64) for x in (mean, scale, prior_mean, prior_scale)]
    shape = given[0].shape
    if any(x.ndim and x.shape != shape for x in given) or given[0].ndim != 1:
        raise InputError(f"shapes {[tuple(x.shape) for x in given]}: give means (D,), the others (D,) or a number")
    if not all(torch.isfinite(x).all() for x in given) or not ((given[1] > 0).all() and (given[3] > 0).all()):
        raise InputError(
            "means or scales of a Gaussian are no numbers, or a scale is not above 0: give finite ones, above 0"
        )
    m, s, m0, s0 = (x.expand(shape) for x in given)
    ratio = s / s0
    excess = (ratio - 1) * (ratio + 1)
    near = (excess - torch.log1p(excess)) / 2
    each = torch.where(excess.abs() < 0.5, near, excess / 2 - ratio.log()) + ((m - m0) / s0).square() / 2
    return float(each.sum())


def split_delta(delta: float, checkpoints: int) -> float:
    """The delta of each of several checkpoints, so that all their gaps hold at once: delta / checkpoints.

    For this term alone: the confidence set of Alice's values holds for all policies and all times already.

    Raises:
        InputError: numbers out of range.
    """
    _check(delta, 0.0, 1.0)
    if checkpoints < 1:
        raise InputError(f"checkpoints = {checkpoints}: give at least 1")
    return delta / checkpoints


def _kl(q: float, p: float) -> float:
    """kl(q||p), nats, by the distance of p from q: the logarithms of both would cancel where it is small."""
    with np.errstate(divide="ignore"):
        up = -q * np.log1p((p - q) / q) if q else 0.0
        down = -(1 - q) * np.log1p(-(p - q) / (1 - q)) if q < 1 else 0.0
    return float(up + down)


def _check(delta: float, lower: float, upper: float) -> None:
    """Refuse a delta or a range that is none."""
    if not 0 < delta < 1:
        raise InputError(f"delta = {delta}: give a chance in (0, 1) that the bound fails")
    if not -math.inf < lower < upper < math.inf:
        raise InputError(f"losses in [{lower}, {upper}]: give a finite range that was known beforehand")


def _losses(samples: Any, delta: float, lower: float, upper: float, tail: float, fewest: int) -> np.ndarray:
    """(n,) losses inside their range."""
    _check(delta, lower, upper)
    losses = np.asarray(samples, dtype=np.float64)
    if losses.ndim != 1 or len(losses) < fewest:
        raise InputError(f"samples have shape {losses.shape}: give (n,) losses, at least {fewest}")
    wrong = np.flatnonzero(outside(losses, lower, upper))
    if len(wrong):
        raise InputError(
            f"loss {wrong[0]} is {losses[wrong[0]]}, outside [{lower}, {upper}]: give the range that losses can have"
        )
    if not 0 <= tail < math.inf:
        raise InputError(f"tail = {tail}: give what is lost after the cut, at least 0")
    return losses


def _fixed(terms: dict[str, float], delta: float, lower: float, upper: float) -> GeneralisationBound:
    """The sum of the terms, for a policy that was fixed before."""
    assumed = (*FIXED, f"losses lie in [{lower:g}, {upper:g}]")
    if terms["tail"]:
        assumed += (f"an episode loses at most {terms['tail']:.3g} after it was cut",)
    return GeneralisationBound(
        raw=sum(terms.values()), kind="certified", delta=delta, assumptions=assumed, terms=terms
    )
