"""Rooms with a cheese and a flower: levels that Bob learns from, and the one process that he faces.

A room has side x side cells; both stand in cells of their own, in every such pair of places: L levels. Each step pays
what the cell is worth in which it is taken. Moves are up, left, down, right, and none.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.envs import MOVES, corner
from thalweg.irl import Behaviour, Boltzmann, Linear
from thalweg.mdp import MDP, Levels, mixture

ACTIONS = len(MOVES) + 1
THINGS = 2


@dataclass(frozen=True, eq=False)
class Rooms:
    """All rooms of one size.

    Attributes:
        one: the process of a single room, of side^2 cells.
        all: the mixture of all rooms, whose states are those of the first, then of the second, and so on.
        things: (L, S, 2) where the cheese and the flower stand, 0 or 1.
        seen: (L, S, 4) what Bob sees: how far down and right the cheese is, then the flower, as shares of the side.
        next: (S, A) the cell after each move.
    """

    one: MDP
    all: MDP
    things: Tensor
    seen: Tensor
    next: Tensor

    @property
    def values(self) -> Linear:
        """Rewards on all rooms: what the two things are worth."""
        return Linear(self.things.flatten(0, 1))

    def levels(self, worth: Tensor, horizon: int) -> Levels:
        """The rooms as levels of as many steps, for an agent to whom the things are worth (2,)."""
        count, cells = self.things.shape[:2]
        return Levels(
            next=self.next[None],
            reward=(self.things @ worth)[..., None].expand(-1, -1, ACTIONS).contiguous(),
            end=torch.zeros(count, cells, ACTIONS, dtype=torch.bool),
            start=torch.full((count, cells), 1 / cells, dtype=torch.float64),
            weight=torch.full((count,), 1 / count, dtype=torch.float64),
            observations=self.seen,
            horizon=horizon,
            discount=self.one.discount,
        )

    def behaviour(self, worth: Tensor, choice_model: Boltzmann, choices: int, seed: int) -> tuple[Behaviour, Linear]:
        """Alice's choices in the first room, and the class of her values there."""
        own, rng = Linear(self.things[0]), np.random.default_rng(seed)
        policy = choice_model.log_policy(self.one, own.reward(worth, ACTIONS)).exp().numpy()
        states, actions = [], []
        for _ in range(choices):
            state = int(rng.integers(len(policy)))  # she is put into a cell at random, and asked for one move
            actions.append(int(rng.choice(ACTIONS, p=policy[state] / policy[state].sum())))
            states.append(state)
        return Behaviour((self.one,), torch.tensor(states), torch.tensor(actions)), own


def rooms(side: int, discount: float) -> Rooms:
    """All rooms of at least 2 cells a side."""
    cells = side * side
    row, column = (x.flatten() for x in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    after = torch.cat([corner.steps(side), torch.arange(cells)[:, None]], 1)
    one = MDP(
        nn.functional.one_hot(after, cells).double(), torch.full((cells,), 1 / cells, dtype=torch.float64), discount
    )
    pairs = torch.tensor(list(permutations(range(cells), THINGS)))
    place = torch.stack([row, column], 1).double()
    seen = (place[pairs][:, None] - place[None, :, None]) / side  # (L, S, thing, row or column)
    return Rooms(
        one=one,
        all=mixture([one] * len(pairs)),
        things=nn.functional.one_hot(pairs, cells).transpose(1, 2).double(),
        seen=seen.flatten(2),
        next=after,
    )


class Walker(nn.Module):
    """Bob's policy: what he sees (..., 4), tanh units, logits (..., 5)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * THINGS, hidden), nn.Tanh(), nn.Linear(hidden, ACTIONS)).double()

    def forward(self, seen: Tensor) -> Tensor:
        """Logits."""
        return self.layers(seen)
