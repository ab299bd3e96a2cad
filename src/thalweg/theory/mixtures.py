"""Coefficients of mixture models, weights not negative."""

from fractions import Fraction

from thalweg.errors import InputError
from thalweg.theory._checks import Rational, count, positive
from thalweg.theory.coefficient import Coefficient, UpperBound


def gaussian_mixture(components: int, true_components: int) -> Coefficient:
    """Of a one-dimensional mixture sum_i a_i N(b_i, 1), free weights a_i >= 0 and means, known variance:

        lambda = (H + 3r - 2)/4,   m = 1

    Regular (2r - 1)/2 for H = r. Each further component costs 1/4: in a cluster of weights a_i and offsets b_i,
    K ~ u^2 + (sum_i a_i b_i^2)^2 with u the mean offset, and sums of terms that are not negative do not cancel,
    so K ~ u^2 + sum_i a_i^2 b_i^4.

    Args:
        components: H >= r, fitted.
        true_components: r >= 1, with distinct means and positive weights.

    Returns:
        For a prior that is positive and bounded on the simplex of weights and on the means.

    Raises:
        InputError: a count below 1, or fewer components fitted than true.

    Source: our own derivation; equals (1/2)(2r - 1 + (H - r)/2), the bound of Drton & Plummer 2017 at phi = 1/2.
    Values quoted after Aoyagi 2010, r - 1 + `vandermonde`(H - r + 1, 1), let weights be negative and cancel: the same
    lambda up to H = r + 2, with m = 2 at H = r + 2, and smaller from H = r + 3 on (H = 4, r = 1: 7/6 against 5/4).
    The two-sided bound is checked here, by random draws of the chi-square distance, and H = 2, r = 1 by quadrature.
    """
    h, r = _components(components, true_components)
    return Coefficient(Fraction(h + 3 * r - 2, 4), 1)


def mixture_bound(
    components: int, true_components: int, dims: int, concentration: Rational | None = None
) -> UpperBound:
    """Of any mixture of components with r0 parameters each, i fitted, j true:

        lambda <= (1/2) min( j r0 + j - 1 + phi (i - j),  r0 i + j - 1 )

    First, the i - j further components are emptied, under weights ~ Dirichlet(phi); second, they are merged into
    true ones.

    Args:
        components: i >= j, fitted.
        true_components: j >= 1.
        dims: r0 >= 1, free parameters of one component.
        concentration: phi > 0 of the Dirichlet prior, exact; 1 is uniform. By default (r0 + 1)/2, as in sBIC.

    Returns:
        Only a bound: (1-D Gaussians, i = 2, j = 1, phi = 1) gives 1, and the truth is 3/4.

    Raises:
        InputError: a count below 1, fewer components fitted than true, or phi not positive.

    Source: Drton & Plummer 2017, as in sBIC (MixtureModels.R); Rousseau & Mengersen 2011.
    """
    i, j = _components(components, true_components)
    r0 = count("dims", dims)
    phi = Fraction(r0 + 1, 2) if concentration is None else positive("concentration", concentration)
    return UpperBound(min(j * r0 + j - 1 + phi * (i - j), Fraction(r0 * i + j - 1)) / 2)


def contaminated_normal() -> Coefficient:
    """Of (1 - a) N(0, 1) + a N(b, 1), truth N(0, 1), a in [0, 1]: K ~ a^2 b^2, lambda = 1/2, m = 2.

    Source: normal crossing; K = a^2 (e^{b^2} - 1) for the chi-square distance.
    """
    return Coefficient(Fraction(1, 2), 2)


def _components(components: int, true_components: int) -> tuple[int, int]:
    """Both counts, if the model holds the truth."""
    fitted, true = count("components", components), count("true_components", true_components)
    if fitted < true:
        raise InputError(
            f"components = {fitted}: give at least true_components = {true}, or no truth is in the model"
        )
    return fitted, true
