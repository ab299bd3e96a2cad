"""What the verb `surface` draws: maps of chosen checkpoints, the gradient lines of all, their cliffs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from thalweg.atlas import Section, Table, contour_map, line_map, report
from thalweg.checkpoints import Checkpoint, Series
from thalweg.errors import InputError
from thalweg.landscape import Landscape
from thalweg.surfaces import Cliff, Line, Surface, along, check_plane, cliffs, has_plane, surface


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What was computed of a run, by training step."""

    surfaces: dict[int, Surface]
    lines: list[tuple[int, Line]]  # of every checkpoint
    cliffs: list[Cliff]  # at most one a checkpoint
    skipped: list[int]  # without a map, as all filters are zero

    @property
    def per_hundred(self) -> float:
        return 100 * len(self.cliffs) / len(self.lines)

    def summary(self) -> str:
        still = sum(not found.directed for _, found in self.lines)
        told = f"{len(self.cliffs)} of {len(self.lines)} checkpoints stand before a cliff"
        flat = f" At {still} the gradient is zero, and there is no line." if still else ""
        return f"{told}, {self.per_hundred:.3g} per 100.{flat}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "steps": [step for step, _ in self.lines],
            "cliffs": [cliff.to_dict() for cliff in self.cliffs],
            "cliffs_per_100": self.per_hundred,
            "surfaces": [
                {"step": step, "x": found.x.tolist(), "y": found.y.tolist(), "loss": found.loss.tolist()}
                for step, found in self.surfaces.items()
            ],
            "lines": [
                {"step": step, "sizes": found.sizes.tolist(), "loss": found.loss.tolist()}
                for step, found in self.lines
            ],
        }


def draw(
    scape: Landscape,
    series: Series,
    steps: Sequence[int],
    *,
    size: int,
    extent: float,
    length: float,
    seed: int,
) -> _Drawn:
    """Compute maps and lines, with a bar on standard error where that is a terminal.

    Where no steps are given, the first, the middle and the last are mapped; all on one plane, up to the lengths of
    their filters.

    Raises:
        InputError: a step without a checkpoint, and what surfaces and lines refuse.
    """
    check_plane(size, extent)
    unknown = [step for step in steps if step not in series.steps]
    if unknown:
        raise InputError(f"no checkpoint of step {unknown[0]}: there are {_some(series.steps)}")
    items = list(series)
    chosen = [item for item in items if item.step in steps]
    chosen = chosen or [items[i] for i in sorted({0, len(items) // 2, len(items) - 1})]
    found, skipped = {}, []
    for item in _tracked(chosen, "maps"):
        try:
            here = scape.at(item.load())
            if not steps and not has_plane(here):
                skipped.append(item.step)
                continue
            found[item.step] = surface(here, size=size, extent=extent, seed=seed)
        except InputError as error:
            raise InputError(f"step {item.step}: {error}") from error
    lines = along(scape, ((item.step, item.load()) for item in _tracked(items, "lines")), length=length)
    return _Drawn(found, lines, cliffs(lines), skipped)


def page(drawn: _Drawn, path: Path, *, title: str) -> Path:
    """Write what was drawn as a page."""
    names = {f"step {step}": found for step, found in drawn.surfaces.items()}
    words = [
        "The loss on a plane through the weights w* of a checkpoint, along two random directions in which every"
        " filter has the length that it has in w*. Dark is low. How flat such a map looks depends on how the network"
        " is written down; the learning coefficient does not."
    ]
    if drawn.skipped:
        words.append(f"No map at step {_some(drawn.skipped)}: all filters are zero there, no direction has a length.")
    maps = Section("Around the checkpoints", tuple(words), contour_map(names) if names else None)
    told = (
        "Minus the loss along the gradient at every checkpoint, as far as one large step would go. A cliff is a fall"
        " by more than a quarter of the range of the run that leaves at most half of the height above its lowest"
        " point.",
        drawn.summary(),
    )
    rows = tuple((f"{c.step}", f"{c.since:.3g}", f"{c.at:.3g}", f"{100 * c.drop:.0f}") for c in drawn.cliffs)
    table = Table(("step", "falls from step size", "to", "% of the range"), rows) if rows else None
    falls = Section("Along the gradient", told, line_map(drawn.lines, drawn.cliffs, what="−loss"), table)
    return report(path, title, [maps, falls])


def _some(steps: Sequence[int]) -> str:
    """Steps in words, few of them."""
    shown = [str(step) for step in steps]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", shown[-1]])


def _tracked(items: Sequence[Checkpoint], what: str) -> Iterable[Checkpoint]:
    """The same with a bar on standard error, silent where that is no terminal."""
    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)
