"""Gymnasium's small environments as tables: decision processes and levels, whose regret is exact."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.envs.gymnasium._environment import limit, made
from thalweg.envs.gymnasium._interface import started, stepped
from thalweg.envs.gymnasium._spaces import name, see
from thalweg.envs.gymnasium._toy_text import read_table
from thalweg.errors import InputError
from thalweg.mdp import MDP, Levels

STATES = 10_000  # of a room that is walked
RESETS = 8  # that a room must come out of the same: one of two layouts, drawn evenly, passes once in 128
PLAYS = 5  # episodes of random actions that a walked room is held to
Standing = tuple[tuple[int, ...], int]  # place and direction


def process(make: str | Callable[[], Any], discount: float) -> tuple[MDP, Tensor]:
    """The table of a toy-text environment (FrozenLake, CliffWalking, Taxi) as a process and its reward.

    A state that episodes only end in absorbs, at reward 0. Where a step ends the episode in a state that other
    steps go on from, or that an episode starts in, the end belongs to the step: such steps lead to one more state,
    the last, which absorbs. Time limits are left out.

    Args:
        make: id, or what makes one.
        discount: in [0, 1).

    Returns:
        The process, and the mean reward (S, A); S is one more than the environment's where steps end as above.

    Raises:
        InputError: an environment without a table, wrapped in what its table does not know, or whose table is none.
    """
    return read_table(made(make), discount)


def grid_levels(make: str | Callable[[], Any], *, discount: float, horizon: int = 0, actions: int = 3) -> Levels:
    """A MiniGrid room whose layout does not change, walked: places and directions are its states, one level.

    MiniGrid pays 1 - 0.9 t/limit at the goal, which depends on time; here it is 1, and the discount is what makes
    haste. The reward is paid by the step itself, so that a goal reached by step d is worth discount^(d - 1).
    Observations are the agent's own view, as `GymEnvironment` gives it. The table is held to episodes of random
    actions in the room itself.

    Args:
        make: id, as `MiniGrid-Empty-5x5-v0`, or what makes one.
        discount: in [0, 1).
        horizon: steps of an episode at most; default the environment's own limit.
        actions: the first of MiniGrid's seven: the default 3 are left, right, forward.

    Raises:
        InputError: no MiniGrid room; one that is not the same at each reset (FourRooms, Empty-Random), in which
            more changes than the agent (DoorKey, Dynamic-Obstacles), or that punishes; too many states.
    """
    one = made(make)
    room = one.unwrapped
    if not hasattr(room, "agent_pos"):
        raise InputError(f"environment {name(one)} is no MiniGrid room: roll it out, GymEnvironment(...)")
    if not 1 <= actions <= room.action_space.n:
        raise InputError(f"actions = {actions}: environment {name(one)} has {room.action_space.n}, give 1 to that")
    _check_resets(one)
    rows, views = _walked(one, actions)
    columns = [[[row[part] for row in of] for of in rows] for part in range(3)]
    start = torch.zeros(1, len(rows), dtype=torch.float64)
    start[0, 0] = 1
    levels = Levels(
        next=torch.tensor([columns[0]]),
        reward=torch.tensor([columns[1]], dtype=torch.float64),
        end=torch.tensor([columns[2]]),
        start=start,
        weight=torch.ones(1, dtype=torch.float64),
        observations=torch.stack(views)[None],
        horizon=horizon or limit(one),
        discount=discount,
    )
    _check_plays(one, levels)
    return levels


def _walked(one: Any, actions: int) -> tuple[list[list[tuple[int, float, bool]]], list[Tensor]]:
    """Of each place and direction that is reached: (next, reward, end) of each action, and the view."""
    room = one.unwrapped
    layout, first = _layout(room), _standing(room)
    number, queue = {first: 0}, [first]
    rows, views = [], []
    for place in queue:
        _put(room, place)
        views.append(see(room, room.gen_obs(), None))
        row = []
        for action in range(room.action_space.n):  # all of them, also what the levels leave out: they show the state
            _put(room, place)
            _, gain, over, _ = stepped(room, action)
            _check_step(one, layout, place, action, gain)
            to = _standing(room)
            if action >= actions:
                continue
            if to not in number:
                number[to] = len(number)
                queue.append(to)
            if len(number) > STATES:
                raise InputError(
                    f"environment {name(one)} has more than {STATES} places and directions: give a smaller room, or"
                    " roll it out, GymEnvironment(...)"
                )
            row.append((number[to], 1.0 if gain > 0 else 0.0, over))
        rows.append(row)
    return rows, views


def _check_resets(one: Any) -> None:
    """Refuse a room that is drawn at random."""
    room, seen = one.unwrapped, set()
    for seed in range(RESETS):
        started(one, seed)
        seen.add((_layout(room), _standing(room)))
    if len(seen) > 1:
        raise InputError(
            f"environment {name(one)} differs from reset to reset, in its layout or where the agent starts, and has"
            " no one table: roll it out, GymEnvironment(...), or give a room that is fixed"
        )


def _check_step(one: Any, layout: tuple[bytes, Any], place: Standing, action: int, gain: float) -> None:
    """Refuse a room whose state is more than place and direction, or that pays what the levels do not."""
    where = f"environment {name(one)}: action {action} at {place[0]}"
    if _layout(one.unwrapped) != layout:
        raise InputError(
            f"{where} changes more than where the agent is (doors, keys, obstacles), and its states are more than"
            " places and directions: roll it out, GymEnvironment(...)"
        )
    if gain < 0:
        raise InputError(
            f"{where} pays {gain:g}, levels of rooms know a goal alone: roll it out, GymEnvironment(...)"
        )


def _check_plays(one: Any, levels: Levels) -> None:
    """Refuse a table that random actions in the room itself do not follow."""
    chance = np.random.default_rng(0)
    for seed in range(PLAYS):
        started(one, seed)
        state = 0
        for step in range(limit(one) or STATES):
            action = int(chance.integers(levels.actions))
            found, gain, over, cut = stepped(one, action)
            at = (0, state, action)
            state = int(levels.next[at])
            same = (gain > 0) == bool(levels.reward[at] > 0) and over == bool(levels.end[at])
            if not same or not torch.equal(see(one, found, None), levels.observations[0, state]):
                raise InputError(
                    f"environment {name(one)} does not play as it was walked, at step {step} of seed {seed} (hidden"
                    " state, chances, or wrappers): give the room without them, or roll it out, GymEnvironment(...)"
                )
            if over or cut:
                break


def _layout(room: Any) -> tuple[bytes, Any]:
    """All of a room but where the agent is."""
    return room.grid.encode().tobytes(), room.carrying


def _standing(room: Any) -> Standing:
    """Where the agent is, and which way it looks."""
    return tuple(int(x) for x in room.agent_pos), int(room.agent_dir)


def _put(room: Any, place: Standing) -> None:
    """Stand somewhere, at the beginning of time."""
    room.agent_pos, room.agent_dir, room.step_count = np.array(place[0]), place[1], 0
