"""Draw what is stored; nothing is computed here but where things stand on the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.atlas._chart import KINDS, Chart, Hazard, chart, columns_of
from thalweg.atlas._figure import draw
from thalweg.atlas._page import TableRow, write
from thalweg.phases import Forecast
from thalweg.samplers import ALGORITHMS
from thalweg.store import VERDICTS, Survey

CELLS = {"train_loss": ".4f", "test_loss": ".4f", "llc": ".1f", "llc_stderr": ".1f", "rhat": ".3f", "ess": ".0f",
         "weight_norm": ".2f", "gradient_norm": ".2g", "log_determinant": ".1f", "functional_variance": ".1f",
         "distance": ".2f", "nats_gained": ".1f"}  # fmt: skip
WHERE = {
    "at": "in all directions",
    "orthogonal": "orthogonal to the gradient at w*",
    "tilted": "without the linear part of the loss at w* (tilted: it depends on coordinates, and has no theorem)",
    "relaxed": "at the minimum of the localized loss that a descent from w* ends in (relaxed: of a basin, not of the"
    " checkpoint, where the distance is above 1; losses are those of the checkpoints)",
}


def atlas(
    survey: Survey,
    path: str | Path,
    *,
    title: str | None = None,
    others: Mapping[str, Survey] | None = None,
    lines: Mapping[str, Survey] | None = None,
    hazards: Sequence[Hazard] = (),
) -> Path:
    """Write the map of a survey as one HTML page.

    Args:
        survey: what is drawn.
        path: of the page.
        title: of page and figure; default the survey's name.
        others: further surveys of the same checkpoints, drawn faintly; label -> survey.
        lines: surveys whose last estimate is drawn as a level; label -> survey.
        hazards: marked on the time axis, with a sentence each: the cliffs of `thalweg.surfaces.cliffs`, say.

    Raises:
        InputError: a survey of which nothing is finished, a hazard outside of its steps, or a name that does not
            end in .html.
    """
    gathered = _gather(survey, title, others, lines, hazards)
    attributes, table = survey.attributes, survey.table
    verdicts = survey.verdicts
    foreseen = {forecast.end: forecast for forecast in survey.forecasts()}
    rows = [_row(table, i, verdicts[i], table.attrs["reasons"][i], foreseen) for i in range(len(verdicts))]
    notes, told = _notes(table, verdicts, survey.kind), _foreseen(list(foreseen.values()))
    return write(gathered, Path(path), rows=rows, attributes=attributes, notes=notes, forecasts=told)


def plot(
    survey: Survey,
    path: str | Path,
    *,
    title: str | None = None,
    others: Mapping[str, Survey] | None = None,
    lines: Mapping[str, Survey] | None = None,
    hazards: Sequence[Hazard] = (),
) -> Path:
    """Write the map of a survey as a figure; arguments as for `atlas`, the ending says which kind."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return draw(_gather(survey, title, others, lines, hazards), Path(path))


def _gather(
    survey: Survey,
    title: str | None,
    others: Mapping[str, Survey] | None,
    lines: Mapping[str, Survey] | None,
    hazards: Sequence[Hazard],
) -> Chart:
    columns = columns_of(survey.table)
    levels = {}
    for label, line in (lines or {}).items():
        last = {name: values[-1] for name, values in columns_of(line.table).items()}
        healthy = VERDICTS[last["verdict"]] == "healthy"
        label = _labelled(label, line, survey)
        levels[label if healthy else f"{label} (unhealthy)"] = float(last["llc"]), float(last["llc_stderr"])
    return chart(
        columns["step"],
        columns,
        survey.transitions(),
        title=title or f"{survey.path.stem}: the learning coefficient along training",
        n=int(survey.table.attrs["settings"][0]["n"]),
        kind=survey.kind,
        others={_labelled(label, other, survey): columns_of(other.table) for label, other in (others or {}).items()},
        levels=levels,
        hazards=hazards,
    )


def _labelled(label: str, other: Survey, first: Survey) -> str:
    """A label, with the kind of point where that is another than the first survey's."""
    return label if other.kind == first.kind else f"{label}{KINDS[other.kind]}"


def _row(table: Any, i: int, verdict: str, reasons: Sequence[str], foreseen: Mapping[int, Forecast]) -> TableRow:
    """One line of the table, as text."""
    cells = {"step": str(int(table["step"].values[i]))}
    others = {str(name): ".4g" for name in table if name not in CELLS and name not in ("step", "verdict")}
    for name, form in (CELLS | others).items():
        if name not in table:
            continue
        value = float(table[name].values[i])
        cells[name] = format(value, form) if np.isfinite(value) else "–"
        if name == "test_loss" and foreseen:
            forecast = foreseen.get(int(table["step"].values[i]))
            cells["Δ_test"] = "–" if forecast is None else f"{forecast.d_test:+.3f}"
            cells["expected"] = "–" if forecast is None else f"{forecast.point:+.3f}"
    if verdict != "healthy":
        cells["llc"] = f"({cells['llc']})"
    return TableRow(cells | {"verdict": verdict}, "; ".join(reasons))


def _foreseen(forecasts: list[Forecast]) -> list[str]:
    """Where test loss rises although free energy would have it fall, and what the table's columns mean."""
    if not forecasts:
        return []
    refuted = [f"{f.start} to {f.end}" for f in forecasts if f.refuted]
    where = f"in {len(refuted)} of {len(forecasts)} intervals (steps {', '.join(refuted)})" if refuted else "nowhere"
    return [
        f"Test loss rises while train loss falls and λ̂ rises {where}: where it does, no Bayesian made the move, as"
        " long as the constants of the phases do not outweigh Δλ(ln n − 1). A fall proves nothing.",
        "In the table, from one healthy checkpoint to the next: Δ test, the change of test loss; expected, that of a"
        " point, Δ train + 2Δλ̂/n.",
    ]


def _notes(table: Any, verdicts: list[str], kind: str) -> list[str]:
    """What was measured, in a sentence or two."""
    made: list[dict[str, Any]] = table.attrs["settings"]
    first, lost = made[0], sum(v != "healthy" for v in verdicts)
    where = WHERE[kind]
    health = "all of them healthy" if lost == 0 else f"{lost} of them unhealthy"

    def over(name: str) -> str:
        """One value, or the range along checkpoints."""
        values = [m[name] for m in made]
        low, high = (f"{v:,}" if isinstance(v, int) else f"{v:.3g}" for v in (min(values), max(values)))
        return low if low == high else f"{low} to {high}"

    samplers = " and ".join(sorted({m["sampler"].upper() for m in made}))
    known = {m["sampler"] for m in made if m["sampler"] in ALGORITHMS}  # a plug-in may be gone since
    batches = "" if all(ALGORITHMS[name].exact for name in known) else f", batches of {over('batch_size')}"
    notes = [
        f"{len(verdicts)} checkpoints, {health}. {samplers}: {over('chains')} chains of {over('draws')} draws after"
        f" {over('burn_in')} of burn-in, step size {over('step_size')}, γ = {over('gamma')}{batches}, {where};"
        f" n = {first['n']}, nβ = {over('nbeta')}, {first['weights']} weights."
    ]
    if len({m["gamma"] for m in made}) > 1:
        notes.append("γ differs between checkpoints: estimates are comparable where it is the same.")
    return notes
