"""Transitions of a training run: where the learning coefficient turns, and what else moves with it.

    type A   loss falls, lambda rises
    type B   lambda falls; `rising` names the logged quantities that rise meanwhile, if any does
    other    lambda rises, and loss does not fall

A curve is cut where its *slope* changes (chords between checkpoints, penalised), since level
splits on a drifting curve wander from seed to seed. The fit runs over checkpoints in their order,
so that any monotone time axis gives the same phases. Boundaries are refitted on curves drawn from
the errors of the estimates: their intervals hold 90 % of the draws and the gaps beside them.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import ruptures
from scipy.stats import kendalltau

from thalweg.errors import InputError

FEWEST = 5  # checkpoints
REDRAWS = 200
SIGNIFICANT = 4.0  # standard errors of the change from end to end of a segment
LEVEL = 0.05  # of the trend test, divided by the number of quantities
GRID = 150  # candidate boundaries at most


@dataclass(frozen=True)
class Transition:
    """One transition.

    Attributes:
        kind: `A`, `B` or `other`.
        start: training step where it begins.
        end: training step where it ends.
        start_interval: 90 % interval of `start`, training steps.
        end_interval: 90 % interval of `end`.
        d_loss: change of train loss, nats per sample.
        d_llc: change of the learning coefficient.
        rising: names of quantities that rise meanwhile; only looked for in kind B.
        probability: share of redrawn curves in which λ̂ moves this way here.
    """

    kind: str
    start: int
    end: int
    start_interval: tuple[float, float]
    end_interval: tuple[float, float]
    d_loss: float
    d_llc: float
    rising: tuple[str, ...]
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def sentence(self) -> str:
        """The transition in words."""
        span = f"steps {self.start} to {self.end}"
        if self.kind == "A":
            return f"Type A, {span}: train loss falls by {-self.d_loss:.3g} nats while λ̂ rises by {self.d_llc:.3g}."
        if self.kind == "B":
            names = [name.replace("_", " ") for name in self.rising]
            also = (
                f"meanwhile {' and '.join(names)} rise{'s' * (len(names) == 1)}"
                if names
                else "no logged quantity rises"
            )
            return f"Type B, {span}: λ̂ falls by {-self.d_llc:.3g}; {also}."
        return f"Other, {span}: λ̂ rises by {self.d_llc:.3g} and train loss does not fall."


def transitions(
    steps: Sequence[int] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    llc: Sequence[float] | np.ndarray,
    llc_stderr: Sequence[float] | np.ndarray | None = None,
    others: Mapping[str, Sequence[float] | np.ndarray] | None = None,
) -> list[Transition]:
    """Find the transitions of a curve of learning coefficients.

    Args:
        steps: (T) training steps, ascending, T >= 5.
        loss: (T) train loss, nats per sample.
        llc: (T) learning coefficient.
        llc_stderr: (T) its standard errors; where the curve scatters more than they say, the scatter counts.
        others: quantities (T) that may rise in type B, by name.

    Returns:
        Transitions in the order of their starts.

    Raises:
        InputError: too few checkpoints, unsorted steps, NaN, lengths that differ, negative errors.
    """
    columns = {"steps": steps, "loss": loss, "llc": llc, **(others or {})}
    if llc_stderr is not None:
        columns["llc_stderr"] = llc_stderr
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    _check(arrays)
    curve, time = arrays["llc"], arrays["steps"]
    stated = arrays.get("llc_stderr", np.zeros_like(curve))
    rounding = 1e-9 * float(np.abs(curve).max())
    error = np.maximum(np.maximum(stated, _scatter(curve)), rounding)  # scatter holds the stated errors already
    found = _moves(curve, error)
    redrawn = _redraw(curve, error)
    logged = {name: arrays[name] for name in others or {}}
    return [_describe(a, b, sign, time, arrays["loss"], curve, logged, redrawn) for a, b, sign in found]


def _check(arrays: dict[str, np.ndarray]) -> None:
    """Name what is wrong with the input."""
    count = len(arrays["steps"])
    for name, values in arrays.items():
        if values.shape != (count,):
            raise InputError(
                f"{name} has shape {values.shape}, steps has {count}: give one value for each checkpoint"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds NaN or infinity: leave those checkpoints out")
    if count < FEWEST:
        raise InputError(f"{count} checkpoints are too few for transitions: give at least {FEWEST}")
    if (np.diff(arrays["steps"]) <= 0).any():
        raise InputError("steps are not ascending, or some come twice: sort the checkpoints, one for each step")
    if (arrays.get("llc_stderr", np.zeros(1)) < 0).any():
        raise InputError("llc_stderr is negative: give standard errors")


def _scatter(curve: np.ndarray) -> float:
    """Noise from point to point, robustly, from third differences (a smooth curve has small ones)."""
    third = np.diff(curve, 3)
    return float(np.median(np.abs(third)) / 0.6745 / np.sqrt(20)) if len(third) else 0.0


def _moves(curve: np.ndarray, error: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs of segments that go one way: (first, last, sign), as numbers of checkpoints."""
    scale = float(np.median(error))
    if np.ptp(curve) == 0 or (scale == 0 and np.ptp(np.diff(curve)) == 0):
        knots = [0, len(curve) - 1]
    else:
        signal = curve / scale if scale > 0 else curve / np.ptp(curve) * 1e6
        jump = max(1, len(curve) // GRID)
        model = ruptures.Pelt(model="clinear", min_size=2, jump=jump).fit(signal[:, None])
        ends = model.predict(pen=4 * np.log(len(curve)))
        knots = [0, *(end - 1 for end in ends)]
    moves: list[tuple[int, int, int]] = []
    for a, b in itertools.pairwise(knots):
        change = curve[b] - curve[a]
        sign = int(np.sign(change)) if abs(change) > SIGNIFICANT * np.hypot(error[a], error[b]) else 0
        if moves and moves[-1][2] == sign:
            moves[-1] = (moves[-1][0], b, sign)
        else:
            moves.append((a, b, sign))
    return [move for move in moves if move[2]]


def _redraw(curve: np.ndarray, error: np.ndarray) -> list[list[tuple[int, int, int]]]:
    """The moves of curves drawn from the errors; always the same draws."""
    draws = np.random.default_rng(0).normal(curve, error, size=(REDRAWS, len(curve)))
    return [_moves(draw, error) for draw in draws]


def _describe(
    a: int,
    b: int,
    sign: int,
    time: np.ndarray,
    loss: np.ndarray,
    curve: np.ndarray,
    others: dict[str, np.ndarray],
    redrawn: list[list[tuple[int, int, int]]],
) -> Transition:
    """One move as a transition, with its uncertainty."""
    d_loss = float(loss[b] - loss[a])
    falls = -d_loss > SIGNIFICANT * np.sqrt(2) * _scatter(loss) + 1e-9 * float(np.abs(loss).max())
    kind = "B" if sign < 0 else "A" if falls else "other"
    matches = [match for moves in redrawn if (match := _overlapping(moves, a, b, sign))]
    starts, ends = ([m[i] for m in matches] or [(a, b)[i]] for i in (0, 1))
    return Transition(
        kind=kind,
        start=int(time[a]),
        end=int(time[b]),
        start_interval=_interval(starts, time),
        end_interval=_interval(ends, time),
        d_loss=d_loss,
        d_llc=float(curve[b] - curve[a]),
        rising=_rising(a, b, others) if kind == "B" else (),
        probability=len(matches) / len(redrawn),
    )


def _overlapping(moves: list[tuple[int, int, int]], a: int, b: int, sign: int) -> tuple[int, int, int] | None:
    """The move of this sign that shares most with [a, b]."""

    def shared(move: tuple[int, int, int]) -> int:
        return min(b, move[1]) - max(a, move[0])

    best = max((m for m in moves if m[2] == sign), default=None, key=shared)
    return best if best is not None and shared(best) > 0 else None


def _interval(knots: Sequence[int], time: np.ndarray) -> tuple[float, float]:
    """The middle 90 %, and the gaps to the checkpoints beside it, in which a turn can hide."""
    low, high = np.quantile(knots, [0.05, 0.95])
    return float(time[max(int(low) - 1, 0)]), float(time[min(int(np.ceil(high)) + 1, len(time) - 1)])


def _rising(a: int, b: int, others: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Quantities with a rising trend within [a, b], by Kendall's tau."""
    names = []
    for name, values in others.items():
        part = values[a : b + 1]
        if np.ptp(part) == 0 or part[-1] <= part[0]:
            continue
        tau, p = np.asarray(kendalltau(np.arange(len(part)), part, alternative="greater"))
        if tau > 0 and p < LEVEL / len(others):
            names.append(name)
    return tuple(names)
