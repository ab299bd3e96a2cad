"""Gymnasium's environments as ours.

An episode has a copy of the environment to itself, reset with its own seed, so that it is a function of seed
and actions. It ends once; nothing is reset behind its back. It is cut by our horizon and by no other clock: an
episode that is cut goes on, in advantages, with the value of where it stands, one that ended does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, guarded
from thalweg.rl.environments import Box, Discrete


@dataclass(frozen=True)
class GymEnvironment:
    """Any Gymnasium environment with Discrete or Box actions and observations.

    Attributes:
        make: its id, as of `gymnasium.make`, or a function that makes one; it can be pickled for worker processes.
        horizon: steps of an episode at most; default the environment's own limit. An id is made with it in place of
            its own limit; what a function makes, and MiniGrid's rooms, must not stop before it.
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
            InputError: gymnasium is missing, an unknown id, a space that is not understood, no limit of time or one
                below the horizon.
        """
        one = made(self.make, int(self.horizon))
        own = limit(one)
        steps = self.horizon or own
        if steps < 1:
            raise InputError(f"environment {name(one)} has no limit of time: give horizon=, the steps of an episode")
        if own and own < steps:
            raise InputError(
                f"environment {name(one)} stops by itself after {own} steps, horizon = {steps}: give horizon={own} or"
                " less, or make it with a longer limit"
            )
        object.__setattr__(self, "horizon", int(steps))
        object.__setattr__(self, "actions", _actions(one))
        object.__setattr__(self, "shape", see(one, one.reset(seed=0)[0], None).shape)
        one.close()

    def begin(self, seeds: Tensor) -> "GymEpisodes":
        """A copy for each seed (B,)."""
        copies = [made(self.make, self.horizon) for _ in seeds]
        seen = [see(c, c.reset(seed=int(s) % 2**31)[0], self.shape) for c, s in zip(copies, seeds, strict=True)]
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
            InputError: a reward or an observation that is not finite, a space that changed, a cut before the horizon.
        """
        kind, seen = self.environment.actions, self.observations.clone()
        reward = torch.zeros(len(actions), dtype=torch.float32)
        chosen = actions.numpy()
        if isinstance(kind, Box):
            chosen = np.clip(chosen, kind.low, kind.high).astype(np.float32)
        for i, one in enumerate(self.copies):
            if self.ended[i]:
                continue
            with guarded(f"environment {name(one)}", "mend its step()"):
                found, gain, over, cut, _ = one.step(int(chosen[i]) if isinstance(kind, Discrete) else chosen[i])
            if not np.isfinite(gain):
                raise InputError(f"environment {name(one)} gives a reward of {gain}: mend it")
            seen[i], reward[i], self.ended[i] = see(one, found, self.environment.shape), float(gain), over
            if cut and not over and self.time + 1 < self.environment.horizon:
                raise InputError(
                    f"environment {name(one)} cuts an episode after {self.time + 1} steps, horizon ="
                    f" {self.environment.horizon}: give horizon={self.time + 1} or less, or let it say terminated"
                    " where that is an end"
                )
        self.observations, self.time = seen, self.time + 1
        return reward, self.ended.clone()

    def only(self, keep: Tensor) -> "GymEpisodes":
        """Some of them."""
        copies = [one for one, kept in zip(self.copies, keep.tolist(), strict=True) if kept]
        return GymEpisodes(self.environment, copies, self.observations[keep], self.ended[keep], self.time)


def made(make: str | Callable[[], Any], horizon: int = 0) -> Any:
    """A Gymnasium environment.

    Args:
        make: id, or what makes one.
        horizon: steps after which an id is cut, in place of its own limit; 0 for its own.

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
        return gymnasium.make(make, max_episode_steps=horizon or None, disable_env_checker=True)


def limit(one: Any) -> int:
    """Steps after which the environment stops by itself, the first of its clocks; 0 where it does not."""
    clocks = getattr(one.spec, "max_episode_steps", None), getattr(one.unwrapped, "max_steps", None)
    return min((int(steps) for steps in clocks if steps), default=0)


def name(one: Any) -> str:
    """How an environment is called."""
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
    raise InputError(f"environment {name(one)} has actions of kind {kind}: only Discrete and flat Box are understood")


def see(one: Any, found: Any, shape: tuple[int, ...] | None) -> Tensor:
    """An observation as float32: numbers as they are, a number of a Discrete space one-hot, MiniGrid's image flat.

    Raises:
        InputError: a kind that is not understood, another shape than before, numbers that are not finite.
    """
    space: Any = one.observation_space
    if isinstance(found, dict) and "image" in found:
        found = found["image"].reshape(-1)
    elif isinstance(found, dict | tuple):
        raise InputError(f"environment {name(one)} has observations of kind {type(space).__name__}: wrap it to a Box")
    elif type(space).__name__ == "Discrete":
        found = np.eye(int(space.n), dtype=np.float32)[int(found)]
    seen = torch.as_tensor(np.asarray(found, dtype=np.float32))
    if shape is not None and seen.shape != shape:
        raise InputError(
            f"environment {name(one)} changes its observations from {tuple(shape)} to {tuple(seen.shape)}: mend it"
        )
    if not torch.isfinite(seen).all():
        raise InputError(f"environment {name(one)} gives an observation that is not finite: mend it")
    return seen


__all__ = ["GymEnvironment", "GymEpisodes", "limit", "made", "name", "see"]
