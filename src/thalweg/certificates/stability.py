"""How far a certificate carries: along training, under more training, in a world or for values that drift.

along        the number at every checkpoint
continued    the worst mean over all distributions of policies within kappa nats of the local posterior
drifted      for a reward and dynamics that are not quite those that were certified
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.errors import InputError
from thalweg.mdp import MDP, model_error_bound, valuation

FEWEST = 10.0  # effective draws that a tilted sample must have left
SUM = 1e-9  # by which probabilities may miss 1
HALVINGS = 64  # of a bracket of t, in logarithms


@dataclass(frozen=True, eq=False)
class Along:
    """A certificate along training.      T checkpoints

    Attributes:
        bound: (T,) the number, NaN where none was issued.
        issued: (T,) whether there is one.
        reasons: (T) why there is none; empty where there is.
    """

    bound: np.ndarray
    issued: np.ndarray
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Continued(GeneralisationBound):
    """The worst mean certificate within kappa nats.

    Attributes:
        attained: mean certificate of `distribution`, which is within kappa nats: equal to `raw` up to rounding.
        tilt: t that attains it; inf where all weight is on the largest.
        distribution: (N,) the worst q ~ p exp(t cert).
    """

    attained: float
    tilt: float
    distribution: np.ndarray


def along(policies: Iterable[Any], bound: Callable[[Any], float | GeneralisationBound]) -> Along:
    """The certificate at every checkpoint of Bob's training.

    Each number holds for its own checkpoint. For all at once, a learning term needs `split_delta`.

    Args:
        policies: one for each checkpoint, whatever `bound` takes.
        bound: a policy's certificate, a number or a `GeneralisationBound`, which has none unless it is certified.

    Raises:
        InputError: no checkpoint, or a number that is NaN.
    """
    found = [bound(policy) for policy in policies]
    reasons = tuple(_refused(one) for one in found)
    issued = np.array([not reason for reason in reasons])
    raw = np.array([one.raw if isinstance(one, GeneralisationBound) else float(one) for one in found])
    if not len(raw) or np.isnan(raw[issued]).any():
        raise InputError(
            f"{len(raw)} checkpoints, some with NaN: give at least one, a number or a GeneralisationBound each"
        )
    return Along(np.where(issued, raw, np.nan), issued, reasons)


def _refused(one: float | GeneralisationBound) -> str:
    """Why a checkpoint has no certificate; empty where it has one."""
    if not isinstance(one, GeneralisationBound):
        return ""
    if one.reasons:
        return "; ".join(one.reasons)
    return "" if one.kind == "certified" else f"a number that is {one.kind} certifies nothing"


def continued(certs: Any, kappa: float, weights: Any = None, *, delta: float | None = None) -> Continued:
    """The largest mean certificate of any distribution of policies within kappa nats of the local posterior p.

    sup {E_q cert : KL(q||p) <= kappa} = min over t > 0 of (kappa + ln E_p exp(t cert)) / t

    attained by q ~ p exp(t cert) with KL(q||p) = kappa; with kappa = 0 the mean, and from -ln p(largest) on the
    largest certificate. Continued training stays inside as long as what it moves to is within kappa nats of p: that
    is an assumption, of which kappa is the measure.

    Args:
        certs: (N,) certificate of each policy.
        kappa: nats, at least 0, inf too.
        weights: (N,) probabilities, if p *is* this finite distribution: then the answer is certified, as far as the
            certificates are. Default: `certs` are of draws from p, and the answer is an estimate, low in the mean.
        delta: chance that one of the certificates fails, all being meant at once.

    Returns:
        The supremum. An estimate whose worst q rests on fewer than 10 effective draws has no value.

    Raises:
        InputError: numbers that are not finite, weights that are no probabilities, kappa below 0.

    Source: Donsker & Varadhan 1975; the dual of a ball of relative entropy, Hu & Hong 2013.
    """
    values, chances = _distribution(certs, weights)
    if not kappa >= 0:
        raise InputError(f"kappa = {kappa}: give at least 0 nats")
    mean = float(chances @ values)
    off = values - mean
    tilt = _tilt(off, chances, kappa)
    q = _tilted(off, chances, tilt)
    dual = mean + (kappa + _cumulant(off, chances, tilt)) / tilt if 0 < tilt < math.inf else float(q @ values)
    effective = 1 / float(np.square(q).sum())
    reasons = ()
    if weights is None and effective < FEWEST:
        reasons = (
            f"the worst q rests on {effective:.1f} effective draws of {len(q)} (cut {FEWEST:g}):"
            " draw more, or take a smaller kappa",
        )
    return Continued(
        raw=dual,
        kind="certified" if weights is not None else "estimated",
        delta=delta,
        assumptions=(
            f"training moves the distribution of policies by at most {kappa:g} nats",
            "each policy's certificate holds, all at once",
            "p is this finite distribution" if weights is not None else "the draws are from p",
        ),
        terms={"mean": mean, "largest": float(values[chances > 0].max()), "kappa": kappa, "effective": effective},
        reasons=reasons,
        attained=float(q @ values),
        tilt=tilt,
        distribution=q,
    )


def drifted(
    certificate: float,
    mdp: MDP,
    reward: Any,
    *,
    reward_drift: float = 0.0,
    transition_drift: float = 0.0,
    policy: Any = None,
) -> GeneralisationBound:
    """A certificate, as it holds after Alice's reward and the dynamics have drifted by at most so much.

    (t rho + e) / (rho - e_rho),    e, e_rho = 2 (eps_R + discount eps_tau span / 2) / (1 - discount)

    with the certified process's mean spans: for e of V* and the policy's value, for e_rho of V* and the worst value;
    see `model_error_bound`. The policy is held fixed. A Bob who is given by a reward and a suboptimality has
    his own error by his reward in that suboptimality before t is computed.

    Args:
        certificate: t, a share: certified regret by `reward` in `mdp` over its return range.
        mdp: the certified process; start and discount do not drift.
        reward: Alice's, (S,), (S, A) or (S, A, S).
        reward_drift: eps_R, largest change of the mean reward of a state and action.
        transition_drift: eps_tau, largest L1 change of a row of the dynamics, in [0, 2].
        policy: (S, A) of Bob; default any at all, with the span max V* - min V_worst.

    Returns:
        The share afterwards, certified if t is; without a value where the drift could take the whole return range.

    Raises:
        InputError: drifts out of range, a certificate below 0, a return range of 0.
    """
    t = float(certificate)
    if not (0 <= reward_drift < math.inf and 0 <= transition_drift <= 2 and 0 <= t < math.inf):
        raise InputError(
            f"reward_drift = {reward_drift}, transition_drift = {transition_drift}, certificate = {t}: give at least"
            " 0, and an L1 distance of at most 2"
        )
    known = valuation(mdp, reward, whole=transition_drift > 0)  # rows that drift may lead to any state
    span, unit = known.known_range("the reward").low, known.reward.unit
    regret, around = (x / unit for x in model_error_bound(mdp, reward, reward_drift, transition_drift, policy))
    left = span - around
    lost, of = around * unit, span * unit
    reasons = () if left > 0 else (f"the drift could take the whole return range: {lost:.3g} of {of:.3g}",)
    return GeneralisationBound(
        raw=(t * span + regret) / left if left > 0 else math.inf,
        kind="certified",
        delta=None,
        assumptions=(
            "the certificate holds before the drift",
            f"the mean reward of each step drifts by at most {reward_drift:g}, each row by at most"
            f" {transition_drift:g} in L1; the start and the discount do not",
            "the policy stays as it was",
        ),
        terms={"before": t, "range": of, "regret error": regret * unit, "range error": lost},
        reasons=reasons,
    )


def _distribution(certs: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """(N,) certificates, and their probabilities."""
    values = np.asarray(certs, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"certificates of shape {values.shape}: give (N,) finite numbers; a refused one has none")
    if weights is None:
        return values, np.full(len(values), 1 / len(values))
    chances = np.asarray(weights, dtype=np.float64)
    if chances.shape != values.shape or not (chances >= 0).all() or not abs(chances.sum() - 1) <= SUM:
        raise InputError(f"weights of shape {chances.shape}, sum {chances.sum():.9g}: give a probability each")
    return values, chances / chances.sum()


def _cumulant(off: np.ndarray, chances: np.ndarray, tilt: float) -> float:
    """Log of E_p exp(t (cert - mean)), to the last digits also where t is small: the first order cancels exactly."""
    exponent = tilt * off[chances > 0]
    if np.abs(exponent).max() < 1:
        return float(np.log1p(chances[chances > 0] @ np.expm1(exponent)))
    return float(logsumexp(exponent, b=chances[chances > 0]))


def _tilted(off: np.ndarray, chances: np.ndarray, tilt: float) -> np.ndarray:
    """(N,) p exp(t cert), normalised; on the largest where t is infinite."""
    top = off[chances > 0].max()
    if math.isinf(tilt):
        weights = np.where(off == top, chances, 0.0)
    else:
        weights = np.where(chances > 0, chances * np.exp(tilt * np.minimum(off - top, 0.0)), 0.0)
    return weights / weights.sum()


def _divergence(off: np.ndarray, chances: np.ndarray, tilt: float) -> float:
    """KL(q||p) of the tilted q, nats."""
    return tilt * float(_tilted(off, chances, tilt) @ off) - _cumulant(off, chances, tilt)


def _tilt(off: np.ndarray, chances: np.ndarray, kappa: float) -> float:
    """The t at which the tilted q is kappa nats from p, 0 or inf at the ends."""
    held = off[chances > 0]
    top = held.max()
    if kappa == 0 or held.min() == top:
        return 0.0
    if kappa >= -math.log(chances[off == top].sum()):
        return math.inf
    high = 1 / float(held.max() - held.min())
    while _divergence(off, chances, high) < kappa:
        high *= 2
        if _tilted(off, chances, high)[off < top].max() == 0:
            return math.inf  # nearer than float64 tells
    low = high
    while _divergence(off, chances, low) > kappa and low > 0:
        low /= 2
    for _ in range(HALVINGS):
        middle = math.sqrt(low) * math.sqrt(high)
        low, high = (middle, high) if _divergence(off, chances, middle) <= kappa else (low, middle)
    return low  # not further than kappa
