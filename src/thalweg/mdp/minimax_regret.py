"""The least worst regret over several rewards, between bounds that planning proves.

    t* = min_pi max_k Reg_k(pi) / rho_k  =  max_lambda min_pi sum_k lambda_k Reg_k(pi) / rho_k

is a matrix game between a prior over contexts and a policy. The linear programme over occupancies proposes both, and
each proves one side by planning: any weights mu >= 0 and any policy pi,

    (sum mu_k V*_k - V*(sum mu_k R_k)) / sum mu_k rho_k  <=  t*  <=  max_k Reg_k(pi) / rho_k.

Where they are apart, the best answer to the prior joins the policies known so far, and the game among them, K by as
many as there are, proposes the next (Kelley's cutting planes).     K contexts, S states, A actions

Source: Regan & Boutilier 2009 for minimax regret; Kelley 1960, *The cutting-plane method*."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._linear_programmes import chances_of, lost_of, policy_of, scaled, solved, visits_of
from thalweg.mdp._scaled_reward import combined
from thalweg.mdp.occupancy import single_gain
from thalweg.mdp.planning import planned
from thalweg.mdp.probabilities import EPS
from thalweg.mdp.process import MDP, Gains
from thalweg.mdp.valuation import Interval, Valuation, valuation

FINE = 1e-9  # between the bounds, at which the search stops
SHARE = 1 / 16  # of it, to which the best answer is planned
WIDE = 1e-6  # between the bounds, from which a floor says so
CUTS = 40  # policies that may join


@dataclass(frozen=True, eq=False)
class MinimaxRegret:
    """The least worst regret over contexts.

    Attributes:
        lower: proven by planning for `duals`: no policy has less.
        upper: proven of `policy`, evaluated; t* lies between the two.
        duals: (K,) at least 0, sum 1: the prior over contexts that is hardest.
        policy: (S, A) that is minimax; uniform in states that it never visits.
        occupancy: (S, A) discounted visits of it.
        reward: (S, A) sum_k lambda_k R_k / rho_k, of which the policy is one optimum.
        reasons: why the floor is not known to 1e-6; empty where it is.
    """

    lower: float
    upper: float
    duals: Tensor
    policy: Tensor
    occupancy: Tensor
    reward: Tensor
    reasons: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The proven floor, `lower`: nobody who must serve every context does better. t* is at most `gap` above."""
        return self.lower

    @property
    def gap(self) -> float:
        """By how much t* may exceed `value`."""
        return self.upper - self.lower


def contextual_minimax_regret(mdp: MDP, rewards: Sequence[Any]) -> MinimaxRegret:
    """t* = min over policies of the largest normalised regret over contexts, by a linear programme and planning.

    Args:
        mdp: the process, up to some thousands of states.
        rewards: R_k, each (S,), (S, A) or (S, A, S).

    Returns:
        The floor, between a proven lower and an attained upper bound, with `reasons` where they are 1e-6 apart.

    Raises:
        InputError: no reward, a reward without a return range, a programme that the solver gave up.
    """
    each = each_of(mdp, rewards)
    known = ranged(mdp, each)
    lower, upper, duals, policy, reasons = _played(known)
    states = known[0].reward.part.states
    full = torch.full((mdp.states, mdp.actions), 1 / mdp.actions, dtype=torch.float64)
    full[states] = torch.as_tensor(policy)
    visits = torch.zeros_like(full)
    visits[states] = torch.as_tensor(visits_of(known[0].reward.mdp, policy))
    gains = [single_gain(mdp, x) / c.reward.unit / c.range.middle for x, c in zip(each, known, strict=True)]
    prior = torch.as_tensor(duals)
    return MinimaxRegret(
        lower, upper, prior, full, visits, torch.einsum("k,ksa->sa", prior, torch.stack(gains)), reasons
    )


def each_of(mdp: MDP, rewards: Sequence[Any] | Gains) -> list[Any]:
    """The rewards one by one; of `Gains` those of the batch.

    Raises:
        InputError: none at all, or a batch among them.
    """
    if isinstance(rewards, Gains):
        each = list(rewards.each.reshape(-1, *mdp.mean_reward(rewards).detach().shape[-2:]))
    elif getattr(rewards, "ndim", 1) and isinstance(rewards, Iterable):
        each = list(rewards)
    else:
        raise InputError(f"rewards are a {type(rewards).__name__}: give a list of rewards, one for each context")
    if not each:
        raise InputError("no reward is given: contextual values need at least one")
    for k, reward in enumerate(each):
        single_gain(mdp, reward, f"reward {k}")
    return each


def ranged(mdp: MDP, each: Sequence[Any]) -> list[Valuation]:
    """What the reward of every context says of the process.

    Raises:
        InputError: one without a return range, by its number.
    """
    known = [valuation(mdp, reward) for reward in each]
    for k, one in enumerate(known):
        one.known_range(f"reward {k}", widths=0.0)
    return known


def shares(known: Sequence[Valuation], returns: Sequence[Interval]) -> tuple[np.ndarray, np.ndarray]:
    """(K,) lower and upper bounds of the regret of what has these returns, as shares of the return ranges."""
    lost = [one.optimum.minus(got).over(one.range) for one, got in zip(known, returns, strict=True)]
    return np.array([x.low for x in lost]), np.array([x.high for x in lost])


def _played(known: Sequence[Valuation]) -> tuple[float, float, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Both bounds, the prior that proves the lower, the policy that proves the upper, and why they are far apart."""
    mdp = known[0].reward.mdp
    prior, policy = _proposed(known)
    near = max(FINE, *(2 * one.range.width / one.range.low for one in known))  # rounding: no cut takes it away
    upper, lower, best, hardest, cuts, visits = np.inf, -np.inf, policy, prior, [], []

    def joined(one: np.ndarray) -> None:
        nonlocal upper, best
        least, most = shares(known, [c.returns_of(c.followed(one, c.width, EPS)) for c in known])
        cuts.append(least / 2 + most / 2)
        visits.append(visits_of(mdp, one))
        if most.max() < upper:
            upper, best = min(float(most.max()), 1.0), chances_of(one, mdp.actions)

    joined(policy)
    for turn in range(CUTS):
        bound, answer = _answered(known, prior)
        if bound > lower:
            lower, hardest = bound, prior
        if upper - lower <= near or turn == CUTS - 1:
            break
        joined(answer)
        prior, mixed = _game(np.array(cuts))
        joined(policy_of(np.tensordot(mixed, np.array(visits), 1)))
    if upper - lower <= WIDE:
        return lower, upper, hardest, best, ()
    why = (
        "rewards and chances differ by more than float64 resolves" if upper - lower <= near else f"after {CUTS} cuts"
    )
    words = f"the floor is known to {upper - lower:.2g} only, between {lower:.6g} and {upper:.6g}: {why}"
    return lower, upper, hardest, best, (words,)


def _proposed(known: Sequence[Valuation]) -> tuple[np.ndarray, np.ndarray]:
    """The programme's prior (K,) and policy (S, A)."""
    posed = scaled(known[0].reward.mdp, [one for c in known for one in (c.best.policy, c.worst.policy)])
    lost = [posed.weights(lost_of(c) / c.range.low) for c in known]
    count, size = len(known), lost[0].size
    found = solved(
        np.append(np.zeros(size), 1.0),
        sparse.csr_matrix(np.hstack([np.stack(lost), -np.ones((count, 1))])),
        np.zeros(count),
        sparse.hstack([posed.flows, sparse.csr_matrix((len(posed.starts), 1))]).tocsr(),
        posed.starts,
    )
    return _normalised(-np.asarray(found.ineqlin.marginals)), posed.policy(found.x[:-1])


def _answered(known: Sequence[Valuation], prior: np.ndarray) -> tuple[float, np.ndarray]:
    """The lower bound of a prior, and the policy (S,) that loses least under it."""
    mu = [float(p / c.range.low) for p, c in zip(prior, known, strict=True)]
    found = planned(known[0].reward.mdp, *combined([c.reward for c in known], mu), SHARE * FINE)
    high = known[0].returns_of(found).high
    each = np.array([m * c.optimum.low for m, c in zip(mu, known, strict=True)])
    rounding = 4 * (len(known) + 4) * EPS * (np.abs(each).sum() + abs(high))
    most = sum(m * c.range.high for m, c in zip(mu, known, strict=True))
    return max(0.0, float((each.sum() - high - rounding) / most)), found.policy


def _game(cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The prior (K,) and the chances (J,) of the game whose losses are cuts (J, K)."""
    count, contexts = cuts.shape
    found = solved(
        np.append(np.zeros(count), 1.0),
        np.hstack([cuts.T, -np.ones((contexts, 1))]),
        np.zeros(contexts),
        np.append(np.ones(count), 0.0)[None],
        np.ones(1),
    )
    return _normalised(-np.asarray(found.ineqlin.marginals)), _normalised(found.x[:-1])


def _normalised(given: np.ndarray) -> np.ndarray:
    """At least 0, sum 1; even where all are 0, as duals are where no context costs another anything."""
    positive = np.maximum(given, 0.0)
    return positive / positive.sum() if positive.any() else np.full(len(given), 1 / len(given))
