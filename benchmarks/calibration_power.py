"""Size and power of the held-out check of an action model, on simulated Alices.

10 states, 3 actions, rewards linear in 3 features of the state, transitions Dirichlet(0.3), discount 0.9, logits
50 Q / range, 2,000 choices in states drawn uniformly, or, "acting", in states that the choices lead to. The model
that is tested is always the true Boltzmann one with the class of features; what Alice does differs by row. Where a
habit multiplies the weight of the last action by h, the share that the exact likelihood-ratio test of it refuses at
5 % stands beside: 2 (max l(theta, h) - max l(theta)) above the 95 % point of chi-square with one degree of freedom.
Give a number of Alices for each row, and names of rows.
"""

import sys

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import chi2
from torch import Tensor

import thalweg as tw
from thalweg.irl import Behaviour, Boltzmann, Likelihood, Linear, goodness_of_fit, most_likely
from thalweg.rng import stream

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
    """(S, A) probabilities of her choices, were it not for the choices before."""
    choice_model = Boltzmann(SHARPNESS)
    if kind == "epsilon-greedy":
        return (1 - EPSILON) * mdp.optimal(reward).policy + EPSILON / ACTIONS
    if kind == "epsilon-Boltzmann":
        return (1 - EPSILON) * choice_model.log_policy(mdp, reward).exp() + EPSILON / ACTIONS
    if kind == "wrong dynamics":
        return choice_model.log_policy(believed(mdp, rng, mixed=MIXED), reward).exp()
    if kind.startswith("discount"):
        return choice_model.log_policy(believed(mdp, rng, discount=float(kind.split()[-1])), reward).exp()
    return choice_model.log_policy(mdp, reward).exp()


def recorded(mdp: tw.MDP, policy: Tensor, rng: np.random.Generator, count: int = CHOICES) -> Behaviour:
    """Choices in states drawn uniformly."""
    states = rng.integers(mdp.states, size=count)
    edges = policy.numpy().cumsum(1)[states]
    actions = (rng.random((count, 1)) * edges[:, -1:] > edges).sum(1)
    return Behaviour((mdp,), torch.as_tensor(states), torch.as_tensor(actions))


def in_order(
    mdp: tw.MDP, policies: list[Tensor], rng: np.random.Generator, kind: str, count: int = CHOICES
) -> Behaviour:
    """Choices one by one, by the first policy at first and by the last one at last: "habit h", "habit here h"."""
    h = float(kind.split()[-1]) if kind.startswith("habit") else 1.0
    copied = float(kind.split()[-1]) if kind.startswith("copies") else 0.0
    chances = [p.numpy() for p in policies]
    acting, here = "acting" in kind, "here" in kind
    assert mdp.transitions is not None
    moves = mdp.transitions.numpy()
    state, before, states, actions = int(rng.integers(STATES)), {}, [], []
    for t in range(count):
        weight = chances[t * len(chances) // count][state].copy()
        place = state if here else 0
        if place in before:
            weight[before[place]] *= h
        action = int(rng.choice(ACTIONS, p=weight / weight.sum()))
        if place in before and rng.random() < copied:
            action = before[place]
        before[place] = action
        states.append(state)
        actions.append(action)
        state = int(rng.choice(STATES, p=moves[state, action])) if acting else int(rng.integers(STATES))
    return Behaviour((mdp,), torch.tensor(states), torch.tensor(actions))


def case(kind: str, seed: int, count: int = CHOICES) -> tuple[Behaviour, Linear]:
    """One Alice, and the class of features that she is said to have."""
    rng = np.random.default_rng(seed)
    mdp = process(rng)
    values = Linear(torch.as_tensor(rng.normal(size=(STATES, FEATURES))))
    theta = rng.laplace(size=FEATURES)
    policy = alice(kind, mdp, values.reward(theta / np.abs(theta).sum(), ACTIONS), rng)
    if kind == "values change":  # midway, by a tenth of what they can
        other = 0.9 * theta / np.abs(theta).sum() + 0.1 * rng.laplace(size=FEATURES)
        later = alice(kind, mdp, values.reward(other / np.abs(other).sum(), ACTIONS), rng)
        return in_order(mdp, [policy, later], rng, kind, count), values
    if kind.startswith(("habit", "copies", "acting")):
        return in_order(mdp, [policy], rng, kind, count), values
    return recorded(mdp, policy, rng, count), values


def ratio_refuses(behaviour: Behaviour, values: Linear, here: bool) -> bool:
    """Whether the likelihood-ratio test of a habit, theta and log h fitted, refuses that there is none."""
    likelihood = Likelihood.of(behaviour, values, Boltzmann(SHARPNESS))
    best, (states, actions) = most_likely(likelihood, stream(0, "ratio")), (behaviour.states, behaviour.actions)
    last, found = {}, []
    for state, action in zip(states.tolist(), actions.tolist(), strict=True):
        found.append(last.get(state if here else 0, -1))
        last[state if here else 0] = action
    same = (torch.tensor(found)[:, None] == torch.arange(ACTIONS)).double()

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.tensor(point, requires_grad=True)
        logs = torch.log_softmax(likelihood.log_policy(at[:-1], 0)[states] + at[-1] * same, -1)
        total = -logs[torch.arange(len(states)), actions].sum()
        total.backward()
        assert at.grad is not None
        return float(total.detach()), at.grad.numpy()

    start = np.append(best.numpy(), 0.0)
    gain = 2 * (loss(start)[0] - minimize(loss, start, jac=True).fun)
    return bool(gain > chi2.ppf(0.95, 1))


KINDS = (
    "true",
    "acting",
    "epsilon-greedy",
    "epsilon-Boltzmann",
    "wrong dynamics",
    "discount 0.7",
    "discount 0.5",
    "habit 3",
    "habit 1.3",
    "habit 0.8",
    "habit acting 1.3",
    "habit here 3",
    "habit here 1.3",
    "copies 0.02",
    "values change",
    "unrestricted",
)


def main(count: int, kinds: tuple[str, ...]) -> None:
    """Print the share that is refused, by row and by statistic."""
    torch.set_num_threads(1)
    for kind in kinds:
        verdicts, by, exact = [], {}, 0
        for seed in range(count):
            behaviour, values = case("true" if kind == "unrestricted" else kind, seed)
            exact += kind.startswith("habit") and ratio_refuses(behaviour, values, "here" in kind)
            if kind == "unrestricted":
                width = STATES * ACTIONS
                values = Linear(torch.eye(width, dtype=torch.float64).reshape(STATES, ACTIONS, width))
            found = goodness_of_fit(behaviour, values, Boltzmann(SHARPNESS), seed=seed)
            verdicts.append(found.verdict)
            for one in found.statistics:
                by[one.name] = by.get(one.name, 0) + (one.adjusted <= found.level)
        shares = {v: verdicts.count(v) / count for v in ("failed", "passed", "untestable")}
        each = ", ".join(f"{name} {hits / count:.1%}" for name, hits in by.items())
        told = f"  exact ratio {exact / count:.1%}" if kind.startswith("habit") else ""
        print(
            f"{kind:20} refused {shares['failed']:6.1%}  untestable {shares['untestable']:6.1%}   ({each}){told}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, tuple(sys.argv[2:]) or KINDS)
