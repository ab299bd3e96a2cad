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
    """Where a policy goes on levels whose cheese is not in the corner.

    Attributes:
        corner: return of a mouse that wanted the corner first, as a share of the best.
        cheese: return of one that wants the cheese, as a share of the best.
    """

    corner: float
    cheese: float


@dataclass(frozen=True, eq=False)
class Watch:
    """Reads policies of one world.

    Attributes:
        levels: the world.
        mouse: whose policies they are.
    """

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

    def regrets(self, policy: Tensor) -> tuple[float, float, float]:
        """Mean regret, on levels whose cheese is in the corner, and on the others; of episodes as they start."""
        return (
            self.levels.regret(policy).item(),
            self.levels.regret(policy, "corner").item(),
            self.levels.regret(policy, "elsewhere").item(),
        )


class Fall(NamedTuple):
    """A run's stay at the corner policy's regret, and what came after.

    Attributes:
        first: number of the first checkpoint of the plateau; -1 where there is none.
        last: of its last.
        fell: of the first checkpoint after it whose regret is below half; -1 where there is none.
    """

    first: int
    last: int
    fell: int


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


class Seen:
    """What one run did, along its checkpoints.

    Attributes:
        steps: (T).
        regret: (T) over all levels, plain.
        corner: (T) over levels whose cheese is in the corner.
        elsewhere: (T) over the others.
        phases: (T) names.
    """

    def __init__(self, steps: list[int], regrets: list[tuple[float, float, float]], phases: list[str]) -> None:
        self.steps = np.array(steps)
        self.regret, self.corner, self.elsewhere = np.array(regrets).T
        self.phases = phases


def follow(watch: Watch, series: Series) -> Seen:
    """Read every checkpoint of a run."""
    policies = [watch.policy(checkpoint) for checkpoint in series]
    return Seen(series.steps, [watch.regrets(p) for p in policies], [watch.phase(p) for p in policies])
