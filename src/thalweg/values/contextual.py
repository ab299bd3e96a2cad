"""Contextual values (shards): several rewards R_k, each in force in contexts that are read from history.

Values need be no utility function: Alice prefers eta to eta' when every R_k agrees, and that order is partial. A
policy is judged by the worst of them,

    worst(pi) = max_k Reg_k(pi) / rho_k,        t* = min_pi worst(pi),

and t* is a linear programme over occupancies, for each k:  V*_k / rho_k - <eta, R_k / rho_k> <= t. Its duals lambda
are at least 0 and sum to 1 since rows are divided by rho_k, and sum_k lambda_k R_k / rho_k supports the minimax
policy: that is one of its optima, and the worst of its other optima may lose more than t*. t* is of the policy
alone.

A context that is read from the state is none: rewards that differ by state are one reward.   K contexts, n choices
Source: our own, after minimax regret over a set of rewards (Regan & Boutilier 2009)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.optimize import linprog
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl import MDP, Gains
from thalweg.values.behaviour import Behaviour
from thalweg.values.likelihood import Likelihood
from thalweg.values.linear import Linear
from thalweg.values.occupancy import flow, mean_gain, single_gain
from thalweg.values.rules import Rule


@dataclass(frozen=True, eq=False)
class Contexts:
    """A machine that reads the context from history: after a choice (s, a) in context k comes following[k, s, a].

    Attributes:
        following: (K, S, A) whole numbers below K.
        first: context of the first choice.

    Raises:
        InputError: another shape, a context that there is not.
    """

    following: Tensor
    first: int = 0

    def __post_init__(self) -> None:
        found = torch.as_tensor(self.following)
        if found.ndim != 3 or found.is_floating_point() or not 0 <= self.first < len(found):
            raise InputError(
                f"following has shape {tuple(found.shape)}, first is {self.first}: give whole numbers (K, S, A), and"
                " a context below K"
            )
        if (found < 0).any() or (found >= len(found)).any():
            raise InputError(f"following holds a context that there is not: number {len(found)} of them from 0")
        object.__setattr__(self, "following", found.to(torch.int64))

    def read(self, behaviour: Behaviour) -> Tensor:
        """(n,) the context of each choice, from the choices before it."""
        size = torch.tensor(self.following.shape[1:])
        if any((world.states, world.actions) != tuple(size.tolist()) for world in behaviour.environments):
            raise InputError(f"contexts read {size.tolist()} states and actions: an environment has others")
        following, at, found = self.following.tolist(), self.first, []
        for state, action in zip(behaviour.states.tolist(), behaviour.actions.tolist(), strict=True):
            found.append(at)
            at = following[at][state][action]
        return torch.tensor(found, dtype=torch.int64)


def by_context(
    behaviour: Behaviour, contexts: Any, values: Linear, rule: Rule, *, count: int, spread: float = 0.0
) -> tuple:
    """The likelihood of each context's own values; the joint one is their product.

    Each reward has a prior of its own, so posteriors are independent and each is sampled by itself.

    Args:
        behaviour: all choices.
        contexts: (n,) context of each choice, from 0 on, read from history.
        values: the class of each reward.
        rule: of choice in every context.
        count: K, of contexts that there are, visited or not; `len(Contexts.following)`.
        spread: of log sharpness a priori.

    Returns:
        K likelihoods; a context without a choice has one too, and its posterior is the prior.

    Raises:
        InputError: contexts of another length, or below 0.
    """
    which = torch.as_tensor(contexts)
    if which.shape != behaviour.states.shape or which.is_floating_point() or (which < 0).any():
        raise InputError(
            f"contexts have shape {tuple(which.shape)} for {len(behaviour)} choices: give a whole number for each"
        )
    if count < 1 or (which >= count).any():
        raise InputError(f"context {int(which.max()) if len(which) else 0} of {count}: number contexts from 0")
    return tuple(Likelihood.of(behaviour.only(which == k), values, rule, spread=spread) for k in range(count))


def prefers(mdp: MDP, rewards: Sequence[Any], policy: Tensor, other: Tensor) -> bool:
    """Whether every R_k prefers a policy to another, at least weakly, and one of them strictly.

    False of both orders means that they are not comparable, or equal.

    Args:
        mdp: the process.
        rewards: R_k.
        policy: (S, A).
        other: (S, A).
    """
    gains = _gains(mdp, rewards)
    gap = mdp.returns(policy, Gains(gains)) - mdp.returns(other, Gains(gains))
    noise = 1e-12 * gains.abs().amax((-1, -2)) / (1 - mdp.discount)
    return bool((gap >= -noise).all() and (gap > noise).any())


def worst_context(mdp: MDP, rewards: Sequence[Any], policy: Tensor) -> tuple[float, int]:
    """The largest regret of a policy over contexts, as a share of each reward's return range, and whose it is.

    Args:
        mdp: the process.
        rewards: R_k.
        policy: (S, A).

    Returns:
        max_k Reg_k / rho_k in [0, 1], and k.

    Raises:
        InputError: a reward without a return range.
    """
    shares = mdp.regret(policy, Gains(_gains(mdp, rewards)), normalised=True)
    return float(shares.max()), int(shares.argmax())


@dataclass(frozen=True, eq=False)
class Floor:
    """The least worst regret over contexts.

    Attributes:
        value: t*, as the programme has it.
        lower: proven from the duals by planning: no policy has less.
        upper: of `policy`, evaluated; t* lies between the two.
        duals: (K,) at least 0, sum 1: the prior over contexts that is hardest.
        policy: (S, A) that is minimax; uniform in states that it never visits.
        occupancy: (S, A) discounted visits.
        reward: (S, A) sum_k lambda_k R_k / rho_k, of which the policy is one optimum.
    """

    value: float
    lower: float
    upper: float
    duals: Tensor
    policy: Tensor
    occupancy: Tensor
    reward: Tensor


def contextual_floor(mdp: MDP, rewards: Sequence[Any]) -> Floor:
    """t* = min over policies of the largest normalised regret over contexts, by a linear programme.

    Args:
        mdp: the process.
        rewards: R_k, each (S,), (S, A) or (S, A, S).

    Returns:
        The floor, between a proven lower and an attained upper bound.

    Raises:
        InputError: no reward, a reward without a return range, a programme that the solver gave up.
    """
    gains = _gains(mdp, rewards)
    span = mdp.return_range(Gains(gains))
    if not (span > 0).all():
        wrong = int((~(span > 0)).nonzero()[0, 0])
        raise InputError(
            f"the return range of reward {wrong} is 0: every policy returns the same by it, leave it out"
        )
    unit = gains / span[:, None, None]
    best = mdp.optimal(Gains(unit)).value @ mdp.start
    count = len(unit)
    size = mdp.states * mdp.actions
    rows = sparse.csr_matrix(np.hstack([-unit.reshape(count, -1).numpy(), -np.ones((count, 1))]))
    found = linprog(
        np.append(np.zeros(size), 1.0),
        A_ub=rows,
        b_ub=-best.numpy(),
        A_eq=sparse.hstack([flow(mdp), sparse.csr_matrix((mdp.states, 1))]).tocsr(),
        b_eq=mdp.start.numpy(),
        bounds=[(0, None)] * size + [(None, None)],
        method="highs",
    )
    if not found.success:
        raise InputError(f"the linear programme was not solved: {found.message}: scale the rewards to similar sizes")
    occupancy = torch.as_tensor(found.x[:-1]).reshape(mdp.states, mdp.actions).clamp(min=0)  # the solver's rounding
    visits = occupancy.sum(-1, keepdim=True)
    policy = torch.where(visits > 0, occupancy / torch.where(visits > 0, visits, 1.0), 1 / mdp.actions)
    duals = torch.as_tensor(-np.asarray(found.ineqlin.marginals))
    supported = torch.einsum("k,ksa->sa", duals, unit)
    hardest = duals.clamp(min=0) / duals.clamp(min=0).sum()  # without rounding: any prior at all bounds t*
    lower = hardest @ best - mdp.optimal(torch.einsum("k,ksa->sa", hardest, unit)).value @ mdp.start
    upper = worst_context(mdp, rewards, policy)[0]
    return Floor(float(found.x[-1]), float(lower), upper, duals, policy, occupancy, supported)


def _gains(mdp: MDP, rewards: Sequence[Any]) -> Tensor:
    """(K, S, A), each its own; of `Gains` those of the batch."""
    each = mean_gain(mdp, rewards).reshape(-1, mdp.states, mdp.actions) if isinstance(rewards, Gains) else rewards
    if not len(each):
        raise InputError("no reward is given: contextual values need at least one")
    return torch.stack([single_gain(mdp, reward, f"reward {k}") for k, reward in enumerate(each)])


__all__ = ["Contexts", "Floor", "by_context", "contextual_floor", "prefers", "worst_context"]
