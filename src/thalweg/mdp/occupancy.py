"""Geometry of occupancies: the polytope of a process, its affine hull, and rewards projected on it.

    { eta >= 0 : F eta = start },    (F eta)(t) = sum_a eta(t, a) - discount sum_{s,a} tau(t|s, a) eta(s, a)

Shaping by a potential is -F^T Phi as a reward of state and action, so what is orthogonal to every shaping is null(F):
the span of differences of occupancies. Only states that a policy visits count.  S states, A actions

Source: Puterman 1994, section 6.9; Karwowski et al. 2024 (arXiv 2310.09144) for rewards projected on the hull.
"""

from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import splu
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._rows import visited
from thalweg.mdp.process import MDP


def single_gain(mdp: MDP, reward: Any, name: str = "reward") -> Tensor:
    """(S, A): `mdp.mean_reward` of one reward, without gradient.

    Raises:
        InputError: a batch.
    """
    gain = mdp.mean_reward(reward).detach()
    if gain.ndim != 2:
        raise InputError(f"{name} has shape {tuple(gain.shape)}: give one reward, no batch")
    return gain


def flow(mdp: MDP) -> Any:
    """(S, S A) in CSR: F, for which an eta >= 0 is the occupancy of a policy iff F eta = start.

    Columns are state and action, action fastest, as in `mdp.occupancy(policy).reshape(-1)`.
    """
    sums = sparse.kron(sparse.identity(mdp.states), np.ones((1, mdp.actions)))
    return (sums - mdp.discount * mdp.dynamics.rows.T).tocsr()


def project(mdp: MDP, reward: Any) -> Tensor:
    """The reward of least L2 norm among all that differ by shaping and redistribution over next states.

    c(R) = argmin { |R'|_2 : R' = E[R(s, a, S')] + discount E[Phi(S')] - Phi(s) }, the orthogonal projection of the
    mean reward on null(F). The norm is over state and action. Of rewards (S, A, S) that is the norm weighted by tau:
    under given means q = E_tau[R'] its least square is q^2. The unweighted one would have q^2 / sum tau^2, the same
    where transitions are certain. We take the weighted one: what cannot happen does not enter it, and c is the
    projection on the differences of occupancies.

    Args:
        mdp: the process.
        reward: of any shape that `mdp.mean_reward` takes, a batch too.

    Returns:
        (..., S, A), 0 at states that no policy visits.

    Raises:
        InputError: a reward of another shape, or not finite.

    Source: Skalse et al. 2024 (arXiv 2309.15257), minimal canonicalisation; there by gradient descent, here exact.
    """
    states, part = visited(mdp)
    gain = mdp.mean_reward(reward).detach()
    least = torch.zeros_like(gain)
    least[..., states, :] = _off_shaping(part, gain[..., states, :])
    return least


def _off_shaping(part: MDP, gain: Tensor) -> Tensor:
    """Residual of least squares on the columns of F^T, for a batch (..., S, A).

    Normal equations square the condition number; the second pass takes the loss back.
    """
    matrix = flow(part)
    factors = splu((matrix @ matrix.T).tocsc())
    left = gain.reshape(-1, part.states * part.actions).numpy().T
    for _ in range(2):
        left = left - matrix.T @ factors.solve(matrix @ left)
    return torch.as_tensor(np.ascontiguousarray(left.T)).reshape(gain.shape)
