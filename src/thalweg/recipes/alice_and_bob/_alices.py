"""Simulated Alices: Boltzmann choosers with rewards linear in features, off any grid, in random processes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates import Cover
from thalweg.irl import Behaviour, Boltzmann, Linear
from thalweg.mdp import MDP, Gains


class Simulated(NamedTuple):
    """One Alice."""

    behaviour: Behaviour
    values: Linear  # the class of hers
    choice_model: Boltzmann
    theta: np.ndarray  # (D,) her weights


def alice(
    seed: int,
    choices: int,
    inverse_temperature: float = 50.0,
    environments: int = 1,
    states: int = 10,
    actions: int = 3,
    features: int = 3,
    discount: float = 0.9,
) -> Simulated:
    """Behaviour of one, the class of her values, her choice model, and her weights.

    With several environments the next one depends on her last action: the one where she was seen least, or the next.
    The same seed with fewer choices gives the first of them.
    Her inverse temperature is in nats a return range; features are of the state, discount in [0, 1).
    """
    rng = np.random.default_rng(seed)
    worlds = tuple(
        MDP(rng.dirichlet(np.full(states, 0.3), size=(states, actions)), np.full(states, 1 / states), discount)
        for _ in range(environments)
    )
    values, theta = Linear(torch.as_tensor(rng.normal(size=(states, features)))), rng.normal(size=features)
    choice_model = Boltzmann(inverse_temperature)
    policies = [choice_model.log_policy(w, values.reward(theta, actions)).exp().numpy() for w in worlds]
    moves = [np.asarray(w.transitions) for w in worlds]
    seen, here, times = [], 0, np.zeros(environments)
    state = int(rng.integers(states))
    for _ in range(choices):
        chances = policies[here][state]
        action = int(rng.choice(actions, p=chances / chances.sum()))
        seen.append((state, action, here))
        state = int(rng.choice(states, p=moves[here][state, action]))
        times[here] += 1
        here = int(times.argmin()) if action == 0 else (here + 1) % environments
    found = torch.tensor(seen)
    return Simulated(Behaviour(worlds, found[:, 0], found[:, 1], found[:, 2]), values, choice_model, theta)


def bayes_bob(cover: Cover, mdp: MDP) -> tuple[Tensor, Tensor]:
    """The policy (S, A) that is best for the mean of the normalised rewards over a cover, and that mean (S, A)."""
    weight = cover.bounds.mean + cover.cells.share
    weight = np.exp(weight - weight.max())
    middle = cover.points.values[cover.cells.corners].mean(1)
    reward = cover.reader.values.reward(middle, mdp.actions)
    scaled = reward / mdp.return_range(Gains(reward))[:, None, None]
    mean = torch.einsum("m,msa->sa", torch.as_tensor(weight / weight.sum()), scaled)
    return mdp.optimal(mean).policy, mean
