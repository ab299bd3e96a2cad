"""What a map shows, apart from how it is drawn: curves, bands and levels over training steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol

import numpy as np
import xarray as xr

from thalweg.errors import InputError
from thalweg.phases import Transition
from thalweg.store import VERDICTS

BLUE, ORANGE, GREEN, PURPLE, GREY = "#2f6690", "#c8553d", "#1b7f5c", "#7b5ea7", "#6b7280"
RED = "#b3122a"  # hazards, which have a shape of their own as well
FURTHER = (GREY, "#b7862b", BLUE, ORANGE)  # readings beside the first, in their order
KINDS = {"at": " at w*", "orthogonal": ", orthogonal to the gradient", "tilted": ", tilted", "relaxed": ", relaxed"}
BANDS = {"A": GREEN, "B": PURPLE, "other": GREY}  # colour of a transition of each kind


class Hazard(Protocol):
    """Something to be warned of at a training step, as a cliff is."""

    @property
    def step(self) -> int:
        """Training step."""
        ...

    def sentence(self) -> str:
        """What it is."""
        ...


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity along training.

    Attributes:
        label: in the legend.
        values: (T), NaN where there is none.
        errors: (T) standard errors, or None.
        healthy: (T) drawn filled; the others hollow.
        colour: of line and points.
        faint: drawn thin, as a second reading.
    """

    label: str
    values: np.ndarray
    errors: np.ndarray | None
    healthy: np.ndarray
    colour: str
    faint: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """Two panels over one time axis, losses above, learning coefficients below; and the plane of the two.

    Attributes:
        title: of the figure.
        steps: (T) training steps.
        losses: curves of the upper panel, nats per sample.
        llcs: curves of the lower panel.
        levels: horizontal lines of the lower panel: label -> (value, standard error).
        transitions: shaded and named.
        n: samples, for lines of equal free energy.
        hazards: triangles on the time axis.
        kind: of point that the first of the llcs is of, in words that follow its name.
    """

    title: str
    steps: np.ndarray
    losses: tuple[Curve, ...]
    llcs: tuple[Curve, ...]
    levels: Mapping[str, tuple[float, float]]
    transitions: tuple[Transition, ...]
    n: int
    hazards: tuple[Hazard, ...] = ()
    kind: str = ""


def chart(
    steps: np.ndarray,
    columns: Mapping[str, np.ndarray],
    transitions: list[Transition],
    *,
    title: str,
    n: int,
    kind: str = "at",
    others: Mapping[str, Mapping[str, np.ndarray]],
    levels: Mapping[str, tuple[float, float]],
    hazards: Sequence[Hazard] = (),
) -> Chart:
    """Gather what a survey holds: `train_loss`, `test_loss`, `llc`, `llc_stderr` and `verdict` (T).

    Others are columns of further readings of the same checkpoints, by label.

    Raises:
        InputError: a hazard at a step outside those of the survey.
    """
    for hazard in hazards:
        if not steps[0] <= hazard.step <= steps[-1]:
            raise InputError(
                f"hazard at step {hazard.step}: the survey goes from {steps[0]} to {steps[-1]}: give those within it"
            )
    everywhere = np.ones(len(steps), dtype=bool)
    losses = [Curve("train loss", columns["train_loss"], None, everywhere, BLUE)]
    if np.isfinite(columns["test_loss"]).any():
        losses.append(Curve("test loss", columns["test_loss"], None, everywhere, ORANGE))
    llcs = [_llc(f"λ̂{KINDS[kind]}", columns, GREEN)]
    colours = cycle(FURTHER)
    llcs += [_llc(f"λ̂, {label}", other, next(colours), faint=True) for label, other in others.items()]
    return Chart(title, steps, tuple(losses), tuple(llcs), levels, tuple(transitions), n, tuple(hazards), KINDS[kind])


def _llc(label: str, columns: Mapping[str, np.ndarray], colour: str, faint: bool = False) -> Curve:
    healthy = columns["verdict"] == VERDICTS.index("healthy")
    return Curve(label, columns["llc"], columns["llc_stderr"], healthy, colour, faint)


def columns_of(table: xr.Dataset) -> dict[str, np.ndarray]:
    """The columns of a survey's table."""
    return {str(name): table[name].values for name in table.variables}
