"""Gymnasium's environments as ours.

An episode has a copy of the environment to itself, reset with its own seed, so that it is a function of seed
and actions. It ends once; nothing is reset behind its back. It is cut by our horizon and by no other clock: an
episode that is cut goes on, in advantages, with the value of where it stands, one that ended does not.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from thalweg.envs.base import Box, Discrete
from thalweg.envs.gymnasium._interface import difference, played, started, stepped
from thalweg.envs.gymnasium._spaces import action_of, check_seen, choices, name, see
from thalweg.envs.gymnasium._streams import Streams, of_seed, watched
from thalweg.errors import InputError, guarded

WATCH = 16  # steps from the first on, and then one in as many, at which the global streams are looked at


@dataclass(frozen=True)
class GymEnvironment:
    """Any Gymnasium environment of Discrete or flat Box actions, and of observations that are numbers.

    Attributes:
        make: its id, as of `gymnasium.make`, or a function that makes one; it can be pickled for worker processes.
        horizon: steps of an episode at most; default the environment's own limit. An id is made with it in place of
            its own limit; what a function makes, and MiniGrid's rooms, must not stop before it.
        discount: of the reward a step later.
        actions: what a policy chooses, numbered from 0; a Discrete space's own numbers are given to the environment.
        shape: of an observation.
        title: how it is called.
        doubt: why its episodes are no function of their seeds; empty where they are.
        shared: whether it draws from the global streams; then each episode is lent its own.
    """

    make: str | Callable[[], Any]
    horizon: int = 0
    discount: float = 0.99
    actions: Discrete | Box = field(init=False)
    shape: tuple[int, ...] = field(init=False)
    title: str = field(init=False, repr=False, compare=False)  # these are not in repr, by which a store knows it
    doubt: str = field(init=False, repr=False, compare=False)
    shared: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make one and read its spaces; play one seed in it and in another.

        Raises:
            InputError: gymnasium is missing, an unknown id, a space that is not understood, no limit of time or one
                below the horizon, an old interface.
        """
        if not isinstance(self.horizon, Integral) or self.horizon < 0:
            raise InputError(f"horizon = {self.horizon!r}: give a whole number, the steps of an episode")
        if not isinstance(self.discount, Real) or not 0 <= float(self.discount) <= 1:
            raise InputError(f"discount = {self.discount!r}: give a number in [0, 1]")
        lent = of_seed(0), of_seed(0)
        with lent[0].lent():
            one = made(self.make, int(self.horizon))
        steps = _horizon(one, self.horizon)
        kind, title = choices(one), name(one)
        check_seen(one)
        with lent[0].lent():
            first = played(one, kind, steps)
        with lent[1].lent():
            other = made(self.make, steps)
            _check_apart(title, [one, other])
            doubt = difference(title, first, played(other, kind, steps))
        known = {"horizon": steps, "actions": kind, "shape": first[0][0].shape, "title": title, "doubt": doubt}
        for key, value in {**known, "shared": any(own.moved for own in lent)}.items():
            object.__setattr__(self, key, value)
        for copy in (one, other):
            with guarded(f"environment {title}", "mend its close()"):
                copy.close()

    def begin(self, seeds: Tensor) -> "_GymEpisodes":
        """A copy for each seed (B,).

        Raises:
            InputError: an environment whose chances do not come from its seed, copies that are one object or have
                other actions, a reset that is not understood.
        """
        if self.doubt:
            raise InputError(self.doubt)
        copies, seen = [], []
        streams = [of_seed(int(seed)) if self.shared else None for seed in seeds]
        with nullcontext() if self.shared else watched(self.title):
            for seed, own in zip(seeds, streams, strict=True):
                with own.lent() if own else nullcontext():
                    one = made(self.make, self.horizon)
                    found = started(one, int(seed) % 2**31)
                if choices(one) != self.actions:
                    raise InputError(f"environment {self.title} has other actions from copy to copy: make them alike")
                copies.append(one)
                seen.append(see(one, found, self.shape))
        _check_apart(self.title, copies)
        together = torch.stack(seen) if seen else torch.zeros(0, *self.shape)
        return _GymEpisodes(self, copies, streams, together, torch.zeros(len(seeds), dtype=torch.bool))


@dataclass(eq=False)
class _GymEpisodes:
    """Episodes under way.

    Attributes:
        environment: whose they are.
        copies: a Gymnasium environment of each.
        streams: those that are lent to each; None where it needs none.
        observations: (B, ...).
        ended: (B,).
        time: steps so far.
    """

    environment: GymEnvironment
    copies: list[Any]
    streams: list[Streams | None]
    observations: Tensor
    ended: Tensor
    time: int = 0

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """One step of each that goes on.

        Raises:
            InputError: a reward or an observation that is not finite, a space that changed, a cut before the horizon,
                draws from a global stream.
        """
        of, seen = self.environment, self.observations.clone()
        reward = torch.zeros(len(actions), dtype=torch.float32)
        chosen = actions.numpy()
        looked = not of.shared and (self.time < WATCH or self.time % WATCH == 0)  # a look costs as much as some steps
        with watched(of.title) if looked else nullcontext():
            for i, (one, own) in enumerate(zip(self.copies, self.streams, strict=True)):
                if self.ended[i]:
                    continue
                with own.lent() if own else nullcontext():
                    found, gain, over, cut = stepped(one, action_of(one, of.actions, chosen[i]))
                seen[i], reward[i], self.ended[i] = see(one, found, of.shape), gain, over
                if cut and not over and self.time + 1 < of.horizon:
                    raise InputError(
                        f"environment {of.title} cuts an episode after {self.time + 1} steps, horizon = {of.horizon}:"
                        f" give horizon={self.time + 1} or less, or let it say terminated where that is an end"
                    )
        self.observations, self.time = seen, self.time + 1
        return reward, self.ended.clone()

    def only(self, keep: Tensor) -> "_GymEpisodes":
        rows = keep.nonzero()[:, 0].tolist()
        copies, streams = [self.copies[i] for i in rows], [self.streams[i] for i in rows]
        return _GymEpisodes(self.environment, copies, streams, self.observations[keep], self.ended[keep], self.time)


def made(make: str | Callable[[], Any], horizon: int = 0) -> Any:
    """A Gymnasium environment by its id, cut by the horizon in place of its own limit; or what a function makes."""
    try:
        import gymnasium
    except ImportError as error:
        raise InputError("gymnasium is not installed: pip install 'thalweg[rl]'") from error
    if not isinstance(make, str):
        with guarded("environment", "give a function that makes a gymnasium.Env"):
            one = make()
        if not isinstance(one, gymnasium.Env):
            raise InputError(
                f"environment of type {type(one).__name__} is no gymnasium.Env: give a function that makes one"
                " (one of the old gym is wrapped by shimmy's GymV26CompatibilityV0)"
            )
        return one
    if make.startswith("MiniGrid"):
        import minigrid  # noqa: F401  (it registers its environments)
    with guarded(f"environment {make!r}", "is the id one that gymnasium knows, and its package installed?"):
        return gymnasium.make(make, max_episode_steps=horizon or None, disable_env_checker=True)


def _check_apart(title: str, copies: list[Any]) -> None:
    """Refuse copies that are one object: their episodes would be played over each other."""
    if len({id(one.unwrapped) for one in copies}) < len(copies):
        raise InputError(f"environment {title} is the same object each time: let the function make a new one")


def _horizon(one: Any, asked: int) -> int:
    """Steps of an episode: as many as are asked for, or as its own limit has."""
    own = limit(one)
    steps = asked or own
    if steps < 1:
        raise InputError(f"environment {name(one)} has no limit of time: give horizon=, the steps of an episode")
    if own and own < steps:
        raise InputError(
            f"environment {name(one)} stops by itself after {own} steps, horizon = {steps}: give horizon={own} or"
            " less, or make it with a longer limit"
        )
    return int(steps)


def limit(one: Any) -> int:
    """Steps after which the environment stops by itself, the first of its clocks; 0 where it does not."""
    clocks = getattr(one.spec, "max_episode_steps", None), getattr(one.unwrapped, "max_steps", None)
    steps = [float(clock) for clock in clocks if isinstance(clock, Real)]
    return min((int(clock) for clock in steps if math.isfinite(clock) and clock >= 1), default=0)
