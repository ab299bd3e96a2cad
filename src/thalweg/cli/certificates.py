"""What the verb `certify` reads, computes and draws."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from thalweg.agents import Agent
from thalweg.atlas import Section, Table, report
from thalweg.certificates import Assumption, Bob, Certificate, Known, Observed, certify
from thalweg.certificates.door import check_features
from thalweg.errors import InputError
from thalweg.rl import MDP
from thalweg.values import calibrate

ROWS = {
    "exact": "his policy, the worst of her values",
    "lp": "any Bob as near his optimum",
    "t1": "distance of values + learning error",
}


def of_files(alice_file: Path, bob_file: Path) -> Certificate:
    """The certificate of two agent files; Bob's world is Alice's where his file has none."""
    alice = Agent(alice_file)
    bob = Agent(bob_file, alice)
    known, seen = Bob(bob.policy, bob.reward, bob.suboptimality), alice.observed
    if not same(alice.mdp, bob.mdp):
        words = f"the decision process of {bob_file.name} is not the one that {alice_file.name} declares"
        return Certificate(None, None, None, 0.0, (Assumption("deployment", "failed", words),))
    if seen is not None:
        behaviour, values, rule, delta = seen
        check_features(values, behaviour.environments)  # before anything is fitted to them
        tested = calibrate(behaviour, values, rule)
        return certify(Observed(behaviour, values, rule, delta, tested, alice.reward), known, alice.mdp)
    if alice.reward is None:
        raise InputError(f"{alice_file}: nothing is known of her values: give [values] or [choices]")
    return certify(Known(alice.reward), known, alice.mdp)


def same(one: MDP, other: MDP) -> bool:
    """Whether two processes are one."""
    if (one.states, one.actions, one.discount) != (other.states, other.actions, other.discount):
        return False
    if (one.transitions is None) != (other.transitions is None) or not bool((one.start == other.start).all()):
        return False
    if one.transitions is None or other.transitions is None:
        return (one.sparse != other.sparse).nnz == 0
    return bool((one.transitions == other.transitions).all())


def page(found: Certificate, out: Path, title: str) -> Path:
    """Draw a certificate: the number or the reason, what it stands on, what it says."""
    table = Table(("assumption", "status", "words"), tuple((a.name, a.status, a.words) for a in found.assumptions))
    if not found.issued:
        told = tuple(f"No certificate: {a.words}." for a in found.failed)
        return report(out, title, [Section("No number", told), Section("What it would stand on", (), None, table)])
    numbers = [(words, getattr(found, name)) for name, words in ROWS.items() if getattr(found, name) is not None]
    if found.per_start is not None:
        numbers.append(("his policy, from the worst first state", found.per_start))
    rows = [(words, f"{x:.4g}") for words, x in numbers]
    rows += [(f"of the third: {name.replace('_', ' ')}", f"{x:.4g}") for name, x in found.decomposition.items() if x]
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


__all__ = ["of_files", "page", "same"]
