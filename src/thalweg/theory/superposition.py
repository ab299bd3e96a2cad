"""Coefficients of the k-gon phases of the toy model of superposition."""

from fractions import Fraction

from thalweg.errors import InputError
from thalweg.theory._checks import count
from thalweg.theory.coefficient import Coefficient

GONS = range(4, 9)  # of those there are; none from 9 to 203 but multiples of 4
MIXED = 7  # features up to which a 4-gon with zero columns of both kinds was found to be a minimum


def superposition_gon(features: int, k: int, positive: int = 0) -> Coefficient:
    """Of f(x) = relu(W'W x + b), W 2 x c, near a k-gon: k columns of W at the corners, c - k columns zero.

        k >= 5:  lambda = (3k - 1)/2 + (3/2) s            k = 4:  lambda = 11/2 + (c - 4 - s) + (3/2) s

    A zero column costs nothing where its bias is negative (k >= 5), 3/2 where it is +1/(2c).

    The 4-gon is our own derivation and contradicts the paper (which uses 5 for c = 6, s = 1; here 8): its biases
    are 0, a border between chambers, so K is C^1 and not C^2 there. K is homogeneous of degree two in the 3k - 1
    directions off the rotation orbit, and a zero column reaches the live outputs, which costs its two weights.
    Checked here (K/t^2 settles and is positive off the flat directions), and by sampling at nbeta = 1e6 to 1e7
    (c = 4: 5.495 +- .030; c = 5: 6.51, 7.04; c = 6: 7.48, 7.98, 8.46).
    The asymptotic value does not rise from the 4-gon (15/2) to the 5-gon (7), whatever small samples read.

    Zero columns of both kinds: a column with positive bias meets one with negative bias in 3 b <W_i, W_j>, which
    has both signs. For k >= 5 nothing holds against it, and the point is a saddle; the 4-gon holds it up to c = 7
    or so, and no longer at c = 10.

    Args:
        features: c >= k, inputs, each active alone and uniform on [0, 1].
        k: corners, 4 to 8.
        positive: 0 <= s <= c - k, zero columns whose bias is +1/(2c); the others' biases are strictly negative.

    Returns:
        The local value at the phase, m = 1. At small samples it is far off (5-gon: +20 % at n = 5000).

    Raises:
        InputError: no such polygon, more positive biases than zero columns, or zero columns of both kinds where
            that is a saddle (k >= 5), or not known to be none (k = 4, c > 7).

    Source: Chen, Lau, Mendel, Wei & Murfet 2023 (arXiv:2310.06301) for k >= 5; ranks of Hessians are checked here.
    """
    c, corners, s = count("features", features, GONS[0]), count("k", k), count("positive", positive, 0)
    if corners not in GONS or corners > c:
        raise InputError(f"k = {corners}: give {GONS[0]} to {min(GONS[-1], c)}, at most one corner for each feature")
    if s > c - corners:
        raise InputError(f"positive = {s}: give at most {c - corners}, the columns that are zero")
    if 0 < s < c - corners and (corners > 4 or c > MIXED):
        raise InputError(f"positive = {s}: give 0 or {c - corners}, with both kinds it is a saddle or unchecked")
    touching = c - corners - s if corners == 4 else 0
    return Coefficient(Fraction(3 * corners - 1, 2) + touching + Fraction(3 * s, 2), 1)
