"""What a mouse does, read off its policy exactly: phases, plateaus, falls."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.checkpoints import Checkpoint, Series
from thalweg.envs import corner
from thalweg.mdp import Levels

PHASES = ("random", "to the corner", "to the cheese")
NEAR = 0.1  # of the corner policy's regret: within it a checkpoint is on the corner's plateau
STAY = 2  # checkpoints in a row that make a plateau
FALLEN = 0.5  # of the corner policy's regret: below it the second fall has happened


class Point(NamedTuple):
    """Where a policy goes on levels whose cheese is not in the corner: returns as shares of the best."""

    corner: float  # of a mouse that wanted the corner first
    cheese: float  # of one that wants the cheese


@dataclass(frozen=True, eq=False)
class Watch:
    """Reads policies of a mouse in one world."""

    levels: Levels
    mouse: corner.Mouse

    @cached_property
    def apart(self) -> Levels:
        """Levels whose cheese is not in the corner."""
        return self.levels.only("elsewhere")

    def policy(self, checkpoint: Checkpoint) -> Tensor:
        """(L, S, A) of a checkpoint, on the whole world."""
        self.mouse.load_state_dict(checkpoint.load())
        return self.levels.policy(self.mouse).to(torch.float64)

    def point(self, policy: Tensor) -> Point:
        """Where a policy (L, S, A) of the whole world goes."""
        kept = policy[self.levels.groups["elsewhere"]]
        shares = []
        for world in (corner.proxy(self.apart), self.apart):
            weight = world.weight
            shares.append((weight * world.returns(kept)).sum().item() / (weight * world.best()).sum().item())
        return Point(*shares)

    def phase(self, policy: Tensor) -> str:
        """The one of three plain policies that is nearest in the plane of the two shares."""
        size = round(self.levels.states**0.5) + 2
        plain = [self.point(make(size)) for make in (corner.uniform, corner.to_corner, corner.to_cheese)]
        own = self.point(policy)
        return PHASES[int(np.argmin([np.hypot(*np.subtract(own, point)) for point in plain]))]


class Fall(NamedTuple):
    """A run's stay at the corner policy's regret, and what came after: numbers of checkpoints, -1 for none."""

    first: int  # of the plateau
    last: int
    fell: int  # the first after it whose regret is below half


def fall(regret: np.ndarray, corner: float) -> Fall:
    """Find the longest stay of a regret (T) within NEAR of the corner policy's, and the second fall."""
    near = np.abs(regret / corner - 1) <= NEAR
    edges = np.flatnonzero(np.diff(np.concatenate([[0], near.astype(int), [0]])))
    stays = [(a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= STAY]
    if not stays:
        return Fall(-1, -1, -1)
    first, last = max(stays, key=lambda stay: stay[1] - stay[0])
    low = np.flatnonzero(regret[last:] < FALLEN * corner)
    return Fall(int(first), int(last), int(last + low[0]) if len(low) else -1)


class Seen(NamedTuple):
    """What one run did, along its checkpoints; mean regrets are of episodes as they start."""

    steps: np.ndarray  # (T)
    regret: np.ndarray  # (T) over all levels, plain
    corner: np.ndarray  # (T) over levels whose cheese is in the corner
    elsewhere: np.ndarray  # (T) over the others
    phases: list[str]  # (T)


def follow(watch: Watch, series: Series) -> Seen:
    """Read every checkpoint of a run."""
    policies = [watch.policy(checkpoint) for checkpoint in series]
    plain, corner, elsewhere = (
        np.array([watch.levels.regret(p, group).item() for p in policies]) for group in (None, "corner", "elsewhere")
    )
    return Seen(np.array(series.steps), plain, corner, elsewhere, [watch.phase(p) for p in policies])
