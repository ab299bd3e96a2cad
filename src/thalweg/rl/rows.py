"""A decision process as sparse rows of state and action, and several levels joined to one."""

from collections.abc import Sequence
from typing import Any

import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl.mdp import MDP

DENSE = 400  # states up to which transitions are dense


def transition_rows(mdp: MDP) -> Any:
    """(S A, S) in CSR: the transitions of a process, dense or sparse, as rows of state and action."""
    if mdp.transitions is None:
        return mdp.sparse
    return sparse.csr_matrix(mdp.transitions.reshape(-1, mdp.states).numpy())


def from_rows(rows: Any, start: Tensor, discount: float, *, dense: bool) -> MDP:
    """A process of such rows."""
    actions = rows.shape[0] // rows.shape[1]
    if dense:
        return MDP(rows.toarray().reshape(-1, actions, rows.shape[1]), start, discount)
    return MDP([rows[action::actions] for action in range(actions)], start, discount)


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
    rows = sparse.block_diag([transition_rows(level) for level in levels], format="csr")
    return from_rows(rows, start, levels[0].discount, dense=len(start) <= DENSE)


__all__ = ["DENSE", "from_rows", "mixture", "transition_rows"]
