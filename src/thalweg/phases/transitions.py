"""Transitions of a training run: where the learning coefficient turns, and what else moves with it.

    type A   loss falls, lambda rises
    type B   lambda falls; `rising` names the logged quantities that rise faster than before, if any does, and
             `continuing` those that go on rising
    other    lambda rises, and loss does not fall

A curve is cut where its *slope* changes, since level splits on a drifting curve wander from seed to seed: straight
pieces that meet, in training steps or in their logarithm, whichever takes fewer of them. A transition is a run of
pieces that go one way, without the slow ones at its ends; a straight line has none. Boundaries are found again on
curves drawn around the fit: their intervals hold 90 % of the draws and the gaps beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm, ttest_ind

from thalweg.errors import InputError
from thalweg.phases._errors import Errors, read, scatter
from thalweg.phases._numbers import ascending, columns
from thalweg.phases._segments import Pieces, fit, redrawn_knots

FEWEST = 5  # checkpoints
REDRAWS = 400
SIGNIFICANT = 4.0  # standard errors of the change over a piece
WANDER = 0.3  # errors by which a curve may walk from one checkpoint to the next without going anywhere
SLOW = 0.2  # of the steepest slope of a run: its first and last pieces are no part of it if they are slower
ERRORS = ("auto", "shared", "independent")
LEVEL = 0.05  # of the test of what rises, over all quantities (Holm)


@dataclass(frozen=True)
class Transition:
    """One transition.

    Attributes:
        kind: `A`, `B` or `other`.
        start: training step where it begins, as it was given.
        end: training step where it ends.
        start_interval: 90 % interval of `start`, training steps.
        end_interval: 90 % interval of `end`.
        d_loss: change of train loss, nats per sample.
        d_llc: change of the learning coefficient.
        rising: names of quantities that rise meanwhile, faster than before; only looked for in kind B.
        probability: that λ̂ moves this way between these two steps, given its errors and what it may walk by
            itself; of this one move, not corrected for the search that found it.
        continuing: names of quantities that go on rising, no faster than before; only looked for in kind B.
        nbeta: inverse temperature of the estimates, which the kind may depend on; None where it was not given.
        errors: `independent`, or `shared` along the curve; then changes have those that the curve itself shows.
        level_error: median standard error of a level, as stated (or as the curve scatters, where that is more).
        rough_error: median standard error from checkpoint to checkpoint; the same where errors are independent.
    """

    kind: str
    start: float
    end: float
    start_interval: tuple[float, float]
    end_interval: tuple[float, float]
    d_loss: float
    d_llc: float
    rising: tuple[str, ...]
    probability: float
    continuing: tuple[str, ...] = ()
    nbeta: float | None = None
    errors: str = "independent"
    level_error: float | None = None
    rough_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def sentence(self) -> str:
        """The transition in words, and whose errors were used where they are not simply the stated ones."""
        if self.errors == "independent":
            return self._said()
        return (
            f"{self._said()} Errors are shared along the curve: a level has {self.level_error:.3g} as stated, changes"
            f" have what the curve shows, {self.rough_error:.3g} from checkpoint to checkpoint."
        )

    def _said(self) -> str:
        span = f"steps {self.start} to {self.end}" + (f" (nβ = {self.nbeta:.4g})" if self.nbeta else "")
        if self.kind == "A":
            return f"Type A, {span}: train loss falls by {-self.d_loss:.3g} nats while λ̂ rises by {self.d_llc:.3g}."
        if self.kind == "B":
            also = f"meanwhile {_rise(self.rising)}" if self.rising else "no logged quantity rises faster than before"
            more = f" ({_rise(self.continuing, 'go')} on rising)" if self.continuing else ""
            return f"Type B, {span}: λ̂ falls by {-self.d_llc:.3g}; {also}{more}."
        return f"Other, {span}: λ̂ rises by {self.d_llc:.3g} and train loss does not fall."


def _rise(names: Sequence[str], verb: str = "rise") -> str:
    single = {"rise": "rises", "go": "goes"}[verb] if len(names) == 1 else verb
    return f"{' and '.join(name.replace('_', ' ') for name in names)} {single}"


def transitions(
    steps: Sequence[int] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    llc: Sequence[float] | np.ndarray,
    llc_stderr: Sequence[float] | np.ndarray | None = None,
    others: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    *,
    nbeta: float | None = None,
    errors: str = "auto",
) -> list[Transition]:
    """Find the transitions of a curve of learning coefficients.

    Args:
        steps: (T) training steps or other times, ascending integers or floats, T >= 5; given back as they are.
        loss: (T) train loss, nats per sample.
        llc: (T) learning coefficient.
        llc_stderr: (T) its standard errors; where the curve scatters more than they say, the scatter counts.
        others: quantities (T) that may rise in type B, by name.
        nbeta: inverse temperature of the estimates, kept with each transition: a change of phase can raise λ̂ at
            one and lower it at another.
        errors: `independent`: those of one checkpoint have nothing to do with the next one's (a survey's own);
            `shared`: same batches or noise at every checkpoint, so that they err together: the stated errors are
            those of levels, and the curve's roughness gives those of changes; `auto`: shared where the curve is
            certainly smoother than its stated errors.

    Returns:
        Transitions in the order of their starts.

    Raises:
        InputError: too few checkpoints, unsorted steps, NaN, lengths that differ, negative errors, no such errors.

    Source:
        The model of shared errors is ours; see `thalweg.phases._errors`.
    """
    named = {"loss": loss, "llc": llc, **(others or {})}
    if errors not in ERRORS:
        raise InputError(
            f"errors = {errors!r} is none of {', '.join(ERRORS)}: say how those of checkpoints hang together"
        )
    if errors == "shared" and llc_stderr is None:
        raise InputError("errors = 'shared' without llc_stderr: give the standard errors that are shared")
    arrays = columns(steps, named if llc_stderr is None else named | {"llc_stderr": llc_stderr})
    if len(arrays["steps"]) < FEWEST:
        raise InputError(f"{len(arrays['steps'])} checkpoints are too few for transitions: give at least {FEWEST}")
    if (arrays.get("llc_stderr", np.zeros(1)) < 0).any():
        raise InputError("llc_stderr is negative: give standard errors")
    curve, time = arrays["llc"].astype(np.float64), ascending(arrays["steps"])
    stated = arrays.get("llc_stderr", np.zeros_like(curve)).astype(np.float64)
    known = read(_axes(time), curve, stated, errors)
    error, follow = known.followed()
    pieces = min((fit(axis, curve, error, follow) for axis in _axes(time)), key=lambda found: found.cost)
    knots = redrawn_knots(pieces, error, REDRAWS, follow)
    logged = {name: arrays[name].astype(np.float64) for name in others or {}}
    found = [
        _describe(move, pieces, knots, arrays["steps"], time, arrays["loss"].astype(np.float64), logged)
        for move in _moves(pieces, known)
    ]
    level, rough = (float(np.median(each)) for each in (known.level, known.rough))
    return [replace(t, nbeta=nbeta, errors=known.kind, level_error=level, rough_error=rough) for t in found]


def _axes(time: np.ndarray) -> tuple[np.ndarray, ...]:
    """Training steps, and their logarithm, from one gap before the first, where floats can tell those apart."""
    since = time - time[0]
    slow = np.log(since + since[1])
    return (since, slow) if (np.diff(slow) > 0).all() else (since,)


@dataclass(frozen=True)
class _Move:
    """A run of pieces that go one way: numbers of knots, its direction, its change and the error of that."""

    first: int
    last: int
    sign: int
    change: float
    error: float


def _change(pieces: Pieces, known: Errors, first: int, last: int) -> tuple[float, float]:
    """From knot to knot, with its error: that of the fit, and what the curve may have walked by itself.

    A walk that was measured, as a shared part of the errors, is in the fit already.
    """
    c, gap = pieces.covariance, pieces.knots[last] - pieces.knots[first]
    walked = max((WANDER * np.median(known.rough)) ** 2 * gap - known.wandered(gap), 0.0)
    variance = c[first, first] + c[last, last] - 2 * c[first, last] + walked
    return float(pieces.values[last] - pieces.values[first]), float(np.sqrt(variance))


def _moves(pieces: Pieces, known: Errors) -> list[_Move]:
    """All runs of which every piece is significant, slow ends cut off; none on a single straight line."""
    count = len(pieces.knots) - 1
    slopes = np.diff(pieces.values) / np.diff(pieces.axis[list(pieces.knots)])
    signs = []
    for i in range(count):
        change, size = _change(pieces, known, i, i + 1)
        signs.append(int(np.sign(change)) if abs(change) > SIGNIFICANT * size else 0)
    found, first = [], 0
    while first < count:
        last = first
        while last + 1 < count and signs[last + 1] == signs[first]:
            last += 1
        if signs[first]:
            least = SLOW * np.abs(slopes[first : last + 1]).max()
            fast = [i for i in range(first, last + 1) if abs(slopes[i]) >= least]
            a, b = fast[0], fast[-1] + 1
            if (a, b) != (0, count):
                found.append(_Move(a, b, signs[first], *_change(pieces, known, a, b)))
        first = last + 1
    return found


def _describe(
    move: _Move,
    pieces: Pieces,
    knots: np.ndarray,
    steps: np.ndarray,
    time: np.ndarray,
    loss: np.ndarray,
    others: dict[str, np.ndarray],
) -> Transition:
    """One move as a transition, with its uncertainty."""
    a, b = pieces.knots[move.first], pieces.knots[move.last]
    before = pieces.knots[move.first - 1] if move.first else None
    d_loss = float(loss[b] - loss[a])
    kind = "B" if move.sign < 0 else "A" if _climbs(-loss, a, b) else "other"
    rising, continuing = _rising(before, a, b, time, others) if kind == "B" else ((), ())
    return Transition(
        kind=kind,
        start=steps[a].item(),
        end=steps[b].item(),
        start_interval=_interval(knots[:, move.first], steps),
        end_interval=_interval(knots[:, move.last], steps),
        d_loss=d_loss,
        d_llc=move.change,
        rising=rising,
        probability=float(norm.cdf(abs(move.change) / move.error)),
        continuing=continuing,
    )


def _interval(knots: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """The middle 90 %, and the gaps to the checkpoints beside it, in which a turn can hide."""
    low, high = np.quantile(knots, [0.05, 0.95])
    return steps[max(int(low) - 1, 0)].item(), steps[min(int(np.ceil(high)) + 1, len(steps) - 1)].item()


def _rising(
    before: int | None, a: int, b: int, time: np.ndarray, others: dict[str, np.ndarray]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Quantities that rise within [a, b] faster than in the piece before it (Holm), and those that rise no faster.

    Faster in steps and in their logarithm, since what is even in one is not in the other; without a piece before
    there is no faster.
    """
    up = [name for name, values in others.items() if _climbs(values, a, b)]
    if before is None:
        return (), tuple(up)
    chances = {}
    for name in up:
        rates = [np.diff(others[name][before : b + 1]) / np.diff(axis[before : b + 1]) for axis in _axes(time)]
        chances[name] = max(_chance(rate[a - before :], rate[: a - before]) for rate in rates)
    quick = _significant(chances, len(others))
    return tuple(name for name in up if name in quick), tuple(name for name in up if name not in quick)


def _climbs(values: np.ndarray, a: int, b: int) -> bool:
    """Whether a quantity goes up from one checkpoint to another by more than its scatter."""
    rounding = 1e-9 * float(np.abs(values).max())
    return bool(values[b] - values[a] > SIGNIFICANT * np.sqrt(2) * scatter(values) + rounding)


def _chance(rates: np.ndarray, before: np.ndarray) -> float:
    """P value of rates between checkpoints that are in the mean above those before; 1 of a single one.

    Changes from one checkpoint to the next are independent for a walk, and make the test err on the side of no
    difference for noise about a line. Welch's test; what fell before has to rise, not only to fall less.
    """
    if len(rates) < 2:
        return 1.0
    before = before - min(before.mean(), 0.0)
    tiny = 1e-9 * np.abs(rates).max()
    if max(np.ptp(rates), np.ptp(before)) <= tiny:  # no spread to test by
        return 0.0 if rates.mean() > before.mean() + tiny else 1.0
    tested: Any = ttest_ind(rates, before, equal_var=len(before) < 2, alternative="greater")
    return float(tested.pvalue)


def _significant(chances: dict[str, float], tests: int) -> set[str]:
    """Names whose chance is below LEVEL by Holm's step-down test."""
    found = set()
    for i, name in enumerate(sorted(chances, key=lambda key: chances[key])):
        if chances[name] > LEVEL / (tests - i):
            break
        found.add(name)
    return found
