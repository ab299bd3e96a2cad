"""What values and certificates survive from one ontology to another.      B coarse states, S fine ones"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates import Bob, Certificate, KnownReward, ModelError, certify
from thalweg.errors import InputError
from thalweg.mdp import MDP, Abstraction, reward_distance, worst_regret
from thalweg.recipes._configuration import Configuration
from thalweg.rng import seed_of

ACTIONS, LARGEST = 3, 3  # fine states of a coarse one at most
APART = 0.3  # of its standard deviation, by which Bob's reward departs from Alice's
SHARE = 0.02  # of his range by which Bob may be suboptimal


class Refinements(Configuration):
    """How many processes are refined.

    Attributes:
        processes: of each kind.
        states: B.
        discount: of the lumpable ones.
        drifting: discount of those that are not: an error of each step counts 1 / (1 - discount) times.
        noise: shares by which fine states depart from their block, in moves and rewards.
    """

    processes: int
    states: int
    discount: float
    drifting: float
    noise: tuple[float, ...]


def refined(config: Refinements, seed: int) -> dict[str, Any]:
    """Largest differences under lumpable refinements, certificates under others, and a map that is refused."""
    seeds = [seed_of(seed, "ontology", k) for k in range(config.processes)]
    same = [_lumpable(config, np.random.default_rng(own)) for own in seeds]
    drifting = [
        {"noise": noise, **_mean([_drifting(config, noise, np.random.default_rng(own)) for own in seeds])}
        for noise in config.noise
    ]
    return {
        "lumpable": {name: max(one[name] for one in same) for name in same[0]},
        "drifting": drifting,
        "refused": _refused(),
    }


def process(rng: np.random.Generator, states: int, discount: float) -> MDP:
    """A random process."""
    moves, start = rng.random((states, ACTIONS, states)) ** 3, rng.random(states)
    return MDP(moves / moves.sum(-1, keepdims=True), start / start.sum(), discount)


def split(rng: np.random.Generator, coarse: MDP) -> tuple[MDP, Abstraction]:
    """A lumpable refinement: each state in several, which share its moves at random, each its own way."""
    sizes = rng.integers(1, LARGEST + 1, coarse.states)
    sizes[0] = LARGEST
    phi = rng.permutation(np.repeat(np.arange(coarse.states), sizes))
    parts, of_start = rng.random((len(phi), coarse.actions, len(phi))), rng.random(len(phi))
    for block in range(coarse.states):
        inside = phi == block
        parts[..., inside] /= parts[..., inside].sum(-1, keepdims=True)
        of_start[inside] /= of_start[inside].sum()
    moves = np.asarray(coarse.transitions)[phi][..., phi] * parts
    return MDP(moves, coarse.start.numpy()[phi] * of_start, coarse.discount), Abstraction(phi, coarse.states)


def _nearly(mdp: MDP, reward: Tensor) -> tuple[Tensor, float]:
    """A softmax policy that misses the optimum by half of what is allowed, and what is allowed."""
    allowed = SHARE * float(mdp.return_range(reward))
    values = mdp.backup(reward, mdp.optimal(reward).value)
    sharp = 1.0
    while float(mdp.regret(torch.softmax(sharp * values, -1), reward)) > allowed / 2:
        sharp *= 1.1
    return torch.softmax(sharp * values, -1), allowed


def _lumpable(config: Refinements, rng: np.random.Generator) -> dict[str, float]:
    """Differences between coarse and fine."""
    coarse = process(rng, config.states, config.discount)
    fine, phi = split(rng, coarse)
    alice, noise = torch.as_tensor(rng.normal(size=(2, config.states, ACTIONS)))
    bob = alice + APART * noise
    policy, allowed = _nearly(coarse, bob)
    a, b, pulled = phi.pull_back(alice), phi.pull_back(bob), phi.pull_back_policy(policy)
    here = certify(KnownReward(alice), Bob(policy, bob, allowed), coarse)
    there = certify(KnownReward(a), Bob(pulled, b, allowed), fine)
    apart = {
        "J": fine.returns(pulled, a) - coarse.returns(policy, alice),
        "rho": fine.return_range(a) - coarse.return_range(alice),
        "distance": reward_distance(fine, a, b) - reward_distance(coarse, alice, bob),
        **{name: _number(there, name) - _number(here, name) for name in ("exact", "lp", "t1")},
    }
    return {name: abs(float(difference)) for name, difference in apart.items()}


def _drifting(config: Refinements, noise: float, rng: np.random.Generator) -> dict[str, float]:
    """A certificate on coarse states with its model error, and the truth on the fine ones."""
    clean, phi = split(rng, process(rng, config.states, config.drifting))
    moved = process(rng, clean.states, config.drifting)
    assert clean.transitions is not None
    assert moved.transitions is not None
    fine = MDP((1 - noise) * clean.transitions + noise * moved.transitions, clean.start, config.drifting)
    blurs = torch.as_tensor(rng.normal(size=(2, fine.states, ACTIONS)))
    alice, other = torch.as_tensor(rng.normal(size=(2, config.states, ACTIONS)))
    a, b = (phi.pull_back(r) + noise * x for r, x in zip((alice, alice + APART * other), blurs, strict=True))
    coarse = phi.push_forward_process(fine)
    hers, his = (phi.push_forward(fine, reward, widen=True) for reward in (a, b))
    policy, allowed = _nearly(coarse, his.reward)
    told = Bob(policy, his.reward, allowed)
    model_error = ModelError(phi.transition_error(fine, coarse).size, hers.error, his.error)
    plain, owed = (certify(KnownReward(hers.reward), told, coarse, model_error=d) for d in (None, model_error))
    truth = float(fine.regret(phi.pull_back_policy(policy), a, normalised=True))
    worst = worst_regret(fine, a, b, allowed).lower
    return {
        "eps_tau": model_error.transitions,
        "eps_R": model_error.reward,
        "truth": truth,
        "plain": _number(plain, "exact"),
        "exact": _number(owed, "exact"),
        "worst": worst,
        "lp": _number(owed, "lp"),
        "issued": float(owed.issued),
        "plain_violated": float(truth > _number(plain, "exact") + 1e-9),
        "violated": float(truth > _number(owed, "exact") + 1e-9 or worst > _number(owed, "lp") + 1e-9),
    }


def _number(certificate: Certificate, name: str) -> float:
    """A share; 1, which always holds, where the model error may take the whole range."""
    value = getattr(certificate, name)
    return 1.0 if value is None else float(value)


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Column by column."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _refused() -> str:
    """What is said of a map that merges states which Alice tells apart."""
    fine = process(np.random.default_rng(0), 4, 0.9)
    try:
        Abstraction([0, 1, 1, 2]).push_forward(fine, torch.tensor([1.0, 2.0, 2.5, 1.0], dtype=torch.float64))
    except InputError as error:
        return str(error)
    return ""
