"""Arguments, checked once at the door: counts, exact rationals, and real numbers at finite n."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isfinite
from operator import index
from typing import Any

from thalweg.errors import InputError

Rational = int | Fraction


def count(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`; an InputError where it is none, as of all that follow."""
    try:
        whole = None if isinstance(value, bool) else index(value)
    except TypeError:
        whole = None
    if whole is None or whole < least:
        raise InputError(f"{name} = {value!r}: give a whole number of at least {least}")
    return whole


def rational(name: str, value: Any) -> Fraction:
    """An exact number, integer or Fraction. Floats are refused: 0.1 is no tenth."""
    try:
        return value if isinstance(value, Fraction) else Fraction(count(name, value, least=-(10**18)))
    except InputError as error:
        raise InputError(f"{name} = {value!r}: give an integer or a fractions.Fraction") from error


def positive(name: str, value: Any) -> Fraction:
    """An exact number above zero."""
    number = rational(name, value)
    if number <= 0:
        raise InputError(f"{name} = {value!r}: give a positive integer or Fraction")
    return number


def sequence(name: str, values: Any) -> list[Any]:
    """At least one value, in order; no scalar."""
    if isinstance(values, str) or not isinstance(values, Iterable) or not (found := list(values)):
        raise InputError(f"{name} = {values!r}: give a sequence of at least one number")
    return found


def exponents(name: str, values: Any) -> list[Fraction]:
    """Exponents k_i >= 0, not all of them zero."""
    found = [rational(f"{name}[{i}]", value) for i, value in enumerate(sequence(name, values))]
    if min(found) < 0 or max(found) == 0:
        raise InputError(f"{name} = {values!r}: give exponents that are not negative, at least one above zero")
    return found


def prior_powers(hs: Sequence[Rational] | None, d: int) -> list[Fraction]:
    """The d powers h_i > -1 of a prior prod |w_i|^{h_i}; zeros by default."""
    if hs is None:
        return [Fraction(0)] * d
    found = [rational(f"hs[{i}]", value) for i, value in enumerate(sequence("hs", hs))]
    if len(found) != d or min(found) <= -1:
        raise InputError(f"hs = {hs!r}: give {d} numbers above -1, one for each weight")
    return found


def real(name: str, value: Any, *, zero: bool = False) -> float:
    """A finite number above zero, or also zero itself."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number) or number < 0 or (number == 0 and not zero):
        raise InputError(f"{name} = {value!r}: give a finite number {'>= 0' if zero else '> 0'}")
    return number
