"""The page of the census: the answer, counts by family and kind, what rises, the curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from thalweg.atlas import BANDS, Section, Table, report
from thalweg.phases import Transition
from thalweg.recipes._drawing import BLUE, legend, panels
from thalweg.recipes.census._counts import KINDS, NONE, Count, Share, a_then_b
from thalweg.recipes.census._families import Task
from thalweg.store import Survey

Found = Mapping[str, Sequence[Sequence[Transition]]]


def write(
    path: Path,
    tasks: Sequence[Task],
    surveys: Mapping[str, Sequence[Survey]],
    found: Found,
    counts: Mapping[str, Count],
    total: Count,
) -> Path:
    """Write the page."""
    sections = [
        _answer(found, total),
        _kinds(counts, total),
        _rising(counts, total),
        _curves(surveys, found),
        _made(tasks, surveys),
    ]
    return report(path, "A census of transitions", sections)


def _answer(found: Found, total: Count) -> Section:
    """The footnote's question, answered by the counts."""
    rises, falls = total.total["A"], total.total["B"]
    first = (
        f"In {total.runs} runs of {len(found)} families there are {rises} transitions of type A (loss falls, λ"
        f" rises), {falls} of type B (λ falls) and {total.total['other']} others: "
        + " and ".join(f"{_interval(total.per_run[kind])} a run of type {kind}" for kind in ("A", "B"))
        + "."
    )
    if not falls:
        second = "λ falls nowhere, so that nothing can be said of what rises meanwhile."
    else:
        faster, on = _foremost(total.rising), _foremost(total.continuing)
        second = (
            f"Where λ falls, what rises faster than before is most often {faster}; in {_share(total.rising[NONE])}"
            f" nothing that was logged does. What goes on rising, no faster than before, is most often {on}; in"
            f" {_share(total.continuing[NONE])} nothing rises at all."
        )
    then = {family: sum(a_then_b(own) for own in runs) for family, runs in found.items()}
    third = "An A is followed by a B in " + ", ".join(
        f"{n} of {len(found[family])} runs of {family}" for family, n in then.items()
    )
    return Section("Which is more common, and what rises?", (first, second, third + "."))


def _kinds(counts: Mapping[str, Count], total: Count) -> Section:
    figure, (axes,) = panels(8.4, 3.2)
    everything = {**counts, "all": total}
    for i, kind in enumerate(KINDS):
        for j, each in enumerate(everything.values()):
            mean, low, high = each.per_run[kind]
            axes.errorbar(j + 0.18 * (i - 1), mean, [[mean - low], [high - mean]], fmt="o", color=BANDS[kind],
                          capsize=3, label=_kind(kind) if j == 0 else None)  # fmt: skip
    axes.set_xticks(range(len(everything)), list(everything))
    axes.set(ylabel="transitions of a run", ylim=(0, None))
    legend(axes)
    rows = tuple(
        (family, str(each.runs), *(f"{each.total[k]}: {_interval(each.per_run[k])}" for k in KINDS))
        for family, each in everything.items()
    )
    note = "Means over runs, with 90 % intervals by bootstrap over the runs of each family, if they differ."
    header = ("family", "runs", *(f"{_kind(k)}: in all, a run" for k in KINDS))
    return Section("How often", (note,), figure, Table(header, rows))


def _rising(counts: Mapping[str, Count], total: Count) -> Section:
    names = [*dict.fromkeys([*total.rising, *total.continuing])]
    names = [*(name for name in names if name != NONE), NONE]
    figure, (axes,) = panels(8.4, 0.6 + 0.42 * len(names))
    for j, name in enumerate(names):
        for shift, shares, colour, label in (
            (-0.13, total.rising, BANDS["B"], "faster than before"),
            (0.13, total.continuing, "0.5", "on, no faster; nothing at all"),
        ):
            each = shares.get(name)
            if each is None or each.share is None or each.interval is None:
                continue
            spread = [[each.share - each.interval[0]], [each.interval[1] - each.share]]
            axes.errorbar(each.share, j + shift, xerr=spread, fmt="o", color=colour, capsize=3,
                          label=label if name == NONE else None)  # fmt: skip
    axes.set_yticks(range(len(names)), [_words(name) for name in names])
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="share of type B transitions")
    if total.total["B"]:
        legend(figure, loc="outside upper right", ncols=2)
    rows = tuple(
        (
            _words(name),
            _share(total.rising.get(name)),
            _share(total.continuing.get(name)),
            *(_both(each, name) for each in counts.values()),
        )
        for name in names
    )
    note = (
        "A quantity goes up where its change over the transition exceeds its scatter from point to point; it rises"
        " faster where its changes from checkpoint to checkpoint are above those before as well (Welch's test in"
        " steps and in their logarithm, Holm's correction over all quantities, 5 %), else it goes on rising. Several"
        " may in one transition. Intervals: Clopper and Pearson's, 90 %, as if transitions were"
        " independent. Under an isotropic prior its cost is the weight norm's square, so it is not counted apart."
        " Multiplicity is not logged: one nβ does not show it."
    )
    header = ("quantity", "rises faster", "goes on rising", *(f"{family}: faster, on" for family in counts))
    return Section("What rises where λ falls", (note,), figure, Table(header, rows))


def _both(each: Count, name: str) -> str:
    """How often it rises faster, and how often it goes on."""
    counted = [shares[name].count if name in shares else 0 for shares in (each.rising, each.continuing)]
    return f"{counted[0]}, {counted[1]} of {each.total['B']}" if each.total["B"] else "–"


def _foremost(shares: Mapping[str, Share]) -> str:
    """The name that leads, with its share; several where they are level."""
    named = {name: each for name, each in shares.items() if name != NONE}
    if not named:
        return "nothing"
    most = max(each.count for each in named.values())
    level = [name for name, each in named.items() if each.count == most]
    return f"{' and '.join(_words(name) for name in level)} (in {_share(named[level[0]])})"


def _curves(surveys: Mapping[str, Sequence[Survey]], found: Found) -> Section:
    """All runs faint, the first with its bands."""
    figure, grid = panels(8.4, 2.0 * len(surveys), rows=len(surveys), columns=2)
    for (family, runs), left, right in zip(surveys.items(), grid[::2], grid[1::2], strict=True):
        for axes, name, label in ((left, "train_loss", "train loss"), (right, "llc", "λ̂")):
            for i, each in enumerate(runs):
                _line(axes, each, name, strong=i == 0)
            for transition in found[family][0]:
                axes.axvspan(*(np.arcsinh([transition.start, transition.end])), color=BANDS[transition.kind],
                             alpha=0.12, linewidth=0)  # fmt: skip
            ticks = [0, *(10**i for i in range(int(np.log10(max(runs[0].column("step").max(), 1))) + 1))]
            axes.set_xticks(np.arcsinh(ticks), [f"{t:,}" for t in ticks], fontsize=7)
            axes.set_ylabel(label)
        left.set_title(family, loc="left", fontsize=10)
    for axes in grid[-2:]:
        axes.set_xlabel("training step")
    note = "The first run strong, with its transitions (green A, purple B), the others faint. Healthy estimates only."
    return Section("The curves", (note,), figure)


def _line(axes: Axes, read: Survey, name: str, strong: bool) -> None:
    """One run, over arcsinh of the step."""
    on = read.healthy if name == "llc" else np.ones(len(read), dtype=bool)
    axes.plot(np.arcsinh(read.column("step")[on]), read.column(name)[on], color=BLUE if strong else "0.6",
              linewidth=1.6 if strong else 0.6, marker="o" if strong and name == "llc" else None,
              markersize=2.5, alpha=1 if strong else 0.6, zorder=3 if strong else 2)  # fmt: skip


def _made(tasks: Sequence[Task], surveys: Mapping[str, Sequence[Survey]]) -> Section:
    rows = []
    for task in tasks:
        runs = surveys[task.family]
        first = runs[0].settings[0]
        healthy = np.concatenate([each.healthy for each in runs]).mean()
        rows.append(
            (
                task.family,
                f"{first['weights']:,}",
                f"{first['n']:,}",
                f"{first['nbeta']:.4g}",
                f"{first['gamma']:g}",
                f"{first['sampler']}, {first['chains']} × {first['draws']}",
                f"{healthy:.0%}",
            )
        )
    note = (
        "λ̂ at n/log n, orthogonal to the gradient; kinds hold at this nβ and γ. Early in training w* is no critical"
        " point, and the estimate there is an effective dimension at the scale of the localization, or unhealthy"
        " and left out."
    )
    header = ("family", "weights", "n", "nβ", "γ", "sampler, chains × draws", "healthy")
    return Section("How it was measured", (note,), None, Table(header, tuple(rows)))


def _kind(kind: str) -> str:
    return f"type {kind}" if kind in "AB" else kind


def _words(name: str) -> str:
    return "nothing" if name == NONE else name.replace("_", " ")


def _interval(numbers: tuple[float, float, float]) -> str:
    mean, low, high = numbers
    return f"{mean:.2f}" if low == high else f"{mean:.2f} ({low:.2f} to {high:.2f})"


def _share(each: Share | None) -> str:
    if each is None or each.share is None or each.interval is None:
        return "–"
    return f"{each.count} of {each.of} ({each.interval[0]:.0%} to {each.interval[1]:.0%})"
