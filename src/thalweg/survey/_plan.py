"""Cut a survey into shards, and give each the key of everything that its numbers depend on."""

import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from thalweg.checkpoints import Checkpoint
from thalweg.errors import InputError
from thalweg.estimators import LOGGED, Auto
from thalweg.landscape import Data, Landscape, checked_gradients, full_loss, measure
from thalweg.runtime import threads
from thalweg.samplers import ALGORITHMS, Settings
from thalweg.store import digest, of_addition, of_checkpoint, of_data, of_landscape, of_tensors, versions

SHARD = 4  # checkpoints, whatever the memory; one where each finds its own settings
FEW = 64  # samples whose losses and gradients are part of a checkpoint's identity


@dataclass(frozen=True)
class Shard:
    """Checkpoints that are computed and written together.

    Attributes:
        key: of weights, buffers, data, loss, module, settings and torch.
        checkpoints: at most SHARD.
        hashes: of each checkpoint's weights and buffers.
    """

    key: str
    checkpoints: tuple[Checkpoint, ...]
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """All shards of a survey, and the hashes of what they share."""

    shards: tuple[Shard, ...]
    hashes: dict[str, str]

    def missing(self, finished: Container[str]) -> list[Shard]:
        """Those whose keys are not there."""
        return [shard for shard in self.shards if shard.key not in finished]


def plan(
    landscape: Landscape,
    series: Sequence[Checkpoint],
    settings: Settings | Auto,
    test: Data | None,
    logged: tuple[str, ...] = (),
) -> Plan:
    """Read every checkpoint once, check that it fits the module, and name the shards.

    Raises:
        InputError: the first checkpoint that does not fit; nothing was written yet.
    """
    hashes = {"landscape": of_landscape(landscape), "data": of_data(landscape.data), "test_data": of_data(test)}
    beside = [*([list(logged)] if logged else []), *_added(settings, logged, landscape.name)]
    shared = digest(hashes, settings.model_dump(), versions()["torch"], os.environ.get("MKL_CBWR", ""), *beside)
    with threads(settings.threads):
        shards = _shards(landscape, series, shared, 1 if isinstance(settings, Auto) else SHARD)
        first = landscape.at(series[0].load())
        measure(first)  # all data once, so that what is wrong with them is said before anything is written
        if test is not None:
            full_loss(first, test)
    return Plan(tuple(shards), hashes)


def _added(settings: Settings | Auto, logged: tuple[str, ...], name: str | None) -> list[list[Any]]:
    """Identity of what comes from outside; nothing where all is ours."""
    found: dict[str, Callable] = {}
    if isinstance(settings, Settings) and settings.sampler not in ALGORITHMS.ours:
        found[f"sampler {settings.sampler}"] = settings.algorithm.step
    for other in logged:
        measure = LOGGED[other].measure
        if other not in LOGGED.ours and measure is not None:
            found[f"logged {other}"] = measure
    return [of_addition(call, what, name) for what, call in found.items()]


def checked(landscape: Landscape, series: Sequence[Checkpoint]) -> Landscape:
    """The landscape with what has no gradient held, as it shows at the first, the middle and the last checkpoint.

    Raises:
        InputError: one of them does not fit the module, or the gradient there is not the loss's.
    """
    for index in sorted({0, len(series) // 2, len(series) - 1}):
        with _named(series[index]):
            found = checked_gradients(landscape.at(series[index].load()))
        landscape = replace(landscape, restriction=found.restriction)
    return landscape


@contextmanager
def _named(checkpoint: Checkpoint) -> Iterator[None]:
    """Say of what is wrong at a checkpoint where it lies."""
    try:
        yield
    except InputError as error:
        message = str(error)
        raise InputError(message if str(checkpoint.path) in message else f"{checkpoint.path}: {message}") from error


def _shards(landscape: Landscape, series: Sequence[Checkpoint], shared: str, size: int) -> list[Shard]:
    """Checkpoints in groups, each with its key."""
    shards = []
    for first in range(0, len(series), size):
        part = tuple(series[first : first + size])
        own = tuple(_fingerprint(landscape, checkpoint) for checkpoint in part)
        key = digest(shared, [[c.step, h] for c, h in zip(part, own, strict=True)])
        shards.append(Shard(key, part, own))
    return shards


def _fingerprint(landscape: Landscape, checkpoint: Checkpoint) -> str:
    """Hash of one checkpoint, and of what the landscape makes of it.

    Losses and gradients of a few samples stand for all that sources do not show: globals, helpers,
    attributes of the module.
    """
    with _named(checkpoint):
        scape = landscape.at(checkpoint.load())
        few = measure(replace(scape, data=scape.data.head(FEW) if scape.data else None))
        return digest(of_checkpoint(scape), of_tensors({"losses": few.losses, "gradient": few.gradient}))
