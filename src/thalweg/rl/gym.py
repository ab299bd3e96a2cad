"""Gymnasium's environments as ours, and its small tables as decision processes.

An episode has a copy of the environment to itself, reset with its own seed, so that it is a function of seed
and actions. It ends once; nothing is reset behind its back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.errors import InputError, guarded
from thalweg.rl.environments import Box, Discrete
from thalweg.rl.levels import Levels
from thalweg.rl.mdp import MDP

STATES = 10_000  # of a table that is walked


@dataclass(frozen=True)
class GymEnvironment:
    """Any Gymnasium environment with Discrete or Box actions and observations.

    Attributes:
        make: its id, as of `gymnasium.make`, or a function that makes one; it can be pickled for worker processes.
        horizon: steps of an episode at most; default the environment's own limit.
        discount: of the reward a step later.
    """

    make: str | Callable[[], Any]
    horizon: int = 0
    discount: float = 0.99
    actions: Discrete | Box = field(init=False)
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Make one, and read its spaces.

        Raises:
            InputError: gymnasium is missing, an unknown id, a space that is not understood, no limit of time.
        """
        one = made(self.make)
        limit = self.horizon or _limit(one)
        if limit < 1:
            raise InputError(f"environment {_name(one)} has no limit of time: give horizon=, the steps of an episode")
        object.__setattr__(self, "horizon", int(limit))
        object.__setattr__(self, "actions", _actions(one))
        object.__setattr__(self, "shape", _see(one, one.reset(seed=0)[0], None).shape)
        one.close()

    def begin(self, seeds: Tensor) -> "GymEpisodes":
        """A copy for each seed (B,)."""
        copies = [made(self.make) for _ in seeds]
        seen = [_see(c, c.reset(seed=int(s) % 2**31)[0], self.shape) for c, s in zip(copies, seeds, strict=True)]
        return GymEpisodes(self, copies, torch.stack(seen), torch.zeros(len(seeds), dtype=torch.bool))


@dataclass(eq=False)
class GymEpisodes:
    """Episodes under way."""

    environment: GymEnvironment
    copies: list[Any]
    observations: Tensor
    ended: Tensor
    time: int = 0

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """One step of each that goes on.

        Raises:
            InputError: a reward or an observation that is not finite, a space that changed.
        """
        kind, seen = self.environment.actions, self.observations.clone()
        reward = torch.zeros(len(actions), dtype=torch.float32)
        chosen = actions.numpy()
        if isinstance(kind, Box):
            chosen = np.clip(chosen, kind.low, kind.high).astype(np.float32)
        for i, one in enumerate(self.copies):
            if self.ended[i]:
                continue
            with guarded(f"environment {_name(one)}", "mend its step()"):
                found, gain, over, cut, _ = one.step(int(chosen[i]) if isinstance(kind, Discrete) else chosen[i])
            if not np.isfinite(gain):
                raise InputError(f"environment {_name(one)} gives a reward of {gain}: mend it")
            seen[i], reward[i], self.ended[i] = _see(one, found, self.environment.shape), float(gain), over
            self.ended[i] |= cut and self.time + 1 < self.environment.horizon
        self.observations, self.time = seen, self.time + 1
        return reward, self.ended.clone()

    def only(self, keep: Tensor) -> "GymEpisodes":
        """Some of them."""
        copies = [one for one, kept in zip(self.copies, keep.tolist(), strict=True) if kept]
        return GymEpisodes(self.environment, copies, self.observations[keep], self.ended[keep], self.time)


def made(make: str | Callable[[], Any]) -> Any:
    """A Gymnasium environment, its own clock apart: episodes are cut by our horizon.

    Raises:
        InputError: gymnasium is missing, or does not know the id.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise InputError("gymnasium is not installed: pip install 'thalweg[rl]'") from error
    if not isinstance(make, str):
        with guarded("environment", "give a function that makes a gymnasium.Env"):
            return make()
    if make.startswith("MiniGrid"):
        import minigrid  # noqa: F401  (it registers its environments)
    with guarded(f"environment {make!r}", "is the id one that gymnasium knows, and its package installed?"):
        return gymnasium.make(make, disable_env_checker=True)


def _limit(one: Any) -> int:
    """Steps after which the environment stops by itself; 0 where it does not."""
    return getattr(one.spec, "max_episode_steps", None) or getattr(one.unwrapped, "max_steps", None) or 0


def _name(one: Any) -> str:
    return one.spec.id if getattr(one, "spec", None) else type(one.unwrapped).__name__


def _actions(one: Any) -> Discrete | Box:
    """What a policy chooses.

    Raises:
        InputError: a space of another kind.
    """
    space = one.action_space
    kind = type(space).__name__
    if kind == "Discrete":
        return Discrete(int(space.n))
    if kind == "Box" and len(space.shape) == 1:
        return Box(tuple(space.low.tolist()), tuple(space.high.tolist()))
    raise InputError(
        f"environment {_name(one)} has actions of kind {kind}: only Discrete and flat Box are understood"
    )


def _see(one: Any, found: Any, shape: tuple[int, ...] | None) -> Tensor:
    """An observation as float32: numbers as they are, a number of a Discrete space one-hot, MiniGrid's image flat.

    Raises:
        InputError: a kind that is not understood, another shape than before, numbers that are not finite.
    """
    space: Any = one.observation_space
    if isinstance(found, dict) and "image" in found:
        found = found["image"].reshape(-1)
    elif isinstance(found, dict | tuple):
        raise InputError(
            f"environment {_name(one)} has observations of kind {type(space).__name__}: wrap it to a Box"
        )
    elif type(space).__name__ == "Discrete":
        found = np.eye(int(space.n), dtype=np.float32)[int(found)]
    seen = torch.as_tensor(np.asarray(found, dtype=np.float32))
    if shape is not None and seen.shape != shape:
        raise InputError(
            f"environment {_name(one)} changes its observations from {tuple(shape)} to {tuple(seen.shape)}: mend it"
        )
    if not torch.isfinite(seen).all():
        raise InputError(f"environment {_name(one)} gives an observation that is not finite: mend it")
    return seen


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
        raise InputError(f"environment {_name(one)} has no table of transitions: roll it out, GymEnvironment(...)")
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
        raise InputError(f"environment {_name(one)} is no MiniGrid room: roll it out, GymEnvironment(...)")
    first = (tuple(int(x) for x in room.agent_pos), int(room.agent_dir))
    number, queue = {first: 0}, [first]
    views, after, reward, end = [], [], [], []
    for place in queue:
        _put(room, place)
        views.append(_see(one, room.gen_obs(), None))
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
        horizon=horizon or _limit(one),
        discount=discount,
    )


def _put(room: Any, place: tuple[tuple[int, ...], int]) -> None:
    """Stand somewhere, at the beginning of time."""
    room.agent_pos, room.agent_dir, room.step_count = np.array(place[0]), place[1], 0


class FromSB3(nn.Module):
    """A policy of Stable-Baselines3 (PPO, A2C) as ours, with the parameter names that its checkpoints have.

    The layers that only the value has are frozen.
    """

    features_extractor: nn.Module
    mlp_extractor: Any
    action_net: nn.Module
    log_std: Tensor

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        for name, child in policy.named_children():
            setattr(self, name, child)
        for name, own in policy.named_parameters(recurse=False):
            self.register_parameter(name, own)
        self.discrete = not hasattr(policy, "log_std")
        for name, own in self.named_parameters():
            own.requires_grad_("value" not in name and "vf_" not in name)

    def forward(self, seen: Tensor) -> Tensor:
        """Observations (B, ...) -> logits, or means and log standard deviations."""
        hidden = self.mlp_extractor.forward_actor(self.features_extractor(seen))
        found = self.action_net(hidden)
        return found if self.discrete else torch.cat([found, self.log_std.expand_as(found)], -1)


def from_sb3(algorithm: Any) -> FromSB3:
    """The policy of a Stable-Baselines3 algorithm, as a module of observations.

    Args:
        algorithm: an A2C or PPO with a policy of separate or shared layers and no generalised noise.

    Raises:
        InputError: an algorithm whose policy is none of those.
    """
    policy = getattr(algorithm, "policy", algorithm)
    parts = ("features_extractor", "mlp_extractor", "action_net")
    if not all(hasattr(policy, part) for part in parts) or getattr(policy, "use_sde", False):
        raise InputError(
            f"a policy of kind {type(policy).__name__} is not understood: give PPO or A2C with an actor-critic policy"
        )
    return FromSB3(policy)


__all__ = ["FromSB3", "GymEnvironment", "from_sb3", "grid_levels", "made", "process"]
