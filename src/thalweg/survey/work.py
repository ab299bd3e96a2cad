"""What a worker does: read a checkpoint at w*, or move a chunk by one block. Both are plain functions.

A worker process is given the job's landscape once; the engine that it builds stays with it.
"""

from dataclasses import dataclass

import torch

from thalweg.checkpoints import Checkpoint
from thalweg.estimators import Auto, estimate_auto
from thalweg.landscape import Center, Data, Estimate, Landscape, full_loss, measure
from thalweg.samplers import Block, Chunk, Engine, Settings, State, advance, threads


@dataclass(frozen=True, eq=False)
class Job:
    """What all tasks of a survey share.

    Attributes:
        landscape: the module's, at any weights.
        settings: resolved; of a sampler for all checkpoints, or `Auto`, where each finds its own.
        test: data of the test loss, or None.
    """

    landscape: Landscape
    settings: Settings | Auto
    test: Data | None


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read at one checkpoint before any step."""

    center: Center
    test_loss: float


class Worker:
    """One process's share of a survey."""

    def __init__(self, job: Job) -> None:
        """Build the engine; it is traced at its first step."""
        self.job = job
        self.engine = Engine(job.landscape, compiled=isinstance(job.settings, Settings) and job.settings.compile)

    def read(self, checkpoint: Checkpoint) -> Reading:
        """Losses and gradient at w*."""
        with threads(self.job.settings.threads):
            scape = self.job.landscape.at(checkpoint.load())
            test = full_loss(scape, self.job.test) if self.job.test else float("nan")
            return Reading(measure(scape), test)

    def move(self, chunk: Chunk, state: State) -> tuple[State, Block]:
        """One block of steps."""
        assert isinstance(self.job.settings, Settings)
        with threads(self.job.settings.threads):
            return advance(self.engine, self.job.settings, chunk, state)

    def settle(self, checkpoint: Checkpoint) -> tuple[Reading, Estimate]:
        """A whole estimate, with nothing set."""
        assert isinstance(self.job.settings, Auto)
        reading = self.read(checkpoint)
        with threads(self.job.settings.threads):
            scape, center = self.job.landscape, reading.center
            return reading, estimate_auto(scape, self.job.settings, center, step=checkpoint.step, engine=self.engine)


_worker: Worker | None = None


def enter(job: Job) -> None:
    """Set up a worker process."""
    global _worker
    torch.set_num_threads(job.settings.threads)
    _worker = Worker(job)


def read(checkpoint: Checkpoint) -> Reading:
    """`Worker.read` of this process."""
    assert _worker is not None
    return _worker.read(checkpoint)


def move(chunk: Chunk, state: State) -> tuple[State, Block]:
    """`Worker.move` of this process."""
    assert _worker is not None
    return _worker.move(chunk, state)


def settle(checkpoint: Checkpoint) -> tuple[Reading, Estimate]:
    """`Worker.settle` of this process."""
    assert _worker is not None
    return _worker.settle(checkpoint)
