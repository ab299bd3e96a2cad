"""Contextual values (shards): several rewards R_k, each in force in contexts that are read from history.

Values need be no utility function: Alice prefers eta to eta' when every R_k agrees, and that order is partial. A
policy is judged by the worst of them,

    worst(pi) = max_k Reg_k(pi) / rho_k,        t* = min_pi worst(pi),

and t*, the minimax regret, is a linear programme over occupancies: see `mdp.contextual_minimax_regret`. Its duals
lambda are at least 0 and sum to 1, and sum_k lambda_k R_k / rho_k supports the minimax policy: that is one of its
optima, and the worst of its other optima may lose more than t*. t* is of the policy alone.

A context that is read from the state is none: rewards that differ by state are one reward.   K contexts, n choices
Source: our own, after minimax regret over a set of rewards (Regan & Boutilier 2009)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.irl.behaviour import Behaviour
from thalweg.irl.choice_models import ChoiceModel
from thalweg.irl.likelihood import Likelihood
from thalweg.irl.reward_class import Linear
from thalweg.mdp import MDP, each_of, ranged, shares, valuation


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
    behaviour: Behaviour, contexts: Any, values: Linear, choice_model: ChoiceModel, *, count: int, spread: float = 0.0
) -> tuple:
    """The likelihood of each context's own values; the joint one is their product.

    Each reward has a prior of its own, so posteriors are independent and each is sampled by itself.

    Args:
        behaviour: all choices.
        contexts: (n,) context of each choice, from 0 on, read from history.
        values: the class of each reward.
        choice_model: of choice in every context.
        count: K, of contexts that there are, visited or not; `len(Contexts.following)`.
        spread: of log inverse temperature a priori.

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
    return tuple(Likelihood.of(behaviour.only(which == k), values, choice_model, spread=spread) for k in range(count))


def prefers(mdp: MDP, rewards: Sequence[Any], policy: Tensor, other: Tensor) -> bool:
    """Whether every R_k prefers a policy to another, at least weakly, and one of them strictly.

    Strictly where proven, weakly where the opposite is not: what rounding hides counts as equal. False of both orders
    means that they are not comparable, or equal.

    Args:
        mdp: the process.
        rewards: R_k.
        policy: (S, A).
        other: (S, A).
    """
    known = [valuation(mdp, reward) for reward in each_of(mdp, rewards)]
    pairs = [(one.returns(policy), one.returns(other)) for one in known]
    return all(a.high >= b.low for a, b in pairs) and any(a.low > b.high for a, b in pairs)


def worst_context(mdp: MDP, rewards: Sequence[Any], policy: Tensor) -> tuple[float, int]:
    """The largest regret of a policy over contexts, as a share of each reward's return range, and whose it is.

    Args:
        mdp: the process.
        rewards: R_k.
        policy: (S, A).

    Returns:
        max_k Reg_k / rho_k in [0, 1], rounded up, and k, the last of those that rounding does not tell apart.

    Raises:
        InputError: a reward without a return range.
    """
    known = ranged(mdp, each_of(mdp, rewards))
    least, most = shares(known, [one.returns(policy) for one in known])
    return min(float(most.max()), 1.0), int(np.flatnonzero(most >= least.max())[-1])
