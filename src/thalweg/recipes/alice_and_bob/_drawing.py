"""Colours, names and axes that the sections of the page share."""

from matplotlib.axes import Axes

COLOURS = {"exact": "#2f6690", "lp": "#8a6d3b", "distance": "#1b7f5c", "t1": "#c8553d", "realised": "0.45"}
NAMES = {"exact": "exact", "lp": "lp", "distance": "sup d", "t1": "T1", "realised": "realised", "rho": "ρ"}


def dress(axes: Axes) -> None:
    """Add a legend, and take the box away."""
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
