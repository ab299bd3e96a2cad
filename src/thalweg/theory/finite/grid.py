"""Finite-n values of any K in few weights, by product quadrature that refines itself until it has settled."""

from collections.abc import Callable, Sequence
from math import asinh, log, sqrt

import numpy as np

from thalweg.errors import InputError, guarded
from thalweg.theory._checks import count, real, sequence

Rule = tuple[np.ndarray, np.ndarray]  # nodes, weights
Integrand = Callable[..., tuple[np.ndarray, np.ndarray]]  # coordinates -> what is averaged, minus log density

SETTLED = 1e-6  # relative change, twice in a row
LARGEST = 30_000_000  # evaluations on one grid
CHUNK = 1_000_000  # evaluations at once
REACH = 72.0  # the localization at the edge is e^(-REACH/2)
FINER = 1.3  # each grid over the last
DIMS = 3


def even(fn: Callable[..., np.ndarray], dims: int, nbeta: float, gamma: float) -> float:
    """Of a K that is even in each of its weights, w* = 0, by the trapezoid rule in log |w_i|.

    Resolves every scale alike, so crossings such as w1^2 w2^2 converge exponentially.

    Args:
        fn: K(w_1, .., w_dims) of arrays that broadcast, nats; 0 at 0.
        dims: 1 to 3.
        nbeta: > 0.
        gamma: > 0, nats per squared weight.

    Returns:
        nbeta E[K]; two refinements in a row have moved it by less than 1e-6, and for analytic K the error is
        smaller yet (1e-9 against `monomial`).

    Raises:
        InputError: an argument out of range, K not even or not finite or not 0 at 0, or not settled on the
            largest grid.

    Source: trapezoid rule, as in Trefethen & Weideman 2014.
    """
    d, n, localization = _dims(dims), real("nbeta", nbeta), real("gamma", gamma)
    _check_zero(fn, np.zeros(d), n)
    point = [0.3 + 0.4 * i for i in range(d)]
    for flipped in range(d):
        other = [-w if i == flipped else w for i, w in enumerate(point)]
        one, two = (_at(fn, where) for where in (point, other))
        if abs(one - two) > 1e-9 * (abs(one) + abs(two)):
            raise InputError(f"fn is {one:.6g} at {point} and {two:.6g} at {other}: not even, take `quadrature`")

    def rules(level: int) -> list[Rule]:
        step = 0.5 / FINER**level
        low, high = -0.5 * log(n + localization) - 6 - level, 0.5 * log(REACH / localization)
        w = np.exp(np.arange(high, low, -step)[::-1])
        weights = w.copy()
        weights[0] /= 1 - np.exp(-step)  # all nodes below the first: the density is flat there
        return [(w, weights)] * d

    return _settle(rules, _localized(_energy(fn, n), np.zeros(d), localization))


def quadrature(
    fn: Callable[..., np.ndarray], center: Sequence[float] | np.ndarray, nbeta: float, gamma: float
) -> float:
    """Of any smooth K around a point, by the trapezoid rule in t_i, w_i = w*_i + sinh(t_i)/sqrt(nbeta + gamma).

    Choose coordinates in which valleys run along the axes, where a rotation or a shear of volume one allows it.

    Args:
        fn: K(w_1, .., w_d) of arrays that broadcast, nats; 0 at the center, which need not be isolated.
        center: w*, 1 to 3 numbers.
        nbeta: > 0; valleys narrower than the grid, about nbeta/gamma > 1e4 in three weights, do not settle.
        gamma: > 0, nats per squared weight.

    Returns:
        nbeta E[K]; two refinements in a row have moved it by less than 1e-6. A K with kinks converges slowly.

    Raises:
        InputError: an argument out of range, K not finite or not 0 at the center, or not settled on the largest
            grid.

    Source: trapezoid rule, as in Trefethen & Weideman 2014.
    """
    n, localization = real("nbeta", nbeta), real("gamma", gamma)
    at = _center(center)
    _check_zero(fn, at, n)
    return _settle(_around(at, n, localization), _localized(_energy(fn, n), at, localization))


def readout(
    gram: Callable[..., np.ndarray], center: Sequence[float] | np.ndarray, nbeta: float, gamma: float
) -> float:
    """Of K(a, b) = (1/2) a' G(b) a, output weights a with a* = 0, integrated exactly; b as in `quadrature`.

        p(b) ~ det(1 + (nbeta/gamma) G(b))^{-1/2} e^{-(gamma/2) |b - b*|^2},
        nbeta E[K | b] = (1/2) sum_i g_i nbeta/(gamma + g_i nbeta),   g_i the eigenvalues of G(b)

    So f(x) = sum_i a_i phi(b_i, x) with G_ij = E_x[phi(b_i, x) phi(b_j, x)] has as many weights again.

    Args:
        gram: G(b_1, .., b_d) of arrays that broadcast, (.., p, p) symmetric and >= 0, nats per squared weight.
        center: b*, 1 to 3 numbers.
        nbeta: > 0.
        gamma: > 0, nats per squared weight, on a and b alike.

    Returns:
        nbeta E[K]; two refinements in a row have moved it by less than 1e-6.

    Raises:
        InputError: an argument out of range, G not finite or not >= 0, or not settled on the largest grid.

    Source: Gaussian integral over a.
    """
    n, localization = real("nbeta", nbeta), real("gamma", gamma)
    at = _center(center)

    def given(*b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with guarded("gram", "give a function of arrays"):
            found = np.asarray(gram(*b), dtype=np.float64)
        if found.ndim < 2 or found.shape[-1] != found.shape[-2] or not np.isfinite(found).all():
            raise InputError(f"gram gives an array of shape {found.shape}: give finite (.., p, p)")
        sizes = np.linalg.eigvalsh(found) * (n / localization)
        if sizes.min() < -1e-9 * max(1.0, sizes.max()):
            raise InputError(f"gram has an eigenvalue {sizes.min() * localization / n:.3g}: give a matrix >= 0")
        sizes = np.maximum(sizes, 0.0)  # rounding of a singular matrix, checked above
        return 0.5 * (sizes / (1 + sizes)).sum(-1), 0.5 * np.log1p(sizes).sum(-1)

    return _settle(_around(at, n, localization), _localized(given, at, localization))


def _around(center: np.ndarray, n: float, localization: float) -> Callable[[int], list[Rule]]:
    """Rules dense at the center, reaching to where the localization ends."""
    scale = 1 / sqrt(n + localization)
    reach = asinh(sqrt(REACH / localization) / scale)

    def rules(level: int) -> list[Rule]:
        half = int(reach * FINER**level / 0.35) + 1
        t = np.linspace(-reach, reach, 2 * half + 1)
        return [(w + scale * np.sinh(t), np.cosh(t)) for w in center]

    return rules


def _settle(rules: Callable[[int], list[Rule]], integrand: Integrand) -> float:
    """Refine until two steps in a row change nothing."""
    values: list[float] = []
    while True:
        grid = rules(len(values))
        if np.prod([float(len(nodes)) for nodes, _ in grid]) > LARGEST:
            moved = abs(values[-1] / values[-2] - 1) if len(values) > 1 else float("inf")
            raise InputError(
                f"not settled on {LARGEST:.0e} points, the last refinement moved the value by {moved:.0e}: take a"
                " smaller nbeta/gamma"
            )
        values.append(_mean(grid, integrand))
        last = values[-3:]
        if len(last) == 3 and max(last) - min(last) <= SETTLED * abs(values[-1]):
            return values[-1]


def _mean(grid: list[Rule], integrand: Integrand) -> float:
    """Average over a product grid, part by part of the first weight."""
    nodes = np.meshgrid(*[w for w, _ in grid], indexing="ij", sparse=True)
    logs = np.meshgrid(*[np.log(weight) for _, weight in grid], indexing="ij", sparse=True)
    rows = max(1, CHUNK // int(np.prod([len(w) for w, _ in grid[1:]])))
    top, mass, total = -np.inf, 0.0, 0.0
    for start in range(0, len(grid[0][0]), rows):
        part = slice(start, start + rows)
        value, cost = integrand(nodes[0][part], *nodes[1:])
        log_p = sum(logs[1:], logs[0][part]) - cost
        peak = float(log_p.max())
        if peak > top:
            mass, total, top = mass * np.exp(top - peak), total * np.exp(top - peak), peak
        p = np.exp(log_p - top)
        mass, total = mass + float(p.sum()), total + float((p * value).sum())
    return total / mass


def _localized(integrand: Integrand, center: np.ndarray, localization: float) -> Integrand:
    """The same with the localization in its density."""

    def both(*w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, cost = integrand(*w)
        return value, cost + 0.5 * localization * sum(np.square(x - c) for x, c in zip(w, center, strict=True))

    return both


def _energy(fn: Callable[..., np.ndarray], n: float) -> Integrand:
    """Nbeta K, which is both averaged and weighs."""

    def energy(*w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with guarded("fn", "give a function of arrays"):
            found = np.broadcast_to(np.asarray(fn(*w), dtype=np.float64), np.broadcast_shapes(*[x.shape for x in w]))
        if not np.isfinite(found).all():
            raise InputError(
                "fn gives numbers that are not finite: K must be finite wherever the localization reaches"
            )
        return n * found, n * found

    return energy


def _at(fn: Callable[..., np.ndarray], where: Sequence[float]) -> float:
    """K at one point."""
    value, _ = _energy(fn, 1.0)(*[np.array([w]) for w in where])
    return float(value[0])


def _check_zero(fn: Callable[..., np.ndarray], center: np.ndarray, n: float) -> None:
    """K is an excess over the center."""
    if abs(value := _at(fn, list(center))) * n > 1e-9:
        raise InputError(f"fn is {value:.3g} at the center: subtract it, K is the excess over the loss at w*")


def _dims(dims: int) -> int:
    """As many weights as a grid can hold."""
    if count("dims", dims) > DIMS:
        raise InputError(f"dims = {dims}: give at most {DIMS}, or integrate weights out by hand (`readout`)")
    return int(dims)


def _center(center: Sequence[float] | np.ndarray) -> np.ndarray:
    """The point, as numbers."""
    at = np.asarray(sequence("center", center), dtype=np.float64)
    _dims(len(at))
    if at.ndim != 1 or not np.isfinite(at).all():
        raise InputError(f"center = {center!r}: give finite numbers")
    return at
