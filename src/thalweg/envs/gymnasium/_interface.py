"""Calls of a Gymnasium environment: what `reset` and `step` give is held to the interface before it is used.

Chances must come from `reset(seed=)`: an environment that keeps others is caught where the same seed is played twice.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.envs.base import Box, Discrete
from thalweg.envs.gymnasium._spaces import action_of, name, see, short
from thalweg.envs.gymnasium._streams import OWN
from thalweg.errors import InputError, guarded

PROBE = 64  # steps that two copies are played side by side


class _Step(NamedTuple):
    """What a step gave, in plain types."""

    found: Any
    gain: float
    over: bool
    cut: bool


def started(one: Any, seed: int) -> Any:
    """The first observation.

    Raises:
        InputError: a reset that raises, takes no seed, or gives no (observation, info).
    """
    called = f"environment {name(one)}"
    with guarded(called, "let reset(self, *, seed=None, options=None) return (observation, info)"):
        given = one.reset(seed=seed)
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[1], dict):
        shown = f"{len(given)} values" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
        raise InputError(
            f"{called} is of an old interface, its reset() returns {shown}: return (observation, info), a dict"
        )
    return given[0]


def stepped(one: Any, action: Any) -> _Step:
    """One step.

    Raises:
        InputError: a step that raises or is of an old interface, a reward that is no number, an end that is no bool.
    """
    called = f"environment {name(one)}"
    with guarded(called, "mend its step()"):
        given = one.step(action)
    if not isinstance(given, tuple) or len(given) != 5:
        shown = f"{len(given)} values" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
        raise InputError(
            f"{called} is of an old interface, its step() returns {shown}: return (observation, reward, terminated,"
            " truncated, info)"
        )
    found, gain, over, cut, _ = given
    return _Step(found, _reward(called, gain), _flag(called, "terminated", over), _flag(called, "truncated", cut))


def _reward(called: str, gain: Any) -> float:
    """A finite number."""
    if _number(gain, "biuf") is None:
        raise InputError(f"{called} gives a reward of type {type(gain).__name__} ({short(gain)}): give a number")
    if not abs(float(gain)) <= torch.finfo(torch.float32).max:  # also NaN
        raise InputError(f"{called} gives a reward of {float(gain):g}: mend it, rewards are finite in float32")
    return float(gain)


def _flag(called: str, which: str, given: Any) -> bool:
    """True or False; 1 and 0 are read as these."""
    if _number(given, "biu") not in (0, 1):
        raise InputError(f"{called} gives {which} = {short(given)}: give True or False")
    return bool(given)


def _number(given: Any, kinds: str) -> Any:
    """One number of these kinds; None for anything else."""
    try:
        value = np.asarray(given)
        return value[()] if value.shape == () and value.dtype.kind in kinds else None
    except Exception:  # what numpy cannot read is no number
        return None


def played(one: Any, kind: Discrete | Box, horizon: int) -> list[tuple[Tensor, _Step]]:
    """What a copy gives at seed 0 under actions that are always the same, `PROBE` steps at most."""
    chance, given = np.random.default_rng(0), _Step(started(one, 0), 0.0, False, False)
    found = [(see(one, given.found, None), given)]
    for _ in range(min(horizon, PROBE)):
        chosen = chance.integers(kind.count) if isinstance(kind, Discrete) else chance.standard_normal(kind.noise)
        try:
            given = stepped(one, action_of(one, kind, chosen))
            found.append((see(one, given.found, None), given))
        except InputError:  # a rollout says it, if it gets there
            break
        if given.over or given.cut:
            break
    return found


def difference(called: str, one: list[tuple[Tensor, _Step]], other: list[tuple[Tensor, _Step]]) -> str:
    """Why copies that were played alike are no function of seed and actions; empty where they are."""
    for time, (left, right) in enumerate(zip(one, other, strict=False)):
        if not torch.equal(left[0], right[0]) or left[1][1:] != right[1][1:]:
            when = f"at step {time - 1}" if time else "when it is reset"
            return f"environment {called} differs from itself {when}, the same seed played twice: {OWN}"
    return ""
