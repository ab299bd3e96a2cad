"""Linear programmes over occupancies: the worst regret of a nearly optimal Bob, and the worst inversion of a pair.

An occupancy is eta >= 0, (S, A), with    sum_a eta(s, a) - discount sum P(s | s', a') eta(s', a') = start(s).
Source: Puterman 1994, *Markov Decision Processes*, section 6.9.
"""

from typing import Any

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import linprog

from thalweg.certificates.dual import SHARE, Cut, Found, Problem, cut, ends, mixture
from thalweg.errors import InputError
from thalweg.rl.mdp import MDP
from thalweg.rl.planning import follow
from thalweg.values import flow

ACCURACY = 1e-10  # to which HiGHS is asked to hold the conditions, of rewards whose range is 1: its finest


def solved(costs: np.ndarray, limits: Any, most: np.ndarray, flows: Any, starts: np.ndarray) -> Any:
    """HiGHS's solution of  min <costs, x>,  limits x <= most,  flows x = starts,  x >= 0.

    Raises:
        InputError: HiGHS gave up; no number is made of what it left.
    """
    options = {"primal_feasibility_tolerance": ACCURACY, "dual_feasibility_tolerance": ACCURACY}
    found = linprog(costs, A_ub=limits, b_ub=most, A_eq=flows, b_eq=starts, method="highs", options=options)
    if found.status != 0:
        first = str(found.message).splitlines()[0]
        raise InputError(f"the linear programme was not solved: {first}: use method='dual'")
    return found


def programmed(problem: Problem, tolerance: float) -> Found:
    """The worst regret by the programme; its multiplier and its policy are then certified by planning.

    HiGHS holds its conditions to 1e-10 only, so its objective is no bound. The bound is that of weak duality at its
    multiplier, the lower one that of its policy, mixed with Bob's best where it misses the suboptimality by rounding.
    """
    mdp, start = problem.mdp, problem.mdp.start.numpy()
    span = problem.alice_range[0]
    unit = float(np.ptp(problem.bobs.value)) or float(np.ptp(problem.bob)) or 1.0
    alice, bob = (x - (x.max() / 2 + x.min() / 2) for x in (problem.alice / span, problem.bob / unit))
    best = np.mean(
        follow(mdp, problem.bobs.policy, bob, tolerance=0.0).returns(start)
    )  # constants do not cancel to 1e-10
    least = np.array([problem.suboptimality / unit - best])
    found = solved(alice.reshape(-1), -sparse.csr_matrix(bob.reshape(1, -1)), least, flow(mdp), start)
    width = SHARE * tolerance * span
    left, right = ends(problem, width)
    multiplier = -float(found.ineqlin.marginals[0]) * span / unit
    priced = cut(problem, multiplier, width, left, right) if multiplier > 0 else left
    visits = np.maximum(found.x.reshape(mdp.states, mdp.actions), 0.0)
    sums = visits.sum(1, keepdims=True)
    policy = np.where(sums > 0, visits / np.where(sums > 0, sums, 1), 1 / mdp.actions)
    a, b = (problem.own(whose, policy, 0.0) for whose in (problem.her, problem.his))
    own = Cut(multiplier, np.inf, policy, a.value, b.value, problem.her.returns_of(a), problem.his.returns_of(b))
    lower, drawn = max((mixture(problem, x, right) for x in (own, left, right)), key=lambda pair: pair[0])
    upper, multiplier = min((priced.upper, multiplier), (left.upper, 0.0))
    return Found(upper, lower, multiplier, drawn, 1)


def inversion(mdp: MDP, first: np.ndarray, second: np.ndarray) -> float:
    """Largest <eta1 - eta2, first> over two occupancies with <eta2 - eta1, second> >= 0."""
    flows, start = flow(mdp), mdp.start.numpy()
    costs = np.concatenate([-first.reshape(-1), first.reshape(-1)])
    order = sparse.csr_matrix(np.concatenate([second.reshape(-1), -second.reshape(-1)]))
    both = sparse.block_diag([flows, flows], format="csc")
    return -float(solved(costs, order, np.zeros(1), both, np.concatenate([start, start])).fun)


__all__ = ["inversion", "programmed", "solved"]
