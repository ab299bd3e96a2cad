"""Linear programmes over occupancies, posed so that a solver of absolute tolerances gets them right.

HiGHS drops coefficients below 1e-9 and holds its conditions to 1e-10, whatever their size: as it stands, a state that
is entered with chance 1e-9 and costs 1e9 is no state to it. Posed here:

    eta(s, a) = m(s) x(s, a),     sum_a x(t, a) - discount sum P(t | s, a) m(s) / m(t) x(s, a) = start(t) / m(t),

m(s) of the order of the most that a policy visits s. A reward enters by what an action loses of the best return,

    V* - J(eta) = sum m(s) (V*(s) - Q*(s, a)) x(s, a),

so constants and shaping are gone before the solver sees it. With m(s) the largest occupancy, flows are at most
1 / (1 - discount), losses at most that share of the return range, and x at most 1: what is still below 1e-9 is
negligible. m is found from below (chances of the likeliest path, each step tried until it is made; visits of the
uniform policy and of given ones), in logarithms: chains of rare steps pass the end of the exponents. An answer is a
proposal; its user proves bounds.

Source: Puterman 1994, section 6.9.      S states, A actions"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.optimize import linprog
from scipy.sparse.csgraph import dijkstra

from thalweg.errors import InputError
from thalweg.mdp.probabilities import chances_of
from thalweg.mdp.process import MDP
from thalweg.mdp.valuation import Valuation

ACCURACY = 1e-10  # to which HiGHS is asked to hold the conditions: its finest


@dataclass(frozen=True, eq=False)
class Scaled:
    """The polytope of occupancies in units of what each state is visited at most.

    Attributes:
        logs: (S,) log m.
        flows: (S, S A), rows divided by m.
        starts: (S,) divided by m.
    """

    logs: np.ndarray
    flows: Any
    starts: np.ndarray

    def weights(self, gain: np.ndarray) -> np.ndarray:
        """(S A,): m(s) times a reward (S, A)."""
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(gain)) + self.logs[:, None]
        return (np.sign(gain) * np.exp(logs)).reshape(-1)

    def policy(self, found: np.ndarray) -> np.ndarray:
        """(S, A) of x, (S A,); uniform in states that it does not visit."""
        return policy_of(found.reshape(len(self.logs), -1))


def lost_of(one: Valuation) -> np.ndarray:
    """(S, A): V* - Q*, what an action loses of the best return, in units; what rounding makes of less than 0 is 0."""
    mdp, value = one.reward.mdp, torch.as_tensor(one.best.value)
    lost = value[:, None] - one.reward.gain - mdp.discount * mdp.expected(value)
    return lost.clamp(min=0).numpy()


def visits_of(mdp: MDP, policy: np.ndarray) -> np.ndarray:
    """(S, A): the occupancy of (S,) actions or (S, A) probabilities."""
    found = mdp.occupancy(torch.as_tensor(chances_of(policy, mdp.actions))).numpy()
    return np.maximum(found, 0.0)  # rounding


def policy_of(visits: np.ndarray) -> np.ndarray:
    """(S, A) probabilities of visits (S, A), each state in a unit of its own; uniform where there are none."""
    visits = np.maximum(visits, 0.0)  # the solver's rounding
    visits = visits / np.maximum(visits.max(1, keepdims=True), np.finfo(np.float64).tiny)
    sums = visits.sum(1, keepdims=True)
    return np.where(sums > 0, visits / np.where(sums > 0, sums, 1.0), 1 / visits.shape[1])


def scaled(mdp: MDP, policies: Sequence[np.ndarray]) -> Scaled:
    """The flow of a process whose states are all reached; visits of the policies count for m too."""
    states, actions, first = mdp.states, mdp.actions, mdp.start.numpy()
    held = mdp.dynamics.rows.tocoo()
    ahead = mdp.discount * held.data
    source, into = held.row // actions, held.col
    stays = np.zeros(states * actions)  # a step that is tried until it is made
    stays[held.row[source == into]] = ahead[source == into]
    made, longest = ahead / (1 - stays[held.row]), 1 / (1 - stays.reshape(states, actions).max(1))
    steps = (ahead > 0) & (source != into)
    even = np.full((states, actions), 1 / actions)
    with np.errstate(divide="ignore"):
        each = [np.log(visits_of(mdp, policy).sum(1)) for policy in (even, *policies)]
        likely = _likeliest(source[steps], into[steps], np.log(made[steps]), np.log(first))
        logs = np.maximum.reduce([likely + np.log(longest), *each])
        moved = np.exp(np.log(ahead) + logs[source] - logs[into])
        starts = np.exp(np.log(first) - logs)
    into_flow = sparse.csr_matrix((moved, (into, held.row)), shape=(states, states * actions))
    sums = sparse.kron(sparse.identity(states), np.ones((1, actions)))
    return Scaled(logs, (sums - into_flow).tocsr(), starts)


def solved(costs: np.ndarray, limits: Any, most: np.ndarray, flows: Any, starts: np.ndarray) -> Any:
    """HiGHS's solution of  min <costs, x>,  limits x <= most,  flows x = starts,  x >= 0; none where it gave up."""
    options = {"primal_feasibility_tolerance": ACCURACY, "dual_feasibility_tolerance": ACCURACY}
    found = linprog(costs, A_ub=limits, b_ub=most, A_eq=flows, b_eq=starts, method="highs", options=options)
    if found.status != 0:
        first = str(found.message).splitlines()[0]
        raise InputError(f"the linear programme was not solved: {first}: scale rewards and chances to similar sizes")
    return found


def _likeliest(source: np.ndarray, into: np.ndarray, logs: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(S,): the log of the largest product of discounted chances along a path from the start, by Dijkstra."""
    states = len(first)
    begins = np.flatnonzero(first > -np.inf)
    tails = np.concatenate([source, np.full(len(begins), states)])
    heads = np.concatenate([into, begins])
    lengths = np.maximum(np.concatenate([-logs, -first[begins]]), 0.0)
    order = np.lexsort((-lengths, heads, tails))  # the shortest of parallel ones last
    last = np.append((np.diff(tails[order]) != 0) | (np.diff(heads[order]) != 0), True)
    keep = order[last]
    graph = sparse.csr_matrix((lengths[keep], (tails[keep], heads[keep])), shape=(states + 1, states + 1))
    return -dijkstra(graph, indices=states)[:-1]
