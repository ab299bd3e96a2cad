"""EPIC and DARD: correlation of rewards that were shaped to a canonical form.      S states, A actions

They are no STARC metrics: not invariant to redistribution over next states, and no constant bounds regret by them.

Source: EPIC: Gleave et al. 2021 (arXiv 2006.13900), definitions 4.1 and 4.6.
DARD: Wulfe et al. 2022 (arXiv 2201.10081), definition 4.
"""

from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp.process import MDP, Gains

TRIPLES = 50_000_000  # state, action, next state that are held at once


def epic_canonical(mdp: MDP, reward: Any, states: Any = None, actions: Any = None) -> Tensor:
    """Shape a reward to zero mean, whatever potential was in it; transitions play no part.

    C(R)(s,a,s') = R(s,a,s') + E[discount R(s',A,T) - R(s,A,T) - discount R(S,A,T)],  S, T ~ states, A ~ actions

    Args:
        mdp: of which only the sizes and the discount are read.
        reward: (S,), (..., S, A) or (S, A, S).
        states: (S,) probabilities; default uniform.
        actions: (A,) probabilities; default uniform.

    Returns:
        (..., S, A, S).

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, no probabilities, too many triples.
    """
    whole = _whole_steps(mdp, reward)
    over_states, over_actions = coverage(mdp, states, actions)
    means = torch.einsum("...sat,a,t->...s", whole, over_actions, over_states)
    level = mdp.discount * (means @ over_states)
    return whole + mdp.discount * means[..., None, None, :] - means[..., None, None] - level[..., None, None, None]


def dard_canonical(mdp: MDP, reward: Any, states: Any = None, actions: Any = None) -> Tensor:
    """The same with next states that the transitions can bring about.

    C(R)(s,a,s') = R(s,a,s') + E[discount R(s',A,U) - R(s,A,T) - discount R(T,A,U)],  A ~ actions, T ~ tau(s,A),
    U ~ tau(s',A): one A for all.

    Args, Returns and Raises: as `epic_canonical`; `states` is checked, and read by the distance alone.
    """
    whole = _whole_steps(mdp, reward)
    over_actions = coverage(mdp, states, actions)[1]
    moves = dense_transitions(mdp)
    means = torch.einsum("sat,...sat,a->...s", moves, whole, over_actions)
    level = torch.zeros(*whole.shape[:-3], mdp.states, mdp.states, dtype=torch.float64)
    for action, chance in enumerate(over_actions.tolist()):  # one action at a time: S^2 of memory
        level += chance * (moves[:, action] @ whole[..., :, action, :] @ moves[:, action].T)
    flat = means[..., None, :] - level
    return whole + mdp.discount * flat[..., :, None, :] - means[..., None, None]


def pearson_distance(first: Tensor, second: Tensor, weights: Tensor, noise: tuple[Tensor, Tensor]) -> Tensor:
    """sqrt((1 - correlation) / 2), as half the distance of the standardised, which loses no digits near 0.

    A deviation up to its noise (...) counts as 0, and then so does the reward (..., S, A, S).
    """
    apart = _standard(first, weights, noise[0]) - _standard(second, weights, noise[1])
    return 0.5 * (weights * apart.square()).sum((-1, -2, -3)).sqrt()


def coverage(mdp: MDP, states: Any, actions: Any) -> tuple[Tensor, Tensor]:
    """(S,) and (A,): distributions of states and of actions, uniform where none is given."""
    return _distribution(states, mdp.states, "states"), _distribution(actions, mdp.actions, "actions")


def _whole_steps(mdp: MDP, reward: Any) -> Tensor:
    """(..., S, A, S): a reward of any shape as one of the whole step."""
    mean = mdp.mean_reward(reward).detach()
    _affordable(mdp, mean.numel() * mdp.states)
    if is_whole(mdp, reward):
        return torch.as_tensor(reward, dtype=torch.float64).detach()
    return mean[..., None].expand(*mean.shape, mdp.states)


def is_whole(mdp: MDP, reward: Any) -> bool:
    """Whether a reward is of the whole step: (S, A, S), and not said to be a batch."""
    if isinstance(reward, Gains):
        return False
    return torch.as_tensor(reward, dtype=torch.float64).shape == (mdp.states, mdp.actions, mdp.states)


def dense_transitions(mdp: MDP) -> Tensor:
    """(S, A, S), of sparse processes too."""
    if not mdp.dynamics.dense:
        _affordable(mdp, mdp.states**2 * mdp.actions)
    return mdp.dynamics.chances


def _standard(canonical: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
    """Mean 0 and deviation 1 under the weights; 0 where the deviation is rounding."""
    centred = canonical - (weights * canonical).sum((-1, -2, -3), keepdim=True)
    deviation = (weights * centred.square()).sum((-1, -2, -3)).sqrt()
    real = deviation > noise
    return torch.where(real, 1 / torch.where(real, deviation, 1.0), 0.0)[..., None, None, None] * centred


def _distribution(given: Any, size: int, name: str) -> Tensor:
    """(size,) probabilities, uniform where none are given."""
    if given is None:
        return torch.full((size,), 1 / size, dtype=torch.float64)
    chances = torch.as_tensor(given, dtype=torch.float64)
    if chances.shape != (size,) or not (chances >= 0).all() or not abs(float(chances.sum()) - 1) <= 1e-9:
        raise InputError(f"{name} of shape {tuple(chances.shape)}: give {size} probabilities that sum to 1")
    return chances


def _affordable(mdp: MDP, triples: int) -> None:
    """Refuse what would not fit in memory."""
    if triples > TRIPLES:
        raise InputError(
            f"EPIC and DARD hold every state, action and next state: {triples:.2g} of {mdp.states} states, more than"
            f" {TRIPLES:.0e}: use kind='range'"
        )
