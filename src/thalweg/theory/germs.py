"""Coefficients of K given in coordinates: regular, homogeneous, normal crossing."""

from collections.abc import Sequence
from fractions import Fraction

from thalweg.theory._checks import Rational, count, exponents, positive, prior_powers
from thalweg.theory.coefficient import Coefficient


def regular(d: int) -> Coefficient:
    """Of a nondegenerate minimum, K ~ |w|^2:  lambda = d/2, m = 1.

    Args:
        d: number of weights, >= 1. At a minimally singular point, whose minimum set is a manifold with a
            nondegenerate normal Hessian, give the rank of the Hessian.

    Raises:
        InputError: d is no positive whole number.

    Source: Watanabe 2009; Gaussian integral.
    """
    return Coefficient(Fraction(count("d", d), 2), 1)


def homogeneous(d: int, degree: Rational) -> Coefficient:
    """Of K homogeneous and positive off 0, K(t w) = t^degree K(w) for t > 0:  lambda = d/degree, m = 1.

    An analytic K has degree = 2k, so lambda = d/(2k); w^4 is homogeneous(1, 4). Smoothness is not needed.

    Args:
        d: number of weights, >= 1.
        degree: of K itself, not of its root; positive, exact.

    Returns:
        (d/degree, 1), under a prior that is positive at 0.

    Raises:
        InputError: d is no positive whole number, or degree no positive exact number.

    Source: Vol{K < e} = e^(d/degree) Vol{K < 1}.
    """
    return Coefficient(Fraction(count("d", d)) / positive("degree", degree), 1)


def normal_crossing(ks: Sequence[Rational], hs: Sequence[Rational] | None = None) -> Coefficient:
    """Of K = prod_i w_i^{2 k_i} under a prior prod_i |w_i|^{h_i}:

        lambda = min_i (h_i + 1)/(2 k_i) over k_i > 0,   m = number of minimisers.

    Args:
        ks: k_i >= 0, exact, not all zero; K has the exponents 2 k_i.
        hs: h_i > -1, exact, one for each k_i; zeros by default.

    Returns:
        At the origin, which is the smallest along K = 0.

    Raises:
        InputError: exponents out of range, or not as many hs as ks.

    Source: Watanabe 2009; the zeta function factorizes.
    """
    found = exponents("ks", ks)
    poles = [(h + 1) / (2 * k) for k, h in zip(found, prior_powers(hs, len(found)), strict=True) if k > 0]
    return Coefficient(min(poles), poles.count(min(poles)))
