"""What a closed form returns: the learning coefficient with its multiplicity, or only an upper bound."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, overload

from thalweg.errors import InputError


class Coefficient(NamedTuple):
    """The pole of the zeta function: Z(n) = int exp(-n K) phi dw ~ c n^-llc (log n)^(multiplicity - 1).

    Unpacks as (lambda, m).
    """

    llc: Fraction  # lambda > 0, exact
    multiplicity: int  # m >= 1, order of the pole


@dataclass(frozen=True)
class UpperBound:
    """Only lambda <= llc is known. Does not unpack, so that nobody takes it for a coefficient.

    Attributes:
        llc: the bound, exact.
        multiplicity: of the pole that gives the bound, None where it is not known.
    """

    llc: Fraction
    multiplicity: int | None = None


@overload
def sum_of(*terms: Coefficient) -> Coefficient: ...
@overload
def sum_of(*terms: Coefficient | UpperBound) -> Coefficient | UpperBound: ...
def sum_of(*terms: Coefficient | UpperBound) -> Coefficient | UpperBound:
    """Of K(u, v) = K1(u) + K2(v), disjoint weights: lambda = sum lambda_i, m - 1 = sum (m_i - 1).

    Args:
        terms: at least one; a single upper bound among them makes the sum an upper bound.

    Raises:
        InputError: no term, or something else than a coefficient.

    Source: Watanabe 2009: Z(n) of the sum is the product of the Z_i(n).
    """
    exact = _checked(terms)
    llc = sum((term.llc for term in terms), Fraction(0))
    return Coefficient(llc, 1 + sum(term.multiplicity - 1 for term in exact)) if exact else UpperBound(llc)


@overload
def product_of(*factors: Coefficient) -> Coefficient: ...
@overload
def product_of(*factors: Coefficient | UpperBound) -> Coefficient | UpperBound: ...
def product_of(*factors: Coefficient | UpperBound) -> Coefficient | UpperBound:
    """Of K(u, v) = K1(u) K2(v), disjoint weights: lambda = min lambda_i, m = sum of m_i over the ties.

    Args:
        factors: at least one; a single upper bound among them makes the product an upper bound.

    Raises:
        InputError: no factor, or something else than a coefficient.

    Source: Watanabe 2009: zeta of the product is the product of the zetas.
    """
    exact = _checked(factors)
    llc = min(factor.llc for factor in factors)
    return Coefficient(llc, sum(f.multiplicity for f in exact if f.llc == llc)) if exact else UpperBound(llc)


def _checked(parts: tuple[Coefficient | UpperBound, ...]) -> list[Coefficient]:
    """The parts, if all are exact; otherwise nothing."""
    if not parts:
        raise InputError("there is no coefficient to combine: give at least one")
    for part in parts:
        if not isinstance(part, Coefficient | UpperBound):
            raise InputError(f"{part!r} is no coefficient: give what a function of tw.theory returned")
    exact = [part for part in parts if isinstance(part, Coefficient)]
    return exact if len(exact) == len(parts) else []
