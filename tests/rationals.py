"""Truths in exact rationals: returns of all deterministic policies, and what is best among their mixtures.

A number in floating point stands for itself, a row for itself divided by its sum.
"""

import itertools
from fractions import Fraction

import numpy as np


def solved(system, right):
    """x of a square system of fractions, by elimination."""
    rows, count = [[*row, x] for row, x in zip(system, right, strict=True)], len(system)
    for i in range(count):
        pivot = next(r for r in range(i, count) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(count):
            if r != i and rows[r][i]:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [rows[i][-1] / rows[i][i] for i in range(count)]


def distribution(row):
    exact = [Fraction(float(x)) for x in row]
    return [x / sum(exact) for x in exact]


def returns(moves, start, discount, rewards):
    """A set of (K,) returns, one for each deterministic policy."""
    states, actions, _ = moves.shape
    ahead = [[distribution(moves[s, a]) for a in range(actions)] for s in range(states)]
    first, gamma, found = distribution(start), Fraction(float(discount)), set()
    for choice in itertools.product(range(actions), repeat=states):
        flow = [[(s == t) - gamma * ahead[s][choice[s]][t] for s in range(states)] for t in range(states)]
        visits = solved(flow, first)
        paid = [[Fraction(float(r[s, c])) for s, c in enumerate(choice)] for r in rewards]
        found.add(tuple(sum(v * x for v, x in zip(visits, each, strict=True)) for each in paid))
    return found


def under(pairs, most):
    """max a over mixtures of pairs (a, b) with b at most `most`; None where there is none."""
    held = [(a, b) for a, b in pairs if b <= most]
    best = max(a for a, _ in held)
    for (a, b), (c, d) in itertools.product(pairs, held):
        if b > most and a > best:
            weight = (most - d) / (b - d)
            best = max(best, weight * a + (1 - weight) * c)
    return best


def worst_regret(points, suboptimality):
    """Of Alice, the first reward, where Bob, the second, may lose so much."""
    best, high = max(a for a, _ in points), max(b for _, b in points)
    lost = under({(best - a, high - b) for a, b in points}, Fraction(suboptimality))
    return lost / (best - min(a for a, _ in points))


def worst_inversion(points):
    span = max(a for a, _ in points) - min(a for a, _ in points)
    return under({(a - c, b - d) for (a, b), (c, d) in itertools.product(points, points)}, Fraction(0)) / span


def floor(points):
    """The least worst regret over two rewards: the value of a game of two rows."""
    best, least = ([f(p[k] for p in points) for k in range(2)] for f in (max, min))
    lost = {tuple((best[k] - p[k]) / (best[k] - least[k]) for k in range(2)) for p in points}
    found = min(max(pair) for pair in lost)
    for (a, b), (c, d) in itertools.combinations(lost, 2):
        if (a - b) * (c - d) < 0:  # the mixture that loses the same by both
            found = min(found, (a * d - b * c) / (a - b - c + d))
    return found


def rare(seed):
    """A process of rare steps and two rewards that pay for how rare a state is: moves, start, discount, both."""
    rng = np.random.default_rng(seed)
    states, actions = [(2, 3), (3, 2)][seed % 2]
    chance = np.where(rng.random(states) < 0.6, 10.0 ** -rng.choice([3, 9, 12, 15, 30], states), 1.0)
    chance[0] = 1.0
    moves = rng.dirichlet(np.full(states, 0.4), (states, actions)) * (rng.random((states, actions, states)) < 0.6)
    moves *= chance
    home = np.where(rng.random((states, actions)) < 0.6, np.arange(states)[:, None], 0)
    np.put_along_axis(moves, home[..., None], np.maximum(1 - moves.sum(-1, keepdims=True), 0.1), -1)
    moves /= moves.sum(-1, keepdims=True)
    rewards = rng.normal(size=(2, states, actions)) / np.where(rng.random((2, states, 1)) < 0.7, chance[:, None], 1)
    return moves, np.eye(states)[0], float(rng.choice([0.0, 0.5, 0.9, 0.999])), list(rewards)
