"""The map as one self-contained HTML page: it opens anywhere, without a network."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.atlas._chart import BANDS, RED, Chart, Curve
from thalweg.atlas._figure import INTERVAL
from thalweg.atlas._plane import plane_of
from thalweg.atlas._render import render
from thalweg.atlas._scale import Axis, Time, time_of, written
from thalweg.phases import Transition

LEFT, RIGHT, WIDTH = 64, 16, 960
TOP = 26
PLANE = 360  # height of the plane
Place = Callable[[float], float]


@dataclass(frozen=True)
class TableRow:
    """One checkpoint of the table: its cells by column, and why it is unhealthy, if it is."""

    cells: dict[str, str]
    reasons: str


def write(
    chart: Chart,
    path: Path,
    *,
    rows: list[TableRow],
    attributes: dict[str, Any],
    notes: list[str],
    forecasts: list[str],
) -> Path:
    """Write the page, whole or not at all: notes stand under the title, forecasts are of the change of test loss."""
    return render(
        "page.html.j2",
        path,
        chart=chart,
        drawing=_drawing(chart),
        plane=_plane(chart),
        rows=rows,
        attributes=attributes,
        notes=notes,
        forecasts=forecasts,
        bands=BANDS,
        red=RED,
    )


def _drawing(chart: Chart) -> dict[str, Any]:
    """Everything that the SVG needs, in pixels."""
    time = time_of(chart.steps)
    place = _place(time)
    loss = _axis(chart.losses, {}, TOP + 180, TOP)
    llc = _axis(chart.llcs, chart.levels, TOP + 480, TOP + 210)
    above, below = "loss, nats per sample", f"learning coefficient λ̂{chart.kind}"
    panels = [
        {
            "title": title,
            "axis": axis,
            "ticks": axis.ticks(count),
            "curves": [_curve(c, place, axis, chart) for c in held],
        }
        for title, axis, count, held in ((above, loss, 5, chart.losses), (below, llc, 6, chart.llcs))
    ]
    levels = [{"y": llc(v), "text": f"{label}: {v:.0f} ± {e:.0f}"} for label, (v, e) in chart.levels.items()]
    spans = [_span(t, place, i) for i, t in enumerate(chart.transitions)]
    hover = [
        {"step": int(step), "x": place(step), "lines": _readings(chart, i), "words": _words(chart, step)}
        for i, step in enumerate(chart.steps)
    ]
    hazards = [{"x": place(h.step), "words": h.sentence()} for h in chart.hazards]
    ticks = [(place(step), written(step)) for step in time.ticks(9)]
    return {"time": ticks, "logarithmic": time.logarithmic, "panels": panels, "levels": levels, "spans": spans,
            "hover": hover, "hazards": hazards, "left": LEFT, "right": WIDTH - RIGHT, "width": WIDTH,
            "height": TOP + 480 + 44}  # fmt: skip


def _place(time: Time) -> Place:
    """From steps to pixels, with a little room at both ends."""
    low, high = float(time(time.first)), float(time(time.last))
    room = 0.01 * (high - low or 1.0)
    axis = Axis(low - room, high + room, LEFT, WIDTH - RIGHT)
    return lambda step: axis(float(time(step)))


def _span(transition: Transition, place: Place, number: int) -> dict[str, Any]:
    """One transition as a band with whiskers at its ends."""
    ends = {transition.start: transition.start_interval, transition.end: transition.end_interval}
    left, right = place(transition.start), place(transition.end)
    return {
        "x": left,
        "width": max(round(right - left, 1), 2),
        "kind": transition.kind,
        "colour": BANDS[transition.kind],
        "words": transition.sentence(),
        "whiskers": [{"x": place(end), "low": place(low), "high": place(high)} for end, (low, high) in ends.items()],
        "foot": 8 + 11 * (number % 2),
    }


def _words(chart: Chart, step: int) -> list[str]:
    """Sentences of the transitions that hold a step, and of its hazards."""
    held = [t.sentence() for t in chart.transitions if t.start <= step <= t.end]
    return held + [h.sentence() for h in chart.hazards if h.step == step]


def _plane(chart: Chart) -> dict[str, Any]:
    """Everything that the SVG of the plane needs, in pixels."""
    plane = plane_of(chart)
    left, right, foot, top = plane.window()
    x, y = Axis(left, right, LEFT, WIDTH - RIGHT), Axis(foot, top, TOP + PLANE, TOP)
    places = [(x(a), y(b)) for a, b in zip(plane.loss, plane.llc, strict=True)]
    bars = INTERVAL * plane.errors
    points = [
        {
            "x": places[i][0],
            "y": places[i][1],
            "low": y(max(foot, plane.llc[i] - bars[i])),
            "high": y(min(top, plane.llc[i] + bars[i])),
            "healthy": bool(plane.healthy[i]),
            "colour": plane.points[i],
            "number": int(plane.index[i]),
        }
        for i in range(len(places))
    ]
    pairs = list(pairwise(places))
    arrows = [_arrow(*pairs[i]) | {"colour": plane.segments[i]} for i in plane.arrows()]
    ends = [(*places[i], away, int(chart.steps[plane.index[i]])) for i, away in plane.ends()]
    lines = [(x(a), y(b), x(c), y(d)) for (a, b), (c, d) in plane.equal_energy()]
    segments = [(*a, *b, colour) for (a, b), colour in zip(pairs, plane.segments, strict=True)]
    return {"x": x, "y": y, "xticks": x.ticks(9), "yticks": y.ticks(7), "points": points, "segments": segments,
            "arrows": arrows, "ends": ends, "lines": lines, "n": plane.n, "height": TOP + PLANE + 44}  # fmt: skip


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> dict[str, float]:
    """The middle of a segment and its direction in degrees."""
    (x0, y0), (x1, y1) = start, end
    angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
    return {"x": round((x0 + x1) / 2, 1), "y": round((y0 + y1) / 2, 1), "angle": round(angle, 1)}


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


def _curve(curve: Curve, place: Place, scale: Axis, chart: Chart) -> dict[str, Any]:
    """One curve as a path, a band and points."""
    seen = np.flatnonzero(np.isfinite(curve.values))
    points = [(place(chart.steps[i]), scale(curve.values[i])) for i in seen]
    band = ""
    if curve.errors is not None:
        drawn = [i for i in seen if np.isfinite(curve.errors[i])]
        upper = [(place(chart.steps[i]), scale(curve.values[i] + INTERVAL * curve.errors[i])) for i in drawn]
        lower = [(place(chart.steps[i]), scale(curve.values[i] - INTERVAL * curve.errors[i])) for i in drawn]
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
