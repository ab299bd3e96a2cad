"""Processes that are made of others: the part that is visited, a dense one of a sparse one, several levels as one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp.process import MDP

DENSE = 400  # states up to which transitions are dense
FILLED = 2**18  # chances, with zeros, up to which a sparse process is solved as a dense one


class Visited(NamedTuple):
    """The part of a process that policies visit.

    Attributes:
        states: (S',) indices in the whole process, rising.
        mdp: the process on them, closed under every policy.
    """

    states: Tensor
    mdp: MDP


def visited(mdp: MDP) -> Visited:
    """The states with a positive occupancy under some policy, as a process of their own.

    Reachable states; at discount 0 those of the start alone, and then they lead to themselves, which nothing reads.
    """
    seen = mdp.reachable if mdp.discount > 0 else mdp.start > 0
    if bool(seen.all()):
        return everywhere(mdp)
    if "visited" not in mdp.kept:
        states = torch.nonzero(seen)[:, 0]
        if mdp.discount == 0:
            rows = sparse.csr_matrix(np.repeat(np.eye(len(states)), mdp.actions, 0))
        else:
            pairs = (states[:, None] * mdp.actions + torch.arange(mdp.actions)).reshape(-1)
            rows = mdp.dynamics.rows[pairs.numpy()][:, states.numpy()]
        made = from_rows(rows, mdp.start[states], mdp.discount, dense=mdp.dynamics.dense, rounding=mdp.rounding)
        mdp.kept["visited"] = Visited(states, made)
    return mdp.kept["visited"]


def everywhere(mdp: MDP) -> Visited:
    """All states."""
    return Visited(torch.arange(mdp.states), mdp)


def filled(mdp: MDP) -> MDP:
    """The same process, dense where it is small: what is sparse costs more there than zeros do."""
    if mdp.dynamics.dense or mdp.states > DENSE or mdp.actions * mdp.states**2 > FILLED:
        return mdp
    if "filled" not in mdp.kept:
        mdp.kept["filled"] = from_rows(mdp.dynamics.rows, mdp.start, mdp.discount, dense=True, rounding=mdp.rounding)
    return mdp.kept["filled"]


def from_rows(rows: Any, start: Tensor, discount: float, *, dense: bool, rounding: float = 0.0) -> MDP:
    """A process of such rows, whose chances may be off by `rounding`, relative."""
    actions = rows.shape[0] // rows.shape[1]
    if dense:
        return MDP(rows.toarray().reshape(-1, actions, rows.shape[1]), start, discount, rounding=rounding)
    moves = [rows[action::actions] for action in range(actions)]
    return MDP(moves, start, discount, rounding=rounding)


def mixture(levels: Sequence[MDP], weights: Any = None) -> MDP:
    """One process of all levels' states, in their order; rewards and features are joined along states by `torch.cat`.

    Args:
        levels: of the same actions and discount.
        weights: chances of the levels; even where they are not given.

    Raises:
        InputError: no level, levels of other actions or discounts, weights that are no chances.
    """
    if not levels:
        raise InputError("mixture of no levels: give at least one")
    for k, level in enumerate(levels):
        if (level.actions, level.discount) != (levels[0].actions, levels[0].discount):
            raise InputError(
                f"level {k} has {level.actions} actions and discount {level.discount:g}, the first has"
                f" {levels[0].actions} and {levels[0].discount:g}: give levels of one game"
            )
    even = torch.full((len(levels),), 1 / len(levels), dtype=torch.float64)
    chances = even if weights is None else torch.as_tensor(weights, dtype=torch.float64)
    if chances.shape != even.shape or not (chances >= 0).all() or not abs(float(chances.sum()) - 1) <= 1e-9:
        raise InputError(f"weights of {len(levels)} levels: give a chance for each, which sum to 1")
    start = torch.cat([chance * level.start for chance, level in zip(chances, levels, strict=True)])
    rows = sparse.block_diag([level.dynamics.rows for level in levels], format="csr")
    off = max(level.rounding for level in levels)
    return from_rows(rows, start, levels[0].discount, dense=len(start) <= DENSE, rounding=off)
