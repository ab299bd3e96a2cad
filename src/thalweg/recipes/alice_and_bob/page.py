"""The page: what choices buy, Bob's training, reflection, ontologies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thalweg.atlas import Section, Table, report
from thalweg.recipes.alice_and_bob.choices import CURVES, DELTA, Bought, document
from thalweg.recipes.alice_and_bob.reflection import Case

COLOURS = {"exact": "#2f6690", "lp": "#8a6d3b", "distance": "#1b7f5c", "t1": "#c8553d", "realised": "0.45"}
NAMES = {"exact": "exact", "lp": "lp", "distance": "sup d", "t1": "T1", "realised": "realised"}
WITHIN = 1.5  # factor within which a curve is said to follow its prediction


def write(
    path: Path, bought: Sequence[Bought], learnt: Mapping[str, Any], cases: Sequence[Case], refined: Mapping[str, Any]
) -> Path:
    """Write the page."""
    sections = [
        *(_choices(one) for one in bought),
        _laws(bought),
        _training(learnt),
        _numbers(learnt),
        _reflection(cases),
        _lumpable(refined),
        _drifting(refined),
    ]
    return report(path, "Alice and Bob", sections)


def _choices(found: Bought) -> Section:
    """Curves of one sharpness beside their predictions."""
    told, choosers = document(found), found.choosers
    n = np.array(choosers.choices, dtype=float)
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    axes = figure.subplots()
    for name in (*CURVES, "realised"):
        mean, shown = np.array(told[name]), found.curves[name]
        error = shown.std(0, ddof=1) / len(shown) ** 0.5
        keep = mean > 0
        axes.errorbar(n[keep], mean[keep], np.minimum(1.96 * error, 0.9 * mean)[keep], fmt="o-", markersize=4,
                      linewidth=1.2, color=COLOURS[name], label=NAMES[name])  # fmt: skip
        law = found.laws.get(name)
        if law is not None and law.constant is not None and found.llc is not None:
            fine = np.geomspace(n[0], n[-1], 100)
            power = 1.0 if name == "exact" else 0.5
            line = law.constant * (found.llc * np.log(fine) / fine) ** power + law.floor
            axes.plot(fine, line, "--", color=COLOURS[name], linewidth=1, alpha=0.8)
    axes.plot([], [], "--", color="0.3", linewidth=1, label="predicted, one constant a curve")
    axes.set(xscale="log", yscale="log", xlabel="choices n", ylabel="share of Alice's return range, mean")
    _dress(axes)
    missed = max(told["missed"])
    words = (
        f"{choosers.alices} simulated Alices, off any grid, of logits {choosers.sharpness:g} Q*/ρ; half of them in"
        " three environments of which their own actions choose. Bob is best for the mean normalised reward of the"
        f" confidence set; T1 is for one who may be {choosers.share:.0%} of his range worse, so that it cannot fall"
        " below that. Bars: 95 % of the mean.",
        f"The set misses her at δ = {DELTA:g} in at most {missed:.1%} of cases at any one n, and at some n in"
        f" {told['ever_missed']:.1%} of Alices; the certificate was exceeded in {told['exceeded']:.1%}.",
        _coefficient(found),
    )
    header = ("n", "exact, median", "exact", "sup d", "T1", "realised", "missed")
    rows = tuple(
        (f"{int(n[i]):,}", *(f"{told[k][i]:.2g}" for k in ("median_exact", "exact", "distance", "t1", "realised")),
         f"{told['missed'][i]:.1%}")
        for i in range(len(n))
    )  # fmt: skip
    return Section(f"What choices buy: logits {choosers.sharpness:g} Q*/ρ", words, figure, Table(header, rows))


def _coefficient(found: Bought) -> str:
    """What was found of lambda."""
    healthy = [one for one in found.coefficients if one["verdict"] == "healthy"]
    if found.llc is None:
        return "No estimate of λ_A is healthy, so that no prediction is drawn."
    spread = [one["raw"] for one in healthy]
    return (
        f"λ_A = {found.llc:.2f}, the mean of {len(healthy)} healthy estimates of {len(found.coefficients)}, from"
        f" {min(spread):.2f} to {max(spread):.2f}; a regular likelihood of two directions has 1."
    )


def _laws(bought: Sequence[Bought]) -> Section:
    """Slopes, fitted and predicted."""
    rows, told = [], []
    for one in bought:
        for name, law in one.laws.items():
            low, high = law.interval
            agrees = low <= law.predicted <= high
            shape = "λ log n / n" if name == "exact" else "its root" + (" + 0.02" * (law.floor > 0))
            rows.append((
                f"{one.choosers.sharpness:g}", NAMES[name], f"{law.slope:.2f}", f"{low:.2f} to {high:.2f}",
                f"{law.predicted:.2f}", shape, "–" if law.constant is None else f"{law.constant:.2g}",
                "–" if law.worst is None else f"{law.worst:.2f}",
            ))  # fmt: skip
            where = f"{NAMES[name]} at {one.choosers.sharpness:g} Q*/ρ"
            if law.floor:
                continue  # its slope is that of the distance, bent by a floor
            if agrees and law.worst is not None and law.worst <= WITHIN:
                told.append(f"{where} falls as predicted")
            else:
                how = "faster" if law.slope < law.predicted else "more slowly"
                off = "" if law.worst is None else f", and is off by up to a factor of {law.worst:.2f}"
                told.append(f"{where} falls {how if not agrees else 'with the predicted slope'}{off}")
    words = (
        "; ".join(told) + ".",
        "Slopes are of log mean against log n, intervals 90 % by bootstrap over Alices; the predicted slope is that"
        " of the prediction at the same n, log n included. The last column is the largest factor between a curve and"
        " its prediction with one fitted constant. T1 is sup d and Bob's 2 %: the prediction has that floor, its"
        " slope not.",
    )
    header = ("b", "curve", "slope", "interval", "predicted", "law", "constant", "off by")
    return Section("Does it fall as predicted?", words, None, Table(header, tuple(rows)))


def _training(learnt: Mapping[str, Any]) -> Section:
    """Three panels: certificates, gap, continued."""
    steps, gap, size = learnt["steps"], learnt["gap"], learnt["bob_range"]
    figure = Figure(figsize=(12.4, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
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
        _dress(axes)
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
        else "too few draws for any κ"
    )
    return (
        f"A cheese and a flower are worth {_pair(worth['alice'])} to Alice, {_pair(worth['bob'])} to Bob, who learns"
        f" by exact gradient on {learnt['rooms']} rooms drawn from all. An Alice whose worths are known certifies him"
        f" at {known['exact'][0]:.2g} before training and {known['exact'][-1]:.2g} after it, one who was seen to"
        f" choose at {seen['exact'][0]:.2g} and {seen['exact'][-1]:.2g}. exact ≤ lp ≤ T1 throughout. T1 keeps the"
        " distance of their values, however well he learns.",
        f"Certified: PAC-Bayes-kl for weights drawn from a Gaussian around his, δ split over {len(learnt['steps'])}"
        f" checkpoints: {gap['certified'][-1] / size:.2g} of his range at the end, where his own weights have"
        f" {gap['all'][-1] / size:.2g} on all rooms. Predicted, never certified: {predicted}.",
        f"Estimated: from {after['draws']} draws of the local posterior, whose mean share is {after['mean']:.2g},"
        f" {carry}; a larger κ rests on fewer than ten effective draws and has no value. This is the known Alice's"
        " exact number.",
    )


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


def _reflection(cases: Sequence[Case]) -> Section:
    """Before and after."""
    rows = tuple(
        (c.name, c.told, "yes" if c.found.rewrites else "no",
         *(f"{x:.3f}" for x in (c.found.regret_before, c.found.regret_after, c.found.bound_before, c.found.bound_after)))
        for c in cases
    )  # fmt: skip
    fallen = [c.name for c in cases if c.found.regret_after > c.found.regret_before + 1e-9
              and c.found.bound_after < c.found.bound_before - 1e-9]  # fmt: skip
    words = (
        "An exact planner who judges by his present reward never gains by adopting another. Three can go wrong, each"
        " beside its control; regret and T1 as shares of Alice's range, T1 with his suboptimality by his first"
        " reward.",
        f"Of “{'; '.join(fallen)}” T1 falls while the regret rises: by his first reward he gains, and only the exact"
        " number sees the harm." if fallen else "Wherever the regret rises, T1 rises.",
    )  # fmt: skip
    header = ("planner", "menu", "rewrites", "regret before", "after", "T1 before", "after")
    return Section("Reflection", words, None, Table(header, rows))


def _lumpable(refined: Mapping[str, Any]) -> Section:
    """Largest differences."""
    found = refined["lumpable"]
    largest = max(found.values())
    words = (
        "Each state is split in up to three that move as one: the certificate in the finer words is the certificate"
        f" in the coarser ones. The largest difference is {largest:.1e}"
        + (", below 1e-10." if largest < 1e-10 else ": more than 1e-10, which it should not be."),
        f"A map that merges what Alice tells apart is refused: “{refined['refused']}”",
    )
    rows = tuple((NAMES.get(name, name), f"{x:.1e}") for name, x in found.items())
    return Section("Ontologies that agree", words, None, Table(("quantity", "largest difference"), rows))


def _drifting(refined: Mapping[str, Any]) -> Section:
    """The drift, beside the truth."""
    rows = tuple(
        (f"{d['noise']:g}", f"{d['eps_tau']:.4f}", f"{d['eps_R']:.4f}", f"{d['truth']:.3f}", f"{d['exact']:.3f}",
         f"{d['worst']:.3f}", f"{d['lp']:.3f}", f"{d['plain_violated']:.0%}", f"{d['violated']:.0%}")
        for d in refined["drifting"]
    )  # fmt: skip
    broken = max(d["violated"] for d in refined["drifting"])
    words = (
        "Fine states depart from their block by a share in moves and rewards, and the certificate on coarse states"
        " pays for it by the drift. Beside it the truth on the fine states: his regret, and that of the worst Bob as"
        " suboptimal as he is. Means over processes.",
        f"With the drift it is exceeded in {broken:.0%} of processes; without it, as the last column but one says,"
        " often: what is coarse is right on the average alone.",
    )
    header = (
        "noise",
        "ε_τ",
        "ε_R",
        "regret, fine",
        "exact",
        "worst, fine",
        "lp",
        "exceeded without",
        "with the drift",
    )
    return Section("Ontologies that do not", words, None, Table(header, rows))


def _plain(numbers: Sequence[float | None]) -> np.ndarray:
    """(T,) with NaN, which is not drawn, where there is no number."""
    return np.array([np.nan if x is None else x for x in numbers], dtype=float)


def _ratio(gap: Mapping[str, Any]) -> float:
    """Certified over predicted, the mean where there are both."""
    pairs = [(c, p) for c, p in zip(gap["certified"], gap["predicted"], strict=True) if None not in (c, p)]
    return float(np.mean([c / p for c, p in pairs]))


def _pair(worth: Sequence[float]) -> str:
    """Two worths."""
    return " and ".join(f"{x:.2f}" for x in worth)


def _cell(number: float | None) -> str:
    """A share, or a dash."""
    return "–" if number is None else f"{number:.3f}"


def _dress(axes: Axes) -> None:
    """A legend, and no box."""
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


__all__ = ["write"]
