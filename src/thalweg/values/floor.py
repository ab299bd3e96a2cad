"""The least worst regret over several rewards, between bounds that planning proves.

    t* = min_pi max_k Reg_k(pi) / rho_k  =  max_lambda min_pi sum_k lambda_k Reg_k(pi) / rho_k

is a matrix game between a prior over contexts and a policy. The linear programme over occupancies proposes both, and
each proves one side by planning: any weights mu >= 0 and any policy pi,

    (sum mu_k V*_k - V*(sum mu_k R_k)) / sum mu_k rho_k  <=  t*  <=  max_k Reg_k(pi) / rho_k.

Where they are apart, the best answer to the prior joins the policies known so far, and the game among them, K by as
many as there are, proposes the next (Kelley's cutting planes).     K contexts, S states, A actions

Source: Regan & Boutilier 2009 for minimax regret; Kelley 1960, *The cutting-plane method*."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl import MDP, Gains
from thalweg.values.brackets import EPS, Centred, Rows, best_return, centred, return_of
from thalweg.values.occupancy import mean_gain, single_gain, visited
from thalweg.values.programmes import lost_of, policy_of, scaled, solved

FINE = 1e-9  # between the bounds, at which the search stops
WIDE = 1e-6  # between the bounds, from which a floor says so
CUTS = 40  # policies that may join


@dataclass(frozen=True, eq=False)
class Floor:
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


def contextual_floor(mdp: MDP, rewards: Sequence[Any]) -> Floor:
    """t* = min over policies of the largest normalised regret over contexts, by a linear programme and planning.

    Args:
        mdp: the process, up to some thousands of states.
        rewards: R_k, each (S,), (S, A) or (S, A, S).

    Returns:
        The floor, between a proven lower and an attained upper bound, with `reasons` where they are 1e-6 apart.

    Raises:
        InputError: no reward, a reward without a return range, a programme that the solver gave up.
    """
    states, part = visited(mdp)
    rows, gains = Rows.of(part), gains_of(mdp, rewards)
    known = each_centred(rows, [gain[states].numpy() for gain in gains])
    lower, upper, duals, policy, reasons = _played(rows, known)
    spans = torch.tensor([np.ldexp(sum(one.span) / 2, one.exponent) for one in known])
    full = torch.full((mdp.states, mdp.actions), 1 / mdp.actions, dtype=torch.float64)
    full[states] = torch.as_tensor(policy)
    visits = torch.zeros_like(full)
    visits[states] = torch.as_tensor(rows.under(policy).visits()[:, None] * policy)
    supported = torch.einsum("k,ksa->sa", torch.as_tensor(duals), gains / spans[:, None, None])
    return Floor(lower, upper, torch.as_tensor(duals), full, visits, supported, reasons)


def each_centred(rows: Rows, gains: Sequence[np.ndarray]) -> list[Centred]:
    """Centre the reward (S, A) of every context.

    Raises:
        InputError: one without a return range, by its number.
    """
    known = [centred(rows, gain) for gain in gains]
    for k, one in enumerate(known):
        if not one.span[0] > 0:
            raise InputError(
                f"the return range of reward {k} is 0 up to rounding, every policy returns the same: leave it out"
            )
    return known


def shares(rows: Rows, known: Sequence[Centred], policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) lower and upper bounds of a policy's regret, as shares of the return ranges."""
    gains = np.stack([one.gain for one in known])
    low, high = return_of(rows, policy, gains, np.abs(gains))
    best = np.array([(c.best.low, c.best.high) for c in known])
    span = np.array([c.span for c in known])
    least, most = best[:, 0] - high, best[:, 1] - low
    return np.maximum(least, 0.0) / span[:, 1], np.maximum(most, 0.0) / span[:, 0] + 8 * EPS


def gains_of(mdp: MDP, rewards: Sequence[Any] | Gains) -> Tensor:
    """(K, S, A), each its own; of `Gains` those of the batch.

    Raises:
        InputError: none at all, or a batch among them.
    """
    each = mean_gain(mdp, rewards).reshape(-1, mdp.states, mdp.actions) if isinstance(rewards, Gains) else rewards
    if not len(each):
        raise InputError("no reward is given: contextual values need at least one")
    return torch.stack([single_gain(mdp, reward, f"reward {k}") for k, reward in enumerate(each)])


def _played(rows: Rows, known: Sequence[Centred]) -> tuple[float, float, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Both bounds, the prior that proves the lower, the policy that proves the upper, and why they are far apart."""
    prior, policy = _proposed(rows, known)
    near = max(FINE, *(2 * (c.span[1] - c.span[0]) / c.span[0] for c in known))  # rounding: no cut takes it away
    upper, lower, best, hardest, cuts, visits = np.inf, -np.inf, policy, prior, [], []

    def joined(one: np.ndarray) -> None:
        nonlocal upper, best
        least, most = shares(rows, known, one)
        cuts.append(least / 2 + most / 2)
        chances = one if one.ndim == 2 else np.eye(rows.error.shape[1])[one]
        visits.append(rows.under(one).visits()[:, None] * chances)
        if most.max() < upper:
            upper, best = min(float(most.max()), 1.0), chances

    joined(policy)
    for turn in range(CUTS):
        bound, answer = _answered(rows, known, prior)
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


def _proposed(rows: Rows, known: Sequence[Centred]) -> tuple[np.ndarray, np.ndarray]:
    """The programme's prior (K,) and policy (S, A)."""
    posed = scaled(rows, [one for c in known for one in (c.best.policy, c.worst.policy)])
    lost = [posed.weights(np.maximum(lost_of(rows, c), 0.0) / c.span[0]) for c in known]
    count, size = len(known), lost[0].size
    found = solved(
        np.append(np.zeros(size), 1.0),
        sparse.csr_matrix(np.hstack([np.stack(lost), -np.ones((count, 1))])),
        np.zeros(count),
        sparse.hstack([posed.flows, sparse.csr_matrix((len(posed.starts), 1))]).tocsr(),
        posed.starts,
    )
    return _normalised(-np.asarray(found.ineqlin.marginals)), posed.policy(found.x[:-1])


def _answered(rows: Rows, known: Sequence[Centred], prior: np.ndarray) -> tuple[float, np.ndarray]:
    """The lower bound of a prior, and the policy (S,) that loses least under it."""
    mu = [p / c.span[0] for p, c in zip(prior, known, strict=True)]
    gains = np.stack([m * c.gain for m, c in zip(mu, known, strict=True)])
    gain, size = gains.sum(0), np.abs(gains).sum(0)
    planned = best_return(rows, gain, (1 + len(known) * EPS) * size)
    each = np.array([m * c.best.low for m, c in zip(mu, known, strict=True)])
    rounding = 4 * (len(known) + 4) * EPS * (np.abs(each).sum() + abs(planned.high))
    most = sum(m * c.span[1] for m, c in zip(mu, known, strict=True))
    return max(0.0, float((each.sum() - planned.high - rounding) / most)), planned.policy


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


__all__ = ["Floor", "contextual_floor", "each_centred", "gains_of", "shares"]
