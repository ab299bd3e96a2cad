"""Reflection and ontologies, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.atlas import Section, Table
from thalweg.recipes.alice_and_bob._choices import NAMES
from thalweg.recipes.alice_and_bob._reflection import Case


def reflection(cases: Sequence[Case]) -> Section:
    """Before and after."""
    rows = []
    for c in cases:
        f = c.found
        numbers = (f.regret_before, f.regret_after, f.bound_before, f.bound_after)
        rows.append((c.name, "yes" if f.rewrites else "no", *(f"{x:.3f}" for x in numbers)))
    fallen = [c.name for c in cases if c.found.regret_after > c.found.regret_before + 1e-9
              and c.found.bound_after < c.found.bound_before - 1e-9]  # fmt: skip
    menus = tuple(
        f"On the menu of “{'” and “'.join(c.name for c in cases if c.told == told)}”: {told}."
        for told in dict.fromkeys(c.told for c in cases)
    )
    words = (
        "An exact planner who judges by his present reward never gains by adopting another. Three can go wrong, each"
        " beside its control; regret and T1 as shares of Alice's range, T1 with his suboptimality by his first"
        " reward.",
        *menus,
        f"Of “{'; '.join(fallen)}” T1 falls while the regret rises: by his first reward he gains, and only the exact"
        " number sees the harm." if fallen else "Wherever the regret rises, T1 rises.",
    )  # fmt: skip
    header = ("planner", "rewrites", "regret before", "after", "T1 before", "after")
    return Section("Reflection", words, None, Table(header, tuple(rows)))


def lumpable(refined: Mapping[str, Any]) -> Section:
    """Largest differences."""
    found = refined["lumpable"]
    largest = max(found.values())
    words = (
        "Each state is split in up to three that move as one: the certificate in the finer words is the certificate"
        f" in the coarser ones. The largest difference is {largest:.1e}"
        + (", below 1e-10." if largest < 1e-10 else ": more than 1e-10, which it should not be."),
        f"A map that merges what Alice tells apart is refused: “{refined['refused']}”",
    )
    rows = tuple(
        (str(NAMES.get(name, name) if name != "distance" else name), f"{x:.1e}") for name, x in found.items()
    )
    return Section("Ontologies that agree", words, None, Table(("quantity", "largest difference"), rows))


def drifting(refined: Mapping[str, Any]) -> Section:
    """The model error, beside the truth."""
    rows = tuple(
        (f"{d['noise']:g}", f"{d['eps_tau']:.4f}", f"{d['eps_R']:.4f}", f"{d['truth']:.3f}", f"{d['exact']:.3f}",
         f"{d['worst']:.3f}", f"{d['lp']:.3f}", f"{d['plain_violated']:.0%}", f"{d['violated']:.0%}")
        for d in refined["drifting"]
    )  # fmt: skip
    plain = max(d["plain_violated"] for d in refined["drifting"])
    broken = max(d["violated"] for d in refined["drifting"])
    words = (
        "Fine states depart from their block by a share in moves and rewards, and the certificate on coarse states"
        " pays for it by the model error. Beside it the truth on the fine states: his regret, and that of the worst"
        " Bob as suboptimal as he is. Means over processes.",
        f"With the model error it is exceeded in {broken:.0%} of processes, without it in up to {plain:.0%}"
        ": what is coarse is right on the average alone.",
    )
    columns = ("noise", "ε_τ", "ε_R", "regret, fine", "exact", "worst, fine", "lp")
    header = (*columns, "exceeded without", "with the model error")
    return Section("Ontologies that do not", words, None, Table(header, rows))
