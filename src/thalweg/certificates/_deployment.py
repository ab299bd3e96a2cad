"""Bob in the process that he faces: what he visits, what he may lose, and what that stands on."""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from thalweg.certificates._inputs import one_reward, probabilities
from thalweg.certificates.certificate import Assumption
from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.certificates.parties import Bob, ModelError
from thalweg.errors import InputError, guarded
from thalweg.mdp import MDP, Interval, Valuation, model_error_bound, one_number

ROUNDING = 1e-9  # by which chances of his policies may miss 1


@dataclass(frozen=True, eq=False)
class Deployed:
    """Bob in a decision process.

    Attributes:
        mdp: the stated process.
        policies: (K, S, A), of which one is drawn an episode; None where only his reward is known.
        weights: (K,) their chances.
        his: what his reward says of the process; None where only his policy is known.
        allowed: V* - J by his reward at most, in its units, in any process within the model error; its low side is
            that of a suboptimality that was computed.
        safe: (S, A) a policy that is known to be harmless.
        model_error: how far his process may be from the stated one.
        delta: chance that what bounds his suboptimality fails.
        assumptions: that this stands on.
    """

    mdp: MDP
    policies: Tensor | None
    weights: Tensor
    his: Valuation | None
    allowed: Interval | None
    safe: Tensor | None
    model_error: ModelError
    delta: float
    assumptions: tuple[Assumption, ...]

    @cached_property
    def visits(self) -> Tensor | None:
        """(S, A): mean occupancy of his policies."""
        if self.policies is None:
            return None
        return torch.einsum("k,ksa->sa", self.weights, self.mdp.occupancy(self.policies))

    @property
    def reward(self) -> Tensor:
        """(S, A): his mean reward, less a constant, in his units; 0 in states that no policy visits."""
        if self.his is None:
            raise InputError("Bob's reward is not known: give it")
        read = self.his.reward
        found = torch.zeros(self.mdp.states, self.mdp.actions, dtype=torch.float64)
        found[read.part.states] = read.gain * read.unit
        return found

    @property
    def policy(self) -> Tensor | None:
        """(S, A): the one policy with the same mean occupancy, uniform where it never comes."""
        if self.visits is None:
            return None
        sums = self.visits.sum(-1, keepdim=True)
        return torch.where(sums > 0, self.visits / torch.where(sums > 0, sums, 1.0), 1 / self.mdp.actions)


def deployed(bob: Bob, mdp: MDP, safe: Tensor | None, model_error: ModelError) -> Deployed:
    """Read what is known of Bob."""
    if bob.policy is None and bob.reward is None:
        raise InputError("nothing is known of Bob: give his policy, or his reward and his suboptimality")
    far, *paid = (one_number(getattr(model_error, x.name), f"model_error.{x.name}") for x in fields(model_error))
    if not (0 <= far <= 2 and all(0 <= x < math.inf for x in paid)):
        raise InputError(f"{model_error}: give at least 0, and an L1 distance of at most 2")
    policies, weights = _posterior(bob, mdp)
    safe = None if safe is None else probabilities(mdp, safe, "the safe policy", 2)
    assumptions = [_faces(model_error)]
    if policies is not None and len(policies) > 1:
        words = f"Bob draws one of {len(policies)} policies an episode, by the stated chances"
        assumptions.append(Assumption("posterior", "assumed", words))
    if bob.reward is None:
        if bob.suboptimality is not None:
            raise InputError("Bob's suboptimality is in units of his reward: give it, or leave the suboptimality out")
        return Deployed(mdp, policies, weights, None, None, safe, model_error, 0.0, tuple(assumptions))
    his = one_reward(mdp, bob.reward, "Bob's reward")
    unit = his.reward.unit
    lost = None if policies is None else his.regret(policies, weights).times(unit)
    stated, delta, found = _suboptimality(bob.suboptimality, lost)
    error = model_error_bound(mdp, bob.reward, model_error.bob_reward, model_error.transitions).regret
    allowed = Interval(stated.low, math.nextafter(stated.high + error, math.inf) if error else stated.high)
    return Deployed(mdp, policies, weights, his, allowed, safe, model_error, delta, (*assumptions, found))


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
    return policies, weights / weights.sum()


def _faces(model_error: ModelError) -> Assumption:
    """What is assumed of the process."""
    if model_error == ModelError():
        return Assumption("deployment", "assumed", "Bob faces exactly the stated decision process")
    words = (
        f"Bob faces a process whose rows, in the stated states, differ by at most {model_error.transitions:g} in"
        f" L1, mean rewards by {model_error.reward:g} (each of her features) and {model_error.bob_reward:g} (his);"
        " its start and discount agree"
    )
    return Assumption("deployment", "assumed", words)


def _suboptimality(
    stated: float | GeneralisationBound | None, lost: Interval | None
) -> tuple[Interval, float, Assumption]:
    """How suboptimal he is, the chance that this fails, and what it stands on."""
    if isinstance(stated, GeneralisationBound):
        return _learned(stated, lost)
    if stated is None:
        if lost is None:
            raise InputError("Bob's suboptimality is not known: give it, in units of his reward, or his policy")
        words = f"Bob is within {lost.high:.4g} of his optimum, computed from his policy"
        return lost, 0.0, Assumption("suboptimality", "checked", words)
    if not 0 <= one_number(stated, "suboptimality") < math.inf:
        raise InputError(f"suboptimality {stated}: give a number of at least 0, in units of Bob's reward")
    given = _at_least(float(stated), lost)
    if lost is not None and lost.low > stated:
        words = f"Bob's policy misses his optimum by {lost.low:.4g}, more than the stated {stated:.4g}"
        return given, 0.0, Assumption("suboptimality", "failed", words)
    words = f"Bob is within {stated:.4g} of his optimum, in units of his reward"
    return given, 0.0, Assumption("suboptimality", "assumed" if lost is None else "checked", words)


def _learned(gap: GeneralisationBound, lost: Interval | None) -> tuple[Interval, float, Assumption]:
    """A learning gap as a suboptimality: only what is certified certifies."""
    known: Any = gap.delta
    raw = _at_least(gap.raw, lost)
    if lost is not None and lost.low > gap.raw:
        words = f"Bob's policy misses his optimum by {lost.low:.4g}, more than the learning gap of {gap.raw:.4g}"
        return raw, 0.0, Assumption("suboptimality", "failed", words)
    if gap.kind == "certified" and gap.healthy and known is not None:
        told = "; ".join(gap.assumptions)
        words = f"Bob is within {gap.raw:.4g} of his optimum with probability {1 - known:g}, if {told}"
        return raw, known, Assumption("suboptimality", "assumed", words)
    why = "; ".join(gap.reasons) or f"a learning gap that is {gap.kind} does not certify"
    return Interval(0.0, 0.0), 0.0, Assumption("suboptimality", "failed", why)


def _at_least(stated: float, lost: Interval | None) -> Interval:
    """What is stated, or what his policy may have lost where rounding does not tell the two apart."""
    return Interval(stated, stated if lost is None else max(stated, lost.high if lost.low <= stated else stated))
