"""What a worker does: read a checkpoint at w*, or move a chunk by one block.

A worker process is given the job's landscape once; the engine that it builds stays with it.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from thalweg.checkpoints import LOADERS, Checkpoint
from thalweg.estimators import LOGGED, Auto, begin, estimate_auto, measured
from thalweg.landscape import Center, Data, Estimate, Landscape, full_loss, measure, sampled_point
from thalweg.runtime import threads
from thalweg.samplers import ALGORITHMS, Block, Chunk, Engine, Settings, State, advance, place

DOORS = (ALGORITHMS, LOADERS, LOGGED)  # what workers ask for by name
SAMPLES = 1024  # of many samples about so many stand for all in the functional variance


@dataclass(frozen=True, eq=False)
class Job:
    """What all tasks of a survey share.

    Attributes:
        landscape: the module's, at any weights.
        settings: resolved; of a sampler for all checkpoints, or `Auto`, where each finds its own.
        test: data of the test loss, or None.
        logged: quantities beside, of `LOGGED`.
        registered: what was added to each of `DOORS` in the process that asks; workers start without it.
    """

    landscape: Landscape
    settings: Settings | Auto
    test: Data | None
    logged: tuple[str, ...] = ()
    registered: tuple[dict[str, Any], ...] = field(default_factory=lambda: tuple(dict(d.registered) for d in DOORS))


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read at one checkpoint before any step."""

    center: Center
    test_loss: float
    logged: dict[str, float] = field(default_factory=dict)


class Worker:
    """One process's share of a survey."""

    def __init__(self, job: Job) -> None:
        """Build the engine; it is traced at its first step."""
        for door, things in zip(DOORS, job.registered, strict=True):
            door.registered.update(things)
        self.job = job
        self.engine = Engine(job.landscape, compiled=isinstance(job.settings, Settings) and job.settings.compile)

    def read(self, checkpoint: Checkpoint) -> Reading:
        """Losses and gradient at w*, or where it relaxes to; test loss at w*."""
        with threads(self.job.settings.threads):
            scape = self.job.landscape.at(checkpoint.load())
            test = full_loss(scape, self.job.test) if self.job.test else float("nan")
            settings, center = self.job.settings, measure(scape)
            if isinstance(settings, Settings):  # else the point is found where gamma is
                center = sampled_point(scape, center, settings.nbeta or math.nan, settings.gamma)
                scape = replace(scape, params=scape.layout.unflatten(center.params))
            return Reading(center, test, self._logged(scape, center))

    def _logged(self, scape: Landscape, center: Center) -> dict[str, float]:
        """What is logged of w* alone."""
        settings = self.job.settings
        if not isinstance(settings, Settings):
            return {}
        found = {name: measured(name, scape, center, settings) for name in self.job.logged}
        return {name: value for name, value in found.items() if value is not None}

    def move(self, chunk: Chunk, state: State) -> tuple[State, Block, Tensor | None]:
        """One block of steps; with it, for the functional variance, losses (R, S) of some samples at its end."""
        settings = self.job.settings
        assert isinstance(settings, Settings)
        with threads(settings.threads):
            state = begin(self.engine, settings, chunk) if state.step == 0 else state
            state, block = advance(self.engine, settings, chunk, state)
            asked = "functional_variance" in self.job.logged and state.step > settings.burn_in
            return state, block, self._losses(chunk, state) if asked else None

    def _losses(self, chunk: Chunk, state: State) -> Tensor:
        """(R, S) nats, each replica after the other."""
        scape = self.job.landscape
        assert scape.data is not None
        few = scape.data.take(slice(0, len(scape.data), max(1, len(scape.data) // SAMPLES)))
        found = []
        with torch.no_grad():
            for which, carried in zip(chunk.which, state.carried["params"], strict=True):
                center = chunk.centers[which]
                weights = scape.layout.unflatten(place(scape, center.params, carried))
                found.append(scape.losses(weights, center.frozen, *few).double())
        return torch.stack(found)

    def settle(self, checkpoint: Checkpoint) -> tuple[Reading, Estimate]:
        """A whole estimate, with nothing set."""
        assert isinstance(self.job.settings, Auto)
        reading = self.read(checkpoint)
        with threads(self.job.settings.threads):
            scape, center = self.job.landscape, reading.center
            return reading, estimate_auto(scape, self.job.settings, center, step=checkpoint.step, engine=self.engine)
