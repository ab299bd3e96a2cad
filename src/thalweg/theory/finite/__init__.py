"""Exact nbeta E[K] at finite n, under p(w) ~ exp(-nbeta K(w) - (gamma/2) |w - w*|^2): what a sampler must read.

Deterministic, float64; no sampling. A value is as accurate as its docstring says, or an InputError says why not.
"""

from thalweg.theory.finite.closed import asymptotic, regular
from thalweg.theory.finite.grid import even, quadrature, readout
from thalweg.theory.finite.mellin import deep_linear_origin, homogeneous, monomial
from thalweg.theory.finite.wishart import reduced_rank_origin

__all__ = [
    "asymptotic",
    "deep_linear_origin",
    "even",
    "homogeneous",
    "monomial",
    "quadrature",
    "readout",
    "reduced_rank_origin",
    "regular",
]
