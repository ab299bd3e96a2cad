"""Environments: batches of episodes, each a function of its seed and of the actions.             B episodes

All that is random in an episode, its first state, its actions' noise, its own chances, comes from its seed,
so that two policies can be compared seed by seed.
"""

from dataclasses import dataclass
from math import pi
from typing import Any, Protocol

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp import Levels, log_entropy
from thalweg.rng import uniforms


@dataclass(frozen=True)
class Discrete:
    """A choice of `count` actions; a policy gives their logits (B, count)."""

    count: int

    @property
    def noise(self) -> int:
        """Uniform numbers that an action takes."""
        return 1

    def check(self, outputs: Any, batch: int) -> None:
        """Refuse outputs that are no logits.

        Raises:
            InputError: the shape that the policy gave, and the one that is asked for.
        """
        wanted = f"the environment has {self.count} actions: give logits"
        _check_outputs(outputs, batch, self.count, wanted)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """(B,) actions, by the inverse of the distribution function at uniform noise (B, 1)."""
        steps = torch.softmax(outputs, -1).cumsum(-1)[:, :-1]
        return (noise.to(outputs) > steps).sum(-1)

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """(B,) nats."""
        return torch.log_softmax(outputs, -1).gather(-1, actions[..., None])[..., 0]

    def entropy(self, outputs: Tensor) -> Tensor:
        """(B,) nats."""
        return log_entropy(torch.log_softmax(outputs, -1))


@dataclass(frozen=True)
class Box:
    """Numbers between bounds; a policy gives their means and log standard deviations, (B, 2 size).

    Actions outside the bounds are put on them by the environment, as is the custom; the policy's density is
    that of the action before.

    Attributes:
        low: of each number.
        high: of each number.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def noise(self) -> int:
        """Uniform numbers that an action takes."""
        return len(self.low)

    def check(self, outputs: Any, batch: int) -> None:
        """Refuse outputs that are no means and log standard deviations.

        Raises:
            InputError: the shape that the policy gave, and the one that is asked for.
        """
        wanted = f"an action has {len(self.low)} numbers: give their means and log standard deviations,"
        _check_outputs(outputs, batch, 2 * len(self.low), wanted)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """(B, size) actions, normal at uniform noise (B, size)."""
        mean, spread = outputs.chunk(2, -1)
        return mean + spread.exp() * torch.special.ndtri(noise).to(outputs)

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """(B,) nats."""
        mean, spread = outputs.chunk(2, -1)
        return (-0.5 * ((actions - mean) / spread.exp()).square() - spread - 0.5 * LOG_2PI).sum(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        """(B,) nats."""
        return (outputs.chunk(2, -1)[1] + 0.5 * (1 + LOG_2PI)).sum(-1)


LOG_2PI = float(torch.log(torch.tensor(2 * pi, dtype=torch.float64)))


def _check_outputs(outputs: Any, batch: int, size: int, wanted: str) -> None:
    if not isinstance(outputs, Tensor) or outputs.shape != (batch, size):
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"policy gives {given} for {batch} observations, {wanted} ({batch}, {size})")


class Episodes(Protocol):
    """Episodes under way."""

    @property
    def observations(self) -> Tensor:
        """(B, ...) what a policy sees now; finite also where an episode has ended."""
        ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Take an action in each: rewards (B,), and whether it ended (B,). Ended ones stay so, at reward 0."""
        ...

    def only(self, keep: Tensor) -> "Episodes":
        """Go on with some of them, (B,) bool."""
        ...


class Environment(Protocol):
    """What episodes are begun in. It holds no state of theirs, and can be pickled."""

    @property
    def actions(self) -> Discrete | Box:
        """What a policy chooses."""
        ...

    @property
    def horizon(self) -> int:
        """Steps of an episode at most."""
        ...

    @property
    def discount(self) -> float:
        """Of the reward a step later, in [0, 1]."""
        ...

    def begin(self, seeds: Tensor) -> Episodes:
        """An episode of each seed (B,)."""
        ...


@dataclass(frozen=True)
class CartPole:
    """Gymnasium's CartPole-v1: a pole on a cart, pushed left or right; reward 1 a step until it falls.

    Source: Barto, Sutton & Anderson 1983, with Gymnasium's constants, bounds and Euler steps.

    Attributes:
        horizon: steps of an episode at most.
        discount: of the reward a step later.
    """

    horizon: int = 500
    discount: float = 0.99

    @property
    def actions(self) -> Discrete:
        """Left and right."""
        return Discrete(2)

    def begin(self, seeds: Tensor) -> "_Poles":
        """Position, speed, angle and its speed uniform in [-0.05, 0.05]."""
        first = 0.1 * uniforms(seeds, 4, "cart pole") - 0.05
        return _Poles(first.to(torch.float32), torch.zeros(len(seeds), dtype=torch.bool))


GRAVITY, CART, POLE, HALF, FORCE, TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
EDGE, LEAN = 2.4, 12 * 2 * pi / 360


@dataclass(eq=False)
class _Poles:
    """Poles under way."""

    observations: Tensor  # (B, 4) position, speed, angle, its speed
    ended: Tensor  # (B,) which have fallen

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        x, speed, angle, spin = self.observations.unbind(-1)
        force = torch.where(actions == 1, FORCE, -FORCE)
        sine, cosine = torch.sin(angle), torch.cos(angle)
        push = (force + POLE * HALF * spin.square() * sine) / (CART + POLE)
        turn = (GRAVITY * sine - cosine * push) / (HALF * (4 / 3 - POLE * cosine.square() / (CART + POLE)))
        pull = push - POLE * HALF * turn * cosine / (CART + POLE)
        moved = torch.stack([x + TICK * speed, speed + TICK * pull, angle + TICK * spin, spin + TICK * turn], -1)
        reward = (~self.ended).to(x)
        self.observations = torch.where(self.ended[:, None], self.observations, moved)
        self.ended = self.ended | (self.observations[:, 0].abs() > EDGE) | (self.observations[:, 2].abs() > LEAN)
        return reward, self.ended

    def only(self, keep: Tensor) -> "_Poles":
        return _Poles(self.observations[keep], self.ended[keep])


@dataclass(frozen=True, eq=False)
class Played:
    """Levels to be played: a seed draws the level and the first state."""

    levels: Levels

    @property
    def actions(self) -> Discrete:
        """Of the levels."""
        return Discrete(self.levels.actions)

    @property
    def horizon(self) -> int:
        """Of the levels."""
        return self.levels.horizon

    @property
    def discount(self) -> float:
        """Of the levels."""
        return self.levels.discount

    def begin(self, seeds: Tensor) -> "_Plays":
        """By the inverse distribution functions of levels and first states."""
        first, second = uniforms(seeds, 2, "level and start").T.contiguous()
        level = torch.searchsorted(self.levels.weight.cumsum(0), first).clamp(max=len(self.levels) - 1)
        ways = self.levels.start.cumsum(1)[level]
        state = torch.searchsorted(ways, second[:, None])[:, 0].clamp(max=self.levels.states - 1)
        return _Plays(self.levels, level, state, torch.zeros(len(seeds), dtype=torch.bool))


@dataclass(eq=False)
class _Plays:
    """Levels under way."""

    levels: Levels
    level: Tensor  # (B,) number of each one's
    state: Tensor  # (B,) where each stands
    ended: Tensor  # (B,)

    @property
    def observations(self) -> Tensor:
        return self.levels.observations[self.level, self.state]

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        at = (self.level, self.state, actions)
        reward = torch.where(self.ended, 0.0, self.levels.reward[at])
        after = self.levels.next[at if len(self.levels.next) > 1 else (0, *at[1:])]
        stop = self.ended | self.levels.end[at]
        self.state = torch.where(self.ended, self.state, after)
        self.ended = stop
        return reward, stop

    def only(self, keep: Tensor) -> "_Plays":
        return _Plays(self.levels, self.level[keep], self.state[keep], self.ended[keep])
