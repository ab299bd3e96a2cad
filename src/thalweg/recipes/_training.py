"""Train a small network and keep its checkpoints: what recipes share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.checkpoints import place, save
from thalweg.rng import seeded, stream
from thalweg.runtime import threads


@dataclass(frozen=True)
class Training:
    """How a network is trained, each batch drawn anew with replacement.

    Attributes:
        batches: in all.
        batch_size: samples a batch.
        every: batches between checkpoints; one is kept before the first and one after the last.
        learning_rate: of the optimizer.
        weight_decay: added to the gradient.
        optimizer: Adam, or plain SGD.
        early: checkpoints beside those, from the first batch on, at even ratios up to `every`.
    """

    batches: int
    batch_size: int
    every: int
    learning_rate: float
    weight_decay: float
    optimizer: Literal["adam", "sgd"] = "adam"
    early: int = 0

    @property
    def kept(self) -> set[int]:
        """Batches after which a checkpoint is kept."""
        ratios = [round(self.every ** (i / self.early)) for i in range(self.early)]
        return {*range(0, self.batches, self.every), self.batches, *ratios}


def train(
    build: Callable[[], nn.Module],
    data: tuple[Tensor, Tensor],
    training: Training,
    folder: Path,
    *,
    seed: int,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> nn.Module:
    """Train on inputs and targets (n, ...) each, and keep checkpoints; the seed is of initialisation and batches.

    Nothing is trained when the last checkpoint is there already; then the module is only initialised. The loss is
    each sample's, or their mean.
    """
    with seeded(seed, "initialisation"):
        module = build()
    if place(folder, training.batches).exists():
        return module
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[training.optimizer]
    optimizer = kind(module.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    inputs, targets = data
    own, kept = stream(seed, "batches"), training.kept
    with threads(1):
        for batch in range(training.batches + 1):
            if batch in kept:
                save(module.state_dict(), folder, batch)
            if batch == training.batches:
                break
            rows = torch.randint(len(targets), (training.batch_size,), generator=own)
            optimizer.zero_grad()
            loss(module(inputs[rows]), targets[rows]).mean().backward()
            optimizer.step()
    return module
