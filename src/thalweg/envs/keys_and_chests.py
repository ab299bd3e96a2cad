"""Keys and chests: a thief who needs a key for each chest, and may come to want keys.

States are the thief's cell, which keys are taken and which chests are open. Entering a cell takes its key;
entering a chest's cell with a key in hand opens it, for reward 1. The episode ends when no chest can be opened
any more. In training most levels have fewer keys than chests, where every key is worth having; where there are
more, keys beyond the chests are worth nothing.
Source: Langosco et al. 2022 (arXiv 2105.14111), in the small.
"""

import itertools

import torch

from thalweg.envs.corner import MOVES, steps
from thalweg.errors import InputError
from thalweg.mdp import Levels
from thalweg.rng import stream

ITEMS = 3  # keys and chests of a level: one of the one, two of the other


def keys_and_chests(
    side: int = 4, *, alpha: float, discount: float, horizon: int = 32, layouts: int = 16, seed: int = 0
) -> Levels:
    """The levels: layouts drawn once, half of them with two chests and a key, half with two keys and a chest.

    Args:
        side: cells a side, at least 3.
        alpha: chance of a level with more keys than chests.
        discount: in [0, 1).
        horizon: steps of an episode at most.
        layouts: of each kind.
        seed: of the layouts.

    Returns:
        Levels of side^2 2^3 states, with the groups `scarce` keys and `plenty` (which are `distinguishing`).
        Observations are numbers in 0 and 1: the cell, what lies where, what is taken, which chests are open.
    """
    if int(side) != side or side < 3:
        raise InputError(f"side = {side}: give a whole number of at least 3")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha = {alpha}: a chance, give a number in [0, 1]")
    if layouts < 1:
        raise InputError(f"layouts = {layouts}: give at least one of each kind")
    generator = stream(seed, "keys and chests")
    parts = []
    for keys in (1, 2):
        for _ in range(layouts):
            places = torch.randperm(side * side, generator=generator)[:ITEMS].tolist()
            parts.append(_level(side, places[:keys], places[keys:], discount))
    after, reward, end, seen, start = (torch.stack(column) for column in zip(*parts, strict=True))
    plenty = torch.arange(2 * layouts) >= layouts
    weight = (alpha * plenty.to(torch.float64) + (1 - alpha) * (~plenty).to(torch.float64)) / layouts
    return Levels(
        next=after,
        reward=reward,
        end=end,
        start=start,
        weight=weight,
        observations=seen,
        horizon=horizon,
        discount=discount,
        groups={"scarce": ~plenty, "plenty": plenty, "distinguishing": plenty},
    )


def _level(side: int, keys: list[int], chests: list[int], discount: float) -> tuple[torch.Tensor, ...]:
    """One level: next (S, A), reward, end, observations (S, ...), start (S,)."""
    cells = side * side
    moved = steps(side)
    flags: list[tuple[int, ...]] = list(itertools.product((0, 1), repeat=ITEMS))
    number = {flag: i for i, flag in enumerate(flags)}
    size = cells * len(flags)
    after = torch.zeros(size, len(MOVES), dtype=torch.long)
    reward = torch.zeros(size, len(MOVES), dtype=torch.float64)
    end = torch.zeros(size, len(MOVES), dtype=torch.bool)
    seen = torch.zeros(size, cells * 3 + ITEMS)
    for cell, flag in itertools.product(range(cells), flags):
        state = number[flag] * cells + cell
        seen[state, cell] = 1
        for i, place in enumerate(keys + chests):
            seen[state, cells * (1 if i < len(keys) else 2) + place] = 1 - flag[i]
            seen[state, 3 * cells + i] = flag[i]
        for action in range(len(MOVES)):
            to = int(moved[cell, action])
            new, gain = _enter(flag, to, keys, chests)
            after[state, action] = number[new] * cells + to
            reward[state, action] = discount * gain
            end[state, action] = _done(flag, len(keys)) or _done(new, len(keys))
    start = torch.zeros(size, dtype=torch.float64)
    free = [cell for cell in range(cells) if cell not in keys + chests]
    start[[number[(0,) * ITEMS] * cells + cell for cell in free]] = 1 / len(free)
    over = torch.tensor([_done(flag, len(keys)) for flag in flags]).repeat_interleave(cells)
    return after, reward * ~over[:, None], end, seen, start


def _enter(flag: tuple[int, ...], cell: int, keys: list[int], chests: list[int]) -> tuple[tuple[int, ...], int]:
    """Flags after a cell is entered, and the reward."""
    new, held = list(flag), sum(flag[: len(keys)]) - sum(flag[len(keys) :])
    if cell in keys:
        new[keys.index(cell)] = 1
    if cell in chests and held > 0 and not flag[len(keys) + chests.index(cell)]:
        new[len(keys) + chests.index(cell)] = 1
        return tuple(new), 1
    return tuple(new), 0


def _done(flag: tuple[int, ...], keys: int) -> bool:
    """Whether no chest can be opened any more: all are open, or all keys are spent."""
    return sum(flag[keys:]) == min(keys, len(flag) - keys)
