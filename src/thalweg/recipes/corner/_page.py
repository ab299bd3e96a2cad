"""The page of the study: opposing staircases, all runs, the rise of lambda, the sweep."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from thalweg.atlas import Section, Table, report
from thalweg.envs import corner
from thalweg.recipes._drawing import BLUE, GREEN, GREY, RED, estimates, legend, panels
from thalweg.recipes.corner._behaviour import NEAR, PHASES, STAY, Fall, Seen
from thalweg.recipes.corner._grid import Sweep
from thalweg.recipes.corner._rise import Rise
from thalweg.recipes.corner.config import Config
from thalweg.store import Survey

COLOURS: dict[str, str] = dict(zip(PHASES, (GREY, RED, GREEN), strict=True))
DISCOUNTS = (BLUE, RED, GREEN, "#8a5a99")


@dataclass(frozen=True, eq=False)
class Findings:
    """What the study found."""

    reference: corner.Regrets
    seen: list[Seen]  # of every run
    falls: list[Fall]
    main: Survey  # of the first run's regret
    refined: Survey  # the same on levels whose cheese lies in the corner
    rises: list[Rise]  # for each nbeta
    plain: Rise | None  # of plain regret; None where no run fell
    swept: Sweep


def write(path: Path, config: Config, found: Findings) -> Path:
    """Write the page."""
    sections = [
        _staircases(config, found),
        _runs(found.reference, found.seen, found.falls),
        _rises(found.rises, found.plain),
        _sweep(found.swept),
    ]
    return report(path, "Cheese in the corner: regret falls in two steps, λ̂ climbs the other way", sections)


def _staircases(config: Config, found: Findings) -> Section:
    """Regret above, lambda below, of the first run."""
    reference, run, main = found.reference, found.seen[0], found.main
    figure, (above, below) = panels(8.4, 6.4, rows=2, sharex=True)
    _phases(figure, (above, below), run)
    above.plot(run.steps, run.regret, color="black", linewidth=1.6, label="all levels")
    above.plot(run.steps, run.elsewhere, color=BLUE, linewidth=1.1, label="cheese elsewhere")
    above.plot(run.steps, run.corner, color=RED, linewidth=1.1, label="cheese in the corner")
    for name, level in (("uniform policy", reference.uniform), ("to the corner", reference.corner)):
        above.axhline(level, color="0.6", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        above.annotate(name, (1.0, level), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                       ha="right", fontsize=8, color="0.4")  # fmt: skip
    above.set_ylabel("regret (reward units)")
    legend(above, loc="upper right", bbox_to_anchor=(1, 0.9))
    for read, colour, label in ((main, "black", "all levels"), (found.refined, RED, "cheese in the corner")):
        estimates(below, read, colour, f"λ̂, {label}")
    below.set(ylabel="learning coefficient λ̂ of regret", xlabel="update")
    below.set_ylim(bottom=min(0, below.get_ylim()[0]))
    legend(below)
    gone = int((~main.healthy).sum())
    words = (
        f"A world of {config.size - 2} × {config.size - 2} cells, alpha = {config.alpha:g}, discount "
        f"{config.discount:g}; the policy sees mouse and cheese. Shaded is what it does, by the nearest of three "
        "plain policies: random, to the corner, to the cheese. Dashed: their regrets, exact. Regret is plain; λ̂ that "
        f"of regret with {config.ascent.temperature:g} paid a nat of entropy, nβ = {config.sampler.nbeta:g}, γ = "
        f"{config.sampler.gamma:g}, orthogonal to the gradient. Bars: 95 %. Hollow points have no value, "
        f"{gone} of {len(main)} (those far below zero are not drawn): the policy still moves there.",
        "Levels whose cheese lies in the corner are the ones on which the policies of both phases look alike.",
    )
    sentences = tuple(t.sentence() for t in main.transitions())
    return Section("Opposing staircases", (*words, *sentences), figure)


def _phases(figure: Figure, parts: tuple[Axes, ...], run: Seen) -> None:
    """Shade what the policy does."""
    edges = [run.steps[0], *((run.steps[1:] + run.steps[:-1]) / 2), run.steps[-1]]
    for axes in parts:
        for phase, left, right in zip(run.phases, edges, edges[1:], strict=False):
            axes.axvspan(left, right, color=COLOURS[phase], alpha=0.12, linewidth=0)
    present = [phase for phase in PHASES if phase in run.phases]
    patches = [Patch(color=COLOURS[phase], alpha=0.3, linewidth=0) for phase in present]
    legend(figure, patches, present, ncols=3, loc="outside upper right")


def _runs(reference: corner.Regrets, seen: list[Seen], falls: list[Fall]) -> Section:
    """Every run's regret; misgeneralisation before and after."""
    figure, (left, right) = panels(8.4, 3.6, columns=2, width_ratios=(1.5, 1))
    left.axhspan((1 - NEAR) * reference.corner, (1 + NEAR) * reference.corner, color=COLOURS[PHASES[1]], alpha=0.15)
    for run in seen:
        left.plot(run.steps, run.regret, color=BLUE, linewidth=0.9, alpha=0.8)
    left.set(xlabel="update", ylabel="regret (reward units)", yscale="log")
    for run, found in zip(seen, falls, strict=True):
        if found.fell >= 0:
            at = [found.last, -1]
            right.plot(run.corner[at], run.elsewhere[at], color="0.75", linewidth=0.8, zorder=0)
            right.plot(run.corner[at[0]], run.elsewhere[at[0]], "o", color=COLOURS[PHASES[1]], markersize=4)
            right.plot(run.corner[-1], run.elsewhere[-1], "o", color=COLOURS[PHASES[2]], markersize=4)
    right.set(xlabel="regret, cheese in the corner", ylabel="regret, cheese elsewhere")
    right.set_ylim(bottom=0)
    stays, fell = sum(f.first >= 0 for f in falls), sum(f.fell >= 0 for f in falls)
    return Section(
        "Every run",
        (
            f"{len(seen)} runs: {stays} stay within {NEAR:.0%} of the corner policy's regret "
            f"({reference.corner:.3f}, the band) for {STAY} checkpoints or more, and {fell} fall below half of it "
            "afterwards. The stay drifts: of the policies that do not look at the cheese, walking straight to the "
            "corner is not the best.",
            "Right: goal misgeneralisation. At the end of the plateau (red) a mouse is right where the cheese lies "
            "in the corner and wrong elsewhere; at the end of training (green) it is right on both.",
        ),
        figure,
    )


def _rises(rises: list[Rise], plain: Rise | None) -> Section:
    """Lambda on the plateau and at the end, for each nbeta."""
    if not rises:
        return Section("λ̂ before and after the second fall", ("No run fell a second time: there is no pair.",))
    figure, beside = panels(8.4, 3.2, columns=len(rises))
    for axes, found in zip(beside, rises, strict=True):
        axes.plot([0, 1], np.stack([found.before, found.after]), color=BLUE, marker="o", markersize=3, linewidth=0.8)
        axes.set_xticks([0, 1], ["plateau", "end"])
        axes.set(title=f"nβ = {found.nbeta:g}", xlim=(-0.3, 1.3))
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    beside[0].set_ylabel("λ̂")
    rows = [_line(f"{found.nbeta:g}", found) for found in rises]
    words = (
        "Prediction: λ̂ is higher after the second fall than on the corner's plateau. Each line is a run with two "
        "values; the interval is of the mean change over runs, 95 %, by Student's t.",
    )
    if plain is not None:
        rows.append(_line(f"{plain.nbeta:g}, plain regret", plain))
        words += (
            "Plain regret, the last row, has no finite minimum under a softmax, since its logits may grow without "
            "end; orthogonally to its gradient, as it is read here, it has one, whose number still depends on the "
            "size of the logits: it falls the longer training goes on. In brackets raw means that are no estimates.",
        )
    header = ("nβ", "runs", "plateau", "end", "change", "95 %", "verdicts")
    return Section("λ̂ before and after the second fall", words, figure, Table(header, tuple(rows)))


def _line(label: str, found: Rise) -> tuple[str, ...]:
    kinds = sorted(set(found.verdicts))
    told = ", ".join(f"{found.verdicts.count(kind)} {kind}" for kind in kinds)
    columns = zip((found.before, found.after), found.raw.T, strict=True)
    middle = [f"{np.nanmean(x):.2f}" if np.isfinite(x).any() else f"({raw.mean():.2f})" for x, raw in columns]
    change = (f"{found.mean:+.2f}", f"{found.interval[0]:+.2f} to {found.interval[1]:+.2f}")
    return (label, str(found.runs), *middle, *(change if np.isfinite(found.mean) else ("–", "–")), told)


def _sweep(swept: Sweep) -> Section:
    """Shares of runs that find the cheese, with the alpha that free energy foretells."""
    figure, (left, right) = panels(8.4, 3.6, columns=2)
    rows = []
    for row, colour in zip(swept.rows, DISCOUNTS, strict=False):
        left.plot(swept.alphas, row.share, color=colour, marker="o", markersize=4, label=f"discount {row.discount:g}")
        for gain in row.gain:
            right.plot(swept.alphas, gain, color=colour, linewidth=1, marker="o", markersize=3)
        for predicted in row.predicted[np.isfinite(row.predicted)]:
            left.axvline(predicted, color=colour, linewidth=0.9, linestyle=(0, (4, 3)))
        told = [_where(x, gain, swept.alphas) for x, gain in zip(row.predicted, row.gain, strict=True)]
        seen = f"{row.observed:.3f}" if np.isfinite(row.observed) else "outside"
        rows.append((f"{row.discount:g}", ", ".join(told), seen))
    right.axhline(0, color="0.6", linewidth=0.8)
    for axes in (left, right):
        axes.set(xlabel="alpha, the chance that the cheese is anywhere", xscale="log")
        axes.set_xlim(0.8 * swept.alphas[0], 1.25 * swept.alphas[-1])
        axes.set_xticks(swept.alphas, [f"{alpha:g}" for alpha in swept.alphas])
        axes.set_xticks([], minor=True)
    left.set(ylabel="share of runs that end at the cheese", ylim=(-0.03, 1.03))
    right.set(ylabel="free energy of corner less cheese (nats)", yscale="symlog")
    legend(left)
    return Section(
        "How often must the cheese be elsewhere?",
        (
            f"Left: what training does. Dashed: the alpha from which free energy, nβ G + λ̂ log nβ at nβ = "
            f"{swept.nbeta:g}, prefers the policy that looks at the cheese; one for each pair of policies. Right: "
            "the difference itself. Both policies are read where neither was trained and is no minimum, which moves "
            "the prediction down; gradient descent samples no posterior and has no nβ: the two need not agree.",
        ),
        figure,
        Table(("discount", "predicted α*", "half of the runs at α"), tuple(rows)),
    )


def _where(predicted: float, gain: np.ndarray, alphas: tuple[float, ...]) -> str:
    """The predicted alpha in words, also where it lies outside the grid."""
    if np.isfinite(predicted):
        return f"{predicted:.3f}"
    if not np.isfinite(gain).any():
        return "no value"
    read = [(alpha, x) for alpha, x in zip(alphas, gain, strict=True) if np.isfinite(x)]
    return f"above {read[-1][0]:g}" if read[-1][1] < 0 else f"below {read[0][0]:g}"
