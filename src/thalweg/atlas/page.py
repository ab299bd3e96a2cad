"""The map as one self-contained HTML page: it opens anywhere, without a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from thalweg.atlas.chart import BANDS, Chart, Curve
from thalweg.atlas.figure import INTERVAL
from thalweg.atlas.render import render

LEFT, RIGHT, WIDTH = 64, 16, 960
TOP = 26


@dataclass(frozen=True, eq=False)
class Axis:
    """A linear scale from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixels, to a tenth."""
        span = self.high - self.low or 1.0
        return round(self.start + (value - self.low) / span * (self.end - self.start), 1)

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Round numbers within the scale, with their pixels."""
        values = [v for v in MaxNLocator(count).tick_values(self.low, self.high) if self.low <= v <= self.high]
        return [(self(v), f"{v:,.10g}".replace(",", " ")) for v in values]


@dataclass(frozen=True)
class Row:
    """One checkpoint of the table: its cells by column, and why it is unhealthy, if it is."""

    cells: dict[str, str]
    reasons: str


def write(chart: Chart, path: Path, *, rows: list[Row], attributes: dict[str, Any], notes: list[str]) -> Path:
    """Write the page, whole or not at all.

    Args:
        chart: what it shows.
        path: of the HTML file.
        rows: of the table, one a checkpoint.
        attributes: settings, versions, hashes.
        notes: sentences under the chart.
    """
    drawing = _drawing(chart)
    return render(
        "page.html.j2", path, chart=chart, drawing=drawing, rows=rows, attributes=attributes, notes=notes, bands=BANDS
    )


def _drawing(chart: Chart) -> dict[str, Any]:
    """Everything that the SVG needs, in pixels."""
    span = max(float(np.ptp(chart.steps)), 1.0)
    time = Axis(chart.steps.min() - 0.01 * span, chart.steps.max() + 0.01 * span, LEFT, WIDTH - RIGHT)
    loss = _axis(chart.losses, {}, TOP + 180, TOP)
    llc = _axis(chart.llcs, chart.levels, TOP + 480, TOP + 210)
    panels = [
        {
            "title": "loss, nats per sample",
            "axis": loss,
            "ticks": loss.ticks(5),
            "curves": [_curve(c, time, loss, chart) for c in chart.losses],
        },
        {
            "title": "learning coefficient λ̂",
            "axis": llc,
            "ticks": llc.ticks(6),
            "curves": [_curve(c, time, llc, chart) for c in chart.llcs],
        },
    ]
    levels = [{"y": llc(v), "text": f"{label}: {v:.0f} ± {e:.0f}"} for label, (v, e) in chart.levels.items()]
    spans = [
        {
            "x": time(t.start),
            "width": max(round(time(t.end) - time(t.start), 1), 2),
            "kind": t.kind,
            "colour": BANDS[t.kind],
        }
        for t in chart.transitions
    ]
    hover = [{"step": int(step), "x": time(step), "lines": _readings(chart, i)} for i, step in enumerate(chart.steps)]
    return {"time": time.ticks(9), "panels": panels, "levels": levels, "spans": spans, "hover": hover, "left": LEFT,
            "right": WIDTH - RIGHT, "width": WIDTH, "height": TOP + 480 + 44}  # fmt: skip


def _axis(curves: tuple[Curve, ...], levels: Any, start: float, end: float) -> Axis:
    """A scale from zero that holds every curve with its band."""
    tops, bottoms = [v for v, _ in levels.values()], [0.0]
    for curve in curves:
        error = INTERVAL * np.nan_to_num(curve.errors) if curve.errors is not None else 0.0
        seen = np.isfinite(curve.values)
        tops += list((curve.values + error)[seen])
        bottoms += list((curve.values - error)[seen])
    low, high = min(bottoms), max([*tops, 0.0])
    return Axis(low, high + 0.12 * (high - low or 1.0), start, end)


def _curve(curve: Curve, time: Axis, scale: Axis, chart: Chart) -> dict[str, Any]:
    """One curve as a path, a band and points."""
    seen = np.flatnonzero(np.isfinite(curve.values))
    points = [(time(chart.steps[i]), scale(curve.values[i])) for i in seen]
    band = ""
    if curve.errors is not None:
        drawn = [i for i in seen if np.isfinite(curve.errors[i])]
        upper = [(time(chart.steps[i]), scale(curve.values[i] + INTERVAL * curve.errors[i])) for i in drawn]
        lower = [(time(chart.steps[i]), scale(curve.values[i] - INTERVAL * curve.errors[i])) for i in drawn]
        band = _path([*upper, *lower[::-1]])
    marks = [{"x": x, "y": y, "healthy": bool(curve.healthy[i])} for i, (x, y) in zip(seen, points, strict=True)]
    return {
        "label": curve.label,
        "path": _path(points),
        "band": band,
        "marks": marks if curve.errors is not None else [],
        "colour": curve.colour,
        "faint": curve.faint,
    }


def _path(points: list[tuple[float, float]]) -> str:
    """An SVG path through points."""
    return "M" + "L".join(f"{x},{y}" for x, y in points) if points else ""


def _readings(chart: Chart, i: int) -> list[str]:
    """What is read at one checkpoint."""
    out = []
    for curve in (*chart.losses, *chart.llcs):
        if not np.isfinite(curve.values[i]):
            out.append(f"{curve.label}: none")
            continue
        error = f" ± {curve.errors[i]:.2g}" if curve.errors is not None else ""
        out.append(f"{curve.label}: {curve.values[i]:.4g}{error}{'' if curve.healthy[i] else ' (unhealthy)'}")
    return out
