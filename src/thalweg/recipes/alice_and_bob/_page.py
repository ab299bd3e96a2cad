"""The page: what choices buy, Bob's training, reflection, ontologies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.atlas import Section, Table, report
from thalweg.recipes._drawing import legend, panels
from thalweg.recipes.alice_and_bob._choices import COLOURS, NAMES, ROUNDING, Simulations
from thalweg.recipes.alice_and_bob._page_beyond import drifting, lumpable, reflection
from thalweg.recipes.alice_and_bob._page_choices import curves, slopes
from thalweg.recipes.alice_and_bob._reflection import Case


def write(
    path: Path,
    simulations: Sequence[Simulations],
    learnt: Mapping[str, Any],
    cases: Sequence[Case],
    refined: Mapping[str, Any],
) -> Path:
    """Write the page."""
    sections = [
        *(curves(one) for one in simulations),
        slopes(simulations),
        _training(learnt),
        _numbers(learnt),
        reflection(cases),
        lumpable(refined),
        drifting(refined),
    ]
    return report(path, "Alice and Bob", sections)


def _training(learnt: Mapping[str, Any]) -> Section:
    """Three panels: certificates, gap, continued."""
    steps, gap, size = learnt["steps"], learnt["gap"], learnt["bob_range"]
    figure, (left, middle, right) = panels(12.4, 4.2, columns=3)
    for who, style in (("known", "-"), ("observed", "--")):
        for name in ("exact", "lp", "t1"):
            left.plot(steps, _plain(learnt[who][name]), f"o{style}", markersize=3, linewidth=1.2,
                      color=COLOURS[name], label=f"{NAMES[name]}, {who} Alice")  # fmt: skip
    left.set(xlabel="update", ylabel="share of Alice's range", yscale="log", title="Certificates along training")
    for key, colour, style, label in (
        ("certified", "#2f6690", "o-", "certified"),
        ("predicted", "#c8553d", "s:", "predicted: training + λ̂/(nβ)"),
        ("all", "0.2", "^-", "weights as they are, all rooms"),
        ("training", "0.6", "-", "the same, on the rooms of training"),
    ):
        middle.plot(steps, _plain(gap[key]) / size, style, markersize=3, linewidth=1.2, color=colour, label=label)
    middle.set(xlabel="update", ylabel="share of Bob's range", yscale="log", title="Regret by his own values")
    after = learnt["continued"]
    right.plot(
        after["kappa"], _plain(after["estimated"]), "o-", markersize=4, color=COLOURS["exact"], label="estimated"
    )
    right.axhline(after["at_end"], color="0.5", linewidth=1, linestyle=":", label="at the last checkpoint")
    right.set(xlabel="κ, nats", ylabel="worst mean share of Alice's range", title="Under continued training")
    right.set_ylim(0, None)
    for axes in (left, middle, right):
        legend(axes)
    return Section("Along Bob's training", _told(learnt), figure)


def _told(learnt: Mapping[str, Any]) -> tuple[str, ...]:
    """What the three panels say."""
    known, seen, gap, after = learnt["known"], learnt["observed"], learnt["gap"], learnt["continued"]
    size, worth = learnt["bob_range"], learnt["worth"]
    ends = [x for x in gap["predicted"] if x is not None]
    predicted = (
        f"λ̂ is healthy at {len(ends)} of {len(learnt['steps'])} checkpoints; where it is, the certified number is"
        f" {_ratio(gap):.0f} times the predicted one"
        if ends
        else "λ̂ is healthy at no checkpoint, so that no prediction is drawn"
    )
    known_kappas = [(k, x) for k, x in zip(after["kappa"], after["estimated"], strict=True) if x is not None]
    carry = (
        f"the worst mean within κ = {known_kappas[-1][0]:g} nats is {known_kappas[-1][1]:.2g}"
        if known_kappas
        else "no κ has a value"
    )
    return (
        f"A cheese and a flower are worth {_pair(worth['alice'])} to Alice, {_pair(worth['bob'])} to Bob, who learns"
        f" by exact gradient on {learnt['rooms']} rooms drawn from all. An Alice whose worths are known certifies him"
        f" at {known['exact'][0]:.2g} before training and {known['exact'][-1]:.2g} after it, one who was seen to"
        f" choose at {seen['exact'][0]:.2g} and {seen['exact'][-1]:.2g}. {_ordered(learnt)}. T1 keeps the"
        " distance of their values, however well he learns.",
        f"Certified: PAC-Bayes-kl for weights drawn from a Gaussian around his, δ split over {len(learnt['steps'])}"
        f" checkpoints: {gap['certified'][-1] / size:.2g} of his range at the end, where his own weights have"
        f" {gap['all'][-1] / size:.2g} on all rooms. Predicted, never certified: {predicted}.",
        f"Estimated: from {after['draws']} draws of the local posterior, whose mean share is {after['mean']:.2g},"
        f" {carry}; a larger κ rests on fewer than ten effective draws and has no value. This is the known Alice's"
        " exact number.",
    )


def _ordered(learnt: Mapping[str, Any]) -> str:
    """Whether exact <= lp <= t1 at every checkpoint."""
    columns = [
        np.array([_plain(learnt[who][name]) for name in ("exact", "lp", "t1")]) for who in ("known", "observed")
    ]
    found = all((np.diff(each, axis=0) >= -ROUNDING).all() for each in columns)
    return "exact ≤ lp ≤ T1 throughout" if found else "exact ≤ lp ≤ T1 fails somewhere, which it must not"


def _numbers(learnt: Mapping[str, Any]) -> Section:
    """The last checkpoint."""
    rows = []
    for who in ("known", "observed"):
        rows.append((f"{who} Alice", *(_cell(learnt[who][k][-1]) for k in ("exact", "lp", "t1", "realised"))))
        rows.append((f"{who} Alice, of him only the certified gap",
                     *(_cell(learnt["learned"][who][k]) for k in ("exact", "lp", "t1", "realised"))))  # fmt: skip
    words = (
        "At the last checkpoint, as shares of Alice's range. A Bob of whom only the certified gap is known has no"
        " exact number, and his gap is that of weights drawn around his own.",
    )
    return Section(
        "After training", words, None, Table(("what is known", "exact", "lp", "T1", "realised"), tuple(rows))
    )


def _plain(numbers: Sequence[float | None]) -> np.ndarray:
    """(T,) with NaN, which is not drawn, where there is no number."""
    return np.array([np.nan if x is None else x for x in numbers], dtype=float)


def _ratio(gap: Mapping[str, Any]) -> float:
    """Certified over predicted, the mean where there are both."""
    pairs = [(c, p) for c, p in zip(gap["certified"], gap["predicted"], strict=True) if None not in (c, p)]
    return float(np.mean([c / p for c, p in pairs]))


def _pair(worth: Sequence[float]) -> str:
    return " and ".join(f"{x:.2f}" for x in worth)


def _cell(number: float | None) -> str:
    """A share, or a dash."""
    return "–" if number is None else f"{number:.3f}"
