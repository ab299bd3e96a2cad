"""Bob in the process that he faces: what he visits, what he may lose, and what that stands on."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.certificates.door import one_reward, probabilities
from thalweg.certificates.gap import Gap
from thalweg.certificates.parties import Bob, Drift
from thalweg.certificates.statement import Assumption
from thalweg.errors import InputError, guarded
from thalweg.rl import MDP
from thalweg.values import two_policy_error

ROUNDING = 1e-9  # of his values, by which a stated suboptimality may be missed


@dataclass(frozen=True, eq=False)
class Deployed:
    """Bob in a decision process.

    Attributes:
        mdp: the stated process.
        policies: (K, S, A), of which one is drawn an episode; None where only his reward is known.
        weights: (K,) their chances.
        visits: (S, A) mean occupancy of them.
        reward: (S, A) his; None where only his policy is known.
        size: its return range.
        allowed: V* - J by his reward at most, in its units, in any process within the drift.
        safe: (S, A) a policy that is known to be harmless.
        drift: how far his process may be from the stated one.
        delta: chance that what bounds his suboptimality fails.
        assumptions: that this stands on.
    """

    mdp: MDP
    policies: Tensor | None
    weights: Tensor
    visits: Tensor | None
    reward: Tensor | None
    size: float
    allowed: float | None
    safe: Tensor | None
    drift: Drift
    delta: float
    assumptions: tuple[Assumption, ...]

    @property
    def policy(self) -> Tensor | None:
        """(S, A): the one policy with the same mean occupancy, uniform where it never comes."""
        if self.visits is None:
            return None
        sums = self.visits.sum(-1, keepdim=True)
        return torch.where(sums > 0, self.visits / torch.where(sums > 0, sums, 1.0), 1 / self.mdp.actions)


def deployed(bob: Bob, mdp: MDP, safe: Tensor | None, drift: Drift) -> Deployed:
    """Read what is known of Bob.

    Raises:
        InputError: nothing is known of him, shapes that do not fit, a drift that is none.
    """
    if bob.policy is None and bob.reward is None:
        raise InputError("nothing is known of Bob: give his policy, or his reward and his suboptimality")
    if not (0 <= drift.transitions <= 2 and 0 <= drift.reward < torch.inf and 0 <= drift.bob_reward < torch.inf):
        raise InputError(f"{drift}: give at least 0, and an L1 distance of at most 2")
    policies, weights = _posterior(bob, mdp)
    safe = None if safe is None else probabilities(mdp, safe, "the safe policy", 2)
    visits = None if policies is None else torch.einsum("k,ksa->sa", weights, mdp.occupancy(policies))
    assumptions = [_faces(drift)]
    if policies is not None and len(policies) > 1:
        words = f"Bob draws one of {len(policies)} policies an episode, by the stated chances"
        assumptions.append(Assumption("posterior", "assumed", words))
    if bob.reward is None:
        if bob.suboptimality is not None:
            raise InputError("Bob's suboptimality is in units of his reward: give it, or leave the suboptimality out")
        return Deployed(
            mdp, policies, weights, visits, None, 0.0, None, safe, drift, 0.0, tuple(assumptions)
        )  # what he wants is not known
    own = one_reward(mdp, bob.reward, "Bob's reward")
    lost = None if visits is None else max(float(mdp.optimal(own).value @ mdp.start - (visits * own).sum()), 0.0)
    best, worst = mdp.optimal(own).value, mdp.worst(own).value
    stated, delta, found = _suboptimality(bob.suboptimality, lost, float(best.abs().max()))
    error = two_policy_error(drift.bob_reward, drift.transitions, float(best.max() - worst.min()), mdp.discount)
    size, known = float(mdp.return_range(own)), (*assumptions, found)
    return Deployed(mdp, policies, weights, visits, own, size, stated + error, safe, drift, delta, known)


def _posterior(bob: Bob, mdp: MDP) -> tuple[Tensor | None, Tensor]:
    """(K, S, A) policies and (K,) chances."""
    if bob.policy is None:
        if bob.weights is not None:
            raise InputError("weights of Bob's policies: there is no policy, give them")
        return None, torch.ones(1, dtype=torch.float64)
    given = probabilities(mdp, bob.policy, "Bob's policy")
    policies = given[None] if given.ndim == 2 else given
    even = torch.full((len(policies),), 1 / max(len(policies), 1), dtype=torch.float64)
    with guarded("weights of Bob's policies", "give a chance for each, which sum to 1"):
        weights = even if bob.weights is None else torch.as_tensor(bob.weights, dtype=torch.float64)
    if weights.shape != even.shape or not (weights >= 0).all() or not abs(float(weights.sum()) - 1) <= ROUNDING:
        raise InputError(f"weights of Bob's {len(policies)} policies: give a chance for each, which sum to 1")
    return policies, weights


def _faces(drift: Drift) -> Assumption:
    """What is assumed of the process."""
    if drift == Drift():
        return Assumption("deployment", "assumed", "Bob faces exactly the stated decision process")
    words = (
        f"Bob faces a process whose rows, in the stated states, differ by at most {drift.transitions:g} in"
        f" L1, mean rewards by {drift.reward:g} (each of her features) and {drift.bob_reward:g} (his); its start and"
        " discount agree"
    )
    return Assumption("deployment", "assumed", words)


def _suboptimality(stated: float | Gap | None, lost: float | None, size: float) -> tuple[float, float, Assumption]:
    """How suboptimal he is, the chance that this fails, and what it stands on."""
    if isinstance(stated, Gap):
        return _learned(stated, lost, size)
    if stated is None:
        if lost is None:
            raise InputError("Bob's suboptimality is not known: give it, in units of his reward, or his policy")
        words = f"Bob is within {lost:.4g} of his optimum, computed from his policy"
        return lost, 0.0, Assumption("suboptimality", "checked", words)
    if not 0 <= stated < torch.inf:
        raise InputError(f"suboptimality {stated}: give a number of at least 0, in units of Bob's reward")
    if lost is not None and lost > stated + ROUNDING * size:
        words = f"Bob's policy misses his optimum by {lost:.4g}, more than the stated {stated:.4g}"
        return stated, 0.0, Assumption("suboptimality", "failed", words)
    words = f"Bob is within {stated:.4g} of his optimum, in units of his reward"
    return stated, 0.0, Assumption("suboptimality", "assumed" if lost is None else "checked", words)


def _learned(gap: Gap, lost: float | None, size: float) -> tuple[float, float, Assumption]:
    """A learning gap as a suboptimality: only what is certified certifies."""
    known: Any = gap.delta
    if lost is not None and lost > gap.raw + ROUNDING * size:
        words = f"Bob's policy misses his optimum by {lost:.4g}, more than the learning gap of {gap.raw:.4g}"
        return gap.raw, 0.0, Assumption("suboptimality", "failed", words)
    if gap.kind == "certified" and gap.healthy and known is not None:
        told = "; ".join(gap.assumptions)
        words = f"Bob is within {gap.raw:.4g} of his optimum with probability {1 - known:g}, if {told}"
        return gap.raw, known, Assumption("suboptimality", "assumed", words)
    why = "; ".join(gap.reasons) or f"a learning gap that is {gap.kind} does not certify"
    return 0.0, 0.0, Assumption("suboptimality", "failed", why)


__all__ = ["Deployed", "deployed"]
