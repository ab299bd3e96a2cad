"""How the pages of recipes draw: panels without boxes, legends, estimates with their bars."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thalweg.store import Survey

BLUE, RED, GREEN, GREY = "#2f6690", "#c8553d", "#1b7f5c", "#9aa5b1"
INTERVAL = 1.96  # standard errors of a bar


def panels(width: float, height: float, rows: int = 1, columns: int = 1, **how: Any) -> tuple[Figure, list[Axes]]:
    """A figure of so many inches, and its panels row by row; `how` goes to `Figure.subplots`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    found = list(figure.subplots(rows, columns, squeeze=False, **how).flat)
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, found


def legend(where: Axes | Figure, *things: Any, **how: Any) -> None:
    """Add a legend without a frame."""
    where.legend(*things, frameon=False, fontsize=8, **how)


def estimates(axes: Axes, read: Survey, colour: Any, label: str | None = None) -> None:
    """Lambda along training: bars of 95 %, hollow where it has no value; what is far below zero is not drawn."""
    steps, llc, error, keep = *(read.column(name) for name in ("step", "llc", "llc_stderr")), read.healthy
    axes.errorbar(steps[keep], llc[keep], INTERVAL * error[keep], color=colour, linewidth=1.1, marker="o",
                  markersize=3, elinewidth=0.7, label=label)  # fmt: skip
    near = ~keep & (llc > -0.5 * max(1.0, float(np.max(llc[keep], initial=1.0))))
    axes.scatter(steps[near], llc[near], s=12, facecolor="white", edgecolor=colour, linewidth=0.8, zorder=3)
