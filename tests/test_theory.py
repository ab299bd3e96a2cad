"""Closed forms: the table of known values, one formula against another, invariances, and what must be refused."""

from fractions import Fraction as F
from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import minimize

from thalweg import theory
from thalweg.errors import InputError
from thalweg.theory import Coefficient, UpperBound

LINE = theory.regular(1)
TABLE = {  # row: (what a formula gives, lambda, m)
    1: (theory.regular(7), F(7, 2), 1),
    2: (theory.homogeneous(1, 4), F(1, 4), 1),
    3: (theory.normal_crossing([3]), F(1, 6), 1),
    4: (theory.normal_crossing([1, 1]), F(1, 2), 2),
    5: (theory.normal_crossing([1, 2]), F(1, 4), 1),
    6: (theory.normal_crossing([2, 2]), F(1, 4), 2),
    7: (theory.normal_crossing([3, 3]), F(1, 6), 2),
    8: (theory.normal_crossing([1, 1, 1]), F(1, 2), 3),
    9: (theory.monomial_squares([(1, 0), (0, 2)]), F(3, 4), 1),
    10: (theory.monomial_squares([(1, 0, 1), (0, 1, 1)]), F(1, 2), 1),
    11: (theory.monomial_squares([(1, 0, 0), (0, 1, 1)]), F(1), 2),
    12: (theory.reduced_rank(2, 1, 2, 0), F(1), 2),
    13: (theory.reduced_rank(2, 2, 2, 0), F(3, 2), 1),
    14: (theory.reduced_rank(2, 2, 3, 0), F(2), 2),
    15: (theory.reduced_rank(3, 3, 3, 0), F(7, 2), 2),
    16: (theory.reduced_rank(3, 3, 3, 1), F(4), 1),
    17: (theory.reduced_rank(3, 3, 3, 2), F(9, 2), 2),
    18: (theory.reduced_rank(3, 3, 3, 3), F(9, 2), 1),
    19: (theory.reduced_rank(5, 4, 5, 0), F(8), 1),
    20: (theory.reduced_rank(5, 3, 5, 1), F(8), 1),
    21: (theory.reduced_rank(4, 3, 8, 0), F(6), 1),
    22: (theory.reduced_rank(4, 3, 8, 2), F(11), 1),
    23: (theory.reduced_rank(3, 8, 4, 0), F(6), 1),
    24: (theory.deep_linear([2] * 4, 0), F(3, 2), 3),
    25: (theory.deep_linear([2] * 5, 0), F(3, 2), 5),
    26: (theory.deep_linear([3, 2, 2, 3], 0), F(2), 3),
    27: (theory.deep_linear([3] * 4, 1), F(4), 3),
    28: (theory.deep_linear([4, 2, 3, 4], 1), F(9, 2), 1),
    29: (theory.deep_linear([5] * 5, 2), F(11), 4),
    30: (theory.deep_linear([10, 20, 20, 10], 3), F(50), 1),
    31: (theory.reduced_rank(10, 10, 10, 5), F(47), 2),
    32: (theory.reduced_rank(6, 4, 6, 2), F(27, 2), 1),
    33: (theory.reduced_rank(20, 100, 20, 10), F(200), 1),
    34: (theory.reduced_rank(2, 2, 2, 1), F(2), 2),
    35: (theory.tanh_network(1), F(1, 2), 2),
    36: (theory.tanh_network(2), F(2, 3), 1),
    37: (theory.tanh_network(3), F(5, 6), 1),
    38: (theory.tanh_network(4), F(1), 2),
    39: (theory.tanh_network(9), F(3, 2), 2),
    40: (theory.contaminated_normal(), F(1, 2), 2),
    41: (theory.gaussian_mixture(2, 1), F(3, 4), 1),
    42: (theory.gaussian_mixture(3, 1), F(1), 1),  # quoted with m = 2, which takes negative weights
    43: (theory.stochastic_matrix_factorization(2, 2, 2, 1), F(1), 2),
    44: (theory.nonnegative_matrix_factorization(3, 3, 2, 0), F(3), 3),
    45: (theory.relu_unit(), F(1, 2), 2),
    46: (theory.relu_pair(), F(1, 2), 1),
    47: (theory.monomial_squares([(1, 2)]), F(1, 4), 1),
    48: (theory.superposition_gon(6, 5), F(7), 1),
    49: (theory.superposition_gon(6, 5, positive=1), F(17, 2), 1),
    50: (theory.superposition_gon(6, 6), F(17, 2), 1),
}
SMALL = [w for w in product(range(1, 9), repeat=3)]


@pytest.mark.parametrize("row", TABLE)
def test_the_table(row):
    found, llc, multiplicity = TABLE[row]
    assert isinstance(found, Coefficient)
    assert found == (llc, multiplicity)
    assert isinstance(found.llc, F)


def test_two_formulas_of_linear_networks_agree_on_all_small_sizes():
    cases = [(w, r) for w in SMALL for r in range(min(w) + 1)]
    assert len(cases) == 1808
    for widths, r in cases:
        assert theory.reduced_rank(*widths, rank=r) == theory.deep_linear(widths, rank=r)


def test_the_agreement_can_fail():
    assert theory.reduced_rank(3, 3, 3, rank=1) != theory.deep_linear([3, 3, 3, 3], rank=1)
    assert theory.reduced_rank(3, 3, 3, rank=1) != theory.reduced_rank(3, 3, 3, rank=2)


@pytest.mark.parametrize("widths", [(2, 3, 4, 5), (3, 3, 4, 2), (5, 2, 2, 6, 3), (4, 4, 4, 4)])
def test_deep_linear_does_not_see_the_order_of_widths(widths):
    """At rank 0 not at all; above it inner widths permute, and the whole may be transposed."""
    assert len({theory.deep_linear(order, rank=0) for order in permutations(widths)}) == 1
    first, *inner, last = widths
    for r in range(1, min(widths) + 1):
        found = {theory.deep_linear([first, *order, last], rank=r) for order in permutations(inner)}
        assert found == {theory.deep_linear(widths[::-1], rank=r)}


def test_a_single_matrix_is_regular():
    for m, n in product(range(1, 6), repeat=2):
        assert theory.deep_linear([m, n], rank=min(m, n) - 1) == theory.regular(m * n)


def test_half_the_number_of_weights_bounds_lambda():
    for (m, h, n), depth in product(SMALL, (1, 2, 3)):
        for r in range(min(m, h, n) + 1):
            known = theory.deep_linear([m, *[h] * depth, n], rank=r)
            weights = m * h + h * h * (depth - 1) + h * n
            assert 0 < known.llc <= min(F(weights, 2), F(m * n, 2))  # no more than all maps of full rank


def points(m, h, n):
    """All ranks (a, b, r) of pairs of matrices."""
    for a, b in product(range(min(h, m) + 1), range(min(n, h) + 1)):
        yield from ((a, b, r) for r in range(max(0, a + b - h), min(a, b) + 1))


@pytest.mark.parametrize("widths", list(product(range(1, 6), repeat=3)))
def test_local_values_have_the_global_one_as_their_minimum(widths):
    local = {point: theory.reduced_rank_local(*widths, *point) for point in points(*widths)}
    m, h, n = widths
    for (a, b, r), found in local.items():
        assert found == theory.reduced_rank_local(n, h, m, b, a, r)
        for nearby in ((a + 1, b, r), (a, b + 1, r)):  # nearby points are no more singular
            assert local.get(nearby, found).llc >= found.llc
        if a == b == r:
            assert found == theory.reduced_rank(*widths, rank=r)
    generic = min(h, m), min(n, h), min(widths)
    if generic in local and m >= h <= n:
        assert local[generic] == theory.regular(h * (m + n - h))


def test_local_values_known_from_sampling():
    assert theory.reduced_rank_local(2, 2, 2, 2, 0, 0).llc == 2
    assert theory.reduced_rank_local(3, 3, 3, 3, 1, 1).llc == F(9, 2)
    assert theory.reduced_rank_local(3, 3, 3, 2, 2, 1).llc == 4


def test_one_monomial_is_a_normal_crossing():
    for ks in product(range(4), repeat=3):
        for hs in ((0, 0, 0), (1, 0, 3), (F(-1, 2), 2, F(1, 3))):
            if any(ks):
                assert theory.monomial_squares([ks], hs) == theory.normal_crossing(ks, hs)


def test_newton_polyhedra_obey_the_rules_of_sums_and_products():
    rng = np.random.default_rng(0)
    for _ in range(60):
        one, two = ([tuple(int(x) for x in row) for row in rng.integers(0, 4, (rng.integers(1, 4), 2))] for _ in "ab")
        one, two = ([row if any(row) else (1, 2) for row in rows] for rows in (one, two))
        apart = [(*row, 0, 0) for row in one] + [(0, 0, *row) for row in two]
        crossed = [(*row, *other) for row in one for other in two]
        parts = theory.monomial_squares(one), theory.monomial_squares(two)
        assert theory.monomial_squares(apart) == theory.sum_of(*parts)
        assert theory.monomial_squares(crossed) == theory.product_of(*parts)


def test_newton_polyhedra_ignore_what_lies_inside():
    corners = [(4, 0), (0, 4), (1, 1)]
    assert theory.monomial_squares(corners) == theory.monomial_squares([*corners, (2, 1), (1, 3), (1, 1)])
    assert theory.monomial_squares(corners) == (F(1, 2), 2)
    assert theory.monomial_squares([(4, 0), (0, 4)]) == (F(1, 4), 1)  # without the corner that decides


def test_rules_keep_bounds_apart_from_values():
    bound = theory.mixture_bound(2, 1, 1)
    assert bound == UpperBound(F(1))
    assert theory.sum_of(LINE, bound) == UpperBound(F(3, 2))
    assert theory.product_of(LINE, bound) == UpperBound(F(1, 2))
    assert theory.sum_of(theory.relu_unit(), theory.relu_unit(), LINE) == (F(3, 2), 3)
    assert theory.product_of(LINE, LINE, theory.regular(2)) == (F(1, 2), 2)
    with pytest.raises(TypeError):
        _, _ = bound  # does not pass for (lambda, m)


def test_vandermonde_is_tanh_at_two_and_ties_where_theory_says():
    for p in range(1, 60):
        i = int(p**0.5)
        assert theory.tanh_network(p) == (F(p + i * i + i, 4 * i + 2), 1 + (i * i == p))
        for q in (1, 2, 3):
            ties = any(2 * p == k * (k - 1) * q + 2 * k for k in range(1, p + 1))
            assert theory.vandermonde(p, q).multiplicity == 1 + ties
    assert theory.vandermonde(3, 1) == (F(1), 2)


def test_mixtures_are_regular_without_spare_components_and_below_the_bound():
    for r in range(1, 6):
        assert theory.gaussian_mixture(r, r) == theory.regular(2 * r - 1)
        for h in range(r, r + 6):
            known = theory.gaussian_mixture(h, r).llc
            assert known == theory.mixture_bound(h, r, 1, F(1, 2)).llc
            assert known <= min(theory.mixture_bound(h, r, 1).llc, F(2 * h - 1, 2))
            signed = r - 1 + theory.vandermonde(h - r + 1, 1).llc
            assert (signed == known) == (h <= r + 2)


def scaled(rng, shape):
    """Numbers of all sizes, 1e-6 to 1."""
    return 10.0 ** rng.uniform(-6, 0, shape)


@pytest.mark.parametrize("spare", [1, 2, 3])
def test_nonnegative_weights_leave_a_sum_of_squared_monomials(spare):
    """K / (u^2 + sum a_i^2 b_i^4) stays between two constants, and a toric K has a known coefficient."""
    rng = np.random.default_rng(spare)
    b = scaled(rng, (spare, 100_000)) * rng.choice([-1, 1], (spare, 100_000))
    u = scaled(rng, 100_000) * rng.choice([-1, 1], 100_000)

    def ratio(a):
        last = (u - (a * b).sum(0)) / (1 - a.sum(0))
        weights, means = np.vstack([a, 1 - a.sum(0)]), np.vstack([b, last])
        moments = [(weights * means**j).sum(0) for j in range(1, 16)]
        moments[0] = u
        chi_square = sum(x**2 / np.prod(np.arange(1.0, j + 1)) for j, x in enumerate(moments, start=1))
        return chi_square / (u**2 + (a**2 * b**4).sum(0))

    weights = scaled(rng, (spare, 100_000)) / (spare + 1)
    found = ratio(weights)
    assert found.min() > 0.05
    assert found.max() < 200
    ends = [
        (1, *[0] * (2 * spare)),
        *((0, *[int(j == i) for j in range(spare)], *[2 * (j == i) for j in range(spare)]) for i in range(spare)),
    ]
    assert theory.monomial_squares(ends) == theory.gaussian_mixture(spare + 1, 1)
    if spare > 1:  # negative control: weights of both signs cancel
        b[1], weights[1] = b[0], -weights[0] * (1 + 1e-6)
        u[:] = 1e-9
        assert ratio(weights).min() < 1e-4


def test_factor_analysis_is_regular_without_spare_factors_and_toric_with_one():
    for m0 in range(3, 8):
        for k in range(m0):
            if (m0 - k) ** 2 >= m0 + k:
                free = m0 * (k + 1) - k * (k - 1) // 2
                assert theory.factor_analysis(m0, k, k) == theory.regular(free)
                for true in range(k):
                    assert theory.factor_analysis(m0, k, true).llc < F(free, 2)
        pairs = [
            tuple(int(i in pair) for i in range(m0)) for pair in product(range(m0), repeat=2) if pair[0] < pair[1]
        ]
        assert theory.sum_of(theory.regular(m0), theory.monomial_squares(pairs)) == theory.factor_analysis(m0, 1, 0)
        assert theory.latent_forest(m0, m0) == theory.factor_analysis(m0, 1, 0)


def test_a_chain_through_one_hidden_node_is_a_forest_with_a_free_node():
    """Two observed variables and a hidden node of degree two: covariance b1 b2, truth independent."""
    assert theory.latent_forest(2, 2, free_nodes=1) == theory.sum_of(
        theory.regular(2), theory.normal_crossing([1, 1])
    )


def test_topics_agree_with_normal_forms_made_by_hand():
    for m, n in product(range(1, 6), repeat=2):
        assert theory.stochastic_matrix_factorization(m, n, 1, 1) == Coefficient(F(m - 1, 2), 1)
    two = theory.sum_of(LINE, theory.normal_crossing([1, 1]))  # a2 + d b1, then d (b2 - b1)
    assert theory.stochastic_matrix_factorization(2, 2, 2, 1) == two
    three = theory.sum_of(LINE, theory.reduced_rank(1, 2, 1, 0))  # an inner product of two vectors
    assert theory.stochastic_matrix_factorization(2, 2, 3, 1) == three


def test_nonnegative_factors_do_not_cancel():
    for m, n, h in product(range(1, 4), range(1, 4), range(1, 3)):
        eye = np.eye(h * (m + n), dtype=int)
        x, y = eye[: h * m].reshape(h, m, -1), eye[h * m :].reshape(h, n, -1)
        terms = [[int(v) for v in x[k, i] + y[k, j]] for k in range(h) for i in range(m) for j in range(n)]
        assert theory.nonnegative_matrix_factorization(m, n, h, 0) == theory.monomial_squares(terms)
    assert theory.nonnegative_matrix_factorization(4, 3, 1, 1) == theory.regular(6)
    for (m, h, n), true in product(SMALL, (1, 2, 3)):
        if true <= min(m, h, n) and (h, true) != (1, 1):
            bound = theory.nonnegative_matrix_factorization(m, n, h, true)
            assert isinstance(bound, UpperBound)
            assert bound.llc >= theory.reduced_rank(m, h, n, true).llc


def superposed(w, c):
    """Population loss of the toy model, exact: f = relu(W'W x + b), one input u e_j on, u uniform on [0, 1]."""
    columns, b = w[: 2 * c].reshape(2, c), w[2 * c :][:, None]
    g = columns.T @ columns  # (output i, input j)
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = np.clip(np.where(g == 0, 0.0, -b / g), 0, 1)
    low, high = np.where(g > 0, zero, 0.0), np.where(g > 0, 1.0, zero)
    low, high = (np.where(g == 0, edge, x) for edge, x in ((0.0, low), (np.where(b > 0, 1.0, 0.0), high)))
    d, p = np.eye(c), np.eye(c) - g
    cubes = (high**3 - low**3) / 3
    return (p**2 * cubes - p * b * (high**2 - low**2) + b**2 * (high - low) + d * (1 / 3 - cubes)).sum() / c


CORNERS = {5: (1.1704596391, -0.2822972831), 6: (1.3205263308, -0.6181351319), 7: (1.4483937504, -0.9669063393)}
CORNERS |= {4: (1.0, 0.0), 8: (1.5504496901, -1.2911926447)}


def gon(c, k, positive):
    length, bias = CORNERS[k]
    angles = 2 * np.pi * np.arange(k) / k
    columns = np.zeros((2, c))
    columns[:, :k] = length * np.array([np.cos(angles), np.sin(angles)])
    biases = np.r_[np.full(k, bias), np.full(positive, 1 / (2 * c)), np.full(c - k - positive, -1.0)]
    return np.r_[columns.ravel(), biases]


def hessian(c, w, step=1e-4):
    e = step * np.eye(len(w))
    return np.array(
        [[sum(s * t * superposed(w + s * x + t * y, c) for s, t in product((1, -1), repeat=2)) for x in e] for y in e]
    ) / (4 * step**2)


@pytest.mark.parametrize(("c", "k", "positive"), [(6, 5, 0), (6, 5, 1), (6, 6, 0), (7, 5, 2), (7, 7, 0), (8, 8, 0)])
def test_gons_have_half_the_rank_of_their_hessian(c, k, positive):
    sizes = np.linalg.eigvalsh(hessian(c, gon(c, k, positive)))
    known = theory.superposition_gon(c, k, positive)
    assert known == theory.regular(int((sizes > 1e-4).sum()))
    assert abs(sizes[: 3 * c - int(2 * known.llc)]).max() < 1e-5  # what is left is flat


def test_zero_columns_of_both_kinds_are_a_saddle():
    assert np.linalg.eigvalsh(hessian(7, gon(7, 5, 1)))[0] < -1e-4
    with pytest.raises(InputError, match="saddle"):
        theory.superposition_gon(7, 5, positive=1)
    with pytest.raises(InputError, match="saddle"):
        theory.superposition_gon(10, 4, positive=2)


@pytest.mark.parametrize(("c", "positive"), [(4, 0), (5, 0), (5, 1), (6, 1), (7, 2)])
def test_the_four_gon_is_homogeneous_of_degree_two_off_its_flat_directions(c, positive):
    w = gon(c, 4, positive)
    turn = np.r_[-w[c : 2 * c], w[:c], np.zeros(c)]
    flat = np.vstack([turn / np.linalg.norm(turn), np.eye(3 * c)[2 * c + 4 + positive :]]).T  # and dead biases
    d = 3 * c - flat.shape[1]
    assert theory.superposition_gon(c, 4, positive) == theory.homogeneous(d, 2)

    def quotient(v, t=1e-3):
        v = v - flat @ (flat.T @ v)
        return (superposed(w + t * v / np.linalg.norm(v), c) - superposed(w, c)) / t**2

    rng = np.random.default_rng(c)
    starts = rng.standard_normal((40, 3 * c))
    for v in starts:
        assert quotient(v, 1e-4) == pytest.approx(quotient(v, 1e-3), rel=2e-2)
    lowest = [minimize(quotient, v, method="L-BFGS-B", options={"eps": 1e-5, "maxfun": 1500}).fun for v in starts[:3]]
    assert min(lowest) > 1e-3
    assert max(abs(quotient(v) / quotient(-v) - 1) for v in starts) > 0.1  # C^1 and not C^2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.regular(0), "d = 0"),
        (lambda: theory.regular(True), "d = True"),
        (lambda: theory.regular(2.0), "d = 2.0"),
        (lambda: theory.homogeneous(2, 0), "degree = 0"),
        (lambda: theory.homogeneous(2, 0.5), "Fraction"),
        (lambda: theory.normal_crossing([]), "at least one number"),
        (lambda: theory.normal_crossing([0, 0]), "above zero"),
        (lambda: theory.normal_crossing([-1, 2]), "not negative"),
        (lambda: theory.normal_crossing([1, 2], [0]), "2 numbers above -1"),
        (lambda: theory.normal_crossing([1], [-1]), "above -1"),
        (lambda: theory.monomial_squares([(1, 0), (0, 0)]), r"alphas\[1\]"),
        (lambda: theory.monomial_squares([(1, 0), (1,)]), "rows of"),
        (lambda: theory.reduced_rank(2, 2, 2, 3), "rank = 3"),
        (lambda: theory.deep_linear([3], 0), "at least two"),
        (lambda: theory.deep_linear("333", 0), "sequence"),
        (lambda: theory.deep_linear([3, 2], -1), "rank = -1"),
        (lambda: theory.reduced_rank_local(2, 2, 2, 3, 0, 0), "rank_a = 3"),
        (lambda: theory.reduced_rank_local(2, 2, 2, 2, 2, 1), "give 2 to 2"),
        (lambda: theory.vandermonde(1, 0), "q = 0"),
        (lambda: theory.gaussian_mixture(1, 2), "components = 1"),
        (lambda: theory.mixture_bound(2, 1, 1, 0), "concentration = 0"),
        (lambda: theory.factor_analysis(2, 1, 0), "factors = 1"),
        (lambda: theory.factor_analysis(9, 1, 2), "true_factors = 2"),
        (lambda: theory.stochastic_matrix_factorization(2, 2, 2, 0), "rank = 0"),
        (lambda: theory.nonnegative_matrix_factorization(3, 3, 2, 3), "true_factors = 3"),
        (lambda: theory.superposition_gon(3, 3), "features = 3"),
        (lambda: theory.superposition_gon(12, 9), "k = 9"),
        (lambda: theory.superposition_gon(6, 5, positive=2), "positive = 2"),
        (lambda: theory.sum_of(), "no coefficient"),
        (lambda: theory.product_of(LINE, F(1, 2)), "no coefficient"),
    ],
)
def test_wrong_input_is_said_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
