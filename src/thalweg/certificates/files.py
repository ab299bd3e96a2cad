"""The certificate of two agent files: which kind of Alice her file tells of, and what is tested.

Choices with a choice model are tested against it where there is a class to test, each context by itself.
"""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from thalweg.agents import Agent, Seen, agent_file, check_roles
from thalweg.certificates._deployment import deployed
from thalweg.certificates._inputs import one_reward
from thalweg.certificates.certificate import Assumption, Certificate
from thalweg.certificates.certify import certify
from thalweg.certificates.confidence_set._cost import check_class
from thalweg.certificates.confidence_set._tangents import check_ranges
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
from thalweg.errors import InputError
from thalweg.irl import goodness_of_fit


def certify_files(alice: str | Path, bob: str | Path, *, untested: bool = False) -> Certificate:
    """Bound the regret by Alice's values that Bob can have, of two agent files.

    Args:
        alice: TOML: her world, and her reward, recorded choices or answers.
        bob: TOML: his policy, or his reward and suboptimality, or both; his world is hers where it has none.
        untested: take her choice model as it is though no test of it is possible, as `untested = true` in her file.

    Returns:
        The certificate, without a number where an assumption failed.

    Raises:
        InputError: the file and what is wrong with it; a question that has no meaning.
    """
    return certify_agents(*read_agents(alice, bob), untested=untested)


def read_agents(alice: str | Path, bob: str | Path) -> tuple[Agent, Agent]:
    """Two agent files with what they point to; what neither of them reads is refused before anything is built.

    Raises:
        InputError: the file and what is wrong with it.
    """
    alice, bob = Path(alice), Path(bob)
    hers, his = agent_file(alice), agent_file(bob)
    check_roles((alice, hers), (bob, his))
    known = Agent(alice, file=hers, whose="Alice")
    return known, Agent(bob, known, file=his, whose="Bob")


def certify_agents(alice: Agent, bob: Agent, *, untested: bool = False) -> Certificate:
    """The certificate of two agents that `read_agents` read; of arguments, result and refusals see `certify_files`.

    What is known of Bob is checked before anything is fitted to Alice.
    """
    known = Bob(bob.policy, bob.reward, bob.suboptimality, bob.weights)
    safe, model_error = bob.safe, ModelError(**bob.file.model_error.model_dump())
    if not alice.mdp.same(bob.mdp):
        words = f"the decision process of {bob.path.name} is not the one that {alice.path.name} declares"
        return Certificate((Assumption("deployment", "failed", words),))
    seen, reward = alice.observed, alice.reward
    if untested and (seen is None or seen.values is None):
        raise InputError("--untested: only choices beside features are tested against a choice model: leave it out")
    if seen is None:
        return certify(_told(alice, reward), known, alice.mdp, safe=safe, model_error=model_error)
    deployed(known, alice.mdp, safe, model_error)
    if reward is not None:
        one_reward(alice.mdp, reward, "Alice's reward")
    found = certify(
        _read(seen, reward, untested or seen.untested), known, alice.mdp, safe=safe, model_error=model_error
    )
    if not seen.mixed:
        return found
    words = "contexts were recorded, and one reward is in force in all of them: no `contexts` in [choices]"
    return replace(found, assumptions=(*found.assumptions, Assumption("contexts", "assumed", words)))


def _told(alice: Agent, reward: Tensor | None) -> Alice:
    """What her file says of her where she was not seen."""
    asked = alice.asked
    if asked is not None:
        return StatedPolicy(*asked)
    if reward is None:
        raise InputError(f"{alice.path}: nothing is known of her values: give [values], [choices] or [answers]")
    return KnownReward(reward)


def _read(seen: Seen, reward: Tensor | None, untested: bool) -> Alice:
    """Her choices, tested against the choice model where there is a class to test."""
    behaviour, choice_model = seen.behaviour, seen.choice_model
    if choice_model is None:
        return ActionCounts(behaviour, seen.delta)
    if seen.candidates is not None:
        return Candidates(
            behaviour, list(seen.candidates), choice_model, seen.delta, reward=reward, untested=untested
        )
    values = seen.values
    if values is None:
        raise InputError("choices with an inverse temperature: give features or candidates")
    check_class(values)
    if choice_model.relative:
        for number, world in enumerate(behaviour.environments):
            check_ranges(values, world, number)  # before anything is fitted to them
    if seen.contexts is None:
        found = goodness_of_fit(behaviour, values, choice_model)
        return Demonstrations(behaviour, values, choice_model, seen.delta, found, reward, untested=untested)
    parts = [behaviour.only(seen.contexts == k) for k in range(seen.shards)]  # a number that no choice decides
    each = seen.delta / len(parts)
    found = [goodness_of_fit(part, values, choice_model) for part in parts]
    both = zip(parts, found, strict=True)
    return Contextual(
        tuple(Demonstrations(part, values, choice_model, each, one, untested=untested) for part, one in both)
    )
