"""Coefficients of sums of squared monomials, by an exact linear programme over the Newton polyhedron."""

from collections.abc import Sequence
from fractions import Fraction

from thalweg.errors import InputError
from thalweg.theory._checks import Rational, exponents, prior_powers, sequence
from thalweg.theory.coefficient import Coefficient

Row = list[Fraction]


def monomial_squares(alphas: Sequence[Sequence[Rational]], hs: Sequence[Rational] | None = None) -> Coefficient:
    """Of K = sum_k w^{2 alpha_k} under a prior prod_i |w_i|^{h_i}:

        lambda = min { sum_i t_i (h_i + 1)/2 :  t >= 0,  <t, alpha_k> >= 1 for all k },
        m = 1 + dimension of the set of minimisers.

    With P the Newton polyhedron, that m is d - dim(face of P hit by the ray along h + 1). Any K between two
    positive multiples of such a sum has the same coefficient, so squares of generators of an ideal will do.

    Args:
        alphas: (number of monomials, d) exponents >= 0, exact; no monomial is constant.
        hs: h_i > -1, exact, one for each weight; zeros by default.

    Returns:
        At the origin, exact: the programme is solved by the simplex method over rationals (Bland's rule,
        which cannot cycle), and its minimum and its maximum are checked to agree. Meant for tens of monomials.

    Raises:
        InputError: exponents out of range, a constant monomial (K has no zero), or rows of unequal length.

    Source: Howald 2001; multiplicity as in Lin 2011 (Newton nondegenerate ideals).
    """
    rows = [exponents(f"alphas[{k}]", row) for k, row in enumerate(sequence("alphas", alphas))]
    d = len(rows[0])
    if any(len(row) != d for row in rows):
        raise InputError(f"alphas has rows of {sorted({len(row) for row in rows})} exponents: give d in each row")
    costs = [(h + 1) / 2 for h in prior_powers(hs, d)]
    columns = [*rows, *([Fraction(int(i == j)) for j in range(d)] for i in range(d))]
    tableau = [[column[i] for column in columns] + [costs[i]] for i in range(d)]
    basis = list(range(len(rows), len(columns)))
    weights = [Fraction(int(j < len(rows))) for j in range(len(columns))]
    gains = _maximise(tableau, basis, weights, range(len(columns)))
    minimiser = [-gain for gain in gains[len(rows) :]]  # t, read off the slack columns
    llc = sum((row[-1] for row, j in zip(tableau, basis, strict=True) if j < len(rows)), Fraction(0))
    _certify(rows, costs, minimiser, llc)
    tight = _supports(tableau, basis, [j for j, gain in enumerate(gains) if gain == 0])
    return Coefficient(llc, d - _rank([columns[j] for j in tight]) + 1)


def _maximise(tableau: list[Row], basis: list[int], weights: Sequence[Fraction], allowed: Sequence[int]) -> Row:
    """Pivot in place to max <weights, x>, x >= 0, entering only allowed columns; the reduced gains at the end."""
    while True:
        gains = [
            weight - sum((weights[b] * row[j] for b, row in zip(basis, tableau, strict=True)), Fraction(0))
            for j, weight in enumerate(weights)
        ]
        entering = next((j for j in allowed if gains[j] > 0), None)
        if entering is None:
            return gains
        ratios = [(row[-1] / row[entering], basis[i], i) for i, row in enumerate(tableau) if row[entering] > 0]
        _pivot(tableau, basis, min(ratios)[2], entering)


def _pivot(tableau: list[Row], basis: list[int], at: int, entering: int) -> None:
    """Bring a column into the basis in place of the one of row `at`."""
    tableau[at] = [value / tableau[at][entering] for value in tableau[at]]
    for i, row in enumerate(tableau):
        if i != at and row[entering] != 0:
            tableau[i] = [value - row[entering] * own for value, own in zip(row, tableau[at], strict=True)]
    basis[at] = entering


def _supports(tableau: list[Row], basis: list[int], allowed: list[int]) -> list[int]:
    """Columns that are positive in some maximiser: their constraints are tight in every minimiser t."""
    found = []
    for j in allowed:
        weights = [Fraction(int(i == j)) for i in range(len(tableau[0]) - 1)]
        _maximise(tableau, basis, weights, allowed)
        if any(row[-1] > 0 for row, b in zip(tableau, basis, strict=True) if b == j):
            found.append(j)
    return found


def _certify(rows: list[Row], costs: Row, t: Row, llc: Fraction) -> None:
    """A feasible minimiser that costs as much as the maximum proves both."""
    feasible = min(t) >= 0 and all(sum(a * b for a, b in zip(row, t, strict=True)) >= 1 for row in rows)
    if not feasible or sum(a * b for a, b in zip(costs, t, strict=True)) != llc:
        raise AssertionError("the linear programme of a Newton polyhedron was not solved: a fault of this package")


def _rank(vectors: list[Row]) -> int:
    """Rank over the rationals, by elimination."""
    left, rank = [list(vector) for vector in vectors], 0
    for i in range(len(left[0]) if left else 0):
        at = next((k for k in range(rank, len(left)) if left[k][i] != 0), None)
        if at is None:
            continue
        left[rank], left[at] = left[at], left[rank]
        for k in range(rank + 1, len(left)):
            factor = left[k][i] / left[rank][i]
            left[k] = [value - factor * own for value, own in zip(left[k], left[rank], strict=True)]
        rank += 1
    return rank
