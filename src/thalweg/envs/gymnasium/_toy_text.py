"""A Gymnasium table, `P[state][action] = [(chance, next state, reward, end), ...]`, as a process and its reward.

A table is text that someone wrote: each number is held to what it must be, and none is mended in silence.
"""

from collections.abc import Mapping
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.envs.gymnasium._spaces import kind_of, name, short
from thalweg.errors import InputError
from thalweg.mdp import MDP, POLICY, distributions

KNOWN = {  # wrappers that leave next states, rewards and ends as they are
    "Autoreset",
    "HumanRendering",
    "OrderEnforcing",
    "PassiveEnvChecker",
    "RecordEpisodeStatistics",
    "RecordVideo",
    "RenderCollection",
    "TimeLimit",
}
CELLS = 2**28  # numbers of a dense table, 2 GiB


class _Outcome(NamedTuple):
    """One way that a step can go; states by their place."""

    chance: float
    after: int
    gain: float
    over: bool


_Table = list[list[list[_Outcome]]]  # of each state, of each action


def read_table(one: Any, discount: float) -> tuple[MDP, Tensor]:
    """The process of an environment's table, and its mean reward (S, A)."""
    _check_wrappers(one)
    bare = one.unwrapped
    called = f"environment {name(one)}"
    if not hasattr(bare, "P"):
        raise InputError(f"{called} has no table of transitions: roll it out, GymEnvironment(...)")
    for what in ("observation_space", "action_space"):
        kind = kind_of(getattr(bare, what, None))
        if kind != "Discrete":
            raise InputError(f"{called} has a table P, and {what} of kind {kind}: a table takes Discrete")
    (table, off), (start, missed) = _rows(called, bare), _start(called, bare)
    alive, ended = _alive(table, start), np.zeros(len(table), dtype=bool)  # it can go on from a state, or end in it
    ended[[row.after for of in table for rows in of for row in rows if row.over]] = True
    split = bool((alive & ended).any())  # some end belongs to a step
    states, actions = len(table), len(table[0])
    size = states + split
    moves = torch.zeros(size, actions, size, dtype=torch.float64)
    reward = torch.zeros(size, actions, dtype=torch.float64)
    for state, of in enumerate(table):
        stays = ended[state] and not alive[state]
        for action, rows in enumerate(of):
            for row in [_Outcome(1.0, state, 0.0, True)] if stays else rows:
                moves[state, action, states if row.over and alive[row.after] else row.after] += row.chance
                reward[state, action] += row.chance * row.gain
    moves[states:, :, states:] = 1.0
    first = np.append(start, [0.0] * split)
    return MDP(moves, first, discount, rounding=max(off, missed)), reward


def _check_wrappers(one: Any) -> None:
    """Refuse what changes the environment and not its table."""
    layer = one
    while layer is not one.unwrapped:
        kind = type(layer)
        if kind.__name__ not in KNOWN or not kind.__module__.startswith("gymnasium."):
            raise InputError(
                f"environment {name(one)} is wrapped by {kind.__name__}, which its table does not know: give it"
                " without, or roll it out, GymEnvironment(...)"
            )
        layer = layer.env
    if getattr(one.unwrapped, "fickle_passenger", False):
        raise InputError(
            f"environment {name(one)} has a fickle passenger, whom its table does not know: roll it out,"
            " GymEnvironment(...)"
        )


def _rows(called: str, bare: Any) -> tuple[_Table, float]:
    """The table, each state and action in its place; and by how much its chances may be off, relative."""
    states, actions = _numbers(bare.observation_space), _numbers(bare.action_space)
    if len(states) ** 2 * len(actions) > CELLS:
        raise InputError(f"{called} has {len(states)} states, too many for a table: roll it out, GymEnvironment(...)")
    found: _Table = []
    most = 0.0
    for state, of in zip(states, _entries(f"{called}: P", bare.P, states), strict=True):
        where = f"{called}: P[{state}]"
        found.append([])
        for action, rows in zip(actions, _entries(where, of, actions), strict=True):
            checked, off = _checked(f"{where}[{action}]", rows, states)
            found[-1].append(checked)
            most = max(most, off)
    return found, most


def _numbers(space: Any) -> range:
    return range(int(space.start), int(space.start) + int(space.n))


def _entries(where: str, given: Any, keys: range) -> list[Any]:
    """What a mapping holds for exactly these keys."""
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is a {type(given).__name__}: give a dict of the numbers {keys[0]} to {keys[-1]}")
    missing = [key for key in keys if key not in given]
    if missing:
        raise InputError(f"{where} has no {missing[0]}: give the numbers {keys[0]} to {keys[-1]} of the space")
    if len(given) > len(keys):
        other = next(key for key in given if key not in keys)
        raise InputError(f"{where} has {short(other)}, which is not in its space: give {keys[0]} to {keys[-1]}")
    return [given[key] for key in keys]


def _checked(where: str, rows: Any, states: range) -> tuple[list[_Outcome], float]:
    """The ways that one step can go, chances that sum to 1; and by how much these may be off."""
    if not isinstance(rows, list | tuple) or not rows:
        raise InputError(f"{where} is {short(rows)}: give a list of (chance, next state, reward, end)")
    found = [_row(where, row, states) for row in rows]
    chances, off = distributions(np.asarray([row[0] for row in rows]), f"{where}, its chances")
    return [
        row._replace(chance=chance) for row, chance in zip(found, chances.tolist(), strict=True) if chance > 0
    ], off


def _row(where: str, row: Any, states: range) -> _Outcome:
    """One tuple."""
    if not isinstance(row, list | tuple) or len(row) != 4:
        raise InputError(f"{where} holds {short(row)}: give (chance, next state, reward, end)")
    chance, after, gain, over = row
    if not isinstance(chance, Real) or not 0 <= float(chance) <= 1 + POLICY:
        raise InputError(f"{where} holds a chance of {short(chance)}: give a number from 0 to 1")
    if isinstance(after, bool) or not isinstance(after, int | np.integer) or int(after) not in states:
        raise InputError(f"{where} leads to {short(after)}: give a state, a whole number {states[0]} to {states[-1]}")
    if isinstance(gain, bool) or not isinstance(gain, Real) or not isfinite(gain):
        raise InputError(f"{where} holds a reward of {short(gain)}: give a finite number")
    if not isinstance(over, bool | np.bool_) and not (isinstance(over, int | np.integer) and over in (0, 1)):
        raise InputError(f"{where} holds an end of {short(over)}: give True or False")
    return _Outcome(float(chance), int(after) - states[0], float(gain), bool(over))


def _start(called: str, bare: Any) -> tuple[np.ndarray, float]:
    """(S,) chances of the first state; and by how much they may be off."""
    states = int(bare.observation_space.n)
    if not hasattr(bare, "initial_state_distrib"):
        raise InputError(f"{called} has a table P and no initial_state_distrib: give it, {states} chances")
    start, off = distributions(bare.initial_state_distrib, f"{called}: initial_state_distrib")
    if start.shape != (states,):
        raise InputError(f"{called}: initial_state_distrib has shape {tuple(start.shape)}: give {states} chances")
    return start.numpy(), off


def _alive(table: _Table, start: np.ndarray) -> np.ndarray:
    """(S,) whether an episode can go on from a state: it starts there, or a step that is no end leads there."""
    found = start > 0
    queue = found.nonzero()[0].tolist()
    for state in queue:
        for row in (row for rows in table[state] for row in rows if not row.over):
            if not found[row.after]:
                found[row.after] = True
                queue.append(row.after)
    return found
