"""What is fixed before Bob learns: worths, rooms, those of them that he learns from.      n rooms of training"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from thalweg.certificates import drawn, truncation_tail
from thalweg.landscape import Landscape
from thalweg.mdp import Levels
from thalweg.recipes._configuration import Configuration
from thalweg.recipes.alice_and_bob._rooms import Rooms, Walker, rooms
from thalweg.rl import Ascent, regret_landscape
from thalweg.rng import seed_of, stream
from thalweg.samplers import Settings


class Lessons(Configuration):
    """How Bob learns, and what is known of Alice.

    Attributes:
        side, discount, horizon: of the rooms.
        worth: of the cheese and the flower, to Alice.
        noise: standard deviation of what is added to both for Bob.
        rooms: n that Bob learns from, drawn with replacement.
        hidden: tanh units of his policy.
        ascent: how he learns.
        choices, inverse temperature: of Alice, in one room.
        prior: standard deviation of weights a priori, around 0.
        scales: of his Gaussian posterior, to choose from.
        draws: of weights for each scale.
        sampler: of his local posterior at n levels.
        every: draws from one whose policy is kept to the next.
        kappas: nats.
    """

    side: int
    discount: float
    horizon: int
    worth: tuple[float, float] = (1.0, 0.5)
    noise: float = 0.2
    rooms: int
    hidden: int
    ascent: Ascent
    choices: int
    inverse_temperature: float = 50.0
    prior: float = 2.0
    scales: tuple[float, ...]
    draws: int
    sampler: Settings
    every: int
    kappas: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Setup:
    """All that is fixed before Bob learns.

    Attributes:
        lessons: how.
        seed: of all that is random.
        rooms: all of them.
        alice: (2,) worths.
        bob: (2,) worths.
        family: all rooms as levels, for Bob.
        taken: those that he learns from.
    """

    lessons: Lessons
    seed: int
    rooms: Rooms
    alice: Tensor
    bob: Tensor
    family: Levels
    taken: Levels

    @property
    def upper(self) -> float:
        """C: the largest regret by Bob's worths that a room can have."""
        return float((self.family.best() + replace(self.family, reward=-self.family.reward).best()).max())

    @property
    def tail(self) -> float:
        """What an episode loses at most after the horizon, by Bob's worths."""
        spread = float(self.family.reward.max() - self.family.reward.min())
        return truncation_tail(self.lessons.discount, self.lessons.horizon, spread)

    def scape(self, weights: Any) -> Landscape:
        """His regret on the rooms that he learns from, with the entropy that is paid; each kind of room once."""
        held = (self.taken.observations[:, None] == self.family.observations[None]).flatten(2).all(2)
        counted = replace(self.family, weight=held.double().mean(0))
        paid = self.lessons.ascent.temperature
        return regret_landscape(self.walker(weights), counted, n=len(self.taken), temperature=paid)

    def policy(self, weights: Any) -> Tensor:
        """(L, S, A) on all rooms."""
        return self.family.policy(self.walker(weights))

    def walker(self, weights: Any) -> Walker:
        """His policy as a module."""
        policy = Walker(self.lessons.hidden)
        policy.load_state_dict(weights)
        return policy


def setup(lessons: Lessons, seed: int) -> Setup:
    """Draw Bob's worths and his rooms."""
    world, hers = rooms(lessons.side, lessons.discount), torch.tensor(lessons.worth, dtype=torch.float64)
    noise = torch.randn(2, generator=stream(seed, "Bob's worths"), dtype=torch.float64)
    his = hers + lessons.noise * noise
    family = world.levels(his, lessons.horizon)
    return Setup(lessons, seed, world, hers, his, family, drawn(family, lessons.rooms, seed_of(seed, "rooms")))
