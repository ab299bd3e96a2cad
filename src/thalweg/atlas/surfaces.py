"""Surfaces as contour maps, and lines along the gradient over training with their cliffs, by matplotlib."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from thalweg.atlas._chart import BLUE, ORANGE, RED
from thalweg.errors import InputError
from thalweg.surfaces import Cliff, Line, Surface

LEVELS = 12  # of a contour map, about
SKEWED = 20.0  # range to median height, from which levels are spaced by ratio
DEEPEST = 1e-3  # share of the range at which such levels begin
ROW = 3  # contour maps beside each other
# Depth is told by lightness alone, so that every eye sees it: deep water, shallow water, sand.
DEPTH = LinearSegmentedColormap.from_list("depth", ["#10243a", BLUE, "#8fb8c9", "#dfe6d8", "#f6ecd2"])
TIME = LinearSegmentedColormap.from_list("time", ["#b9cbd8", BLUE, "#10243a"], N=40)  # a drawing, no picture


def contour_map(surfaces: Mapping[str, Surface], *, what: str = "loss") -> Figure:
    """Contour maps beside each other, in one scale of depth; w* is the dot in the middle.

    Levels are even; where one corner towers over the rest they are spaced by ratio above the lowest point, and
    the scale says so.

    Args:
        surfaces: title -> surface.
        what: name of the loss on the scale.

    Raises:
        InputError: no surface.
    """
    if not surfaces:
        raise InputError("no surface to draw: give at least one")
    columns = min(ROW, len(surfaces))
    rows = -(-len(surfaces) // columns)
    figure = Figure(figsize=(2.9 * columns + 1.0, 2.75 * rows + 0.45), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    levels, skewed = _levels(np.concatenate([s.loss.ravel() for s in surfaces.values()]))
    norm = BoundaryNorm(levels, DEPTH.N)
    for axes in panels.flat[len(surfaces) :]:
        axes.set_visible(False)
    for i, (axes, (title, found)) in enumerate(zip(panels.flat, surfaces.items(), strict=False)):
        _contours(axes, found, levels, norm)
        axes.set_title(title, fontsize=9.5, loc="left")
        if i == 0:
            axes.legend(loc="upper left", fontsize=8, framealpha=0.85, edgecolor="none", handletextpad=0.1,
                        borderpad=0.25)  # fmt: skip
        if i % columns == 0:
            axes.set_ylabel("along d₂")
        if i + columns >= len(surfaces):
            axes.set_xlabel("along d₁")
            axes.tick_params(labelbottom=True)
    scale = figure.colorbar(ScalarMappable(norm, DEPTH), ax=panels, shrink=0.94, aspect=28, pad=0.02)
    scale.set_ticks(levels[::2].tolist())
    scale.ax.set_yticklabels([f"{v:.3g}".replace("-", "−") for v in levels[::2]])
    scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    scale.set_label(what + " (levels by ratio)" * skewed)
    return figure


def line_map(lines: Sequence[tuple[int, Line]], cliffs: Sequence[Cliff] = (), *, what: str = "return") -> Figure:
    """The return along the gradient at every checkpoint, later ones darker, with the falls of cliffs in red.

    Args:
        lines: (training step, line), of which those of one point have no direction and are drawn as a dot.
        cliffs: found in them.
        what: name of minus the loss.

    Raises:
        InputError: no line.
    """
    if not lines:
        raise InputError("no line to draw: give at least one checkpoint")
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    axes = figure.subplots()
    steps = np.array([step for step, _ in lines])
    norm = Normalize(steps.min(), max(steps.max(), steps.min() + 1))
    falls = {cliff.step: cliff for cliff in cliffs}
    for step, found in lines:
        colour, height = to_hex(TIME(norm(step))), -found.loss
        if len(found.sizes) == 1:
            axes.plot(found.sizes, height, "o", color=colour, markersize=3.5, zorder=3)
        axes.plot(found.sizes, height, color=colour, linewidth=1.3, alpha=0.9)
    for step, found in lines:
        if step in falls:
            _fall(axes, found, falls[step])
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.015)
    axes.set_xlabel("step size along the gradient, in weights")
    axes.set_ylabel(what)
    if falls:
        axes.plot([], [], color=RED, linewidth=2.2, marker="v", markersize=6, label=f"cliff ({len(falls)})")
        axes.legend(frameon=False, fontsize=9, loc="best")
    scale = figure.colorbar(ScalarMappable(norm, TIME), ax=axes, aspect=28, pad=0.02)
    scale.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    scale.set_label("training step")
    return figure


def _contours(axes: Axes, found: Surface, levels: np.ndarray, norm: BoundaryNorm) -> None:
    filled = axes.contourf(found.x, found.y, found.loss, levels, cmap=DEPTH, norm=norm)
    filled.set_edgecolor("face")  # no seams between neighbouring bands in a vector drawing
    filled.set_linewidth(0.2)
    axes.contour(found.x, found.y, found.loss, levels, colors="white", linewidths=0.5, linestyles="solid", alpha=0.55)
    axes.plot(0, 0, "o", color=ORANGE, markeredgecolor="white", markersize=7, markeredgewidth=1.2, zorder=4,
              label="w*")  # fmt: skip
    axes.set_aspect("equal", adjustable="box")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=8)


def _fall(axes: Axes, found: Line, cliff: Cliff) -> None:
    """The piece of a line that falls, with its foot."""
    inside = (found.sizes >= cliff.since) & (found.sizes <= cliff.at)
    sizes, height = found.sizes[inside], -found.loss[inside]
    axes.plot(sizes, height, color=RED, linewidth=2.2, zorder=4)
    axes.plot(sizes[-1:], height[-1:], "v", color=RED, markeredgecolor="white", markersize=7, zorder=5)


def _levels(losses: np.ndarray) -> tuple[np.ndarray, bool]:
    """Levels that hold all losses, and whether they are spaced by ratio."""
    low, high = float(losses.min()), float(losses.max())
    if high - low <= 1e-9 * max(abs(high), abs(low)):
        room = max(abs(high), 1.0) * 1e-3
        return np.linspace(low - room, high + room, 4), False
    if (high - low) / max(float(np.median(losses)) - low, 1e-12 * (high - low)) < SKEWED:
        return np.asarray(MaxNLocator(LEVELS).tick_values(low, high)), False
    return np.concatenate([[low], low + (high - low) * np.geomspace(DEEPEST, 1, LEVELS)]), True
