"""Counting transitions, with intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

from thalweg.phases import Transition
from thalweg.rng import seed_of

KINDS = ("A", "B", "other")
CONFIDENCE = 0.9
NONE = "none"  # where nothing that was logged rises


@dataclass(frozen=True)
class Share:
    """A share with its interval.

    Attributes:
        count: how many.
        of: of how many.
        share: count/of, None of none.
        interval: 90 %, Clopper and Pearson's, as if all were independent.
    """

    count: int
    of: int
    share: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Count:
    """Transitions of some runs.

    Attributes:
        runs: how many.
        total: kind -> transitions.
        per_run: kind -> mean, and its 90 % interval by bootstrap over the runs of each family.
        with_kind: kind -> share of runs that have one at least.
        rising: quantity -> share of the type B transitions in which it rises faster than before; several may.
            `none`: no quantity.
        continuing: the same for quantities that go on rising, no faster than before; `none`: none of either kind.
    """

    runs: int
    total: dict[str, int]
    per_run: dict[str, tuple[float, float, float]]
    with_kind: dict[str, Share]
    rising: dict[str, Share]
    continuing: dict[str, Share]


def share(count: int, of: int) -> Share:
    """A share with its interval."""
    if of == 0:
        return Share(count, of, None, None)
    interval = binomtest(count, of).proportion_ci(CONFIDENCE, method="exact")
    return Share(count, of, count / of, (float(interval.low), float(interval.high)))


def count(families: Sequence[Sequence[Sequence[Transition]]], seed: int) -> Count:
    """Count the transitions of several runs of one or more families: family, run, transition."""
    found = [own for runs in families for own in runs]
    each = {
        kind: [np.array([sum(t.kind == kind for t in own) for own in runs]) for runs in families] for kind in KINDS
    }
    falls = [t for own in found for t in own if t.kind == "B"]
    quiet = sum(not t.rising and not t.continuing for t in falls)
    return Count(
        runs=len(found),
        total={kind: int(sum(numbers.sum() for numbers in parts)) for kind, parts in each.items()},
        per_run={kind: _mean(parts, seed) for kind, parts in each.items()},
        with_kind={
            kind: share(int(sum((numbers > 0).sum() for numbers in parts)), len(found))
            for kind, parts in each.items()
        },
        rising=_named([t.rising for t in falls], sum(not t.rising for t in falls)),
        continuing=_named([t.continuing for t in falls], quiet),
    )


def _named(each: list[tuple[str, ...]], none: int) -> dict[str, Share]:
    """Shares by name, the most frequent first."""
    often = Counter(name for names in each for name in names)
    return {name: share(times, len(each)) for name, times in often.most_common()} | {NONE: share(none, len(each))}


def _mean(parts: list[np.ndarray], seed: int) -> tuple[float, float, float]:
    """Mean over runs, and its interval: runs are drawn again within each family. Runs that agree have no spread."""
    mean = float(np.concatenate(parts).mean())
    if all(np.ptp(numbers) == 0 for numbers in parts):
        return mean, mean, mean

    def over(*drawn: np.ndarray) -> float:
        return float(np.concatenate(drawn).mean())

    own = np.random.default_rng(seed_of(seed, "bootstrap"))
    interval = bootstrap(
        parts, over, vectorized=False, confidence_level=CONFIDENCE, n_resamples=2000, method="percentile", rng=own
    ).confidence_interval
    return mean, float(interval.low), float(interval.high)


def a_then_b(own: Sequence[Transition]) -> bool:
    """Whether a type A transition is followed by a type B."""
    kinds = [t.kind for t in own]
    return "A" in kinds and "B" in kinds[kinds.index("A") :]
