"""Sparse products and solves of a decision process, differentiable as often as one likes.   S states, A actions

    M = I - discount P_pi,    x = M^-1 b  or  M^-T b

The gradients are products and solves again, with the transpose and the same factors:

    u = M^-T g,    d<g, x> = <u, db> + discount sum_sa u(s) (P x)(s, a) dpi(a|s),

which at b = r_pi is the policy gradient theorem; for the transposed solve u and x change places.
Source: Sutton et al. 1999; Giles 2008, *Collected matrix derivative results*, sec. 2.3.1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import splu
from torch import Tensor


@dataclass(frozen=True, eq=False)
class _System:
    """I - discount P_pi of one policy, factorised.

    Attributes:
        rows: (S A, S) transitions, rows of state and action.
        factors: of the transpose of the sparse matrix.
        policy: (S, A) that it belongs to.
        discount: in [0, 1).
    """

    rows: Any
    factors: Any
    policy: Tensor
    discount: float

    def solve(self, right: Tensor, *, transposed: bool = False) -> Tensor:
        """(S,): x of M x = right, or of M^T x = right; differentiable in the policy and in `right` (S,)."""
        found: Any = _Solve.apply(self.policy, right, self, transposed)
        return found


def factorised(rows: Any, policy: Tensor, discount: float) -> _System:
    """Factorise for one policy (S, A).

    The transpose is dominated by its diagonal along columns: no row changes place, and what is rare stays rare.
    """
    weights, (states, actions) = policy.detach().numpy().reshape(-1), policy.shape
    places = (np.repeat(np.arange(states), actions), np.arange(states * actions))
    mix = sparse.csr_matrix((weights, places), shape=(states, states * actions))
    matrix = (sparse.identity(states, format="csr") - discount * (mix @ rows)).T.tocsc()
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return _System(rows, factors, policy, discount)


def product(rows: Any, given: Tensor) -> Tensor:
    """(B, R): a sparse matrix (R, C) times each vector of a batch (B, C)."""
    found: Any = _Product.apply(given, rows)
    return found


def rows_of(moves: Any) -> Any:
    """(S A, S) in CSR, rows of state and action, of one sparse matrix (S, S) for each action."""
    states, actions = moves[0].shape[0], len(moves)
    order = np.arange(states * actions).reshape(actions, states).T.reshape(-1)
    return sparse.vstack([move.tocsr() for move in moves]).tocsr()[order]


def most_terms(matrix: Any) -> int:
    """The most entries that a row of a matrix sums."""
    return int(np.diff(matrix.indptr).max(initial=1)) if sparse.issparse(matrix) else matrix.shape[1]


def in_single(matrix: Any) -> Any:
    """A matrix in single precision; a sparse one shares its places."""
    if sparse.issparse(matrix):
        held = (matrix.data.astype(np.float32), matrix.indices, matrix.indptr)
        return sparse.csr_matrix(held, matrix.shape, copy=False)
    return matrix.astype(np.float32)


class _Product(torch.autograd.Function):
    """Sparse times dense; the gradient is the transpose times it."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, rows: Any) -> Tensor:
        """Multiply."""
        ctx.rows = rows
        return torch.as_tensor(rows @ given.detach().numpy().T).T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The same with the transpose."""
        return product(ctx.rows.T, grads[0]), None


class _Solve(torch.autograd.Function):
    """x by the factors; what `policy` is given for is its gradient."""

    @staticmethod
    def forward(ctx: Any, policy: Tensor, right: Tensor, held: _System, transposed: bool) -> Tensor:
        """Solve."""
        found = torch.as_tensor(held.factors.solve(right.detach().numpy(), "N" if transposed else "T"))
        ctx.held, ctx.transposed = held, transposed
        ctx.save_for_backward(policy, found)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        """Solve with the transpose, by pieces that have gradients themselves."""
        held, (policy, found) = ctx.held, ctx.saved_tensors
        other: Any = _Solve.apply(policy, grads[0], held, not ctx.transposed)
        if not ctx.needs_input_grad[0]:
            return None, other, None, None
        visits, value = (found, other) if ctx.transposed else (other, found)
        ahead = product(held.rows, value[None]).reshape(policy.shape)
        return held.discount * visits[:, None] * ahead, other, None, None
