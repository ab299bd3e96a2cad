"""Finite-n values where nbeta K is a product of powers of independent Gamma variables under the localization.

With nbeta K = x Y, Y = prod_i G_i^{p_i}, G_i ~ Gamma(s_i, 1), the partition function is a Mellin-Barnes integral,

    Z(x) = E[e^{-x Y}] = (1/2 pi i) int Gamma(z) x^-z prod_i Gamma(s_i - p_i z)/Gamma(s_i) dz,   0 < Re z < lambda,

lambda = min_i s_i/p_i, and nbeta E[K] = -d log Z / d log x has Gamma(z + 1) in place of Gamma(z). The integrands fall
off exponentially, so the trapezoid rule through their saddle points converges exponentially, in any dimension.
"""

from collections.abc import Callable, Sequence
from math import exp, log, pi

import numpy as np
from scipy.optimize import fminbound
from scipy.special import loggamma

from thalweg.errors import InputError
from thalweg.theory._checks import Rational, count, exponents, real, sequence

FLOOR = 45.0  # e^-45 is below float64
HALVES = 40  # doublings of the line before it counts as endless

Log = Callable[[np.ndarray], np.ndarray]


def monomial(ks: Sequence[Rational], nbeta: float, gamma: float, scale: float = 1.0) -> float:
    """Of K = scale prod_i w_i^{2 k_i}, w* = 0.

    Args:
        ks: k_i >= 0, exact, not all zero; any number of them. The scalar chain 1-1-..-1 has all k_i = 1.
        nbeta: > 0.
        gamma: > 0, nats per squared weight.
        scale: > 0, nats.

    Returns:
        nbeta E[K], relative error below 1e-9 for nbeta from 1e-6 to 1e30, checked against product quadrature.

    Raises:
        InputError: an argument out of range.

    Source: w_i^2 gamma/2 ~ Gamma(1/2) under the localization; Mellin-Barnes integral as at the top of this file.
    """
    powers = [float(k) for k in exponents("ks", ks) if k > 0]
    n, localization, size = real("nbeta", nbeta), real("gamma", gamma), real("scale", scale)
    return _mean(log(n) + log(size) + sum(powers) * log(2 / localization), [0.5] * len(powers), powers)


def homogeneous(d: int, degree: float, nbeta: float, gamma: float, scale: float = 1.0) -> float:
    """Of K = scale |w - w*|^degree in d weights.

    Args:
        d: >= 1.
        degree: > 0, of K itself; 4 for a quartic.
        nbeta: > 0.
        gamma: >= 0, nats per squared weight; at 0 the value is d/degree whatever nbeta.
        scale: > 0, nats.

    Returns:
        nbeta E[K], relative error below 1e-9 for d up to 1e4, checked against radial quadrature. It depends on
        nbeta scale / gamma^(degree/2) alone.

    Raises:
        InputError: an argument out of range.

    Source: |w|^2 gamma/2 ~ Gamma(d/2) under the localization; Mellin-Barnes integral as at the top of this file.
    """
    dims, power = count("d", d), 0.5 * real("degree", degree)
    n, localization, size = real("nbeta", nbeta), real("gamma", gamma, zero=True), real("scale", scale)
    if localization == 0:
        return 0.5 * dims / power
    return _mean(log(n) + log(size) + power * log(2 / localization), [0.5 * dims], [power])


def deep_linear_origin(widths: Sequence[int], nbeta: float, gamma: float, scale: float = 0.5) -> float:
    """Of K = scale ||W_L .. W_1||_F^2 at w* = 0, widths H_0 .. H_L of which at least one is 1.

    A layer of width one cuts the product into two chains of vectors, and |W v|^2 = |v|^2 chi^2 leaves
    ||W_L .. W_1||^2 = prod over the other layers of chi^2(H_i)/gamma.

    Args:
        widths: at least two, each >= 1, one of them 1; three widths without a 1 are `reduced_rank_origin`.
        nbeta: > 0.
        gamma: > 0, nats per squared weight.
        scale: > 0, nats; 1/2 for squared errors of unit variance and inputs of unit covariance.

    Returns:
        nbeta E[K], relative error below 1e-9.

    Raises:
        InputError: an argument out of range, or no layer of width one.

    Source: our own derivation; Mellin-Barnes integral as at the top of this file.
    """
    layers = [count(f"widths[{i}]", width) for i, width in enumerate(sequence("widths", widths))]
    if len(layers) < 2 or 1 not in layers:
        raise InputError(f"widths = {widths!r}: give at least two, one of them 1; no exact route is known otherwise")
    n, localization, size = real("nbeta", nbeta), real("gamma", gamma), real("scale", scale)
    layers.remove(1)
    log_x = log(n) + log(size) + len(layers) * log(2 / localization)
    return _mean(log_x, [0.5 * width for width in layers], [1.0] * len(layers))


def _mean(log_x: float, shapes: Sequence[float], powers: Sequence[float]) -> float:
    """The mean of nbeta K = x prod G_i^{p_i}, G_i ~ Gamma(s_i)."""
    s, p = np.array(shapes)[:, None], np.array(powers)[:, None]

    def moment(z: np.ndarray) -> np.ndarray:  # log E[(x Y)^-z]
        return (loggamma(s - p * z) - loggamma(s)).sum(0) - z * log_x

    pole = float((s / p).min())
    top = _log_line(lambda z: loggamma(z + 1) + moment(z), -1.0, pole)
    return exp(top - _log_line(lambda z: loggamma(z) + moment(z), 0.0, pole))


def _log_line(log_f: Log, low: float, high: float) -> float:
    """Log of the integral of f along Re z = c, at the saddle c of f between two poles."""

    def height(c: float) -> float:
        return float(np.real(log_f(np.array([c + 0j])))[0])

    c = float(np.asarray(fminbound(height, low, high, xtol=1e-5 * (high - low))))
    gap = min(c - low, high - c)
    bend = (height(c + 0.1 * gap) - 2 * height(c) + height(c - 0.1 * gap)) / (0.1 * gap) ** 2
    step = 2 * pi / 60 * min(0.9 * gap, 6 / bend**0.5 if bend > 0 else gap)
    return height(c) + log(step * _half_line(lambda y: log_f(c + 1j * y) - height(c), step))


def _half_line(log_f: Log, step: float) -> float:
    """Trapezoid sum of Re f over y >= 0, in blocks until f has vanished."""
    total, start, length = 0.5, 1, 1000
    for _ in range(HALVES):
        values = log_f(step * np.arange(start, start + length))
        total += float(np.real(np.exp(values)).sum())
        if np.real(values[-1]) < -FLOOR:
            return total
        start, length = start + length, min(2 * length, 100_000)
    raise InputError("the integrand does not vanish in time: exponents this small have no accurate value here")
