"""Transitions of a decision process, dense or sparse: one set of methods, and nothing else asks which.

    M = I - discount P_pi,    x = M^-1 b  or  M^-T b                              S states, A actions

It is the transpose that is factorised: no column has an entry above its diagonal, so no row changes place, nothing
but diagonals is a difference, and the value of a rare state that pays much keeps its digits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._sparse import factorised, most_terms, product, rows_of
from thalweg.mdp.probabilities import distributions, half_unit, numbers, thinned

BLOCK = 2**20  # chances that are looked at in one go
Summed = Callable[[Tensor], Tensor]  # discounted sums (..., S) of what is paid in each state (..., S)


@dataclass(frozen=True, eq=False)
class Dense:
    """Transitions as one tensor.

    Attributes:
        chances: (S, A, S) with zeros.
        states: S.
        actions: A.
    """

    dense: ClassVar[bool] = True
    chances: Tensor
    states: int = field(init=False)
    actions: int = field(init=False)

    def __post_init__(self) -> None:
        """Its size."""
        object.__setattr__(self, "states", self.chances.shape[0])
        object.__setattr__(self, "actions", self.chances.shape[1])

    @property
    def rows(self) -> Any:
        """(S A, S) in CSR, rows of state and action."""
        return sparse.csr_matrix(self.matrix)

    @property
    def matrix(self) -> Any:
        """(S A, S): the same as what multiplies a value soonest, here an array."""
        return self.chances.reshape(-1, self.states).numpy()

    @property
    def held(self) -> tuple[Tensor, Tensor]:
        """Chances and their places, which tell it from others of its shape."""
        return self.chances, torch.empty(0)

    @property
    def entries(self) -> float:
        """Chances that are read in an evaluation of one policy."""
        return self.states**2

    @cached_property
    def terms(self) -> int:
        """The most next states of any action: so many roundings has a mean over them."""
        return int((self.chances > 0).sum(-1).max())

    def same(self, other: "Transitions") -> bool:
        """Whether two are the same to the last digit, and as dense."""
        return isinstance(other, Dense) and torch.equal(self.chances, other.chances)

    def expected(self, value: Tensor) -> Tensor:
        """(..., S, A): the mean of a value (..., S) at the next state."""
        return torch.einsum("sat,...t->...sa", self.chances, value)

    def mean(self, steps: Tensor) -> Tensor:
        """(S, A): the mean of what whole steps (S, A, S) have."""
        return (self.chances * steps).sum(-1)

    def deviation(self, value: Tensor, mean: Tensor) -> Tensor:
        """(S, A): sum P |v - P v|  of a value (S,) and its mean (S, A)."""
        step = max(1, BLOCK // (self.actions * self.states))
        blocks = zip(self.chances.split(step), mean.split(step), strict=True)
        return torch.cat([(chances * (value - m[..., None]).abs()).sum(-1) for chances, m in blocks])

    def onward(self, visits: Tensor) -> Tensor:
        """(S,): where visits (S, A) lead."""
        return torch.einsum("sa,sat->t", visits, self.chances)

    def solve(self, policy: Tensor, gain: Tensor, discount: float) -> Tensor:
        """(..., S): M^-1 of what a policy (..., S, A) is paid by mean rewards of its shape; `vmap` can take it."""
        system = self._system(policy, discount)
        return torch.linalg.solve(system.mT, (policy * gain).sum(-1)[..., None, :], left=False)[..., 0, :]

    def visits(self, policy: Tensor, start: Tensor, discount: float) -> Tensor:
        """(..., S): M^-T start, discounted visits under policies (..., S, A)."""
        return torch.linalg.solve(self._system(policy, discount).mT, start.expand(policy.shape[:-1]))

    def sums(self, policy: Tensor, gains: Tensor, discount: float) -> Tensor:
        """(N, D, S): M^-1 of what N policies are paid by D mean rewards (D, S, A); each is factorised once."""
        return torch.linalg.solve(self._system(policy, discount), torch.einsum("nsa,dsa->nsd", policy, gains)).mT

    def solver(self, policy: Tensor, discount: float) -> Summed:
        """M^-1 of policies (..., S, A) for what is paid in each state, without gradients; factorised once."""
        factors, pivots = torch.linalg.lu_factor(self._system(policy, discount).mT)
        return lambda paid: torch.linalg.lu_solve(factors, pivots, paid[..., None], adjoint=True)[..., 0]

    def _system(self, policy: Tensor, discount: float) -> Tensor:
        """(..., S, S): M."""
        moves = torch.einsum("...sa,sat->...st", policy, self.chances)
        return torch.eye(self.states, dtype=torch.float64) - discount * moves


@dataclass(frozen=True, eq=False)
class Sparse:
    """Transitions without zeros; its methods are those of `Dense`.

    Attributes:
        rows: (S A, S) in CSR, rows of state and action.
        states: S.
        actions: A.
    """

    dense: ClassVar[bool] = False
    rows: Any
    states: int = field(init=False)
    actions: int = field(init=False)

    def __post_init__(self) -> None:
        """Its size."""
        object.__setattr__(self, "states", self.rows.shape[1])
        object.__setattr__(self, "actions", self.rows.shape[0] // self.rows.shape[1])

    @property
    def chances(self) -> Tensor:
        """(S, A, S), made anew at each reading."""
        return torch.as_tensor(self.rows.toarray()).reshape(self.states, self.actions, self.states)

    @property
    def matrix(self) -> Any:
        """The rows."""
        return self.rows

    @property
    def held(self) -> tuple[Tensor, Tensor]:
        """Chances above 0, and their next states."""
        return torch.as_tensor(self.rows.data), torch.as_tensor(self.rows.indices)

    @property
    def entries(self) -> float:
        """Those above 0."""
        return self.rows.nnz / self.actions

    @cached_property
    def terms(self) -> int:
        """The most next states of any action."""
        return most_terms(self.rows)

    def same(self, other: "Transitions") -> bool:
        """Whether the other is sparse too, and the same."""
        return isinstance(other, Sparse) and (self.rows != other.rows).nnz == 0

    def expected(self, value: Tensor) -> Tensor:
        """The mean at the next state."""
        found = product(self.rows, value.reshape(-1, self.states))
        return found.reshape(*value.shape[:-1], self.states, self.actions)

    def mean(self, steps: Tensor) -> Tensor:
        """Of the steps that happen."""
        held, given = self.rows.tocoo(), steps.reshape(-1, self.states)
        at = tuple(torch.as_tensor(x, dtype=torch.int64) for x in (held.row, held.col))
        sums = given.new_zeros(len(given)).index_add(0, at[0], torch.as_tensor(held.data) * given[at])
        return sums.reshape(self.states, self.actions)

    def deviation(self, value: Tensor, mean: Tensor) -> Tensor:
        """Of the next states that happen."""
        rows = self.rows
        off = np.abs(value.numpy()[rows.indices] - np.repeat(mean.flatten().numpy(), np.diff(rows.indptr)))
        away = np.asarray(sparse.csr_matrix((rows.data * off, rows.indices, rows.indptr), rows.shape).sum(1))
        return torch.as_tensor(away).reshape(mean.shape)

    def onward(self, visits: Tensor) -> Tensor:
        """Where visits lead."""
        return torch.as_tensor(self.rows.T @ visits.reshape(-1).numpy())

    def solve(self, policy: Tensor, gain: Tensor, discount: float) -> Tensor:
        """One policy at a time."""
        pairs = zip(self._each(policy), self._each(gain), strict=True)
        found = [factorised(self.rows, one, discount).solve((one * r).sum(-1)) for one, r in pairs]
        return torch.stack(found).reshape(policy.shape[:-1])

    def visits(self, policy: Tensor, start: Tensor, discount: float) -> Tensor:
        """One policy at a time."""
        found = [factorised(self.rows, one, discount).solve(start, transposed=True) for one in self._each(policy)]
        return torch.stack(found).reshape(policy.shape[:-1])

    def sums(self, policy: Tensor, gains: Tensor, discount: float) -> Tensor:
        """One policy at a time, and each reward by the same factors."""
        systems = [factorised(self.rows, one, discount) for one in policy]
        return torch.stack([torch.stack([each.solve((each.policy * r).sum(-1)) for r in gains]) for each in systems])

    def solver(self, policy: Tensor, discount: float) -> Summed:
        """One policy at a time."""
        systems = [factorised(self.rows, one, discount) for one in self._each(policy)]
        return lambda paid: torch.stack(
            [system.solve(one) for system, one in zip(systems, paid.reshape(-1, self.states), strict=True)]
        ).reshape(paid.shape)

    def _each(self, batch: Tensor) -> Tensor:
        """(B, S, A)."""
        return batch.reshape(-1, self.states, self.actions)


Transitions = Dense | Sparse


def read(given: Any) -> tuple[Transitions, float]:
    """Transitions as `MDP` is given them, each row a distribution; by how much an entry may be off, relative.

    That is half a unit in its last place, and the most that a row missed 1 by.
    """
    if isinstance(given, list | tuple) and given and all(sparse.issparse(m) for m in given):
        shapes = {m.shape for m in given}
        if len(shapes) != 1 or len({*next(iter(shapes))}) != 1:
            raise InputError(f"transitions of shapes {sorted(shapes)}: give a square matrix (S, S) for each action")
        rows, off = thinned(rows_of(given), len(given), max(map(half_unit, given)))
        return Sparse(rows), off
    if sparse.issparse(given):
        raise InputError("transitions are one sparse matrix: give a list of A matrices (S, S), one for each action")
    if isinstance(given, Tensor) and given.layout != torch.strided:
        _check_shape(given)
        states, actions = given.shape[:2]
        held = given.to_sparse_coo().coalesce()
        state, action, after = held.indices().numpy()
        entries = (held.values().to(torch.float64).numpy(), (state * actions + action, after))
        rows, off = thinned(sparse.csr_matrix(entries, shape=(states * actions, states)), actions, half_unit(given))
        return Sparse(rows), off
    _check_shape(numbers(given, "transitions"))
    chances, off = distributions(given, "transitions")
    return Dense(chances.detach()), off


def _check_shape(given: Tensor) -> None:
    """Refuse what is not (S, A, S)."""
    if given.ndim != 3 or given.shape[0] != given.shape[2] or 0 in given.shape:
        raise InputError(f"transitions have shape {tuple(given.shape)}: give (S, A, S)")
