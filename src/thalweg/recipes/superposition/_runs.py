"""Gradient descent from the 4-gon by the published protocol: levels of loss, and the coefficient along each run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from thalweg.checkpoints import checkpoints, save
from thalweg.landscape import landscape
from thalweg.phases import Plateau, plateaus
from thalweg.recipes._configuration import Configuration
from thalweg.recipes._parallel import in_parallel
from thalweg.rng import seed_of, stream
from thalweg.runtime import atomic_write, threads
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.survey import survey
from thalweg.theory import superposition_loss

NEAR = 3e-4  # nats: a checkpoint this close to a level is on it


class Descent(Configuration):
    """The published protocol: plain SGD from the 4-gon, all runs at once.

    Attributes:
        runs: each with its own data, initial noise and order of samples.
        samples: n of a run, x = u e_i, fixed.
        batch_size: samples a step; every epoch passes all of them in a new order.
        learning_rate: of plain SGD.
        noise: standard deviation of the weights and biases about the 4-gon, whose biases are 0.
        epochs: in all.
        every: epochs between kept states.
        surveyed: every so many kept states one is surveyed.
        sampler: of the surveys.
    """

    runs: int
    samples: int
    batch_size: int = 20
    learning_rate: float
    noise: float
    epochs: int
    every: int
    surveyed: int = 6
    sampler: Settings


class Toy(nn.Module):
    """f(x) = relu(W'W x + b)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(2, features, dtype=torch.float64))
        self.b = nn.Parameter(torch.zeros(features, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c) -> (B, c)."""
        return torch.relu(x @ self.W.T @ self.W + self.b)


def squared(output: Tensor, target: Tensor) -> Tensor:
    """|x - f(x)|^2, each sample's, without one half."""
    return (output - target).square().sum(-1)


@dataclass(frozen=True, eq=False)
class Runs:
    """All runs.                                        R runs, T kept states

    Attributes:
        steps: (T) training steps.
        weights: (R, T, 2, c).
        biases: (R, T, c).
        data: (R, n, c).
        loss: (R, T) over all inputs, exact, nats per sample.
        stays: plateaus of each run, found from its loss alone.
    """

    steps: np.ndarray
    weights: Tensor
    biases: Tensor
    data: Tensor
    loss: np.ndarray
    stays: tuple[tuple[Plateau, ...], ...]


def levels(features: int) -> dict[str, float]:
    """Loss of every k^{s+,p-}: k corners, s zero columns of positive bias, p corners of a 4-gon that are dead."""
    found = {}
    for k in (k for k in superposition_loss.GONS if k <= features):
        whole = float(superposition_loss.loss(*superposition_loss.gon(features, k)))
        for positive in range(features - k + 1):
            for dead in range(k if k == 4 else 1):
                name = f"{k}" + "+" * positive + "-" * dead
                found[name] = whole + (dead - 3 * positive / (4 * features)) / (3 * features)
    return found


def descend(features: int, protocol: Descent, place: Path, seed: int, say: Callable[[str], None]) -> Runs:
    """Run them all, or read what was kept."""
    count, n = protocol.runs, protocol.samples
    chosen = torch.randint(features, (count, n), generator=stream(seed, "features"))
    size = torch.rand(count, n, generator=stream(seed, "sizes"), dtype=torch.float64)
    data = torch.zeros(count, n, features, dtype=torch.float64).scatter_(2, chosen[..., None], size[..., None])
    if not place.exists():
        say(f"{count} runs of {protocol.epochs} epochs")
        place.parent.mkdir(parents=True, exist_ok=True)
        with threads(1), torch.inference_mode():
            kept = _descent(features, protocol, data, seed)
        with atomic_write(place) as aside:
            save_file({name: w.contiguous() for name, w in kept.items()}, aside)
    kept = load_file(place)
    steps = np.arange(kept["W"].shape[1]) * protocol.every * (n // protocol.batch_size)
    exact = superposition_loss.loss(kept["W"], kept["b"]).numpy()
    stays = tuple(tuple(plateaus(steps, curve)) for curve in exact)
    return Runs(steps, kept["W"], kept["b"], data, exact, stays)


def _descent(features: int, protocol: Descent, data: Tensor, seed: int) -> dict[str, Tensor]:
    """States (R, T, ..) along plain SGD on |x - f(x)|^2; the gradient is written out, runs side by side."""
    own, (corners, _) = stream(seed, "descent"), superposition_loss.gon(features, 4)
    count, n, size = protocol.runs, protocol.samples, protocol.batch_size
    W = corners + protocol.noise * torch.randn(count, 2, features, generator=own, dtype=torch.float64)
    b = protocol.noise * torch.randn(count, 1, features, generator=own, dtype=torch.float64)
    rows, kept = torch.arange(count)[:, None], [(W, b)]
    for epoch in range(protocol.epochs):
        order = torch.rand(count, n, generator=own).argsort(1)[:, : n - n % size]
        shuffled = data[rows, order].reshape(count, -1, size, features)
        for x in shuffled.unbind(1):
            z = torch.baddbmm(b, x @ W.mT, W)
            d = torch.where(z > 0, z - x, 0.0) * (2 / size)
            W = W - protocol.learning_rate * ((x @ W.mT).mT @ d + (W @ d.mT) @ x)
            b = b - protocol.learning_rate * d.sum(1, keepdim=True)
        if (epoch + 1) % protocol.every == 0:
            kept.append((W, b))
    return {"W": torch.stack([w for w, _ in kept], 1), "b": torch.stack([v[:, 0] for _, v in kept], 1)}


def survey_all(features: int, protocol: Descent, runs: Runs, folder: Path, seed: int) -> list[Survey]:
    """A survey of every run, each in one process; finished ones are read."""
    places = [folder / f"run-{r}" for r in range(len(runs.weights))]
    for r, place in enumerate(places):
        for t in range(0, len(runs.steps), protocol.surveyed):
            save({"W": runs.weights[r, t], "b": runs.biases[r, t]}, place, int(runs.steps[t]))
    seeds = [seed_of(seed, "survey", r) for r in range(len(places))]
    list(in_parallel(partial(_survey, features, protocol.sampler), list(runs.data), places, seeds))
    return [Survey(place.with_suffix(".zarr")) for place in places]


def _survey(features: int, sampler: Settings, data: Tensor, place: Path, seed: int) -> None:
    """One run, in this process."""
    scape, out = landscape(Toy(features), (data, data), squared), place.with_suffix(".zarr")
    survey(scape, checkpoints(place), out, settings=sampler, seed=seed, workers=1, progress=False)


@dataclass(frozen=True)
class Stair:
    """From one plateau to the next.

    Attributes:
        run: number.
        before: level that it left.
        after: level that it reached.
        start: last step of the plateau before.
        end: first step of the plateau after.
        d_loss: nats per sample.
        d_llc: mean of the healthy estimates on the plateau after, minus before; None where either has none.
        error: its standard error.
    """

    run: int
    before: str
    after: str
    start: float
    end: float
    d_loss: float
    d_llc: float | None
    error: float | None

    @property
    def opposing(self) -> bool | None:
        """Whether loss falls and lambda rises; None where lambda was not read."""
        return None if self.d_llc is None else bool(self.d_loss < 0 < self.d_llc)


def on_level(runs: Runs, known: dict[str, float]) -> tuple[int, int]:
    """Plateau checkpoints within NEAR of a level, and all of them."""
    heights = np.array(list(known.values()))
    stays = [
        curve[stay.first : stay.last + 1] for curve, own in zip(runs.loss, runs.stays, strict=True) for stay in own
    ]
    if not stays:
        return 0, 0
    apart = np.abs(np.concatenate(stays)[:, None] - heights).min(1)
    return int((apart < NEAR).sum()), len(apart)


def nearest(value: float, known: dict[str, float]) -> str:
    """The level next to a loss."""
    return min(known, key=lambda name: abs(known[name] - value))


def stairs(runs: Runs, surveys: list[Survey], known: dict[str, float]) -> list[Stair]:
    """All moves between plateaus."""
    found = []
    for r, (stays, read) in enumerate(zip(runs.stays, surveys, strict=True)):
        for before, after in pairwise(stays):
            low, high = _reading(read, before), _reading(read, after)
            risen = None if low is None or high is None else (high[0] - low[0], float(np.hypot(low[1], high[1])))
            found.append(
                Stair(
                    run=r,
                    before=nearest(before.level, known),
                    after=nearest(after.level, known),
                    start=before.end,
                    end=after.start,
                    d_loss=after.level - before.level,
                    d_llc=risen[0] if risen else None,
                    error=risen[1] if risen else None,
                )
            )
    return found


def _reading(read: Survey, stay: Plateau) -> tuple[float, float] | None:
    """Mean of the healthy estimates on a plateau, with its error."""
    steps = read.column("step")
    on = read.healthy & (steps >= stay.start) & (steps <= stay.end)
    if not on.any():
        return None
    errors = read.column("llc_stderr")[on]
    return float(read.column("llc")[on].mean()), float(np.sqrt(np.square(errors).sum()) / len(errors))
