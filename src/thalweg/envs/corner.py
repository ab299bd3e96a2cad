"""Cheese in the corner: a mouse that is rewarded for cheese, which most often lies in the corner.

With probability alpha the cheese lies anywhere, else in the corner; so to walk to the corner is nearly
right where alpha is small, and a goal of its own where it is not. Reward 1 as the cheese is reached, at
step d discounted by discount^d; the episode ends then, or after `horizon` steps.
Source: the environment of jaxgmg, of Abdel Sadek et al. 2025 (arXiv 2507.03068) and of Elliott et al.
2026 (arXiv 2601.07524), in the open layout.
"""

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from thalweg.envs.gridworld import MOVES
from thalweg.errors import InputError
from thalweg.mdp import Levels

HORIZON = 64


class Regrets(NamedTuple):
    """What two simple policies miss.

    Attributes:
        optimal_return: of the oracle, which walks to the cheese: the mean of discount^distance.
        uniform: regret of the uniform policy.
        corner: regret of the policy that walks to the corner, up or left by a coin's toss, and there dithers.
    """

    optimal_return: float
    uniform: float
    corner: float


def corner(
    size: int = 13,
    *,
    alpha: float,
    discount: float,
    horizon: int = HORIZON,
    observe: Literal["places", "one-hot", "image"] = "places",
) -> Levels:
    """The levels: one for each place of the cheese; states are the places of the mouse.

    Args:
        size: of the world with its walls; `size - 2` cells a side are inside.
        alpha: chance that the cheese is anywhere (the corner included), in [0, 1].
        discount: in [0, 1).
        horizon: steps of an episode at most.
        observe: what a policy sees: `places`, two whole numbers (mouse, cheese); `one-hot`, the same as
            2 S numbers; `image`, (3, size, size) of walls, mouse and cheese.

    Returns:
        Levels with the groups `corner`, where the cheese lies there, and `elsewhere`.
    """
    side = _side(size)
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha = {alpha}: a chance, give a number in [0, 1]")
    cells = side * side
    after = steps(side)
    cheese = torch.arange(cells)
    reached = after[None] == cheese[:, None, None]
    here = torch.eye(cells, dtype=torch.bool)
    weight = torch.full((cells,), alpha / cells, dtype=torch.float64)
    weight[0] += 1 - alpha
    in_corner = cheese == 0
    return Levels(
        next=after[None],
        reward=discount * reached.to(torch.float64),
        end=reached | here[:, :, None],
        start=(~here).to(torch.float64) / (cells - 1),
        weight=weight,
        observations=_observations(side, observe),
        horizon=horizon,
        discount=discount,
        groups={"corner": in_corner, "elsewhere": ~in_corner, "distinguishing": ~in_corner},
    )


def reference_regrets(size: int, horizon: int, alpha: float, discount: float) -> Regrets:
    """Regrets of two simple policies, exactly.

    Args:
        size: of the world with its walls.
        horizon: steps of an episode at most.
        alpha: chance that the cheese is anywhere.
        discount: in [0, 1).
    """
    levels = corner(size, alpha=alpha, discount=discount, horizon=horizon)
    both = [levels.regret(policy(size)).item() for policy in (uniform, to_corner)]
    return Regrets((levels.weight * levels.best()).sum().item(), *both)


def uniform(size: int) -> Tensor:
    """(L, S, A): every action alike."""
    cells = _side(size) ** 2
    return torch.full((cells, cells, len(MOVES)), 1 / len(MOVES), dtype=torch.float64)


def to_corner(size: int) -> Tensor:
    """(L, S, A): up or left by a coin's toss, along the wall where one is reached, and uniform in the corner."""
    side = _side(size)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    toward = torch.zeros(side, side, len(MOVES), dtype=torch.float64)
    toward[..., 0], toward[..., 1] = row > 0, column > 0
    toward[0, 0] = 1
    toward = (toward / toward.sum(-1, keepdim=True)).reshape(1, -1, len(MOVES))
    return toward.expand(side * side, -1, -1)


def to_cheese(size: int) -> Tensor:
    """(L, S, A): the oracle, uniform over the moves that shorten the way to the cheese."""
    side = _side(size)
    place = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1).reshape(-1, 2)
    ahead = place[:, None] - place[None]  # (cheese, mouse)
    toward = torch.stack([(ahead * torch.tensor(move)).sum(-1) > 0 for move in MOVES], -1).to(torch.float64)
    toward[torch.eye(len(place), dtype=torch.bool)] = 1
    return toward / toward.sum(-1, keepdim=True)


def proxy(levels: Levels) -> Levels:
    """The same levels for a mouse that wants the corner: reward 1 there; there or at the cheese episodes end."""
    there = levels.next == 0
    apart = torch.arange(levels.states) == 0
    start = levels.start * ~apart
    return replace(
        levels,
        reward=levels.discount * there.expand_as(levels.reward).to(torch.float64),
        end=levels.end | there,
        start=start / start.sum(1, keepdim=True),
    )


class Mouse(nn.Module):
    """A policy over `places`: one-hot mouse and cheese, tanh layers, logits of the four moves."""

    def __init__(self, size: int, hidden: tuple[int, ...] = (32, 32)) -> None:
        super().__init__()
        cells = _side(size) ** 2
        self.mouse = nn.Embedding(cells, hidden[0])
        self.cheese = nn.Embedding(cells, hidden[0])
        self.bias = nn.Parameter(torch.empty(hidden[0]))
        bound = (2 * cells) ** -0.5  # as torch begins a linear layer of the 2 S one-hot numbers
        for given in (self.mouse.weight, self.cheese.weight, self.bias):
            nn.init.uniform_(given, -bound, bound)
        layers: list[nn.Module] = [nn.Tanh()]
        for width, after in zip(hidden, (*hidden[1:], len(MOVES)), strict=True):
            layers += [nn.Linear(width, after), nn.Tanh()]
        self.rest = nn.Sequential(*layers[:-1])

    def forward(self, places: Tensor) -> Tensor:
        """Places (..., 2) -> logits (..., 4)."""
        return self.rest(self.mouse(places[..., 0]) + self.cheese(places[..., 1]) + self.bias)


def steps(side: int) -> Tensor:
    """(S, 4): the cell after each move; a wall lets nobody through."""
    cell = torch.arange(side * side)
    row, column = cell // side, cell % side
    moved = [(row + down).clamp(0, side - 1) * side + (column + right).clamp(0, side - 1) for down, right in MOVES]
    return torch.stack(moved, 1)


def _side(size: int) -> int:
    """Cells a side."""
    if int(size) != size or size < 4:
        raise InputError(f"size = {size}: the walls take two, give a whole number of at least 4")
    return int(size) - 2


def _observations(side: int, observe: str) -> Tensor:
    """(L, S, ...)."""
    cells = side * side
    cheese, mouse = torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="ij")
    if observe == "places":
        return torch.stack([mouse, cheese], -1)
    one = torch.eye(cells)
    if observe == "one-hot":
        return torch.cat([one[mouse], one[cheese]], -1)
    if observe == "image":
        walls = torch.nn.functional.pad(torch.zeros(side, side), (1, 1, 1, 1), value=1.0)
        inside = torch.nn.functional.pad(one.reshape(cells, side, side), (1, 1, 1, 1))
        return torch.stack([walls.expand(cells, cells, -1, -1), inside[mouse], inside[cheese]], 2)
    raise InputError(f"observe = {observe!r}: one of places, one-hot, image")


__all__ = ["Mouse", "Regrets", "corner", "proxy", "reference_regrets", "to_cheese", "to_corner", "uniform"]
