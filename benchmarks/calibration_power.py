"""Size and power of the held-out check of an action model, on simulated Alices.

10 states, 3 actions, rewards linear in 3 features of the state, transitions Dirichlet(0.3), discount 0.9, logits
50 Q / range, 2,000 choices in states drawn uniformly. The model that is tested is always the true Boltzmann one with
the class of features; what Alice does differs by row. Give a number of Alices for each row, and names of rows.
"""

import sys

import numpy as np
import torch
from torch import Tensor

import thalweg as tw
from thalweg.values import Behaviour, Boltzmann, Linear, calibrate

STATES, ACTIONS, FEATURES, SHARPNESS, CHOICES, DISCOUNT = 10, 3, 3, 50.0, 2000, 0.9
EPSILON, MIXED = 0.1, 0.2


def process(rng: np.random.Generator) -> tw.MDP:
    """Random transitions, uniform start."""
    moves = rng.dirichlet(np.full(STATES, 0.3), size=(STATES, ACTIONS))
    return tw.MDP(moves, np.full(STATES, 1 / STATES), DISCOUNT)


def believed(mdp: tw.MDP, rng: np.random.Generator, discount: float = DISCOUNT, mixed: float = 0.0) -> tw.MDP:
    """What Alice plans by: another discount, or each row of transitions mixed with another random row."""
    assert mdp.transitions is not None
    rows = mdp.transitions.reshape(-1, STATES)
    others = (torch.arange(len(rows)) + torch.as_tensor(rng.integers(1, len(rows), len(rows)))) % len(rows)
    moves = (1 - mixed) * rows + mixed * rows[others]
    return tw.MDP(moves.reshape(mdp.transitions.shape), mdp.start, discount)


def alice(kind: str, mdp: tw.MDP, reward: Tensor, rng: np.random.Generator) -> Tensor:
    """(S, A) probabilities of her choices."""
    rule = Boltzmann(SHARPNESS)
    if kind == "true":
        return rule.log_policy(mdp, reward).exp()
    if kind == "epsilon-greedy":
        return (1 - EPSILON) * mdp.optimal(reward).policy + EPSILON / ACTIONS
    if kind == "epsilon-Boltzmann":
        return (1 - EPSILON) * rule.log_policy(mdp, reward).exp() + EPSILON / ACTIONS
    if kind == "wrong dynamics":
        return rule.log_policy(believed(mdp, rng, mixed=MIXED), reward).exp()
    return rule.log_policy(believed(mdp, rng, discount=float(kind.split()[-1])), reward).exp()


def recorded(mdp: tw.MDP, policy: Tensor, rng: np.random.Generator, count: int = CHOICES) -> Behaviour:
    """Choices in states drawn uniformly."""
    states = rng.integers(mdp.states, size=count)
    edges = policy.numpy().cumsum(1)[states]
    actions = (rng.random((count, 1)) * edges[:, -1:] > edges).sum(1)
    return Behaviour((mdp,), torch.as_tensor(states), torch.as_tensor(actions))


def case(kind: str, seed: int, count: int = CHOICES) -> tuple[Behaviour, Linear]:
    """One Alice, and the class of features that she is said to have."""
    rng = np.random.default_rng(seed)
    mdp = process(rng)
    values = Linear(torch.as_tensor(rng.normal(size=(STATES, FEATURES))))
    theta = rng.laplace(size=FEATURES)
    policy = alice(kind, mdp, values.reward(theta / np.abs(theta).sum(), ACTIONS), rng)
    return recorded(mdp, policy, rng, count), values


KINDS = (
    "true",
    "epsilon-greedy",
    "epsilon-Boltzmann",
    "wrong dynamics",
    "discount 0.7",
    "discount 0.5",
    "unrestricted",
)


def main(count: int, kinds: tuple[str, ...]) -> None:
    """Print the share that is refused, by row and by statistic."""
    torch.set_num_threads(1)
    for kind in kinds:
        verdicts, by = [], {"log-loss": 0, "bins": 0, "saturated": 0}
        for seed in range(count):
            behaviour, values = case("true" if kind == "unrestricted" else kind, seed)
            if kind == "unrestricted":
                width = STATES * ACTIONS
                values = Linear(torch.eye(width, dtype=torch.float64).reshape(STATES, ACTIONS, width))
            found = calibrate(behaviour, values, Boltzmann(SHARPNESS), seed=seed)
            verdicts.append(found.verdict)
            for one in found.statistics:
                by[one.name] += one.adjusted <= found.level
        shares = {v: verdicts.count(v) / count for v in ("failed", "passed", "untestable")}
        each = ", ".join(f"{name} {hits / count:.1%}" for name, hits in by.items())
        print(
            f"{kind:20} refused {shares['failed']:6.1%}  untestable {shares['untestable']:6.1%}   ({each})",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, tuple(sys.argv[2:]) or KINDS)
