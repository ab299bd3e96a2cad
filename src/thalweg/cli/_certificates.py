"""What the verb `certify` draws."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from thalweg.atlas import Section, Table, report
from thalweg.certificates import Certificate

ROWS = {
    "exact": "his policy, the worst of her values",
    "lp": "any Bob as near his optimum",
    "t1": "distance of values + learning error",
}


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
