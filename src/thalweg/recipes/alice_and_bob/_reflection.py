"""Agents who may rewrite themselves, and what is certified of them before and after: the worked cases."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.certificates import Planner, Reflection, reflect
from thalweg.mdp import MDP

DISCOUNT = 0.95
SHORT, LONG, ARMS = 9, 15, 11


@dataclass(frozen=True, eq=False)
class Case:
    """One agent with a menu, and what became of him."""

    name: str  # how he decides
    told: str  # what is on the menu
    found: Reflection


def cases() -> list[Case]:
    """Each way to go wrong, beside its control."""
    return [*_bliss(), *_slope(), *_arms()]


def _bliss() -> list[Case]:
    """A reward that pays everywhere, on the menu of an exact planner."""
    mdp, alice = corridor(SHORT), paid(SHORT, {SHORT - 1: 1.0})
    bliss = 10 + paid(SHORT, {0: 1.0})
    told = "a reward that pays 10 everywhere and 11 at the far left; Alice's, his first, pays at the far right"
    plain = reflect(mdp, alice, [bliss], 1.0, alice_reward=alice)
    naive = reflect(mdp, alice, [bliss], 1.0, alice_reward=alice, planner=Planner(judge="new"))
    return [
        Case("exact, judges by his present reward", told, plain),
        Case("exact, judges by the new reward", told, naive),
    ]


def _slope() -> list[Case]:
    """A slope that whoever sees three steps can follow."""
    mdp, steering = corridor(LONG), paid(LONG, {LONG - 1: 1.0, 0: 0.6})
    alice, easy = paid(LONG, {LONG - 1: 1.0, 0: -1.0}), torch.arange(LONG, 0, -1).double()
    told = "a slope to the left; his first pays 1 far right and 0.6 far left, which harms Alice"
    each = [reflect(mdp, steering, [easy], 0.1, alice_reward=alice, planner=Planner(sweeps=n)) for n in (3, 200)]
    helped = reflect(mdp, steering, [easy.flip(0)], 0.1, alice_reward=alice, planner=Planner(sweeps=3))
    return [
        Case("bounded, sees 3 steps", told, each[0]),
        Case("bounded, sees 200 steps", told, each[1]),
        Case("bounded, sees 3 steps; a kind menu", "the same slope to the right", helped),
    ]


def _arms() -> list[Case]:
    """A chain of rewards, each nearly as good as the one before it."""
    mdp = MDP(torch.ones(1, ARMS, 1), [1.0], 0.9)
    place = torch.arange(ARMS).double()
    chain = [-(place - k).abs()[None] * 0.1 for k in range(ARMS)]
    told = f"{ARMS - 1} rewards, each of which likes the next arm, 0.1 less at its neighbour (1 in all)"
    return [
        Case(
            f"accepts a loss of up to {a}",
            told,
            reflect(mdp, chain[0], chain[1:], 0.0, alice_reward=chain[0], planner=Planner(acceptance=a)),
        )
        for a in (1.05, 0.95)
    ]


def corridor(length: int) -> MDP:
    """Left or right in a row of cells; it starts in the middle."""
    moves = torch.zeros(length, 2, length, dtype=torch.float64)
    for s in range(length):
        moves[s, 0, max(s - 1, 0)] = moves[s, 1, min(s + 1, length - 1)] = 1
    start = torch.zeros(length, dtype=torch.float64)
    start[length // 2] = 1
    return MDP(moves, start, DISCOUNT)


def paid(length: int, cells: dict[int, float]) -> Tensor:
    """(S,) a reward of some cells."""
    reward = torch.zeros(length, dtype=torch.float64)
    for cell, pay in cells.items():
        reward[cell] = pay
    return reward


def document(found: list[Case]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "case": case.name,
            "rewrites": case.found.rewrites,
            "share": case.found.share,
            "regret": [case.found.regret_before, case.found.regret_after],
            "bound": [case.found.bound_before, case.found.bound_after],
        }
        for case in found
    ]
