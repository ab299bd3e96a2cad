"""From what is known of Alice and of Bob to a certificate, assumption by assumption."""

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from thalweg.certificates._assumptions import PLANNER, by_rule, proven, recorded, seen
from thalweg.certificates._deployment import Deployed, deployed
from thalweg.certificates._distance import apart
from thalweg.certificates._inputs import one_reward
from thalweg.certificates._relative_regret import RelativeRegret, largest, of_cover, of_reward
from thalweg.certificates.certificate import Assumption, Certificate
from thalweg.certificates.confidence_set._finite import finite_set
from thalweg.certificates.confidence_set.cover import covered
from thalweg.certificates.parties import (
    ActionCounts,
    Alice,
    Bob,
    Candidates,
    Contextual,
    Demonstrations,
    KnownReward,
    ModelError,
    StatedPolicy,
)
from thalweg.effort import affordable, announce, seconds_of
from thalweg.errors import InputError, UnhealthyError
from thalweg.irl import bounded_density_regret, implied_reward
from thalweg.mdp import MDP, Gains, Interval, MinimaxRegret, ModelErrorBound, contextual_minimax_regret
from thalweg.old_names import old_keywords

REMEDIES = {  # what would make a part smaller
    "value_distance": "make Bob's reward more like Alice's",
    "learning_gap": "train Bob closer to his optimum",
    "statistical_radius": "observe more of Alice's choices, where her candidates disagree",
    "drift": "describe Bob's process more exactly",
}
BESIDE = "no number beside the safe policy: it may lose nothing in the process that Bob may face, name one that loses"


@old_keywords(drift="model_error")
def certify(
    alice: Alice, bob: Bob, mdp: MDP, *, safe: Tensor | None = None, model_error: ModelError | None = None
) -> Certificate:
    """Bound the regret by Alice's values that Bob can have in a decision process.

    Args:
        alice: her reward, her choices, or her log probabilities.
        bob: his policy or posterior of policies, his reward, or both.
        mdp: the process that he faces; `rl.mixture` makes one of several levels.
        safe: (S, A) a policy that is known to be harmless, beside whose regret his is shown.
        model_error: how far his process may be from the stated one; default not at all.

    Returns:
        The certificate; where an assumption failed it has no number.

    Raises:
        InputError: a Bob of whom nothing is known, shapes that do not fit, a return range of 0.
    """
    for given, kind, how in (
        (bob, Bob, "Bob(policy=, reward=)"),
        (mdp, MDP, "tw.MDP"),
        (model_error or ModelError(), ModelError, "ModelError"),
    ):
        if not isinstance(given, kind):
            raise InputError(f"a {type(given).__name__} is no {kind.__name__}: give a {how}")
    known = deployed(bob, mdp, safe, model_error or ModelError())
    found = _of(alice, known)
    if safe is not None and found.exact is not None and found.beside_safe is None:
        found = replace(found, tighter=(*found.tighter, BESIDE))
    assumptions = (*found.assumptions, *known.assumptions)
    if any(a.status == "failed" for a in assumptions):
        return Certificate(assumptions, found.delta + known.delta)
    return replace(found, assumptions=assumptions, delta=found.delta + known.delta)


@singledispatch
def _of(alice: Any, bob: Deployed) -> Certificate:
    """The certificate of one kind of Alice; what Bob stands on is added to it."""
    raise InputError(f"Alice is a {type(alice).__name__}: give one of the kinds of `thalweg.certificates`")


@_of.register
def _known(alice: KnownReward, bob: Deployed) -> Certificate:
    """Her reward is one."""
    return _one(alice.reward, bob, (Assumption("values", "assumed", "Alice's values are the stated reward"),))


@_of.register
def _asked(alice: StatedPolicy, bob: Deployed) -> Certificate:
    """Her log probabilities are a reward, up to shaping and scale."""
    words = "she told her log probabilities in Bob's process, where she plans with its discount"
    stands = (by_rule(alice.choice_model), PLANNER, Assumption("log probabilities", "assumed", words))
    return _one(implied_reward(alice.choice_model, alice.log_policy), bob, stands)


def _one(reward: Any, bob: Deployed, stands: tuple[Assumption, ...]) -> Certificate:
    """Of one reward."""
    shares, off = of_reward(reward, bob)
    parts = {**_parts(reward, bob, shares), "statistical_radius": 0.0}
    return _stated(shares, off, 0.0, stands, parts, _realised(reward, bob))


@_of.register
def _observed(alice: Demonstrations, bob: Deployed) -> Certificate:
    """Her values are in a confidence set that cells cover."""
    if alice.reward is not None:
        one_reward(bob.mdp, alice.reward, "Alice's reward")  # before what takes long
    cover = covered(
        alice.behaviour, alice.values, alice.choice_model, alice.delta, slack=alice.slack, evidence=alice.evidence
    )
    stands = seen(alice, alice.slack)
    words = f"her reward is linear in the {alice.values.weights} stated features"
    if alice.values.bound is not None:
        words += f", its weights within {alice.values.bound:g}"
    there = alice.there or alice.values
    if there.weights != alice.values.weights:
        raise InputError(
            f"features there have {there.weights} weights, her class {alice.values.weights}: give as many"
        )
    try:
        shares, off = of_cover(cover, there, bob)
    except UnhealthyError as error:
        return Certificate((*stands, Assumption("class", "failed", str(error))), alice.delta)
    stands += (Assumption("class", "assumed", words), proven(cover))
    likeliest = there.reward(cover.points.values[cover.likelihood().argmax()], bob.mdp.actions)
    parts = _parts(likeliest, bob, shares)
    return _stated(shares, off, alice.delta, stands, parts, _realised(alice.reward, bob))


@_of.register
def _candidates(alice: Candidates, bob: Deployed) -> Certificate:
    """She is one of finitely many."""
    rewards = _each(alice.rewards)
    logs = torch.tensor([_told(alice, number, reward) for number, reward in enumerate(rewards)], dtype=torch.float64)
    found = finite_set(logs, alice.delta)
    left = [reward for reward, keep in zip(rewards, found.keep, strict=True) if keep]
    told = f"she is exactly one of {len(rewards)} candidates, of which the data leave {len(left)}"
    stands = (
        *seen(alice, 0.0),
        Assumption("candidates", "assumed", told),
        Assumption("evidence", "checked", f"log Z is {found.log_evidence:.2f} nats, exact"),
    )
    each = _shares_of(left, bob)
    shares, off = (
        largest([one for one, _ in each]),
        ModelErrorBound(*map(max, zip(*(x for _, x in each), strict=True))),
    )
    parts = _parts(rewards[int(logs.argmax())], bob, shares)
    return _stated(shares, off, alice.delta, stands, parts, _realised(alice.reward, bob))


def _shares_of(rewards: list[Any], bob: Deployed) -> list[tuple[RelativeRegret, ModelErrorBound]]:
    """Of each; how long they take together is said after the first."""
    found = []
    took = seconds_of(lambda: found.append(of_reward(rewards[0], bob))) * (len(rewards) - 1)
    affordable(f"the certificate of {len(rewards):,} candidates", "give fewer, or values in a class", seconds=took)
    announce(f"the certificate of {len(rewards):,} candidates", took)
    return [*found, *(of_reward(reward, bob) for reward in rewards[1:])]


def _each(rewards: Any) -> list[Any]:
    """The candidates, one by one."""
    axes = len(getattr(rewards, "shape", (1, 1)))
    found = list(rewards) if axes > 1 and isinstance(rewards, Iterable) else []
    if not found:
        raise InputError("candidates: give one reward or more, (S,), (S, A) or (S, A, S) each, in a list or an array")
    return found


def _told(alice: Candidates, number: int, reward: Any) -> float:
    """Nats: how likely her choices are by one candidate."""
    seen, total = alice.behaviour, 0.0
    try:
        for e, world in enumerate(seen.environments):
            gain = world.mean_reward(reward)
            if gain.ndim != 2:
                raise InputError(f"reward has shape {tuple(gain.shape)}, a batch: give each candidate by itself")
            total += float((alice.choice_model.log_policy(world, Gains(gain)) * seen.counts(e)).sum())
    except InputError as error:
        raise InputError(f"candidate {number}: {error}") from error
    return total


@_of.register
def _counted(alice: ActionCounts, bob: Deployed) -> Certificate:
    """Her choices bound her probabilities, and these the regret of a policy."""
    if bob.policy is None or bob.model_error != ModelError():
        raise InputError("counts of choices certify a policy in the very process where they were made: give both")
    worlds = alice.behaviour.environments
    if len(worlds) != 1 or not worlds[0].same(bob.mdp):
        words = "Alice was seen in a process that is not Bob's"
        return Certificate((Assumption("seen in deployment", "failed", words),), alice.delta)
    bound = bounded_density_regret(bob.mdp, alice.behaviour.counts(0), bob.policy, alice.delta)
    stands = (
        Assumption("rule", "assumed", "Alice chooses an action with chance ~ exp(b Q*), whatever b and her reward"),
        PLANNER,
        recorded(alice.behaviour),
    )
    if bound.reasons:
        return Certificate((*stands, Assumption("counts", "failed", "; ".join(bound.reasons))), alice.delta)
    found = RelativeRegret(Interval(0.0, bound.value))
    return _stated(found, ModelErrorBound(0.0, 0.0), alice.delta, stands, {}, None)


@_of.register
def _contextual(alice: Contextual, bob: Deployed) -> Certificate:
    """The worst of several rewards; below the floor nobody comes who must please all."""
    if not alice.shards:
        raise InputError("contextual values without a shard: give at least one")
    each = [_of(shard, bob) for shard in alice.shards]
    stands = tuple(replace(a, name=f"{a.name} [{k}]") for k, one in enumerate(each) for a in one.assumptions)
    words = "contexts are read from history, and in each one reward is in force"
    stands = (Assumption("contexts", "assumed", words), *stands)
    delta = sum(one.delta for one in each)
    if any(not one.issued for one in each):
        return Certificate(stands, delta)
    found = {name: _worst_of([getattr(c, name) for c in each]) for name in RelativeRegret().numbers}
    slacks = {name: max(c.slacks[name] for c in each) for name, x in found.items() if x is not None}
    floor = _floor(alice, bob)
    if floor is not None:
        slacks["floor"] = floor.gap
        stands += tuple(Assumption("floor", "checked", reason) for reason in floor.reasons)
    told = [c.realised for c in each if c.realised is not None]
    realised = max(told) if len(told) == len(each) else None
    worst = max(each, key=lambda c: c.bound)
    return replace(
        worst,
        **found,
        slacks=slacks,
        delta=delta,
        assumptions=stands,
        realised=realised,
        floor=None if floor is None else floor.value,
    )


def _worst_of(several: list[float | None]) -> float | None:
    """The largest, if there are all."""
    known = [x for x in several if x is not None]
    return max(known) if len(known) == len(several) else None


def _floor(alice: Contextual, bob: Deployed) -> MinimaxRegret | None:
    """t* of the shards' rewards, where they are known."""
    rewards = [shard.reward for shard in alice.shards if isinstance(shard, KnownReward | Demonstrations | Candidates)]
    if len(rewards) != len(alice.shards) or any(reward is None for reward in rewards):
        return None
    return contextual_minimax_regret(bob.mdp, rewards)


def _stated(
    shares: RelativeRegret,
    off: ModelErrorBound,
    delta: float,
    stands: tuple[Assumption, ...],
    parts: dict[str, float | None],
    realised: float | None,
) -> Certificate:
    """A certificate, unless the model error may take the whole range."""
    if off.regret >= 1:
        words = f"the model error may change a return by {off.regret:.3g} of Alice's range, by all of it"
        return Certificate((*stands, Assumption("drift", "failed", words)), delta)
    moved = shares.drifted(off)
    if off.regret > 0 and moved.t1 is not None and shares.t1 is not None:
        parts = {**parts, "drift": moved.t1.high - shares.t1.high}
    loose = sorted(((x, name) for name, x in parts.items() if x is not None and x > 0), reverse=True)
    return Certificate(
        **moved.numbers,
        slacks=moved.slacks,
        delta=delta,
        assumptions=stands,
        decomposition=parts,
        realised=realised,
        tighter=tuple(f"{REMEDIES[name]} ({x:.3g})" for x, name in loose),
    )


def _parts(likeliest: Any, bob: Deployed, shares: RelativeRegret) -> dict[str, float | None]:
    """What t1 is made of, at her likeliest values; without it, how far the exact bound is from these."""
    parts: dict[str, float | None] = {"value_distance": None, "learning_gap": None, "statistical_radius": None}
    if shares.t1 is not None and bob.his is not None and bob.allowed is not None:
        d = apart(one_reward(bob.mdp, likeliest, "Alice's reward"), bob.his).high
        gap = bob.allowed.high / (bob.his.range.low * bob.his.reward.unit)
        return {"value_distance": d, "learning_gap": gap, "statistical_radius": shares.t1.high - d - gap}
    if shares.exact is not None:
        parts["statistical_radius"] = shares.exact.high - (_realised(likeliest, bob) or 0.0)
    return parts


def _realised(reward: Any, bob: Deployed) -> float | None:
    """Bob's regret by a reward, over its range."""
    if reward is None or bob.policies is None:
        return None
    her = one_reward(bob.mdp, reward, "Alice's reward")
    return her.regret(bob.policies, bob.weights).over(her.range).low
