"""Keep and map the checkpoints of policies that learn: what recipes of reinforcement learning share."""

from collections.abc import Callable, Iterator
from pathlib import Path

from thalweg.checkpoints import Series, checkpoints, place, save
from thalweg.landscape import Landscape
from thalweg.samplers import threads
from thalweg.surfaces import Surface, has_plane, surface
from thalweg.types import Params


def trained_series(
    moments: Callable[[], Iterator[tuple[int, list[Params]]]], folders: list[Path], last: int
) -> list[Series]:
    """Train and write down, or read what was written before.

    Args:
        moments: begins the training; gives a step and one set of weights for each folder.
        folders: of each run.
        last: step of the last checkpoint; where all have it, nothing is trained.
    """
    if not all(place(folder, last).exists() for folder in folders):
        with threads(1):
            for step, weights in moments():
                for folder, own in zip(folders, weights, strict=True):
                    save(own, folder, step)
    return [checkpoints(folder) for folder in folders]


def maps(scape: Landscape, series: Series, size: int, seed: int) -> dict[str, Surface]:
    """Surfaces of the first, the middle and the last checkpoint, where their filters have a length."""
    found = {}
    for item in (series.items[0], series.items[len(series) // 2], series.items[-1]):
        here = scape.at(item.load())
        if has_plane(here):
            found[f"update {item.step}"] = surface(here, size=size, seed=seed)
    return found
