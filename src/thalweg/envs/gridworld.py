"""Gridworlds drawn with letters: a decision process, and where the letters are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp import DENSE, MDP

MOVES = ((-1, 0), (0, -1), (1, 0), (0, 1))  # up, left, down, right
WALL, START = "#", "S"
CELLS = 1_000_000  # of a map at most
LISTED = 60  # letters in a message at most
MARKS = 2**26  # letters of a map times its free cells at most: a letter is a bool for each


@dataclass(frozen=True, eq=False)
class Gridworld:
    """A map as a process.

    Attributes:
        mdp: a state for each cell that is no wall, row by row; the actions up, left, down, right.
        letters: {letter: (S,) bool} where each stands.
    """

    mdp: MDP
    letters: dict[str, Tensor]

    def reward(self, worth: dict[str, float]) -> Tensor:
        """(S,) of standing on letters, a step.

        Raises:
            InputError: a letter that the map does not have.
        """
        unknown = sorted(set(worth) - set(self.letters))
        if unknown:
            there = ", ".join(sorted(self.letters)[:LISTED])
            raise InputError(f"letter {unknown[0][:LISTED]!r} is not on the map: it has {there}")
        total = torch.zeros(self.mdp.states, dtype=torch.float64)
        for letter, value in worth.items():
            total = total + value * self.letters[letter].to(torch.float64)  # a number times a truth is of float32
        return total


def gridworld(rows: Sequence[str], *, discount: float, slip: float = 0.0) -> Gridworld:
    """A map of cells: `#` is a wall, `S` where episodes start (else anywhere), other letters are names.

    Args:
        rows: of equal length.
        discount: in [0, 1).
        slip: chance that a move goes to one of the other three sides, each as likely.

    Raises:
        InputError: rows of different lengths, no free cell, too many letters or one that cannot be printed, a slip
            that is no chance.
    """
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise InputError("grid: give rows of equal length, as ['..G', 'S#.']")
    if len(rows) * len(rows[0]) > CELLS:
        raise InputError(f"grid of {len(rows)} x {len(rows[0])} cells: give at most {CELLS:,}")
    unprintable = {letter for row in rows for letter in set(row) if not letter.isprintable()}
    if unprintable:
        raise InputError(f"grid holds {min(unprintable)!r}, which cannot be printed: give another letter")
    if not 0 <= slip <= 1:
        raise InputError(f"slip = {slip}: give a chance from 0 to 1")
    cells = np.array([list(row) for row in rows])
    free = cells != WALL
    if not free.any():
        raise InputError("grid has no free cell: leave some without #")
    names = cells[free]
    letters, most = np.unique(names), MARKS // len(names)
    if len(letters) > most:
        raise InputError(f"grid of {len(names):,} free cells has {len(letters):,} letters: give at most {most:,}")
    number = np.cumsum(free).reshape(free.shape) - 1
    row, column = np.nonzero(free)
    states = np.arange(len(row))
    steps = []
    for down, right in MOVES:
        to = np.clip(row + down, 0, len(rows) - 1), np.clip(column + right, 0, len(rows[0]) - 1)
        after = np.where(free[to], number[to], states)
        steps.append(sparse.csr_matrix((np.ones(len(states)), (states, after)), shape=(len(states),) * 2))
    share = np.full((4, 4), slip / 3)
    np.fill_diagonal(share, 1 - slip)
    mixed = [[float(c) * step for c, step in zip(chances, steps, strict=True)] for chances in share]
    moves = [(a + b + c + d).tocsr() for a, b, c, d in mixed]
    first = (names == START) if (names == START).any() else np.ones(len(states), dtype=bool)
    standing = {str(x): torch.as_tensor(names == x) for x in letters}
    whole = np.stack([m.toarray() for m in moves], 1) if len(states) <= DENSE else moves
    return Gridworld(MDP(whole, first / first.sum(), discount), standing)
