"""The map as a figure for papers: PDF, SVG or PNG, by matplotlib."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thalweg.atlas.chart import BANDS, Chart, Curve
from thalweg.errors import InputError

SUFFIXES = (".pdf", ".png", ".svg")
INTERVAL = 1.96  # standard errors of a band


def draw(chart: Chart, path: Path) -> Path:
    """Write the figure; its kind is that of the file's ending.

    Raises:
        InputError: an ending other than .pdf, .png or .svg.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"figure {path.name}: its name must end in one of {', '.join(SUFFIXES)}")
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.25))
    for curve in chart.losses:
        _line(above, chart.steps, curve)
    for curve in chart.llcs:
        _line(below, chart.steps, curve)
    for label, (value, error) in chart.levels.items():
        below.axhline(value, color="0.35", linestyle=(0, (5, 3)), linewidth=1)
        below.annotate(f"{label}: {value:.0f} ± {error:.0f}", (0.01, value), (0, -3), va="top", fontsize=8,
                       color="0.35", xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    for axes in (above, below):
        _bands(axes, chart, named=axes is below)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    above.set_ylabel("loss (nats per sample)")
    below.set_ylabel("learning coefficient λ̂")
    below.set_xlabel("training step")
    for axes in (above, below):
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high + 0.08 * (high - low))  # room for names
    above.legend(frameon=False, fontsize=9)
    if len(chart.llcs) > 1:
        below.legend(frameon=False, fontsize=9, loc="lower right")
    figure.suptitle(chart.title, x=0.01, ha="left", fontsize=11)
    figure.supxlabel(
        "bands: 95 %; hollow points: unhealthy, raw numbers", x=0.99, ha="right", fontsize=7, color="0.45"
    )
    stamp = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix)
    figure.savefig(path, dpi=180, metadata=stamp)
    return path


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
    """Shade the transitions."""
    for transition in chart.transitions:
        colour = BANDS[transition.kind]
        axes.axvspan(transition.start, transition.end, color=colour, alpha=0.09, linewidth=0)
        if named:
            middle = (transition.start + transition.end) / 2
            name = f"type {transition.kind}" if transition.kind in "AB" else transition.kind
            axes.annotate(
                name,
                (middle, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, -3),
                textcoords="offset points",
                ha="center",
                va="top",
                color=colour,
                fontsize=9,
            )
