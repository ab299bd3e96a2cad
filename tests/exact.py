"""Truth in exact rationals: what certificates are held to, on processes of a few states. Not a test.

A float is the rational that it is. A row of transitions, `start`, a row of a policy is a distribution: it is
divided by its exact sum. Only states that some policy visits are kept. Linear systems are solved in whole numbers
without fractions (Bareiss 1968), policies are improved while an action is strictly better: no tolerance anywhere.
                                                                                                  S states, A actions
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import lcm
from typing import Any

import numpy as np

Reward = list[list[Fraction]]  # (S, A)
Policy = list[list[Fraction]]  # (S, A)


def shares(row: Any) -> list[Fraction]:
    """A row of floats as the distribution that it stands for."""
    exact = [Fraction(float(x)) for x in row]
    return [x / sum(exact) for x in exact]


@dataclass(frozen=True)
class Process:
    """The visited part of a process.

    Attributes:
        kept: the states of it, by their number in the whole.
        rows: [s][a]: whole numbers over the states that are kept, and what they are to be divided by.
        whole: [s][a]: chances over all states, for rewards of whole steps.
        start: chances.
        discount: exact.
        planned: what is known of rewards.
    """

    kept: list[int]
    rows: list[list[tuple[list[int], int]]]
    whole: list[list[list[Fraction]]]
    start: list[Fraction]
    discount: Fraction
    planned: dict[Any, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, transitions: Any, start: Any, discount: float) -> "Process":
        """From floats (S, A, S) and (S,)."""
        moves, begin = np.asarray(transitions), np.asarray(start)
        kept = seen = set(np.flatnonzero(begin > 0).tolist())
        while seen and discount > 0:
            seen = set(np.flatnonzero((moves[sorted(seen)] > 0).any((0, 1))).tolist()) - kept
            kept = kept | seen
        order = sorted(kept)
        whole = [[shares(row) for row in moves[s]] for s in order]
        rows = [[_whole([row[t] for t in order]) for row in of] for of in whole]
        return cls(order, rows, whole, [shares(begin)[s] for s in order], Fraction(float(discount)))

    @property
    def actions(self) -> int:
        """A."""
        return len(self.rows[0])

    def gain(self, reward: Any) -> Reward:
        """A reward (S,), (S, A) or (S, A, S) of the whole process as its mean over the next state."""
        given, actions = np.asarray(reward), range(self.actions)
        if given.ndim == 1:
            return [[Fraction(float(given[s]))] * self.actions for s in self.kept]
        if given.ndim == 2:
            return [[Fraction(float(given[s, a])) for a in actions] for s in self.kept]
        return [
            [
                sum(p * Fraction(float(x)) for p, x in zip(row, given[s, a], strict=True) if p)
                for a, row in enumerate(of)
            ]
            for s, of in zip(self.kept, self.whole, strict=True)
        ]

    def policy(self, given: Any) -> Policy:
        """A policy (S, A) of the whole process."""
        return [shares(np.asarray(given)[s]) for s in self.kept]

    def values(self, policy: Sequence[int] | Policy, gain: Reward) -> list[Fraction]:
        """V of a policy, of actions or of chances, from each state on."""
        matrix = []
        for s, chosen in enumerate(policy):
            row, earned = self._mixed(s, chosen, gain)
            line = [-self.discount * p for p in row] + [earned]
            line[s] += 1
            matrix.append(_whole(line)[0])
        return _solved(matrix)

    def _mixed(self, s: int, chosen: Any, gain: Reward) -> tuple[list[Fraction], Fraction]:
        """Chances of the next state, and the mean reward."""
        pairs = [(chosen, 1)] if isinstance(chosen, int) else [(a, w) for a, w in enumerate(chosen) if w]
        row = [sum((w * Fraction(self.rows[s][a][0][t], self.rows[s][a][1]) for a, w in pairs), Fraction(0))
               for t in range(len(self.kept))]  # fmt: skip
        return row, sum((w * gain[s][a] for a, w in pairs), Fraction(0))

    def action_values(self, value: list[Fraction], gain: Reward) -> Reward:
        """Q: an action now, and `value` afterwards."""
        nums, under = _whole(value)
        return [
            [
                gain[s][a]
                + self.discount * Fraction(sum(n * v for n, v in zip(row, nums, strict=True)), size * under)
                for a, (row, size) in enumerate(of)
            ]
            for s, of in enumerate(self.rows)
        ]

    def plan(self, gain: Reward) -> tuple[list[Fraction], list[int]]:
        """V* and a policy that has it; read once for each reward."""
        key = tuple(map(tuple, gain))
        if key not in self.planned:
            self.planned[key] = self.improved(gain, [list(range(self.actions))] * len(self.kept))
        return self.planned[key]

    def improved(self, gain: Reward, allowed: list[list[int]]) -> tuple[list[Fraction], list[int]]:
        """The same among the allowed actions of each state."""
        policy = [max(of, key=lambda a, s=s: gain[s][a]) for s, of in enumerate(allowed)]
        while True:
            value = self.values(policy, gain)
            after = self.action_values(value, gain)
            best = [max(of, key=lambda a, s=s: after[s][a]) for s, of in enumerate(allowed)]
            better = [b if after[s][b] > value[s] else a for s, (a, b) in enumerate(zip(policy, best, strict=True))]
            if better == policy:
                return value, policy
            policy = better

    def tied(self, value: list[Fraction], gain: Reward) -> list[list[int]]:
        """Every action that is as good as the best."""
        after = self.action_values(value, gain)
        return [[a for a, q in enumerate(of) if q == value[s]] for s, of in enumerate(after)]

    def first(self, value: list[Fraction]) -> Fraction:
        """<start, V>."""
        return sum((p * v for p, v in zip(self.start, value, strict=True)), Fraction(0))

    def returns(self, policy: Sequence[int] | Policy, gain: Reward) -> Fraction:
        """J."""
        return self.first(self.values(policy, gain))

    def best(self, gain: Reward) -> Fraction:
        """The largest return."""
        return self.first(self.plan(gain)[0])

    def span(self, gain: Reward) -> Fraction:
        """The largest return minus the smallest: rho."""
        return self.best(gain) + self.best(scaled(gain, -1))

    def distance(self, first: Reward, second: Reward) -> Fraction:
        """rho(R1 / rho1 - R2 / rho2)."""
        one, two = (scaled(gain, 1 / self.span(gain)) for gain in (first, second))
        return self.span(added(one, scaled(two, -1)))

    @cached_property
    def choices(self) -> list[tuple[int, ...]]:
        """Every deterministic policy."""
        return list(product(range(self.actions), repeat=len(self.kept)))


def scaled(gain: Reward, by: Fraction | int) -> Reward:
    """A reward times a number."""
    return [[by * x for x in of] for of in gain]


def added(one: Reward, two: Reward) -> Reward:
    """The sum of two rewards."""
    return [[x + y for x, y in zip(a, b, strict=True)] for a, b in zip(one, two, strict=True)]


def worst_return(process: Process, alice: Reward, bob: Reward, least: Fraction) -> Fraction:
    """min {J_A(pi) : J_B(pi) >= least} over all policies, for a `least` that some policy has.

    The points (J_A, J_B) of policies fill a convex polygon, whose corners are deterministic policies. Of an edge that
    spans `least` one plans for the reward that its two ends earn alike: a policy that has more is a corner beyond it.
    """

    def corner(first: Reward, then: Reward) -> tuple[Fraction, Fraction]:
        """J_A and J_B of the best policy by one reward, and among these by the other."""
        value, _ = process.plan(first)
        _, policy = process.improved(then, process.tied(value, first))
        return process.returns(policy, alice), process.returns(policy, bob)

    low = corner(scaled(alice, -1), bob)
    if low[1] >= least:
        return low[0]
    high = corner(bob, scaled(alice, -1))
    while True:
        gained, lost = high[1] - low[1], high[0] - low[0]
        mixed = added(scaled(alice, -gained), scaled(bob, lost))
        value, policy = process.plan(mixed)
        if process.first(value) == lost * high[1] - gained * high[0]:
            return high[0] - lost * (high[1] - least) / gained
        new = process.returns(policy, alice), process.returns(policy, bob)
        low, high = (low, new) if new[1] >= least else (new, high)


def worst_regret(process: Process, alice: Reward, bob: Reward, suboptimality: Fraction) -> Fraction:
    """The largest V_A - J_A(pi) of a Bob with J_B(pi) >= V_B - suboptimality."""
    return process.best(alice) - worst_return(process, alice, bob, process.best(bob) - suboptimality)


def contextual_minimax_regret(process: Process, gains: Sequence[Reward]) -> Fraction:
    """t*: the least, over policies, of the largest regret over rewards, each a share of its range.

    A game of chances of rewards against policies; policies join while one is better against the present chances.
    """
    unit = [scaled(gain, 1 / process.span(gain)) for gain in gains]
    best = [process.best(gain) for gain in unit]
    known: list[list[Fraction]] = []
    weights, value = [Fraction(1, len(unit))] * len(unit), Fraction(-1)
    while True:
        mixed = scaled(unit[0], weights[0])
        for weight, gain in zip(weights[1:], unit[1:], strict=True):
            mixed = added(mixed, scaled(gain, weight))
        _, policy = process.plan(mixed)
        lost = [top - process.returns(policy, gain) for top, gain in zip(best, unit, strict=True)]
        if known and sum(w * x for w, x in zip(weights, lost, strict=True)) >= value:
            return value
        known.append(lost)
        weights, value = _game(known)


def _game(columns: list[list[Fraction]]) -> tuple[list[Fraction], Fraction]:
    """Chances of rows that make the least column largest, and that value; entries at least 0.

    max {sum y : M y <= 1, y >= 0} by the simplex method with Bland's rule, which ends; M is 1 above the
    entries.
    """
    count, size = len(columns[0]), len(columns)
    table = [[1 + c[k] for c in columns] + [Fraction(int(j == k)) for j in range(count)] + [Fraction(1)]
             for k in range(count)]  # fmt: skip
    price = [Fraction(1)] * size + [Fraction(0)] * (count + 1)
    basis = list(range(size, size + count))
    while (enter := next((j for j in range(size + count) if price[j] > 0), None)) is not None:
        rows = [k for k in range(count) if table[k][enter] > 0]
        leave = min(rows, key=lambda k: (table[k][-1] / table[k][enter], basis[k]))
        pivot = [x / table[leave][enter] for x in table[leave]]
        table[leave], basis[leave] = pivot, enter
        for row in [*(table[k] for k in range(count) if k != leave), price]:
            factor = row[enter]
            row[:] = [x - factor * p for x, p in zip(row, pivot, strict=True)]
    total = -price[-1]
    return [-x / total for x in price[size : size + count]], 1 / total - 1


def _whole(line: list[Fraction]) -> tuple[list[int], int]:
    """Fractions as whole numbers over one denominator."""
    under = lcm(*(x.denominator for x in line))
    return [x.numerator * (under // x.denominator) for x in line], under


def _solved(matrix: list[list[int]]) -> list[Fraction]:
    """The solution of a system in whole numbers, right side last; pivots are never 0 in I - discount P."""
    size, before = len(matrix), 1
    for k in range(size):
        top = matrix[k]
        pivot = top[k]
        for i in range(size):
            if i != k:
                factor = matrix[i][k]
                matrix[i] = [(pivot * x - factor * y) // before for x, y in zip(matrix[i], top, strict=True)]
        before = pivot
    return [Fraction(row[-1], before) for row in matrix]
