"""Does the action model hold? Held-out choices against a fit on the others; a failed check forbids a certificate.

Held-out log loss, hits in bins of predicted probability, and a likelihood ratio against free probabilities see choice
probabilities that the class cannot fit (`counted`); statistics of order see habits, and values that change (`order`).
Each is compared with itself on simulated data. The three of counts are taken together, by the one that lies farthest
out; their p-value and those of order are combined by Holm's rule, each with its share of the level: a habit is
refused nearly as often as by a test of that habit alone. Passing proves nothing: behaviour cannot separate an agent's
planner from its values where the class is wide enough, and then there is nothing to test.
                                                                         K data sets, of which row 0 is recorded
Source: Efron & Tibshirani 1993, ch. 16; Davison & Hinkley 1997, sec. 4.4; Westfall & Young 1993; Holm 1979."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.irl._scoring import jacobians
from thalweg.irl.behaviour import Behaviour
from thalweg.irl.choice_models import Boltzmann, ChoiceModel
from thalweg.irl.goodness_of_fit._counts import Compared, by_counts
from thalweg.irl.goodness_of_fit._order import by_order
from thalweg.irl.likelihood import Likelihood
from thalweg.irl.reward_class import Linear
from thalweg.rng import seed_of, stream

FEWEST = 20  # held-out choices
RANK = 1e-8  # of the largest singular value
# Of the level; what is left is kept for what a bootstrap neglects. A habit is likelier than its opposite.
SHARES = {"counts": 0.28, "repeats": 0.28, "alternates": 0.14, "repeats here": 0.11, "drift": 0.07}
FEWEST_REPLICATES = 7.5  # over the level: of fewer none can be far enough out for the first share
TIE = 1e-9


@dataclass(frozen=True)
class Statistic:
    """One comparison.

    Attributes:
        name: of the seven.
        value: on the recorded choices.
        p: share of simulated data sets that are as extreme, the recorded one counted, and a standard error of it.
        adjusted: the same over all statistics, at most the level where it refuses.
    """

    name: str
    value: float
    p: float
    adjusted: float


@dataclass(frozen=True)
class GoodnessOfFit:
    """What the check found.

    Attributes:
        p: smallest adjusted p-value; None where nothing could be tested.
        statistics: all, none where nothing could be tested.
        verdict: passed, failed, or untestable.
        reason: why it failed or was not tested.
        freedom: dimensions of choice probabilities that the class and its inverse temperature leave to be tested.
        level: chance to refuse a true model, at most.
    """

    p: float | None
    statistics: tuple[Statistic, ...]
    verdict: Literal["passed", "failed", "untestable"]
    reason: str
    freedom: int
    level: float

    @property
    def passed(self) -> bool:
        """Whether the model was tested and not refused."""
        return self.verdict == "passed"


def goodness_of_fit(
    behaviour: Behaviour,
    values: Linear,
    choice_model: ChoiceModel,
    *,
    spread: float = 0.0,
    every: int = 2,
    level: float = 0.05,
    replicates: int = 299,
    seed: int = 0,
) -> GoodnessOfFit:
    """Test the action model: the choice model, the class of values, the dynamics and discount that Alice plans by.

    Simulated choices keep the recorded states. Where states depend on choices that is an approximation for statistics
    of counts, good where each state was visited often; those of order hold whatever picks the states.

    Args:
        behaviour: recorded choices.
        values: the class.
        choice_model: that she is said to choose by.
        spread: of log inverse temperature, where that is fitted too.
        every: each so-manieth choice is held out, the first of them by the seed; at least 2.
        level: chance to refuse a true model, at most.
        replicates: simulated data sets.
        seed: names all random streams.

    Returns:
        The verdict, `untestable` where the class fits any choices or too few were held out.

    Raises:
        InputError: numbers out of range.
    """
    if every < 2 or not 0 < level < 1 or (replicates + 1) * level < FEWEST_REPLICATES:
        raise InputError(
            f"every {every}, level {level}, replicates {replicates}: give at least 2, a number between 0 and 1, and"
            f" at least {FEWEST_REPLICATES} / level replicates"
        )
    whole = Likelihood.of(behaviour, values, choice_model, spread=spread)
    freedom = dimensions_tested(whole, seed)
    first = seed_of(seed, "held out") % every
    held = torch.arange(len(behaviour)) % every == first
    count = int(held.sum())
    if freedom <= 0 or count < FEWEST:
        reason = f"{count} choices are held out (at least {FEWEST}): record more"
        if freedom <= 0:
            reason = (
                "the class of values and its inverse temperature fit any choices in the visited states: give a"
                " narrower class or choices in more states"
            )
        return GoodnessOfFit(None, (), "untestable", reason, freedom, level)
    parts = [
        Likelihood.of(behaviour.only(keep), values, choice_model, spread=spread).counts for keep in (~held, held)
    ]
    counted, best = by_counts(whole, parts, replicates, seed)
    statistics = _adjusted(counted, by_order(behaviour, whole, best, seed))
    p = min(s.adjusted for s in statistics)
    failing = [f"{s.name} (adjusted p = {s.adjusted:.2g})" for s in statistics if s.adjusted <= level]
    reason = f"choices do not follow the model: {', '.join(failing)}" if failing else ""
    return GoodnessOfFit(p, tuple(statistics), "failed" if failing else "passed", reason, freedom, level)


def dimensions_tested(likelihood: Likelihood, seed: int = 0) -> int:
    """How many dimensions of choice probabilities, A - 1 for each visited state, the class does not reach.

    The rank of d log p / d theta at a point of the prior, where a Boltzmann chooser's inverse temperature counts
    as one more number that can be fitted: an unrestricted reward with only its inverse temperature held fixed
    tests nothing but that.
    """
    own = stream(seed, "rank")
    at = likelihood.place(torch.randn(1, likelihood.width, generator=own, dtype=torch.float64))
    rows, dimensions = [], 0
    for e in likelihood.seen():
        logs, slopes = jacobians(likelihood, at, e)
        columns = (
            torch.cat([slopes, logs[..., None]], -1) if isinstance(likelihood.choice_model, Boltzmann) else slopes
        )
        visited = likelihood.counts[e].sum(-1) > 0
        columns = columns[0, visited]
        rows.append((columns - columns.mean(1, keepdim=True)).flatten(0, 1))
        dimensions += int(visited.sum()) * (likelihood.environments[e].actions - 1)
    if not rows:
        return 0
    matrix = torch.cat(rows)
    matrix = matrix / matrix.norm(dim=0).where(matrix.norm(dim=0) > 0, torch.ones(()).double())
    return dimensions - int(torch.linalg.matrix_rank(matrix, rtol=RANK))


def _p(value: Tensor, both: bool) -> tuple[float, float]:
    """The recorded value, and its p among all, raised by its Monte Carlo error: a refusal is no luck of few draws."""
    near = TIE * (1 + abs(float(value[0])))
    above = float((value >= value[0] - near).double().mean())
    below = float((value <= value[0] + near).double().mean())
    p = min(1.0, 2 * min(above, below)) if both else above
    return float(value[0]), min(1.0, p + ((1 - p) * p / len(value)) ** 0.5)


def _height(value: Tensor, both: bool) -> Tensor:
    """(K,) how far out each lies, 1 where 5 % of all lie farther; cube roots of what is like chi-square."""
    if not both:
        value = value.sign() * value.abs() ** (1 / 3)
    middle, tails = value.median(), (0.025, 0.975) if both else (0.95, 0.95)
    low, high = (float((value.quantile(q) - middle).abs().clamp(min=TIE)) for q in tails)
    out = (value - middle) / high
    return torch.maximum(out, (middle - value) / low) if both else out


def _adjusted(counted: Compared, ordered: Compared) -> list[Statistic]:
    """All statistics: those of counts share one p-value, of the one that lies farthest out."""
    heights = torch.stack([_height(*one) for one in counted.values()])
    farthest = heights.max(0).values
    together = [_p(torch.cat([own[:1], farthest[1:]]), False)[1] for own in heights]
    each = _holm([("counts", 0.0, min(together)), *((name, *_p(*one)) for name, one in ordered.items())], SHARES)
    times = each[0].adjusted / each[0].p
    found = [
        Statistic(name, *_p(*one), min(1.0, times * p))
        for (name, one), p in zip(counted.items(), together, strict=True)
    ]
    return [*found, *each[1:]]


def _holm(found: Sequence[tuple[str, float, float]], shares: Mapping[str, float] | None = None) -> list[Statistic]:
    """Adjusted p-values: each over its share of the level, even by default, times what those before it leave of 1."""
    share = [1 / len(found) if shares is None else shares[name] for name, _, _ in found]
    adjusted, largest, left = [0.0] * len(found), 0.0, 1.0
    for i in sorted(range(len(found)), key=lambda i: found[i][2] / share[i]):
        largest = max(largest, min(1.0, left * found[i][2] / share[i]))
        adjusted[i], left = largest, left - share[i]
    return [Statistic(*one, adjusted[i]) for i, one in enumerate(found)]
