"""Gymnasium's small environments as tables: decision processes and levels, whose regret is exact."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl.gym import limit, made, name, see
from thalweg.rl.levels import Levels
from thalweg.rl.mdp import MDP

STATES = 10_000  # of a room that is walked


def process(make: str | Callable[[], Any], discount: float) -> tuple[MDP, Tensor]:
    """The table of a toy-text environment (FrozenLake, CliffWalking, Taxi) as a process and its reward.

    Ends absorb, at reward 0. Time limits are left out.

    Args:
        make: id, or what makes one.
        discount: in [0, 1).

    Returns:
        The process, and the mean reward (S, A).

    Raises:
        InputError: an environment without a table.
    """
    one = made(make).unwrapped
    if not hasattr(one, "P") or not hasattr(one, "initial_state_distrib"):
        raise InputError(f"environment {name(one)} has no table of transitions: roll it out, GymEnvironment(...)")
    states, actions = int(one.observation_space.n), int(one.action_space.n)
    moves = torch.zeros(states, actions, states, dtype=torch.float64)
    reward = torch.zeros(states, actions, dtype=torch.float64)
    over = {after for table in one.P.values() for rows in table.values() for _, after, _, done in rows if done}
    for state, table in one.P.items():
        for action, rows in table.items():
            for chance, after, gain, _ in rows if state not in over else [(1.0, state, 0.0, True)]:
                moves[state, action, after] += chance
                reward[state, action] += chance * float(gain)
    start = np.asarray(one.initial_state_distrib, dtype=np.float64)
    return MDP(moves / moves.sum(-1, keepdim=True), start / start.sum(), discount), reward


def grid_levels(make: str | Callable[[], Any], *, discount: float, horizon: int = 0, actions: int = 3) -> Levels:
    """A MiniGrid room whose layout does not change, walked: places and directions are its states, one level.

    MiniGrid pays 1 - 0.9 t/limit at the goal, which depends on time; here it is 1, and the discount is what makes
    haste. Observations are the agent's own view, as `GymEnvironment` gives it.

    Args:
        make: id, as `MiniGrid-Empty-5x5-v0`, or what makes one.
        discount: in [0, 1).
        horizon: steps of an episode at most; default the environment's own limit.
        actions: the first of MiniGrid's seven: 3 are left, right, forward.
    """
    one = made(make)
    one.reset(seed=0)
    room = one.unwrapped
    if not hasattr(room, "agent_pos"):
        raise InputError(f"environment {name(one)} is no MiniGrid room: roll it out, GymEnvironment(...)")
    first = (tuple(int(x) for x in room.agent_pos), int(room.agent_dir))
    number, queue = {first: 0}, [first]
    views, after, reward, end = [], [], [], []
    for place in queue:
        _put(room, place)
        views.append(see(one, room.gen_obs(), None))
        rows = []
        for action in range(actions):
            _put(room, place)
            _, gain, over, _, _ = room.step(action)
            to = (tuple(int(x) for x in room.agent_pos), int(room.agent_dir))
            if to not in number and len(number) < STATES:
                number[to] = len(number)
                queue.append(to)
            rows.append((number[to], 1.0 if gain > 0 else 0.0, bool(over)))
        after.append([row[0] for row in rows])
        reward.append([row[1] for row in rows])
        end.append([row[2] for row in rows])
    start = torch.zeros(1, len(number), dtype=torch.float64)
    start[0, 0] = 1
    return Levels(
        next=torch.tensor([after]),
        reward=torch.tensor([reward], dtype=torch.float64),
        end=torch.tensor([end]),
        start=start,
        weight=torch.ones(1, dtype=torch.float64),
        observations=torch.stack(views)[None],
        horizon=horizon or limit(one),
        discount=discount,
    )


def _put(room: Any, place: tuple[tuple[int, ...], int]) -> None:
    """Stand somewhere, at the beginning of time."""
    room.agent_pos, room.agent_dir, room.step_count = np.array(place[0]), place[1], 0


__all__ = ["grid_levels", "process"]
