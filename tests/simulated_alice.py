"""Simulated Alices: Boltzmann choosers with rewards linear in features, off any grid, in random processes."""

import numpy as np
import torch

import thalweg as tw
from thalweg.values import Behaviour, Boltzmann, Linear


def alice(seed, choices, sharpness=50.0, environments=1, states=10, actions=3, features=3, discount=0.9):
    """Behaviour of one, the class of her values, her rule, and her weights.

    With several environments the next one depends on her last action: the one where she was seen least, or the next.
    """
    rng = np.random.default_rng(seed)
    worlds = tuple(
        tw.MDP(rng.dirichlet(np.full(states, 0.3), size=(states, actions)), np.full(states, 1 / states), discount)
        for _ in range(environments)
    )
    values, theta = Linear(torch.as_tensor(rng.normal(size=(states, features)))), rng.normal(size=features)
    rule = Boltzmann(sharpness)
    policies = [rule.log_policy(w, values.reward(theta, actions)).exp().numpy() for w in worlds]
    seen, here, times = [], 0, np.zeros(environments)
    state = int(rng.integers(states))
    for _ in range(choices):
        chances = policies[here][state]
        action = int(rng.choice(actions, p=chances / chances.sum()))
        seen.append((state, action, here))
        state = int(rng.choice(states, p=worlds[here].transitions[state, action].numpy()))
        times[here] += 1
        here = int(times.argmin()) if action == 0 else (here + 1) % environments
    found = torch.tensor(seen)
    return Behaviour(worlds, found[:, 0], found[:, 1], found[:, 2]), values, rule, theta


def bayes_bob(cover, mdp):
    """The policy that is best for the mean of the normalised rewards over the cover."""
    weight = cover.bounds.mean + cover.cells.share
    weight = np.exp(weight - weight.max())
    middle = cover.points.values[cover.cells.corners].mean(1)
    reward = cover.reader.values.reward(middle, mdp.actions)
    scaled = reward / mdp.return_range(reward)[:, None, None]
    mean = torch.einsum("m,msa->sa", torch.as_tensor(weight / weight.sum()), scaled)
    return mdp.optimal(mean).policy, mean
