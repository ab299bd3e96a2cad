"""Cut a survey into shards, and give each the key of everything that its numbers depend on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.checkpoints import Checkpoint
from thalweg.errors import InputError
from thalweg.landscape import Data, Landscape
from thalweg.samplers import Settings
from thalweg.store import digest, of_checkpoint, of_data, of_landscape, versions

SHARD = 4  # checkpoints, whatever the memory


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


def plan(landscape: Landscape, series: Sequence[Checkpoint], settings: Settings, test: Data | None) -> Plan:
    """Read every checkpoint once, check that it fits the module, and name the shards.

    Raises:
        InputError: the first checkpoint that does not fit; nothing was written yet.
    """
    hashes = {"landscape": of_landscape(landscape), "data": of_data(landscape.data), "test_data": of_data(test)}
    shared = digest(hashes, settings.model_dump(), versions()["torch"], os.environ.get("MKL_CBWR", ""))
    shards = []
    for first in range(0, len(series), SHARD):
        part = tuple(series[first : first + SHARD])
        own = tuple(_fingerprint(landscape, checkpoint) for checkpoint in part)
        key = digest(shared, [[c.step, h] for c, h in zip(part, own, strict=True)])
        shards.append(Shard(key, part, own))
    return Plan(tuple(shards), hashes)


def _fingerprint(landscape: Landscape, checkpoint: Checkpoint) -> str:
    """Hash of one checkpoint, as the landscape takes it."""
    try:
        return of_checkpoint(landscape.at(checkpoint.load()))
    except InputError as error:
        message = str(error)
        raise InputError(message if str(checkpoint.path) in message else f"{checkpoint.path}: {message}") from error
