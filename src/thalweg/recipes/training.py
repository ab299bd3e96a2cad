"""Train a small network and keep its checkpoints: what recipes share."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from thalweg.rng import seeded, stream
from thalweg.samplers import threads


@dataclass(frozen=True)
class Training:
    """How a classifier is trained: Adam, each batch drawn anew with replacement.

    Attributes:
        batches: in all.
        batch_size: samples a batch.
        every: batches between checkpoints; one is kept before the first and one after the last.
        learning_rate: of Adam.
        weight_decay: of Adam, added to the gradient.
    """

    batches: int
    batch_size: int
    every: int
    learning_rate: float
    weight_decay: float


def train(
    build: Callable[[], nn.Module],
    data: tuple[Tensor, Tensor],
    training: Training,
    folder: Path,
    *,
    seed: int,
    tick: Callable[[int], None],
) -> nn.Module:
    """Train, and keep checkpoints as `step-N.safetensors`.

    Nothing is trained when the last checkpoint is there already; the steps are the same each time.

    Args:
        build: makes the module; its initialisation is drawn from the seed.
        data: inputs (n, ...) and class labels (n).
        training: how.
        folder: where checkpoints go.
        seed: of initialisation and batches.
        tick: called with 1 after each batch.

    Returns:
        The trained module where it was trained now, else one that was only initialised.
    """
    with seeded(seed, "initialisation"):
        module = build()
    folder.mkdir(parents=True, exist_ok=True)
    if _place(folder, training.batches).exists():
        tick(training.batches)
        return module
    optimizer = torch.optim.Adam(module.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    inputs, targets = data
    own = stream(seed, "batches")
    with threads(1):
        for batch in range(training.batches + 1):
            if batch % training.every == 0 or batch == training.batches:
                _keep(module, _place(folder, batch), batch)
            if batch == training.batches:
                break
            rows = torch.randint(len(targets), (training.batch_size,), generator=own)
            optimizer.zero_grad()
            F.cross_entropy(module(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            tick(1)
    return module


def _place(folder: Path, step: int) -> Path:
    return folder / f"step-{step}.safetensors"


def _keep(module: nn.Module, place: Path, step: int) -> None:
    """Write a checkpoint whole."""
    save_file(
        {k: w.contiguous() for k, w in module.state_dict().items()}, place.with_suffix(".new"), {"step": str(step)}
    )
    os.replace(place.with_suffix(".new"), place)
