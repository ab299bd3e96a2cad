"""Coefficients of linear networks: reduced rank regression, deep linear networks, and their local values."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from thalweg.errors import InputError
from thalweg.theory._checks import count, sequence
from thalweg.theory.coefficient import Coefficient, sum_of


def reduced_rank(inputs: int, hidden: int, outputs: int, rank: int) -> Coefficient:
    """Of y = B A x, A hidden x inputs, B outputs x hidden, true product of rank r. With M, H, N the widths:

        N+r <= M+H, M+r <= N+H, H+r <= M+N:
            S = -(H+r)^2 - M^2 - N^2 + 2(H+r)(M+N) + 2MN;
            M+H+N+r even: lambda = S/8, m = 1;   odd: lambda = (S+1)/8, m = 2
        M+H < N+r:  lambda = (HM - Hr + Nr)/2, m = 1
        N+H < M+r:  lambda = (HN - Hr + Mr)/2, m = 1
        M+N < H+r:  lambda = MN/2, m = 1

    Args:
        inputs: M >= 1; the inputs have a covariance of full rank.
        hidden: H >= 1.
        outputs: N >= 1.
        rank: 0 <= r <= min(M, H, N).

    Returns:
        The global value, smallest over all (A, B) with the true product; a trained point may have a larger one
        (`reduced_rank_local`).

    Raises:
        InputError: a width below 1, or a rank that the widths cannot have.

    Source: Aoyagi & Watanabe 2005, as in sBIC (ReducedRankRegressions.R).
    """
    m_, h, n = count("inputs", inputs), count("hidden", hidden), count("outputs", outputs)
    r = _rank([m_, h, n], rank)
    if m_ + h < n + r:
        return Coefficient(Fraction(h * m_ - h * r + n * r, 2), 1)
    if n + h < m_ + r:
        return Coefficient(Fraction(h * n - h * r + m_ * r, 2), 1)
    if m_ + n < h + r:
        return Coefficient(Fraction(m_ * n, 2), 1)
    s = -((h + r) ** 2) - m_**2 - n**2 + 2 * (h + r) * (m_ + n) + 2 * m_ * n
    odd = (m_ + h + n + r) % 2
    return Coefficient(Fraction(s + odd, 8), 1 + odd)


def deep_linear(widths: Sequence[int], rank: int) -> Coefficient:
    """Of a product of matrices, widths H_0 .. H_L, true product of rank r. With M_i = H_i - r:

        S: the l+1 smallest M_i, with max S < every other M_i, sum S >= l max S, sum S < l (every other M_i);
        s = sum S,  a = s - (ceil(s/l) - 1) l,
        lambda = [r(H_0 + H_L) - r^2]/2 + a(l-a)/(4l) - l(l-1)/4 (s/l)^2 + (1/2) sum_{i<j in S} M_i M_j,
        m = a(l-a) + 1

    Args:
        widths: H_0 (inputs), .., H_L (outputs), at least two, each >= 1.
        rank: 0 <= r <= min(widths).

    Returns:
        The global value, smallest over all weights with the true product. Equal to `reduced_rank` for three widths.

    Raises:
        InputError: fewer than two widths, one below 1, or a rank that the widths cannot have.

    Source: Aoyagi 2024 (multi-layer linear networks).
    """
    layers = [count(f"widths[{i}]", width) for i, width in enumerate(sequence("widths", widths))]
    if len(layers) < 2:
        raise InputError(f"widths = {widths!r}: give at least two, of the inputs and of the outputs")
    r = _rank(layers, rank)
    chosen = _narrowest([width - r for width in layers])
    length, total = len(chosen) - 1, sum(chosen)
    a = total - (-(-total // length) - 1) * length
    llc = (
        Fraction(r * (layers[0] + layers[-1]) - r * r, 2)
        + Fraction(a * (length - a), 4 * length)
        - Fraction((length - 1) * total**2, 4 * length)
        + Fraction(sum(one * other for one, other in combinations(chosen, 2)), 2)
    )
    return Coefficient(llc, a * (length - a) + 1)


def reduced_rank_local(inputs: int, hidden: int, outputs: int, rank_a: int, rank_b: int, rank: int) -> Coefficient:
    """Of reduced rank regression near one point (A0, B0) with rank A0 = a, rank B0 = b, rank B0 A0 = r:

        lambda = (bM + aN - ab)/2 + lambda_RRR(M - a, H - a - b + r, N - b; rank 0),   m of the second term,

    which is absent (0, m = 1) where one of its widths is 0. At a = b = r it is the global value; it grows with
    a and b, so a trained point can lie above the global value.

    Args:
        inputs: M >= 1.
        hidden: H >= 1.
        outputs: N >= 1.
        rank_a: 0 <= a <= min(H, M).
        rank_b: 0 <= b <= min(N, H).
        rank: max(0, a + b - H) <= r <= min(a, b), by Sylvester's inequality.

    Returns:
        The local value, in the limit of a localization that keeps to this point.

    Raises:
        InputError: a width below 1, or ranks that no two matrices have.

    Source: our own derivation; checked by MALA at 2-2-2 (2,0,0): 2.00, 3-3-3 (3,1,1): 4.50 and (2,2,1): 3.99.
    """
    m_, h, n = count("inputs", inputs), count("hidden", hidden), count("outputs", outputs)
    a, b, r = count("rank_a", rank_a, 0), count("rank_b", rank_b, 0), count("rank", rank, 0)
    if a > min(h, m_) or b > min(n, h):
        raise InputError(f"rank_a = {a}, rank_b = {b}: give at most {min(h, m_)} and {min(n, h)}, the widths' least")
    if not max(0, a + b - h) <= r <= min(a, b):
        raise InputError(f"rank = {r}: give {max(0, a + b - h)} to {min(a, b)}, what ranks {a} and {b} allow")
    smooth = Coefficient(Fraction(b * m_ + a * n - a * b, 2), 1)
    rest = (m_ - a, h - a - b + r, n - b)
    return smooth if min(rest) == 0 else sum_of(smooth, reduced_rank(*rest, rank=0))


def _rank(widths: list[int], rank: int) -> int:
    """The rank, if a product of these widths can have it."""
    if count("rank", rank, 0) > min(widths):
        raise InputError(f"rank = {rank}: give at most {min(widths)}, the smallest width")
    return int(rank)


def _narrowest(deficits: list[int]) -> list[int]:
    """The set S of `deep_linear`: exactly one size fits."""
    order = sorted(deficits)
    for size in range(2, len(order)):
        chosen, following = order[:size], order[size]
        total, length = sum(chosen), size - 1
        if chosen[-1] < following and length * chosen[-1] <= total < length * following:
            return chosen
    return order
