"""Does the action model hold? Held-out choices against a fit on the others; a failed check forbids a certificate.

statistic     what is compared                                                       large where
log-loss      held-out log loss and its expectation, in standard deviations          choices too random, too sharp
bins          held-out hits in bins of predicted probability, sum (O - E)^2 / Var    probabilities off at some level
saturated     all choices: 2 sum c log(c / (n p)), likelihood ratio against one      anything the class cannot fit
              free probability for each state and action

Weights are fitted, so each statistic is compared with itself on data simulated from the fitted model in the recorded
states and fitted anew (parametric bootstrap); the three p-values are combined by Holm's rule. Passing proves nothing:
behaviour cannot separate an agent's planner from its values where the class is wide enough, and then there is nothing
to test.                                                     S states, A actions, K data sets (row 0 is recorded)
Source: Efron & Tibshirani 1993, ch. 16; Davison & Hinkley 1997, sec. 4.4; Holm 1979."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rng import seed_of, stream
from thalweg.values.behaviour import Behaviour
from thalweg.values.fitting import climbed, jacobians, most_likely
from thalweg.values.likelihood import Likelihood
from thalweg.values.linear import Linear
from thalweg.values.rules import Boltzmann, Rule

FEWEST = 20  # held-out choices
EDGES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.99, 1.0)
ROUNDS = 15  # of a fit of simulated choices, which begins at the truth
RANK = 1e-8  # of the largest singular value


@dataclass(frozen=True)
class Statistic:
    """One comparison.

    Attributes:
        name: of the three.
        value: on the recorded choices.
        p: share of simulated data sets that are as extreme, the recorded one counted, and a standard error of it.
        adjusted: the same by Holm's rule over all statistics.
    """

    name: str
    value: float
    p: float
    adjusted: float


@dataclass(frozen=True)
class Calibration:
    """What the check found.

    Attributes:
        p: smallest adjusted p-value; None where nothing could be tested.
        statistics: all, none where nothing could be tested.
        verdict: passed, failed, or untestable.
        reason: why it failed or was not tested.
        freedom: dimensions of choice probabilities that the class and its sharpness leave to be tested.
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


def calibrate(
    behaviour: Behaviour,
    values: Linear,
    rule: Rule,
    *,
    spread: float = 0.0,
    every: int = 2,
    level: float = 0.05,
    replicates: int = 299,
    seed: int = 0,
) -> Calibration:
    """Test the action model: the rule of choice, the class of values, the dynamics and discount that Alice plans by.

    Simulated choices keep the recorded states. Where states depend on choices that is an approximation, good where
    each state was visited often.

    Args:
        behaviour: recorded choices.
        values: the class.
        rule: that she is said to choose by.
        spread: of log sharpness, where that is fitted too.
        every: each so-manieth choice is held out, the first of them by the seed; at least 2.
        level: chance to refuse a true model, at most.
        replicates: simulated data sets.
        seed: names all random streams.

    Returns:
        The verdict, `untestable` where the class fits any choices or too few were held out.

    Raises:
        InputError: numbers out of range.
    """
    if every < 2 or not 0 < level < 1 or (replicates + 1) * level < 6:
        raise InputError(
            f"every {every}, level {level}, replicates {replicates}: give at least 2, a number between 0 and 1, and"
            " at least 6 / level replicates"
        )
    whole = Likelihood.of(behaviour, values, rule, spread=spread)
    freedom = dimensions_tested(whole, seed)
    first = seed_of(seed, "held out") % every
    held = torch.arange(len(behaviour)) % every == first
    count = int(held.sum())
    if freedom <= 0 or count < FEWEST:
        reason = f"{count} choices are held out (at least {FEWEST}): record more"
        if freedom <= 0:
            reason = (
                "the class of values and its sharpness fit any choices in the visited states: give a narrower class"
                " or choices in more states"
            )
        return Calibration(None, (), "untestable", reason, freedom, level)
    parts = [Likelihood.of(behaviour.only(keep), values, rule, spread=spread).counts for keep in (~held, held)]
    sets = _simulated(whole, parts, replicates, seed)
    found = [(name, *_p(value, both)) for name, value, both in _statistics(whole, *sets)]
    statistics = _holm(found)
    p = min(s.adjusted for s in statistics)
    failing = [f"{s.name} (adjusted p = {s.adjusted:.2g})" for s in statistics if s.adjusted <= level]
    reason = f"choices do not follow the model: {', '.join(failing)}" if failing else ""
    return Calibration(p, statistics, "failed" if failing else "passed", reason, freedom, level)


def dimensions_tested(likelihood: Likelihood, seed: int = 0) -> int:
    """How many dimensions of choice probabilities, A - 1 for each visited state, the class does not reach.

    The rank of d log p / d theta at a point of the prior, where a Boltzmann chooser's sharpness counts as one more
    number that can be fitted: an unrestricted reward with only its sharpness held fixed tests nothing but that.
    """
    own = stream(seed, "rank")
    at = likelihood.place(torch.randn(1, likelihood.width, generator=own, dtype=torch.float64))
    rows, dimensions = [], 0
    for e in likelihood.seen():
        logs, slopes = jacobians(likelihood, at, e)
        columns = torch.cat([slopes, logs[..., None]], -1) if isinstance(likelihood.rule, Boltzmann) else slopes
        visited = likelihood.counts[e].sum(-1) > 0
        columns = columns[0, visited]
        rows.append((columns - columns.mean(1, keepdim=True)).flatten(0, 1))
        dimensions += int(visited.sum()) * (likelihood.environments[e].actions - 1)
    if not rows:
        return 0
    matrix = torch.cat(rows)
    matrix = matrix / matrix.norm(dim=0).where(matrix.norm(dim=0) > 0, torch.ones(()).double())
    return dimensions - int(torch.linalg.matrix_rank(matrix, rtol=RANK))


def _simulated(
    whole: Likelihood, parts: Sequence[Sequence[Tensor]], replicates: int, seed: int
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Counts (K, S, A) of training and held-out choices by environment; points (K, width) fitted to training and all.

    Row 0 is recorded, the others come from the fit to all choices.
    """
    own = stream(seed, "fits")
    train = most_likely(whole.with_counts(parts[0]), own)
    best = most_likely(whole, own)
    rng = np.random.default_rng(seed_of(seed, "replicates"))
    sets: list[list[Tensor]] = [[], []]
    for e in range(len(whole.counts)):
        for part, column in zip(parts, sets, strict=True):
            recorded = part[e]
            if not recorded.any():
                column.append(torch.zeros(replicates + 1, *recorded.shape, dtype=torch.float64))
                continue
            chance = whole.log_policy(best, e).exp().numpy()
            visits = recorded.sum(-1).numpy().astype(np.int64)
            drawn = rng.multinomial(visits, chance / chance.sum(-1, keepdims=True), (replicates, len(visits)))
            column.append(torch.cat([recorded[None], torch.as_tensor(drawn).double()]))
    fits = []
    for recorded, counts in ((train, sets[0]), (best, [a + b for a, b in zip(*sets, strict=True)])):
        points = best.expand(replicates, -1)
        points, _ = climbed(whole, points, [c[1:] for c in counts], ROUNDS)
        fits.append(torch.cat([recorded[None], points]))
    return sets, fits


def _statistics(whole: Likelihood, sets: list[list[Tensor]], fits: list[Tensor]) -> list[tuple[str, Tensor, bool]]:
    """Name, values (K,), and whether both tails count."""
    shape = fits[0].shape[:1]
    off, variance, ratio = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
    hits, expected, noise = (torch.zeros(*shape, len(EDGES) - 1, dtype=torch.float64) for _ in range(3))
    for e in whole.seen():
        held, every = sets[1][e], sets[0][e] + sets[1][e]
        with torch.no_grad():
            logs, all_logs = (whole.log_policy(points, e) for points in fits)
        chance, visits = logs.exp(), held.sum(-1, keepdim=True)
        mean = (chance * logs).sum(-1, keepdim=True)
        off += ((visits * chance - held) * logs).sum((-1, -2))
        variance += (visits * chance * (logs - mean).square()).sum((-1, -2))
        bins = torch.bucketize(chance, torch.tensor(EDGES[1:-1], dtype=torch.float64)).flatten(1)
        for total, part in ((hits, held), (expected, visits * chance), (noise, visits * chance * (1 - chance))):
            total.scatter_add_(1, bins, part.flatten(1))
        shares = torch.where(every > 0, every / every.sum(-1, keepdim=True).clamp(min=1), 1.0)
        ratio += 2 * (every * (shares.log() - all_logs)).sum((-1, -2))
    tiny = 1e-12  # a bin of certain choices: no deviation, or one beyond any noise
    return [
        ("log-loss", off / (variance + tiny).sqrt(), True),
        ("bins", ((hits - expected).square() / (noise + tiny)).sum(-1), False),
        ("saturated", ratio, False),
    ]


def _p(value: Tensor, both: bool) -> tuple[float, float]:
    """The recorded value, and its p among all, raised by its Monte Carlo error: a refusal is no luck of few draws."""
    above = float((value >= value[0]).double().mean())
    below = float((value <= value[0]).double().mean())
    p = min(1.0, 2 * min(above, below)) if both else above
    return float(value[0]), min(1.0, p + ((1 - p) * p / len(value)) ** 0.5)


def _holm(found: Sequence[tuple[str, float, float]]) -> tuple[Statistic, ...]:
    """Adjusted p-values: the i-th smallest of m times m - i, and none below those before it."""
    order = sorted(range(len(found)), key=lambda i: found[i][2])
    adjusted, largest = [0.0] * len(found), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(found) - rank) * found[i][2]))
        adjusted[i] = largest
    return tuple(Statistic(*one, adjusted[i]) for i, one in enumerate(found))


__all__ = ["Calibration", "Statistic", "calibrate", "dimensions_tested"]
