"""Which polygon a Bayesian of n samples is in: tempering from opposite starts, and what free energy says of it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thalweg.phases import Phase, critical_n, integrate
from thalweg.recipes._configuration import Configuration
from thalweg.recipes._parallel import in_parallel
from thalweg.rng import seed_of
from thalweg.runtime import atomic_write, threads
from thalweg.samplers import temper
from thalweg.theory import superposition_gon, superposition_loss

SIDES = (4, 6)  # corners of the polygon that a side's ladders start from
ASLEEP = -0.1  # bias of the zero columns there: a standard normal prior allows it


class Tempering(Configuration):
    """How the posterior over phases is sampled.

    Attributes:
        rungs: n, ascending.
        ladders: for each of both starts.
        sweeps: after burn-in.
        burn_in: sweeps.
        every: sweeps from one draw that is kept to the next.
    """

    rungs: tuple[float, ...]
    ladders: int
    sweeps: int
    burn_in: int
    every: int


@dataclass(frozen=True, eq=False)
class PhasePosterior:
    """Draws by configuration.                    R ladders (all sides), K rungs, k corners, s positive biases

    Attributes:
        rungs: (K) n.
        side: (R) corners of the start.
        count: (R, K, c + 1, c + 1) draws in configuration (k, s).
        mean: the same shape, mean of L over them; 0 where there are none.
        variance: the same shape, of L about `mean`.
        accepted: (sides, K) share of trajectories.
        swapped: (sides, K - 1) share of trades.
    """

    rungs: np.ndarray
    side: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    accepted: np.ndarray
    swapped: np.ndarray

    def shares(self, k: int, side: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(K) share of draws with k corners, and its standard error over ladders."""
        count = self.count if side is None else self.count[self.side == side]
        each = count[:, :, k].sum(-1) / count.sum((-2, -1))
        return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))


def sample(features: int, tempering: Tempering, folder: Path, seed: int) -> PhasePosterior:
    """Temper from both starts, in a process each; a side that is on disk is read."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [folder / f"from-{k}.npz" for k in SIDES]
    missing = [(k, place) for k, place in zip(SIDES, places, strict=True) if not place.exists()]
    if missing:
        list(in_parallel(partial(_side, features, tempering, seed), *zip(*missing, strict=True)))
    sides = [np.load(place) for place in places]
    joined = {name: np.concatenate([side[name] for side in sides]) for name in ("count", "mean", "variance")}
    return PhasePosterior(
        rungs=np.array(tempering.rungs),
        side=np.repeat(SIDES, tempering.ladders),
        **joined,
        accepted=np.stack([side["accepted"] for side in sides]),
        swapped=np.stack([side["swapped"] for side in sides]),
    )


def unflatten(weights: Tensor) -> tuple[Tensor, Tensor]:
    """W (.., 2, c) and b (.., c) of flat weights (.., 3c)."""
    c = weights.shape[-1] // 3
    return weights[..., : 2 * c].reshape(*weights.shape[:-1], 2, c), weights[..., 2 * c :]


def _side(features: int, tempering: Tempering, seed: int, k: int, place: Path) -> None:
    """All ladders from one start, summed by configuration."""
    weights, biases = superposition_loss.gon(features, k)
    start = torch.cat([weights.flatten(), biases.clamp(min=ASLEEP) if k == SIDES[0] else biases])
    with threads(1):
        found = temper(
            lambda flat: superposition_loss.loss(*unflatten(flat)),
            start.repeat(tempering.ladders, 1),
            tempering.rungs,
            sweeps=tempering.sweeps,
            burn_in=tempering.burn_in,
            every=tempering.every,
            seed=seed_of(seed, "posterior", k),
        )
        corners, positive = superposition_loss.configuration(*unflatten(found.weights))
    size = features + 1
    cells = (corners * size + positive).numpy()
    value = found.loss.numpy()
    one_hot = np.arange(size * size) == cells[..., None]  # (M, R, K, cells)
    count = one_hot.sum(0)
    mean = np.einsum("mrk,mrkc->rkc", value, one_hot) / np.maximum(count, 1)
    square = np.einsum("mrk,mrkc->rkc", value**2, one_hot) / np.maximum(count, 1)
    shape = (*count.shape[:2], size, size)
    columns = {"count": count, "mean": mean, "variance": np.maximum(square - mean**2, 0)}
    with atomic_write(place) as aside, aside.open("wb") as file:
        np.savez(
            file,
            accepted=found.accepted.numpy(),
            swapped=found.swapped.numpy(),
            **{name: column.reshape(shape) for name, column in columns.items()},
        )


@dataclass(frozen=True)
class Crossing:
    """From the k-gon to the (k + 1)-gon.

    Attributes:
        predicted: n where the free energies cross, with c = |w*|^2/2.
        leading: the same without constants.
        observed: n where the posterior's shares cross, None where they do not on the ladder.
        constant: the prior's part of c, second minus first, nats.
        effective: (K) c that the shares imply, NaN where either phase has no draws.
        measured: (K) difference of free energies by the shares, nats.
        integrated: (K) the same by thermodynamic integration from the first rung where both have draws.
        error: (K) standard error of integrated - measured, by leaving out ladders.
    """

    predicted: float | None
    leading: float | None
    observed: float | None
    constant: float
    effective: np.ndarray
    measured: np.ndarray
    integrated: np.ndarray
    error: np.ndarray


def phase(features: int, k: int) -> Phase:
    """The k-gon with zero columns of negative bias, as free energy sees it under a standard normal prior."""
    weights, biases = superposition_loss.gon(features, k)
    norm = weights.square().sum() + biases[:k].square().sum()  # a dead bias is free, and as small as it likes
    return Phase(
        f"{k}-gon",
        float(superposition_loss.loss(weights, biases)),
        float(superposition_gon(features, k).llc),
        constant=float(norm) / 2,
    )


def crossing(found: PhasePosterior, features: int, k: int, least: int) -> Crossing:
    """Hold the prediction for k -> k + 1 against the posterior.

    A rung needs at least so many draws of both phases to be read.
    """
    first, second = phase(features, k), phase(features, k + 1)
    rungs = found.rungs
    seen = (found.count[:, :, k : k + 2].sum((0, 3)) >= least).all(1)
    everyone = np.arange(len(found.side))
    measured, integrated = _differences(found, k, seen, everyone)
    pairs = np.array([_differences(found, k, seen, np.delete(everyone, r)) for r in everyone])
    left = pairs[:, 1] - pairs[:, 0]  # (R, K): integrated less measured without each ladder
    leading = rungs * (second.loss - first.loss) + (second.llc - first.llc) * np.log(rungs)
    return Crossing(
        predicted=critical_n(first, second),
        leading=critical_n(first, second, constants=False),
        observed=_zero(rungs, measured),
        constant=second.constant - first.constant,
        effective=measured - leading,
        measured=measured,
        integrated=integrated,
        error=np.sqrt((len(everyone) - 1) * left.var(0)),
    )


def _differences(
    found: PhasePosterior, k: int, seen: np.ndarray, ladders: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """F of k + 1 minus F of k: by shares, and by integration from the first rung seen; NaN where not seen."""
    measured, integrated = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    if seen.sum() < 2:
        return measured, integrated
    counts, curves = [], []
    for corners in (k, k + 1):
        count = found.count[ladders, :, corners].astype(float)  # (R, K, s)
        total = count.sum((0, 2))
        mean = (count * found.mean[ladders, :, corners]).sum((0, 2)) / np.maximum(total, 1)
        apart = (found.mean[ladders, :, corners] - mean[:, None]) ** 2 + found.variance[ladders, :, corners]
        variance = (count * apart).sum((0, 2)) / np.maximum(total, 1)
        counts.append(total[seen])
        curves.append(integrate(found.rungs[seen], mean[seen], variance[seen]))
    with np.errstate(divide="ignore"):  # a phase without a draw, once a ladder is left out
        measured[seen] = np.log(counts[0] / counts[1])
    integrated[seen] = curves[1] - curves[0] + measured[seen][0]
    return measured, integrated


def _zero(rungs: np.ndarray, curve: np.ndarray) -> float | None:
    """Where a curve last crosses zero, by straight lines in log n."""
    seen = np.flatnonzero(np.isfinite(curve))
    for a, b in zip(seen[-2::-1], seen[:0:-1], strict=True):
        if curve[a] * curve[b] < 0:
            share = curve[a] / (curve[a] - curve[b])
            return float(np.exp(np.log(rungs[a]) * (1 - share) + np.log(rungs[b]) * share))
    return None
