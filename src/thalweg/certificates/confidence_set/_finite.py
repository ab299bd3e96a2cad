"""Confidence sets of values that hold at every n, for singular models too, whatever rule picks the states.

    C_n = {theta: l_n(theta) >= log Z_n - ln(1/delta)},    P(theta_A in C_n for all n) >= 1 - delta

for any Z_n such that Z_n / exp l_n(theta_A) is a martingale of mean at most 1: the mean of exp l_n over a prior fixed
beforehand, a proven lower bound of it, or the product of what a predictor that saw only the past gave to each choice.
An estimate of log Z does not do: a nat too much nearly triples the failures. Here are finite sets; `cover` has the
continuous ones. Source: Ville 1939; Wasserman, Ramdas & Balakrishnan 2020 (arXiv 1912.11436).
"""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from scipy.special import gammaln

from thalweg.errors import InputError
from thalweg.irl import Behaviour


@dataclass(frozen=True, eq=False)
class FiniteSet:
    """Candidates that the data leave. It holds Alice with probability 1 - delta only if she is a candidate.

    Attributes:
        keep: (K,) bool.
        log_evidence: log Z, nats.
        threshold: log likelihood below which a candidate is out, nats.
    """

    keep: np.ndarray
    log_evidence: float
    threshold: float


def finite_set(likelihoods: Any, delta: float, *, prior: Any = None, log_evidence: float | None = None) -> FiniteSet:
    """The candidates whose likelihood is not too far below the evidence.

    Args:
        likelihoods: (K,) log likelihoods l_n, nats; -inf for one that cannot have chosen so, which is never kept.
        delta: chance that Alice, a candidate, is left out at any n.
        prior: (K,) chances fixed beforehand; even where it is not given.
        log_evidence: another log Z that is a martingale, as `predicted_evidence`, or a proven lower bound of one;
            default that of the prior, exact.

    Raises:
        InputError: likelihoods or a log Z that are no numbers, no candidate that can have chosen so, a prior that
            does not sum to 1, delta outside (0, 1).
    """
    check_delta(delta)
    found = np.asarray(likelihoods, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise InputError(f"likelihoods of shape {found.shape}: give one number for each candidate")
    if np.isnan(found).any() or (found == np.inf).any():
        raise InputError("likelihoods hold NaN or infinity: give log likelihoods in nats")
    if (found == -np.inf).all():
        raise InputError("likelihoods are all -inf, no candidate can have chosen so: give others")
    if log_evidence is not None and not log_evidence < np.inf:
        raise InputError(f"log_evidence {log_evidence}: give a number, in nats")
    chances = np.full(len(found), 1 / len(found)) if prior is None else np.asarray(prior, dtype=np.float64)
    if chances.shape != found.shape or not ((chances >= 0).all() and abs(chances.sum() - 1) <= 1e-9):
        raise InputError("prior of the candidates: give a chance for each, which sum to 1")
    with np.errstate(divide="ignore"):  # a chance of 0
        prior_logs = np.log(chances)
    exact = float(np.logaddexp.reduce(found + prior_logs)) if log_evidence is None else log_evidence
    threshold = exact + log(delta)
    return FiniteSet((found >= threshold) & (found > -np.inf), exact, threshold)


def predicted_evidence(behaviour: Behaviour) -> float:
    """Log of the product of what the past gave to each choice, nats: Krichevsky & Trofimov's estimator in each state.

    q_t(a) = (times a was chosen here + 1/2) / (times here + A/2). It needs no class of values and no prior, and costs
    about (A - 1)/2 log n nats a state.

    Source: Krichevsky & Trofimov 1981.
    """
    total = 0.0
    for e in range(len(behaviour.environments)):
        counts = behaviour.counts(e).numpy()
        half = counts.shape[1] / 2
        total += float((gammaln(half) - gammaln(counts.sum(1) + half)).sum())
        total += float((gammaln(counts + 0.5) - gammaln(0.5)).sum())
    return total


def check_delta(delta: float) -> None:
    """Refuse what is no chance."""
    if not 0 < delta < 1:
        raise InputError(f"delta {delta}: give a number between 0 and 1, the chance that the set misses")
