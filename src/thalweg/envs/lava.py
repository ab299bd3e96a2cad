"""Lava: cheese with lava on some of the levels. A mouse that never met lava walks through it.

Reward 1 as the cheese is reached, `burn` as lava is entered; both end the episode. Where there is no lava,
the shortest way is right; where there is, it may not be.
Source: the lava world of jaxgmg, in the small.
"""

import torch
from torch import Tensor

from thalweg.envs.corner import steps
from thalweg.errors import InputError
from thalweg.mdp import Levels
from thalweg.rng import stream


def lava_world(
    side: int = 5,
    *,
    alpha: float,
    discount: float,
    horizon: int = 24,
    layouts: int = 12,
    cells: int = 4,
    burn: float = -1.0,
    seed: int = 0,
) -> Levels:
    """The levels: `layouts` without lava and as many with it; cheese, and lava, at random places.

    Args:
        side: cells a side, at least 3.
        alpha: chance of a level with lava.
        discount: in [0, 1).
        horizon: steps of an episode at most.
        layouts: of each kind.
        cells: of lava on a level that has it.
        burn: reward of entering lava, at most 0.
        seed: of the layouts.

    Returns:
        Levels whose states are cells, with the groups `safe` and `lava` (which are `distinguishing`).
        Observations are numbers in 0 and 1: where the mouse is, the cheese, the lava.
    """
    if int(side) != side or side < 3:
        raise InputError(f"side = {side}: give a whole number of at least 3")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha = {alpha}: a chance, give a number in [0, 1]")
    if not 0 < cells <= side * side - 2 or layouts < 1 or burn > 0:
        raise InputError(
            f"{layouts} layouts, {cells} cells of lava, burn {burn}: give 1, 1 to {side**2 - 2}, at most 0"
        )
    generator, whole = stream(seed, "lava"), side * side
    cheese, hot = torch.zeros(2 * layouts, whole, dtype=torch.bool), torch.zeros(2 * layouts, whole, dtype=torch.bool)
    for level in range(2 * layouts):
        places = torch.randperm(whole, generator=generator)
        cheese[level, places[0]] = True
        hot[level, places[1 : 1 + cells]] = level >= layouts
    with_lava, open_cells = torch.arange(2 * layouts) >= layouts, (~(cheese | hot)).to(torch.float64)
    after = steps(side)  # what a cell (L, S) has, the action has that enters it: (L, S, A)
    return Levels(
        next=after[None],
        reward=(discount * (cheese.to(torch.float64) + burn * hot.to(torch.float64)))[:, after],
        end=(cheese | hot)[:, after] | (cheese | hot)[:, :, None],
        start=open_cells / open_cells.sum(1, keepdim=True),
        weight=(alpha * with_lava.to(torch.float64) + (1 - alpha) * (~with_lava).to(torch.float64)) / layouts,
        observations=_observations(cheese, hot),
        horizon=horizon,
        discount=discount,
        groups={"safe": ~with_lava, "lava": with_lava, "distinguishing": with_lava},
    )


def _observations(cheese: Tensor, hot: Tensor) -> Tensor:
    """(L, S, 3 S)."""
    levels, cells = cheese.shape
    mouse = torch.eye(cells).expand(levels, -1, -1)
    rest = torch.cat([cheese, hot], 1).to(torch.float32)[:, None].expand(-1, cells, -1)
    return torch.cat([mouse, rest], -1)
