"""Finite-n values: against each other by independent routes, against brute force, and in the limit."""

from itertools import product

import numpy as np
import pytest

from thalweg import theory
from thalweg.errors import InputError
from thalweg.theory import finite

SIZES = (1e3, 1e6, 1e12, 1e18)
WISHART = {  # nbeta E[K] at SIZES, prior N(0, 1), K = ||B A||^2
    (1, 1, 1): (0.390, 0.438, 0.467, 0.477),
    (2, 1, 2): (0.871, 0.932, 0.965, 0.976),
    (3, 1, 2): (0.986, 1.000),
    (2, 2, 2): (1.456, 1.498, 1.500),
    (2, 2, 3): (1.843, 1.925, 1.963, 1.976),
    (3, 2, 2): (1.843, 1.925, 1.963, 1.976),
    (2, 3, 2): (1.843, 1.925, 1.963, 1.976),
    (3, 2, 3): (2.438, 2.496, 2.500),
    (4, 2, 4): (3.424, 3.496),
    (5, 2, 2): (1.997, 2.000),
    (2, 5, 2): (1.997, 2.000),
    (3, 2, 5): (2.972, 2.999),
    (3, 3, 3): (3.302, 3.416, 3.461, 3.475),
}


def limit(value, n=1e125):
    """(lambda, m - 1) of n E[K] = lambda - (m - 1)/log n + O(1/log^2 n), from two absurd sizes, n and its square."""
    small, large = value(n), value(n * n)
    return 2 * large - small, 2 * np.log(n) * (large - small)


def ordered_pair(m, h, n, nbeta, gamma, scale):
    """Two Wishart eigenvalues l1 = e^u < l2 = l1 + e^v by plain trapezoid: no kink is left."""
    k, delta, tau = min(n, h), abs(n - h), 2 * nbeta * scale / gamma**2
    assert k == 2
    u, v = np.meshgrid(np.arange(-90, 6, 0.2), np.arange(-90, 6, 0.2), indexing="ij", sparse=True)
    one = np.exp(u)
    two = one + np.exp(v)
    log_p = (delta - 1) / 2 * np.log(one * two) - (one + two) / 2 + 2 * v + u
    log_p = log_p - m / 2 * (np.log1p(tau * one) + np.log1p(tau * two))
    p = np.exp(log_p - log_p.max())
    value = m / 2 * (tau * one / (1 + tau * one) + tau * two / (1 + tau * two))
    return (p * value).sum() / p.sum()


@pytest.mark.parametrize("widths", WISHART)
def test_reduced_rank_at_the_origin_has_the_known_values(widths):
    for nbeta, known in zip(SIZES, WISHART[widths], strict=False):
        assert finite.reduced_rank_origin(*widths, nbeta, 1, scale=1) == pytest.approx(known, abs=1.1e-3)


@pytest.mark.parametrize("widths", [(2, 2, 2), (2, 2, 3), (5, 2, 2), (3, 2, 6), (4, 7, 2)])
@pytest.mark.parametrize("nbeta", [1.0, 1e3, 1e9])
def test_the_pfaffian_equals_ordered_quadrature(widths, nbeta):
    exact = ordered_pair(*widths, nbeta, 2.0, 0.5)
    assert finite.reduced_rank_origin(*widths, nbeta, 2.0) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    "widths", [(3, 2, 4), (4, 3, 6), (7, 6, 9), (13, 12, 15), (31, 30, 33), (200, 4, 300), (330, 30, 430)]
)
@pytest.mark.parametrize("nbeta", [1e-2, 1e3, 1e12])
def test_either_matrix_may_be_integrated_out(widths, nbeta):
    m, h, n = widths  # h is the least, so that (m, h, n) and (n, h, m) are different integrals
    one, two = finite.reduced_rank_origin(m, h, n, nbeta, 1.0), finite.reduced_rank_origin(n, h, m, nbeta, 1.0)
    assert one == pytest.approx(two, rel=1e-9)


@pytest.mark.parametrize("widths", [(3, 3, 3), (5, 4, 4), (6, 7, 5)])
def test_brute_force_agrees(widths):
    """Prior draws of B, weighed by the exact integral over A; z in standard errors of the ratio."""
    (m, h, n), tau = widths, 2 * 0.5 * 1.0 / 4.0
    b = np.random.default_rng(sum(widths)).standard_normal((100_000, n, h))
    sizes = np.clip(np.linalg.eigvalsh(b.swapaxes(1, 2) @ b), 0, None) * tau
    weight, value = np.exp(-m / 2 * np.log1p(sizes).sum(1)), m / 2 * (sizes / (1 + sizes)).sum(1)
    weight /= weight.mean()
    mean = (weight * value).mean()
    error = (weight * (value - mean)).std() / len(b) ** 0.5
    assert error < 0.02 * mean
    assert abs(finite.reduced_rank_origin(m, h, n, 1.0, 2.0) - mean) < 4 * error
    assert abs(finite.reduced_rank_origin(m, h, n, 1.3, 2.0) - mean) > 8 * error  # negative control


@pytest.mark.parametrize("widths", [(1, 1, 1), (3, 1, 4), (1, 3, 4), (2, 5, 1)])
@pytest.mark.parametrize("nbeta", [1e-3, 10.0, 1e6, 1e18])
def test_two_routes_to_a_network_of_width_one(widths, nbeta):
    by_line = finite.deep_linear_origin(widths, nbeta, 3.0)
    assert by_line == pytest.approx(finite.reduced_rank_origin(*widths, nbeta, 3.0), rel=1e-9)


@pytest.mark.parametrize(
    "widths", [(1, 1), (4, 1), (1, 2, 2), (1, 2, 2, 2), (3, 1, 3, 4), (2, 2, 1, 2, 2), (1, 5, 1, 7, 9)]
)
def test_deep_networks_of_width_one_approach_their_closed_form(widths):
    llc, excess = limit(lambda n: finite.deep_linear_origin(widths, n, 1.0))
    known = theory.deep_linear(widths, rank=0)
    assert llc == pytest.approx(float(known.llc), abs=0.002)
    assert excess == pytest.approx(known.multiplicity - 1, abs=0.05)


@pytest.mark.parametrize("widths", [w for w in product(range(1, 5), repeat=3)])
def test_reduced_rank_approaches_its_closed_form(widths):
    llc, excess = limit(lambda n: finite.reduced_rank_origin(*widths, n, 1.0), n=1e30)
    known = theory.reduced_rank(*widths, rank=0)
    assert llc == pytest.approx(float(known.llc), abs=0.002)
    assert excess == pytest.approx(known.multiplicity - 1, abs=0.1)


MONOMIALS = [(1,), (2,), (3,), (1, 1), (1, 2), (2, 1), (3, 3), (1, 1, 1), (2, 0, 1)]


def powers(ks):
    return lambda *w: np.prod(np.broadcast_arrays(*[x ** (2 * k) for x, k in zip(w, ks, strict=True)]), axis=0)


@pytest.mark.parametrize("ks", MONOMIALS)
@pytest.mark.parametrize("nbeta", [10.0, 1e6])
def test_the_line_integral_equals_the_grid(ks, nbeta):
    by_line = finite.monomial(ks, nbeta, 2.0, scale=0.7)
    by_grid = finite.even(lambda *w: 0.7 * powers(ks)(*w), len(ks), nbeta, 2.0)
    assert by_line == pytest.approx(by_grid, rel=1e-9)


@pytest.mark.parametrize("ks", [*MONOMIALS, (1, 1, 1, 1, 1), (2, 2, 1, 0, 2)])
def test_monomials_approach_their_closed_form(ks):
    llc, excess = limit(lambda n: finite.monomial(ks, n, 1.0))
    known = theory.normal_crossing(ks)
    assert llc == pytest.approx(float(known.llc), abs=0.002)
    assert excess == pytest.approx(known.multiplicity - 1, abs=0.1)


def test_a_limit_of_something_else_is_noticed():
    llc, excess = limit(lambda n: finite.monomial([1, 1], n, 1.0))
    assert abs(llc - 0.25) > 0.1
    assert abs(excess) > 0.5


def test_values_that_are_known_in_closed_form():
    assert finite.regular([1.0, 4.0, 0.0], 10.0, 5.0) == pytest.approx(0.5 * (10 / 15 + 40 / 45))
    assert finite.regular([1.0, 4.0, 0.0], 10.0, 0.0) == 1.0
    assert finite.monomial([1], 10.0, 5.0, scale=0.5) == pytest.approx(finite.regular([1.0], 10.0, 5.0), rel=1e-12)
    assert finite.homogeneous(7, 2, 10.0, 5.0, 0.5) == pytest.approx(finite.regular([1.0] * 7, 10.0, 5.0), rel=1e-12)
    assert finite.homogeneous(1, 4, 10.0, 5.0) == pytest.approx(finite.monomial([2], 10.0, 5.0), rel=1e-12)
    assert finite.homogeneous(6, 4, 1e-9, 0.0) == 1.5
    assert finite.monomial([1, 1], 1e-6, 1.0) == pytest.approx(1e-6, rel=1e-5)  # nbeta E[K] under the prior


@pytest.mark.parametrize("d", [1, 2, 3, 50, 10_000])
@pytest.mark.parametrize("nbeta", [1e-2, 1e2, 1e8])
def test_a_quartic_equals_its_radial_integral(d, nbeta):
    u = np.linspace(-45, 8, 200_001)
    r = np.exp(u)
    log_p = d * u - nbeta * r**4 - 1.5 * r**2
    p = np.exp(log_p - log_p.max())
    exact = (p * nbeta * r**4).sum() / p.sum()
    assert finite.homogeneous(d, 4, nbeta, 3.0) == pytest.approx(exact, rel=1e-9)


def test_a_quartic_in_three_weights_by_grid():
    by_grid = finite.even(lambda x, y, z: (x**2 + y**2 + z**2) ** 2, 3, 1e4, 1.0)
    assert by_grid == pytest.approx(finite.homogeneous(3, 4, 1e4, 1.0), rel=1e-9)


def test_a_tilted_quadratic_away_from_the_origin():
    h = np.array([[1.0, 0.0, 0.5], [0.0, 4.0, 0.0], [0.5, 0.0, 1.0]])

    def k(*w):
        x = np.stack(np.broadcast_arrays(*w), -1) - [1.0, -2.0, 0.5]
        return 0.5 * np.einsum("...i,ij,...j->...", x, h, x)

    value = finite.quadrature(k, [1.0, -2.0, 0.5], 100.0, 1.0)
    assert value == pytest.approx(finite.regular(np.linalg.eigvalsh(h), 100.0, 1.0), rel=1e-7)


def test_general_and_even_quadrature_agree():
    def k(x, y):
        return x**2 * y**2 + 0.1 * y**4

    assert finite.quadrature(k, [0.0, 0.0], 1e3, 1.0) == pytest.approx(finite.even(k, 2, 1e3, 1.0), rel=1e-6)


def test_a_readout_is_integrated_exactly():
    """f = a b x: the readout of one linear unit is the monomial a^2 b^2 / 2."""
    value = finite.readout(lambda b: (b**2)[..., None, None], [0.0], 1e4, 2.0)
    assert value == pytest.approx(finite.monomial([1, 1], 1e4, 2.0, scale=0.5), rel=1e-7)


def relu_gram(*b):
    weights = np.stack(np.broadcast_arrays(*b), -1)
    sides = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)], -1)  # inputs +1 and -1
    return np.einsum("...ix,...jx->...ij", sides, sides)


def test_relu_units_approach_their_closed_form():
    llc, excess = limit(lambda n: finite.readout(relu_gram, [0.0], n, 1.0), n=1e6)
    assert llc == pytest.approx(0.5, abs=0.01)
    assert excess == pytest.approx(theory.relu_unit().multiplicity - 1, abs=0.2)
    pair = [finite.readout(relu_gram, [0.0, 0.0], n, 1.0) for n in (1e3, 1e6)]
    assert pair == pytest.approx([0.550, 0.510], abs=1e-3)
    assert pair[1] > float(theory.relu_pair().llc)  # from above; m = 2 would come from below


def cone(gram, signs, nbeta):
    """Z and nbeta E[K] Z with outputs integrated out, hidden weights ordered among those of one sign.

    b_1 = e^u, b_2 = b_1 + e^v, ..: all valleys (b_i = 0, b_i = b_j) end up at minus infinity of one coordinate.
    """
    u = np.arange(-0.25 * np.log(nbeta) - 10, 1.6, 0.5)
    logs = np.meshgrid(*[u] * len(signs), indexing="ij")
    b: list[np.ndarray] = []
    for i, (sign, step) in enumerate(zip(signs, np.exp(logs), strict=True)):
        b.append(sign * step + (b[-1] if i and signs[i - 1] == sign else 0))
    sizes = np.clip(np.linalg.eigvalsh(gram(np.stack(b, -1))), 0, None) * nbeta
    log_p = sum(logs) - 0.5 * sum(np.square(b)) - 0.5 * np.log1p(sizes).sum(-1)
    return np.exp(log_p).sum(), (np.exp(log_p) * 0.5 * (sizes / (1 + sizes)).sum(-1)).sum()


def gram_of(activation):
    x, weight = np.polynomial.legendre.leggauss(10)

    def gram(b):
        features = activation(b[..., None] * 1.5 * x)
        return np.einsum("...ix,...jx,x->...ij", features, features, weight / 2)

    return gram


@pytest.mark.parametrize("hidden", [1, 2, 3])
@pytest.mark.parametrize("q", [1, 2])
def test_networks_approach_the_vandermonde_formula(hidden, q):
    """Odd activations (Q = 2) are even in each b; generic ones (Q = 1) have a cone for each pattern of signs."""
    gram = gram_of(np.tanh if q == 2 else np.expm1)
    patterns = [(1,) * hidden]
    if q == 1 and hidden > 1:
        patterns.append((1,) * (hidden - 1) + (-1,))
    counts = {1: [1], 2: [2, 1], 3: [1, 1]}[hidden] if q == 1 else [1]  # orders times patterns, up to a factor

    def value(nbeta):
        parts = [cone(gram, pattern, nbeta) for pattern in patterns]
        z, total = np.sum([c * np.array(part) for c, part in zip(counts, parts, strict=True)], axis=0)
        return total / z

    known = theory.vandermonde(hidden, q)
    exact, lost = value(1e10), 1 / np.log(1e10)
    assert exact == pytest.approx(float(known.llc) - (known.multiplicity - 1) * lost, abs=0.015)
    assert abs(exact - (float(known.llc) - (2 - known.multiplicity) * lost)) > 0.025  # the other multiplicity


def test_two_gaussians_approach_the_formula_for_mixtures():
    """Chi-square distance of a N(b, 1) + (1 - a) N(c, 1) from N(0, 1); u the mean, d = b - c."""

    def chi_square(a, u, d):
        b, c = u + (1 - a) * d, u - a * d
        return a**2 * np.expm1(b**2) + (1 - a) ** 2 * np.expm1(c**2) + 2 * a * (1 - a) * np.expm1(b * c)

    value = finite.quadrature(chi_square, [0.5, 0.0, 0.0], 1e10, 400.0)
    assert theory.gaussian_mixture(2, 1) == (0.75, 1)
    assert value == pytest.approx(0.75, abs=3e-3)  # m = 2 would lose 1/log n = 0.04


def test_two_terms_are_refused_where_they_are_no_truth():
    pair = theory.Coefficient(theory.normal_crossing([1, 1]).llc, 2)
    exact = [finite.monomial([1, 1], n, 1.0) for n in (1e3, 1e6)]
    ratios = [finite.asymptotic(pair, n) / value for n, value in zip((1e3, 1e6), exact, strict=True)]
    assert ratios == pytest.approx([0.91, 0.977], abs=2e-3)
    for bad in (theory.Coefficient(pair.llc, 3), theory.mixture_bound(2, 1, 1), pair.llc):
        with pytest.raises(InputError, match="exact"):
            finite.asymptotic(bad, 1e6)
    with pytest.raises(InputError, match="too small"):
        finite.asymptotic(pair, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: finite.monomial([0, 0], 1e3, 1.0), "above zero"),
        (lambda: finite.monomial([1, 1], 1e3, 0.0), "gamma = 0"),
        (lambda: finite.monomial([1, 1], -1.0, 1.0), "nbeta = -1"),
        (lambda: finite.monomial([0.5], 1e3, 1.0), r"ks\[0\] = 0.5"),
        (lambda: finite.homogeneous(0, 4, 1e3, 1.0), "d = 0"),
        (lambda: finite.deep_linear_origin([2, 2, 2, 2], 1e3, 1.0), "one of them 1"),
        (lambda: finite.reduced_rank_origin(2, 2, 2, float("nan"), 1.0), "nbeta = nan"),
        (lambda: finite.reduced_rank_origin(51, 51, 51, 1e3, 1.0), "at most 50"),
        (lambda: finite.reduced_rank_origin(30, 30, 30, 1e300, 1.0), "too far apart"),
        (lambda: finite.even(lambda x: x**3, 1, 1e3, 1.0), "not even"),
        (lambda: finite.even(lambda *w: w[0] ** 2, 4, 1e3, 1.0), "dims = 4"),
        (lambda: finite.even(lambda x: 1 + x**2, 1, 1e3, 1.0), "at the center"),
        (lambda: finite.quadrature(lambda x: np.log(x) ** 2, [1.0], 1e3, 1.0), "not finite"),
        (lambda: finite.quadrature(lambda x: x**2, [float("inf")], 1e3, 1.0), "center"),
        (lambda: finite.quadrature(lambda x: undefined, [0.0], 1e3, 1.0), "fn failed: NameError"),  # noqa: F821
        (lambda: finite.quadrature(lambda x, y, z: (x * y * z - 1) ** 2, [1, 1, 1], 1e9, 1.0), "not settled"),
        (lambda: finite.readout(lambda b: -(b**2)[..., None, None], [0.0], 1e3, 1.0), "eigenvalue"),
        (lambda: finite.readout(lambda b: b, [0.0], 1e3, 1.0), "shape"),
        (lambda: finite.regular([-1.0], 1e3, 1.0), r"curvatures\[0\]"),
    ],
)
def test_wrong_input_is_said_in_one_line(call, message):
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
