"""What the verb `certify` reads, computes and draws."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from thalweg.agents import Agent, Seen, agent_file, check_roles
from thalweg.atlas import Section, Table, report
from thalweg.certificates import (
    Alice,
    Asked,
    Assumption,
    Bob,
    Candidates,
    Certificate,
    Contextual,
    Counted,
    Drift,
    Known,
    Observed,
    certify,
    check_class,
    check_ranges,
    deployed,
    one_reward,
)
from thalweg.errors import InputError
from thalweg.irl import calibrate

ROWS = {
    "exact": "his policy, the worst of her values",
    "lp": "any Bob as near his optimum",
    "t1": "distance of values + learning error",
}


def of_files(alice_file: Path, bob_file: Path, *, untested: bool = False) -> Certificate:
    """The certificate of two agent files; Bob's world is Alice's where his file has none; `untested` as in hers."""
    return of_agents(*read(alice_file, bob_file), untested=untested)


def read(alice_file: Path, bob_file: Path) -> tuple[Agent, Agent]:
    """Two agent files with what they point to; what neither of them reads is refused before anything is built.

    Raises:
        InputError: the file and what is wrong with it.
    """
    hers, his = agent_file(alice_file), agent_file(bob_file)
    check_roles((alice_file, hers), (bob_file, his))
    alice = Agent(alice_file, file=hers, whose="Alice")
    return alice, Agent(bob_file, alice, file=his, whose="Bob")


def of_agents(alice: Agent, bob: Agent, *, untested: bool = False) -> Certificate:
    """The certificate of two agents; what is known of Bob is checked before anything is fitted to Alice."""
    known = Bob(bob.policy, bob.reward, bob.suboptimality, bob.weights)
    safe, drift = bob.safe, Drift(**bob.file.drift.model_dump())
    if not alice.mdp.same(bob.mdp):
        words = f"the decision process of {bob.path.name} is not the one that {alice.path.name} declares"
        return Certificate((Assumption("deployment", "failed", words),))
    seen, reward = alice.observed, alice.reward
    if untested and (seen is None or seen.values is None):
        raise InputError("--untested: only choices beside features are tested against a rule: leave it out")
    if seen is None:
        return certify(_told(alice, reward), known, alice.mdp, safe=safe, drift=drift)
    deployed(known, alice.mdp, safe, drift)
    if reward is not None:
        one_reward(alice.mdp, reward, "Alice's reward")
    found = certify(_read(seen, reward, untested or seen.untested), known, alice.mdp, safe=safe, drift=drift)
    if not seen.mixed:
        return found
    words = "contexts were recorded, and one reward is in force in all of them: no `contexts` in [choices]"
    return replace(found, assumptions=(*found.assumptions, Assumption("contexts", "assumed", words)))


def _told(alice: Agent, reward: Tensor | None) -> Alice:
    """What her file says of her where she was not seen."""
    asked = alice.asked
    if asked is not None:
        return Asked(*asked)
    if reward is None:
        raise InputError(f"{alice.path}: nothing is known of her values: give [values], [choices] or [answers]")
    return Known(reward)


def _read(seen: Seen, reward: Tensor | None, untested: bool) -> Alice:
    """Her choices, tested against the rule where there is a class to test."""
    behaviour, rule = seen.behaviour, seen.rule
    if rule is None:
        return Counted(behaviour, seen.delta)
    if seen.candidates is not None:
        return Candidates(behaviour, list(seen.candidates), rule, seen.delta, reward=reward, untested=untested)
    values = seen.values
    if values is None:
        raise InputError("choices with a sharpness: give features or candidates")
    check_class(values)
    if rule.relative:
        for number, world in enumerate(behaviour.environments):
            check_ranges(values, world, number)  # before anything is fitted to them
    if seen.contexts is None:
        found = calibrate(behaviour, values, rule)
        return Observed(behaviour, values, rule, seen.delta, found, reward, untested=untested)
    parts = [behaviour.only(seen.contexts == k) for k in range(seen.shards)]  # a number that no choice decides
    each = seen.delta / len(parts)
    found = [calibrate(part, values, rule) for part in parts]
    both = zip(parts, found, strict=True)
    return Contextual(tuple(Observed(part, values, rule, each, one, untested=untested) for part, one in both))


def page(found: Certificate, out: Path, title: str) -> Path:
    """Draw a certificate: the number or the reason, what it stands on, what it says."""
    table = Table(("assumption", "status", "words"), tuple((a.name, a.status, a.words) for a in found.assumptions))
    if not found.issued:
        told = tuple(f"No certificate: {a.words}." for a in found.failed)
        return report(out, title, [Section("No number", told), Section("What it would stand on", (), None, table)])
    told = found.to_dict()
    numbers = [(words, told[name]) for name, words in ROWS.items() if told[name] is not None]
    if told["per_start"] is not None:
        numbers.append(("his policy, from the worst first state", told["per_start"]))
    rows = [(words, f"{x:.4g}") for words, x in numbers]
    rows += [
        (f"of the third: {name.replace('_', ' ')}", f"{x:.4g}") for name, x in told["decomposition"].items() if x
    ]
    if found.floor is not None:
        rows.append(("floor: least worst regret of any policy", f"{found.floor:.4g}"))
    if found.beside_safe is not None:
        rows.append(("regret over that of the safe policy", f"{found.beside_safe:.4g}"))
    shares = Table(("bound", "share of range"), tuple(rows))
    sections = [
        Section("How far Bob can stray", (found.statement,), _bars(numbers), shares),
        Section("What it stands on", (), None, table),
    ]
    if found.tighter:
        sections.append(Section("What would make it tighter", found.tighter))
    return report(out, title, sections)


def _bars(numbers: list[tuple[str, float]]) -> Figure:
    """The bounds, as shares of the range."""
    figure = Figure(figsize=(8.4, 0.5 + 0.45 * len(numbers)), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(numbers))[::-1]
    axes.barh(at, [x for _, x in numbers], height=0.55, color="#2f6690")
    for y, (_, x) in zip(at, numbers, strict=True):
        axes.text(x, y, f" {x:.3g}", va="center", fontsize=8)
    axes.set_yticks(at, [words for words, _ in numbers])
    axes.set(xlabel="regret by Alice's values, share of her return range")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


__all__ = ["of_agents", "of_files", "page", "read"]
