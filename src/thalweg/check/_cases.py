"""The cases: a landscape, its exact coefficient, and the truth at the finite n, nbeta and gamma of the estimate."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from thalweg import theory
from thalweg.check import _models as models
from thalweg.errors import InputError
from thalweg.landscape import Landscape, potential
from thalweg.theory import Coefficient, UpperBound, finite, superposition_loss

N = 10_000
REFERENCES = Path(__file__).with_name("references.json")

Truth = tuple[float, float]  # value and standard error; 0 where exact


@dataclass(frozen=True)
class Case:
    """One thing that is known.

    Attributes:
        name: what it is.
        coefficient: lambda and m; local at w* where w* is a trained point.
        make: builds the landscape.
        truth: (nbeta, gamma) -> nbeta E[K] under the localized posterior, and its error.
        how: where the truth comes from.
    """

    name: str
    coefficient: Coefficient
    make: Callable[[], Landscape]
    truth: Callable[[float, float], Truth]
    how: str


@cache
def _references() -> dict[str, dict]:
    """Long runs of other samplers, by name."""
    return json.loads(REFERENCES.read_text())


def _stored(name: str, nbeta: float, gamma: float) -> Truth:
    """A long run, where it was made at this temperature and localization."""
    entry = _references()[name]
    if abs(entry["nbeta"] - nbeta) > 1e-6 * nbeta or entry["gamma"] != gamma:
        raise InputError(
            f"reference {name!r} is for nbeta {entry['nbeta']:.6g} and gamma {entry['gamma']:g}, not {nbeta:.6g} and"
            f" {gamma:g}: estimate at those"
        )
    return entry["value"], entry["stderr"]


def _known(
    name: str,
    coefficient: Coefficient,
    make: Callable[[], Landscape],
    value: Callable[[float, float], float],
    how: str = "quadrature",
) -> Case:
    """A truth without error."""
    return Case(name, coefficient, make, lambda nbeta, gamma: (value(nbeta, gamma), 0.0), how)


def _sampled(name: str, coefficient: Coefficient, make: Callable[[], Landscape], how: str = "long tempering") -> Case:
    """A truth from a long run of another sampler."""
    return Case(name, coefficient, make, partial(_stored, name), how)


def _exact(found: Coefficient | UpperBound) -> Coefficient:
    """A coefficient, where a formula gives one and no bound."""
    assert isinstance(found, Coefficient)
    return found


def _regular(d: int) -> Case:
    curvatures = [10.0 ** (2 * i / max(d - 1, 1) - 1) for i in range(d)]
    h = torch.tensor(curvatures, dtype=torch.float64)
    make = partial(models.flat, lambda w: 0.5 * (h * w.square()).sum(), [0.0] * d, N)
    return _known(f"regular d={d}", theory.regular(d), make, partial(finite.regular, curvatures), "exact")


def _monomial(ks: Sequence[int]) -> Case:
    name = " ".join(f"w{i + 1}^{2 * k}" for i, k in enumerate(ks)) if len(ks) > 1 else f"w^{2 * ks[0]}"
    powers = torch.tensor(ks)
    make = partial(models.flat, lambda w: w.square().pow(powers).prod(), [0.0] * len(ks), N)
    return _known(name, theory.normal_crossing(ks), make, partial(finite.monomial, ks))


def _even(name: str, coefficient: Coefficient, fn: Callable, dims: int) -> Case:
    make = partial(models.flat, lambda w: fn(*w), [0.0] * dims, N)
    return _known(name, coefficient, make, partial(finite.even, fn, dims))


def _origin(inputs: int, hidden: int, outputs: int) -> Case:
    widths = (inputs, hidden, outputs)
    return _known(
        f"rrr {inputs}-{hidden}-{outputs} r0",
        theory.reduced_rank(*widths, 0),
        lambda: models.linear_network(models.matrices(widths, 0), N),
        partial(finite.reduced_rank_origin, *widths),
        "Wishart",
    )


def _linear(name: str, n: int = N) -> Case:
    """`rrr 3-3-3 r1` or `dln 3-3-3-3 r1`, as in references.json."""
    widths, rank = [int(w) for w in name.split()[1].split("-")], int(name.split()[2][1:])
    make = lambda: models.linear_network(models.matrices(widths, rank), n)  # noqa: E731
    return _sampled(name, theory.deep_linear(widths, rank), make, "block Gibbs")


def _trained(name: str, widths: tuple[int, int, int], first: float, second: float, ranks: tuple[int, int]) -> Case:
    """A point whose layers have more rank than their product."""

    def make() -> Landscape:
        lower, upper = models.matrices(widths, widths[1])["W0"], models.matrices(widths, ranks[1])["W1"]
        return models.linear_network({"W0": first * lower, "W1": second * upper}, N)

    return _sampled(name, theory.reduced_rank_local(*widths, *ranks, ranks[1]), make, "block Gibbs")


def _tanh(p: int) -> Case:
    """Some tanh units; from four on by a long run."""
    coefficient, make = theory.tanh_network(p), partial(models.tanh_network, p, N)
    if p > 3:
        return _sampled(f"tanh {p}", coefficient, make)
    return _known(f"tanh p={p}", coefficient, make, partial(finite.readout, models.tanh_gram, [0.0] * p))


def _readouts() -> list[Case]:
    """Networks that are linear in their last weights."""
    unit = _known(
        "a relu(bx)",
        theory.relu_unit(),
        partial(models.flat, lambda w: 0.25 * w[0].square() * w[1].square(), [0.0, 0.0], N),
        partial(finite.monomial, (1, 1), scale=0.25),
    )
    relu = _known(
        "two relus",
        theory.relu_pair(),
        partial(models.flat, models.relu_pair, [0.0] * 4, N),
        partial(finite.readout, models.relu_gram, [0.0] * 2),
    )
    topics = _known(
        "topics 2-2-2",
        theory.stochastic_matrix_factorization(2, 2, 2, 1),
        partial(models.flat, models.topics, [0.5] * 4, N),
        partial(finite.readout, models.topics_gram, [0.5, 0.5]),
    )
    return [*(_tanh(p) for p in (1, 2, 3, 4, 9)), unit, relu, topics]


def _superposition(name: str, k: int, positive: int) -> Case:
    """A k-gon of the toy model of superposition, six features in the plane, n = 500,000.

    The plain 5-gon is no case: its dead column's bias is held by the localization alone, reaches 0, and finds a
    way down.
    """

    def make() -> Landscape:
        weights, biases = superposition_loss.gon(6, k, positive)
        return potential(lambda p: superposition_loss.loss(p["W"], p["b"]), {"W": weights, "b": biases}, 500_000)

    return _sampled(name, theory.superposition_gon(6, k, positive), make)


def _mixtures() -> list[Case]:
    """Mixtures of normals, by the chi-squared distance."""
    return [
        _known(
            "(1-a) N(0) + a N(b)",
            theory.contaminated_normal(),
            partial(models.flat, models.contaminated, [0.0, 0.0], N),
            partial(finite.even, lambda a, b: 0.5 * a**2 * np.expm1(b**2), 2),
        ),
        _known(
            "N(u)/2 + N(v)/2",
            theory.gaussian_mixture(2, 1),  # weights are regular beside the means, and move nothing at u = v = 0
            partial(models.flat, models.two_components, [0.0, 0.0], N),
            partial(finite.even, models.two_components_turned, 2),
        ),
    ]


def _module(like: Case, widths: Sequence[int], rank: int) -> Case:
    """A linear network as a module with data."""
    name = f"module {'-'.join(map(str, widths))} r{rank}"
    return replace(like, name=name, make=lambda: models.linear_module(models.matrices(widths, rank), N))


def _modules() -> list[Case]:
    """Real modules with 1000 samples."""
    return [
        _known(
            "nn.Linear(8), noisy",
            theory.regular(8),
            partial(models.regression_module, 8, 0.5, N),
            partial(finite.regular, [1.0] * 8),
            "exact",
        ),
        _known(
            "module tanh p=1",
            theory.tanh_network(1),
            partial(models.tanh_module, N),
            partial(finite.readout, models.tanh_module_gram, [0.0]),
        ),
        _module(_origin(2, 2, 2), (2, 2, 2), 0),
        _module(_linear("rrr 3-3-3 r1"), (3, 3, 3), 1),
        _module(_linear("dln 3-3-3-3 r1"), (3, 3, 3, 3), 1),
    ]


CASES: tuple[Case, ...] = (  # every landscape that is held against its truth
    *_modules(),  # first, since they take longest
    *(_regular(d) for d in (1, 10, 100)),
    *(_monomial(ks) for ks in ((2,), (3,), (1, 1), (1, 2), (2, 2), (3, 3), (1, 1, 1))),
    _even("w1^2 + w2^4", theory.monomial_squares([(1, 0), (0, 2)]), lambda u, v: u**2 + v**4, 2),
    _even("w1^2 + w2^2 w3^2", theory.monomial_squares([(1, 0, 0), (0, 1, 1)]), lambda u, v, w: u**2 + v**2 * w**2, 3),
    _even("(w1^2 + w2^2) w3^2", theory.reduced_rank(2, 1, 1, 0), lambda u, v, w: (u**2 + v**2) * w**2, 3),
    _even("a (bx)^2", theory.normal_crossing((1, 2)), lambda a, b: 1.5 * a**2 * b**4, 2),
    *(_origin(*widths) for widths in ((2, 1, 2), (2, 2, 2), (2, 2, 3), (3, 3, 3), (5, 4, 5), (4, 3, 8), (3, 8, 4))),
    *(_linear(f"rrr {name}") for name in ("2-2-2 r1", "3-3-3 r1", "3-3-3 r2", "3-3-3 r3", "5-3-5 r1", "4-3-8 r2")),
    *(_linear(f"rrr {name}") for name in ("6-4-6 r2", "10-10-10 r5")),
    *(_linear(f"dln {name}") for name in ("2-2-2-2 r0", "2-2-2-2-2 r0", "3-2-2-3 r0", "3-3-3-3 r1", "4-2-3-4 r0")),
    *(_linear(f"dln {name}") for name in ("5-5-5-5-5 r2", "10-20-20-10 r3")),
    *(_linear(f"{name} n1e6", 1_000_000) for name in ("rrr 3-3-3 r1", "dln 3-3-3-3 r1")),
    _trained("rrr 2-2-2 at (5,0)", (2, 2, 2), 5.0, 0.0, (2, 0)),
    _trained("rrr 3-3-3 at (3,1)", (3, 3, 3), 10.0, 0.1, (3, 1)),
    _trained("rrr 4-3-2 at (3,0)", (4, 3, 2), 5.0, 0.0, (3, 0)),
    *_readouts(),
    *_mixtures(),
    _known(
        "nmf 3x3 H=1",
        _exact(theory.nonnegative_matrix_factorization(3, 3, 1, 0)),
        lambda: models.nonnegative(models.matrices((3, 1, 3), 0), N),
        partial(finite.reduced_rank_origin, 3, 1, 3),
        "Wishart",
    ),
    _sampled(
        "nmf 3x3 H=2",
        _exact(theory.nonnegative_matrix_factorization(3, 3, 2, 0)),
        lambda: models.nonnegative(models.matrices((3, 2, 3), 0), N),
    ),
    _superposition("tms 5+-gon", 5, 1),
    _superposition("tms 6-gon", 6, 0),
)
