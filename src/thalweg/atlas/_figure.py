"""The map as a figure for papers: PDF, SVG or PNG, by matplotlib."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thalweg.atlas._chart import BANDS, RED, Chart, Curve
from thalweg.atlas._plane import Plane, plane_of
from thalweg.atlas._scale import time_of, written
from thalweg.errors import InputError

SUFFIXES = (".pdf", ".png", ".svg")
INTERVAL = 1.96  # standard errors of a band
FOOT = (0.03, 0.07)  # of the panel: heights at which intervals of neighbours stand, in turn


def draw(chart: Chart, path: Path) -> Path:
    """Write the figure; its kind is that of the file's ending.

    Raises:
        InputError: an ending other than .pdf, .png or .svg.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"figure {path.name}: its name must end in one of {', '.join(SUFFIXES)}")
    figure = Figure(figsize=(7.2, 8.4), layout="constrained")
    above, below, plane = figure.subplots(3, 1, height_ratios=(1, 1.25, 1.25))
    below.sharex(above)
    _time(above, below, chart)
    _plane(plane, plane_of(chart), chart)
    for axes in (above, below, plane):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(chart.title, x=0.01, ha="left", fontsize=11)
    note = "bands and bars: 95 %; hollow points: unhealthy, raw numbers"
    if chart.transitions:
        note += "; whiskers: 90 % intervals of where a transition starts and ends"
    figure.supxlabel(note, x=0.99, ha="right", fontsize=7, color="0.45")
    stamp = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix)
    figure.savefig(path, dpi=180, metadata=stamp)
    return path


def _time(above: Axes, below: Axes, chart: Chart) -> None:
    """Losses and learning coefficients along training."""
    for curve in chart.losses:
        _line(above, chart.steps, curve)
    for curve in chart.llcs:
        _line(below, chart.steps, curve)
    for label, (value, error) in chart.levels.items():
        below.axhline(value, color="0.35", linestyle=(0, (5, 3)), linewidth=1)
        below.annotate(f"{label}: {value:.0f} ± {error:.0f}", (0.01, value), (0, -3), va="top", fontsize=8,
                       color="0.35", xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    time = time_of(chart.steps)
    if time.logarithmic:
        ticks = time.ticks(11)
        below.set_xscale("function", functions=(time, time.inverse))
        below.set_xticks(ticks, [written(step) for step in ticks])
    for axes in (above, below):
        _bands(axes, chart, named=axes is below)
        axes.margins(x=0.01)
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high + 0.08 * (high - low))  # room for names
    if chart.hazards:
        steps = [hazard.step for hazard in chart.hazards]
        below.plot(steps, np.full(len(steps), -0.022), "^", color=RED, markersize=5, markeredgewidth=0, clip_on=False,
                   zorder=4, label="hazard", transform=below.get_xaxis_transform())  # fmt: skip
    above.tick_params(labelbottom=False)
    above.set_ylabel("loss (nats per sample)")
    below.set_ylabel(f"learning coefficient λ̂{chart.kind}")
    below.set_xlabel("training step" + " (on a logarithm)" * time.logarithmic)
    above.legend(frameon=False, fontsize=9)
    if len(chart.llcs) > 1 or chart.hazards:
        below.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, FOOT[1]))


def _line(axes: Axes, steps: np.ndarray, curve: Curve) -> None:
    """One curve with its band; hollow points where unhealthy."""
    width = 1.0 if curve.faint else 1.8
    axes.plot(
        steps, curve.values, color=curve.colour, linewidth=width, label=curve.label, alpha=0.7 if curve.faint else 1
    )
    if curve.errors is None:
        return
    low, high = curve.values - INTERVAL * curve.errors, curve.values + INTERVAL * curve.errors
    axes.fill_between(steps, low, high, color=curve.colour, alpha=0.2, linewidth=0)
    size = 10 if curve.faint else 20
    axes.scatter(steps[curve.healthy], curve.values[curve.healthy], s=size, color=curve.colour, zorder=3)
    hollow = ~curve.healthy
    axes.scatter(steps[hollow], curve.values[hollow], s=size, facecolor="white", edgecolor=curve.colour, zorder=3)


def _bands(axes: Axes, chart: Chart, named: bool) -> None:
    """Shade the transitions; where they are named, their ends have whiskers."""
    for i, transition in enumerate(chart.transitions):
        colour = BANDS[transition.kind]
        axes.axvspan(transition.start, transition.end, color=colour, alpha=0.09, linewidth=0)
        if not named:
            continue
        name = f"type {transition.kind}" if transition.kind in "AB" else transition.kind
        time = time_of(chart.steps)
        middle = float(time.inverse((time(transition.start) + time(transition.end)) / 2))
        axes.annotate(name, (middle, 1), (0, -3), ha="center", va="top", color=colour, fontsize=9,
                      xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
        ends = {transition.start: transition.start_interval, transition.end: transition.end_interval}
        for end, interval in ends.items():
            places, height = axes.get_xaxis_transform(), FOOT[i % 2]
            axes.plot(interval, (height, height), "|-", color=colour, linewidth=1, markersize=5, transform=places)
            axes.plot([end], [height], "o", color=colour, markersize=2.5, transform=places)


def _plane(axes: Axes, plane: Plane, chart: Chart) -> None:
    """The way through the plane, over lines of equal free energy."""
    left, right, foot, top = plane.window()
    for (x0, y0), (x1, y1) in plane.equal_energy():
        axes.plot((x0, x1), (y0, y1), color="0.86", linewidth=0.9, zorder=0)
    x, y = plane.loss, plane.llc
    axes.vlines(
        x, y - INTERVAL * plane.errors, y + INTERVAL * plane.errors, color=plane.points, linewidth=0.8, alpha=0.5
    )
    for i, colour in enumerate(plane.segments):
        axes.plot(x[i : i + 2], y[i : i + 2], color=colour, linewidth=1.6, zorder=2)
    for i in plane.arrows():
        middle = ((x[i] + x[i + 1]) / 2, (y[i] + y[i + 1]) / 2)
        axes.annotate("", middle, (x[i], y[i]), arrowprops={
            "arrowstyle": "-|>,head_width=0.3,head_length=0.7", "color": plane.segments[i], "linewidth": 0.1,
            "shrinkA": 0, "shrinkB": 0})  # fmt: skip
    faces = [c if h else "white" for c, h in zip(plane.points, plane.healthy, strict=True)]
    axes.scatter(x, y, s=18, c=faces, edgecolors=plane.points, zorder=3)
    for i, away in plane.ends():
        axes.annotate(f"step {chart.steps[plane.index[i]]}", (x[i], y[i]), (0, 6 * away), ha="center", fontsize=8,
                      va="bottom" if away > 0 else "top", textcoords="offset points")  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(foot, top)
    axes.set_xlabel("train loss (nats per sample)")
    axes.set_ylabel(f"learning coefficient λ̂{chart.kind}")
    axes.set_title(f"on a grey line the free energy nL + λ log n is equal, n = {plane.n}", loc="right", fontsize=7,
                   color="0.45", pad=2)  # fmt: skip
