"""From what is known of Alice and of Bob to a certificate, assumption by assumption.

Alice is known by her reward, or by her behaviour, a class of values and a rule. Bob is known by a policy, by a
reward and how suboptimal he is by it, or by both. Always exact <= lp <= t1, where there are all three.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates.cover import Cover, covered
from thalweg.certificates.door import check_features, one_policy, one_reward, recorded
from thalweg.certificates.regret import composed_bound, worst_regret
from thalweg.certificates.statement import Assumption, Certificate
from thalweg.certificates.supremum import BesideSafe, Composed, FromStarts, NearlyOptimal, Quantity, Regret, supremum
from thalweg.errors import InputError
from thalweg.rl import MDP
from thalweg.values import Behaviour, Boltzmann, Calibration, Linear, reward_distance


@dataclass(frozen=True, eq=False)
class Known:
    """An Alice whose reward is known: (S,), (S, A) or (S, A, S)."""

    reward: Any


@dataclass(frozen=True, eq=False)
class Observed:
    """An Alice who was seen to choose.

    Attributes:
        behaviour: hers.
        values: class that her values are assumed to be in.
        rule: by which she is assumed to choose.
        delta: chance that the confidence set of her values misses them.
        calibration: what `values.calibrate` said of the rule; failed, it forbids a number; None where none was made.
        reward: her true one where it is known, for `realised` alone.
    """

    behaviour: Behaviour
    values: Linear
    rule: Boltzmann
    delta: float = 0.05
    calibration: Calibration | None = None
    reward: Any = None


@dataclass(frozen=True, eq=False)
class Bob:
    """What is known of him.

    Attributes:
        policy: (S, A); None where only his reward is known.
        reward: of any of the shapes; None where only his policy is known.
        suboptimality: V* - J by his reward at most, in its units; computed where his policy is known and it is None.
    """

    policy: Tensor | None = None
    reward: Any = None
    suboptimality: float | None = None


def certify(alice: Known | Observed, bob: Bob, mdp: MDP, *, safe: Tensor | None = None) -> Certificate:
    """Bound the regret by Alice's values that Bob can have in a decision process.

    Args:
        alice: her reward or her choices.
        bob: his policy, his reward, or both.
        mdp: the process that he faces, exactly.
        safe: (S, A) a policy that is known to be harmless, beside whose regret his is shown.

    Raises:
        InputError: a Bob of whom nothing is known, shapes that do not fit, a return range of 0.
    """
    safe = one_policy(mdp, safe, "the safe policy")
    bob = replace(
        bob, policy=one_policy(mdp, bob.policy, "Bob's policy"), reward=one_reward(mdp, bob.reward, "Bob's reward")
    )
    alice = replace(alice, reward=one_reward(mdp, alice.reward, "Alice's reward"))
    allowed, assumptions = _bob(bob, mdp)
    if isinstance(alice, Known):
        return _known(alice, bob, mdp, allowed, assumptions, safe)
    return _observed(alice, bob, mdp, allowed, assumptions, safe)


def _bob(bob: Bob, mdp: MDP) -> tuple[float | None, list[Assumption]]:
    """How suboptimal he is, and what that stands on."""
    if bob.policy is None and bob.reward is None:
        raise InputError("nothing is known of Bob: give his policy, or his reward and his suboptimality")
    if bob.suboptimality is not None and not 0 <= bob.suboptimality < np.inf:
        raise InputError(f"suboptimality {bob.suboptimality} of Bob: give a number of at least 0, in his units")
    faces = Assumption("deployment", "assumed", "Bob faces exactly the stated decision process")
    if bob.reward is None and bob.suboptimality is not None:
        raise InputError("Bob's suboptimality is in units of his reward: give his reward, or leave it out")
    if bob.reward is None:
        return None, [faces]
    lost = None if bob.policy is None else float(mdp.regret(bob.policy, bob.reward))
    if bob.suboptimality is None:
        if lost is None:
            raise InputError("Bob's suboptimality is not known: give it, in units of his reward, or his policy")
        words = f"Bob is within {max(lost, 0.0):.4g} of his optimum, computed from his policy"
        return max(lost, 0.0), [faces, Assumption("suboptimality", "checked", words)]
    if lost is not None and lost > bob.suboptimality * (1 + 1e-9):
        words = f"Bob's policy misses his optimum by {lost:.4g}, more than the stated {bob.suboptimality:.4g}"
        return bob.suboptimality, [faces, Assumption("suboptimality", "failed", words)]
    status = "assumed" if lost is None else "checked"
    words = f"Bob is within {bob.suboptimality:.4g} of his optimum, in units of his reward"
    return bob.suboptimality, [faces, Assumption("suboptimality", status, words)]


def _known(
    alice: Known, bob: Bob, mdp: MDP, allowed: float | None, assumptions: list[Assumption], safe: Tensor | None
) -> Certificate:
    """Her reward is one."""
    exact = lp = t1 = starts = beside = None
    parts: dict[str, float | None] = {"value_distance": None, "learning_gap": None, "statistical_radius": 0.0}
    span = float(mdp.return_range(alice.reward))
    if bob.policy is not None:
        exact = max(float(mdp.regret(bob.policy, alice.reward, normalised=True)), 0.0)
        lost = mdp.optimal(alice.reward).value - mdp.evaluate(bob.policy, alice.reward)
        starts = max(float(lost[mdp.start > 0].max()) / span, 0.0)
        if safe is not None:
            besides = float(mdp.regret(safe, alice.reward))
            beside = exact * span / besides if besides > 0 else None
    if allowed is not None:
        lp = worst_regret(mdp, alice.reward, bob.reward, allowed).value
        parts["value_distance"] = float(reward_distance(mdp, alice.reward, bob.reward))
        size = float(mdp.return_range(bob.reward))
        parts["learning_gap"] = allowed / size
        t1 = composed_bound(parts["value_distance"], allowed, size)
    assumptions = [Assumption("values", "assumed", "Alice's values are the stated reward"), *assumptions]
    return Certificate(exact, lp, t1, 0.0, tuple(assumptions), parts, starts, beside, exact, _tighter(parts))


def _observed(
    alice: Observed, bob: Bob, mdp: MDP, allowed: float | None, assumptions: list[Assumption], safe: Tensor | None
) -> Certificate:
    """Her values are in a confidence set."""
    check_features(alice.values, (mdp, *alice.behaviour.environments))
    cover = covered(alice.behaviour, alice.values, alice.rule, alice.delta)
    reader = cover.reader

    def worst(quantity: Quantity) -> float:
        return supremum(cover, quantity).bound

    exact = lp = t1 = starts = beside = None
    if bob.policy is not None:
        policy, visits = bob.policy.to(torch.float64), mdp.occupancy(bob.policy)
        exact = worst(Regret(reader, mdp, visits))
        starts = worst(FromStarts(reader, mdp, policy))
        if safe is not None:
            beside = worst(BesideSafe(reader, mdp, visits, mdp.occupancy(safe)))
            beside = beside if np.isfinite(beside) else None
    likeliest = alice.values.reward(cover.points.values[cover.likelihood().argmax()], mdp.actions)
    parts: dict[str, float | None] = {"value_distance": None, "learning_gap": None, "statistical_radius": None}
    if allowed is not None:
        own, size = mdp.mean_reward(bob.reward), float(mdp.return_range(bob.reward))
        lp = worst(NearlyOptimal(reader, mdp, own, allowed))
        t1 = worst(Composed(reader, mdp, own, allowed))
        apart, gap = float(reward_distance(mdp, likeliest, own)), allowed / size
        parts = {"value_distance": apart, "learning_gap": gap, "statistical_radius": t1 - apart - gap}
    elif bob.policy is not None and exact is not None:
        parts["statistical_radius"] = exact - float(mdp.regret(bob.policy, likeliest, normalised=True))
    realised = None
    if alice.reward is not None and bob.policy is not None:
        realised = float(mdp.regret(bob.policy, alice.reward, normalised=True))
    assumptions = [*_alice(alice, cover), *assumptions]
    return Certificate(
        exact, lp, t1, alice.delta, tuple(assumptions), parts, starts, beside, realised, _tighter(parts)
    )


def _alice(alice: Observed, cover: Cover) -> list[Assumption]:
    """What the set of her values stands on."""
    scale = "return range" if alice.rule.relative else "unit of reward"
    rule = f"Alice chooses an action with chance ~ exp({alice.rule.sharpness:g} Q* per {scale})"
    return [
        Assumption("rule", "assumed", rule),
        Assumption("planner and discount", "assumed", "no behaviour can tell Alice's planner from her values"),
        _tested(alice.calibration),
        Assumption("class", "assumed", f"her reward is linear in the {alice.values.weights} stated features"),
        recorded(alice.behaviour),
        Assumption("evidence", "checked", f"log Z is at least {cover.log_evidence:.2f} nats, proven cell by cell"),
    ]


def _tested(found: Calibration | None) -> Assumption:
    """What a held-out check of the rule says."""
    if found is None:
        return Assumption("rule tested", "assumed", "no held-out test of the rule was made")
    if found.verdict == "failed":
        return Assumption("rule tested", "failed", found.reason)
    if found.verdict == "untestable":
        return Assumption("rule tested", "assumed", f"untestable: {found.reason}")
    words = f"held-out choices look like the rule's (p = {found.p:.2g}), which does not establish it"
    return Assumption("rule tested", "checked", words)


def _tighter(parts: dict[str, float | None]) -> tuple[str, ...]:
    """What would help, the largest term first."""
    remedies = {
        "value_distance": "make Bob's reward more like Alice's",
        "learning_gap": "train Bob closer to his optimum",
        "statistical_radius": "observe more of Alice's choices, where her candidates disagree",
    }
    known = sorted(((x, name) for name, x in parts.items() if x is not None and x > 0), reverse=True)
    return tuple(f"{remedies[name]} ({x:.3g})" for x, name in known)


__all__ = ["Bob", "Known", "Observed", "certify"]
