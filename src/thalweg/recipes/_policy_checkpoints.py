"""Policies that learn, followed along their checkpoints: what recipes of reinforcement learning share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from thalweg.checkpoints import Series, checkpoints, place, save
from thalweg.envs import Environment
from thalweg.landscape import Landscape
from thalweg.mdp import Levels
from thalweg.recipes.recipe import Stages
from thalweg.rl import PPO, Ascent, Reinforce, ascend, learn
from thalweg.runtime import threads
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.surfaces import Cliff, Line, Surface, along, cliffs, has_plane, surface
from thalweg.survey import survey
from thalweg.types import Params

Moments = Callable[[], Iterator[tuple[int, list[Params]]]]  # begins a training: steps, and weights of each run


@dataclass(frozen=True, eq=False)
class Followed:
    """What was seen of a policy that learns.

    Attributes:
        steps: updates of its checkpoints.
        lines: along the gradient, one a checkpoint.
        cliffs: found in them.
        surfaces: of the first, the middle and the last checkpoint, where their filters have a length.
        survey: of the coefficient; None where none was asked for.
    """

    steps: list[int]
    lines: list[tuple[int, Line]]
    cliffs: list[Cliff]
    surfaces: dict[str, Surface]
    survey: Survey | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "steps": self.steps,
            "cliffs": [cliff.to_dict() for cliff in self.cliffs],
            "cliffs_per_100": 100 * len(self.cliffs) / len(self.lines),
        }


@dataclass(frozen=True, eq=False)
class Lesson:
    """A policy that is to learn, and how it is followed.

    Attributes:
        moments: its training.
        last: step of the last checkpoint.
        scape: in which it is followed.
        sampler: of the coefficient, orthogonal to the gradient; None where it is not read.
        size: points a side of a reward surface.
        length: of a line along the gradient, in weights.
    """

    moments: Moments
    last: int
    scape: Landscape
    sampler: Settings | None
    size: int
    length: float = 0.4

    def followed(self, folder: Path, seed: int, stages: Stages) -> Followed:
        """Train, survey, follow the gradient of every checkpoint, map some."""
        (series,) = trained_series(self.moments, [folder / "checkpoints"], self.last)
        read = None
        if self.sampler is not None:
            free, out = self.scape.restrict(orthogonal_to_gradient=True), folder / "survey.zarr"
            read = survey(free, series, out, settings=self.sampler, seed=seed, progress=stages.visible)
        lines = along(self.scape, ((item.step, item.load()) for item in series), length=self.length)
        mapped = {}
        for item in (series.items[0], series.items[len(series) // 2], series.items[-1]):
            here = self.scape.at(item.load())
            if has_plane(here):
                mapped[f"update {item.step}"] = surface(here, size=self.size, seed=seed)
        return Followed(series.steps, lines, cliffs(lines), mapped, read)


def layers(inputs: int, width: int, outputs: int) -> nn.Module:
    """Two tanh layers: a policy, or the value that it learns with."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
    )


def episodes(
    build: Callable[[], nn.Module],
    environment: Environment,
    how: Reinforce | PPO,
    seed: int,
    value: Callable[[], nn.Module] | None = None,
) -> Moments:
    """Learning from episodes, to be begun."""
    return lambda: ((m.step, [m.weights]) for m in learn(build, environment, how, seed, value=value))


def exact_gradient(build: Callable[[], nn.Module], levels: Levels, how: Ascent, seeds: list[int]) -> Moments:
    """Learning by the exact gradient, a run for each seed, to be begun."""
    return lambda: ((m.step, m.weights) for m in ascend(build, levels, how, seeds))


def trained_series(moments: Moments, folders: list[Path], last: int) -> list[Series]:
    """Train and write down, a run to a folder; or read what was written, where all have the last step already."""
    if not all(place(folder, last).exists() for folder in folders):
        with threads(1):
            for step, weights in moments():
                for folder, own in zip(folders, weights, strict=True):
                    save(own, folder, step)
    return [checkpoints(folder) for folder in folders]
