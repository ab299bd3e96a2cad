"""Coefficients of small networks with one hidden layer, truth zero."""

from fractions import Fraction

from thalweg.theory._checks import count
from thalweg.theory.coefficient import Coefficient


def vandermonde(hidden: int, q: int) -> Coefficient:
    """Of K = sum_{j >= 0} (sum_{i <= H} a_i b_i^{1 + Q j})^2, all a_i and b_i free near 0:

        lambda = min_{k >= 0} (Q k(k+1) + 2H) / (4(1 + Q k)),   m = number of minimisers (1 or 2)

    Two neighbours k-1 and k tie where 2H = k(k-1)Q + 2k.

    Args:
        hidden: H >= 1, terms.
        q: Q >= 1, distance between the powers: 2 for odd activations such as tanh, 1 for generic ones.

    Returns:
        Of signed a_i; mixtures, whose weights are not negative, are another matter (`gaussian_mixture`).

    Raises:
        InputError: hidden or q is no positive whole number.

    Source: Aoyagi & Watanabe 2005 (Vandermonde matrix type singularities); H = 1 to 3, Q = 1 and 2 are checked here
    by quadrature of tanh and exp(x) - 1 networks.
    """
    h, distance = count("hidden", hidden), count("q", q)
    values = [Fraction(distance * k * (k + 1) + 2 * h, 4 * (1 + distance * k)) for k in range(h + 2)]
    return Coefficient(min(values), values.count(min(values)))


def tanh_network(hidden: int) -> Coefficient:
    """Of f(x) = sum_{i <= p} a_i tanh(b_i x), one input, one output, truth f = 0:

        lambda = (p + i^2 + i)/(4i + 2) with i = floor(sqrt(p)),   m = 2 where p is a square, else 1

    Args:
        hidden: p >= 1 hidden units.

    Returns:
        For inputs with infinitely many values; `vandermonde(p, 2)` is the same.

    Raises:
        InputError: hidden is no positive whole number.

    Source: Aoyagi & Watanabe 2005; p = 1, 2, 3 checked here by quadrature.
    """
    return vandermonde(count("hidden", hidden), 2)


def relu_unit() -> Coefficient:
    """Of f(x) = a relu(b x), truth zero, inputs of both signs: K ~ a^2 b^2 on each side, lambda = 1/2, m = 2.

    Source: normal crossing; checked here by quadrature.
    """
    return Coefficient(Fraction(1, 2), 2)


def relu_pair() -> Coefficient:
    """Of f(x) = a1 relu(b1 x) + a2 relu(b2 x), truth zero: lambda = 1/2, m = 1.

    Where b1 and b2 have one sign K ~ (a1 b1 + a2 b2)^2 decides, (1/2, 1); elsewhere two units add to (1, 3).

    Returns:
        (1/2, 1), for inputs of both signs, without biases.

    Source: our own derivation; checked here by quadrature.
    """
    return Coefficient(Fraction(1, 2), 1)
