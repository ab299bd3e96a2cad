"""What the localization decides of an estimate: by how much a decade of gamma changes it, from the same draws.

    d llc / d ln gamma = -(gamma/2) nbeta Cov(K, |w - w*|^2),      K the excess

is exact under exp(-nbeta K - (gamma/2) |w - w*|^2). An estimate that falls is local; one that rises is that of more
singular points than w*, which a stronger localization keeps out.
Source: the response of a mean to a parameter of its density; any text on exponential families.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from thalweg.landscape import Trace
from thalweg.theory import finite

RISE, SIGMAS = 0.1, 4.0  # share of the estimate, and standard errors, from which on it rises
FLAT = 0.01  # nats per squared weight: a curvature that a localization may hide
FEWEST = 4  # chains, from which on their spread is an error


class Decade(NamedTuple):
    """The change of an estimate for ten times the localization, to first order."""

    per_decade: float
    per_decade_stderr: float


def change_in_a_decade(seen: Trace, nbeta: float, gamma: float) -> Decade | None:
    """Of the draws of a trace; None where distances were not kept, draws were lost or nothing varies."""
    if seen.away is None or len(seen.excess) < FEWEST or not (np.isfinite(seen.excess).all() and gamma > 0):
        return None
    excess, away = seen.excess.astype(np.float64), seen.away.astype(np.float64)
    each = ((excess - excess.mean()) * (away - away.mean())).mean(1)
    scale = -0.5 * math.log(10) * gamma * nbeta
    return Decade(scale * float(each.mean()), abs(scale) * float(each.std(ddof=1)) / math.sqrt(len(each)))


def rising(decade: Decade | None, made: dict[str, Any], raw: float) -> list[str]:
    """A sentence where the estimate rises with the localization."""
    if decade is None or decade.per_decade <= max(RISE * abs(raw), SIGMAS * decade.per_decade_stderr):
        return []
    gamma = made["gamma"]
    return [
        f"at gamma = {gamma:g} the estimate rises with gamma, by {decade.per_decade / abs(raw):.0%} a decade: chains"
        f" reach more singular points than w*; give gamma={10 * gamma:g}"
    ]


def said_of_gamma(decade: Decade | None, made: dict[str, Any], raw: float) -> list[str]:
    """A sentence of what gamma decides."""
    if decade is None or not raw:
        return []
    nbeta, gamma = made["nbeta"], made["gamma"]
    quartic = finite.monomial([2], nbeta, gamma) / 0.25
    flat = nbeta * FLAT / (nbeta * FLAT + gamma)
    return [
        f"gamma = {gamma:g}: ten times as much changes the estimate by {decade.per_decade / abs(raw):+.0%}"
        f" +- {decade.per_decade_stderr / abs(raw):.0%}, to first order; this one leaves {quartic:.0%} of a direction"
        f" w^4 and {flat:.0%} of one with curvature {FLAT:g}"
    ]
