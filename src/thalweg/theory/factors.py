"""Coefficients of models with hidden factors: factor analysis, latent forests, nonnegative factorizations."""

from fractions import Fraction

from thalweg.errors import InputError
from thalweg.theory._checks import count
from thalweg.theory.coefficient import Coefficient, UpperBound
from thalweg.theory.linear import reduced_rank


def factor_analysis(observed: int, factors: int, true_factors: int) -> Coefficient:
    """Of Sigma = D + B B', B observed x k, truth with l factors in general position:

        lambda = ((k + 2) m0 + l (m0 - k + 1))/4,   m = 1

    Regular, half the dimension, for k = l; otherwise quartic in (m0 - l)(k - l) further directions.

    Args:
        observed: m0 >= 1, variables.
        factors: k >= l, fitted, within Ledermann's bound (m0 - k)^2 >= m0 + k: beyond it the factors are not
            identified, and the formula fails (m0 = 2, k = 1 has m = 2).
        true_factors: l >= 0.

    Returns:
        For a prior that is positive at the truth.

    Raises:
        InputError: counts out of range.

    Source: Drton & Plummer 2017, as in sBIC (FactorAnalyses.R); k = 1, l = 0 is checked here
    against the Newton polyhedron.
    """
    m0, k, true = count("observed", observed), count("factors", factors, 0), count("true_factors", true_factors, 0)
    if true > k:
        raise InputError(f"factors = {k}: give at least true_factors = {true}, or no truth is in the model")
    if k >= m0 or (m0 - k) ** 2 < m0 + k:
        raise InputError(f"factors = {k}: too many for {m0} variables, give k with (m0 - k)^2 >= m0 + k")
    return Coefficient(Fraction((k + 2) * m0 + true * (m0 - k + 1), 4), 1)


def latent_forest(dimension: int, loose_ends: int, free_nodes: int = 0) -> Coefficient:
    """Of a Gaussian latent forest whose truth is a smaller forest q:

        lambda = dimension/2 + w/4,   m = 1 + l2

    Args:
        dimension: of the smaller model, >= 1: its edges and its observed variables.
        loose_ends: w >= 0, ends of removed edges that lie in the forest q (observed variables always do).
        free_nodes: l2 >= 0, nodes of degree two in the fitted forest that do not lie in q.

    Returns:
        For edge correlations in general position.

    Raises:
        InputError: a count out of range.

    Source: Drton, Lin, Weihs & Zwiernik 2017, as in sBIC (LatentForests.R); stars with an
    independent truth are checked here against the Newton polyhedron.
    """
    dim, ends = count("dimension", dimension), count("loose_ends", loose_ends, 0)
    return Coefficient(Fraction(dim, 2) + Fraction(ends, 4), 1 + count("free_nodes", free_nodes, 0))


def stochastic_matrix_factorization(words: int, documents: int, topics: int, rank: int) -> Coefficient:
    """Of A B, A words x topics and B topics x documents with columns on the simplex (latent Dirichlet allocation):

        lambda = lambda_RRR(M, H, N, r) - N/2,   m = m_RRR

    Args:
        words: M >= 1, rows of A.
        documents: N >= 1, columns of B.
        topics: H >= 1.
        rank: 1 <= r <= min(M, H, N) of the true product.

    Returns:
        For a truth inside the simplices, under a prior positive there.

    Raises:
        InputError: a count below 1, or a rank that stochastic matrices of this size cannot have.

    Source: Hayashi 2021 (his r is ours less one); one topic, and two words and documents with two or
    three topics, are checked here by hand-made normal forms.
    """
    m_, n, h, r = count("words", words), count("documents", documents), count("topics", topics), count("rank", rank)
    whole = reduced_rank(m_, h, n, r)
    return Coefficient(whole.llc - Fraction(n, 2), whole.multiplicity)


def nonnegative_matrix_factorization(
    rows: int, columns: int, factors: int, true_factors: int
) -> Coefficient | UpperBound:
    """Of X Y, X rows x H and Y H x columns, entries not negative, true product of nonnegative rank H0:

        lambda <= [(H - H0) min(M, N) + H0 (M + N - 1)]/2,

    with equality for H0 = 0 (m = H + 1 where M = N, else 1) and for H = H0 = 1 (m = 1).

    Args:
        rows: M >= 1.
        columns: N >= 1.
        factors: H >= H0, at least 1.
        true_factors: 0 <= H0 <= min(M, N).

    Returns:
        A coefficient where equality holds, otherwise an upper bound; prior positive and bounded at 0.

    Raises:
        InputError: counts out of range.

    Source: Hayashi & Watanabe 2017. Equality at H0 = 0, with m, is our own: entries of one sign do not
    cancel, so K ~ sum_h |x_h|^2 |y_h|^2; checked here against the Newton polyhedron. The bound was recalled
    and re-derived: the other factors at zero cost min(M, N)/2 each, the true ones at most half their dimension
    less their scales; it is checked here to lie above reduced rank regression, whose lambda is no larger.
    """
    m_, n, h = count("rows", rows), count("columns", columns), count("factors", factors)
    true = count("true_factors", true_factors, 0)
    if true > min(h, m_, n):
        raise InputError(f"true_factors = {true}: give at most {min(h, m_, n)}, the least of factors, rows, columns")
    llc = Fraction((h - true) * min(m_, n) + true * (m_ + n - 1), 2)
    if true == 0:
        return Coefficient(llc, h + 1 if m_ == n else 1)
    return Coefficient(llc, 1) if h == true == 1 else UpperBound(llc)
