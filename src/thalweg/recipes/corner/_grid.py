"""Alpha and discount: where free energy stops preferring the corner, and what training does.

A Bayesian of nbeta prefers the policy of less free energy F = nbeta G + lambda log nbeta. The policy that walks
to the corner is taken from the end of a run at the least alpha, the one that walks to the cheese from a run at
the study's own; their regrets and lambdas are read at every alpha of the grid, where neither was trained: away from
their own alphas they are no minima, and an excess of nbeta G of a few nats moves the predicted alpha down. That
training is no sampling of a posterior, and has no nbeta, is part of the question. So the grid shows both and settles
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.checkpoints import Checkpoint, Series, checkpoints
from thalweg.mdp import Levels
from thalweg.recipes._parallel import in_parallel
from thalweg.recipes._policy_checkpoints import exact_gradient, trained_series
from thalweg.recipes.corner._behaviour import PHASES, Watch
from thalweg.recipes.corner.config import Config
from thalweg.runtime import all_finite, finite
from thalweg.survey import survey


@dataclass(frozen=True, eq=False)
class Row:
    """One discount.                                                   A alphas, P picks

    Attributes:
        discount: of the reward.
        share: (A,) of the runs that end nearest to the policy that walks to the cheese.
        gain: (P, A) free energy of the corner policy less that of the other, nats; NaN where a lambda has no value.
        predicted: (P,) alpha from which the corner is no longer preferred; NaN where that lies outside the grid.
        observed: alpha at which half of the runs leave the corner; NaN where that lies outside the grid.
    """

    discount: float
    share: np.ndarray
    gain: np.ndarray
    predicted: np.ndarray
    observed: float


@dataclass(frozen=True, eq=False)
class Sweep:
    """All discounts at one nbeta."""

    alphas: tuple[float, ...]
    nbeta: float
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "alphas": list(self.alphas),
            "nbeta": self.nbeta,
            "rows": [
                {
                    "discount": row.discount,
                    "share_to_cheese": row.share.tolist(),
                    "free_energy_gain": [all_finite(pick) for pick in row.gain],
                    "predicted_alpha": all_finite(row.predicted),
                    "observed_alpha": finite(row.observed),
                }
                for row in self.rows
            ],
        }


def sweep(config: Config, folder: Path, seed: int, say: Callable[[str], None]) -> Sweep:
    """Train every cell, from the seed on, then read both policies of each discount at every alpha."""
    grid = config.grid
    cells = [(discount, alpha) for discount in grid.discounts for alpha in grid.alphas]
    columns = list(zip(*cells, strict=True))
    say(f"training {grid.runs} policies at each of {len(cells)} cells of alpha and discount")
    every = map if config.workers == 1 else in_parallel
    shares = np.reshape(
        list(every(partial(_trained, config, folder, seed), *columns)), (len(grid.discounts), len(grid.alphas))
    )
    say("regret and lambda of both policies in every cell")
    gains = list(every(partial(_gain, config, folder, seed), *columns))
    rows = []
    for i, discount in enumerate(grid.discounts):
        gain = np.stack(gains[i * len(grid.alphas) : (i + 1) * len(grid.alphas)], 1)
        predicted = np.array([crossing(grid.alphas, pick) for pick in gain])
        rows.append(Row(discount, shares[i], gain, predicted, crossing(grid.alphas, shares[i] - 0.5)))
    assert config.sampler.nbeta is not None
    return Sweep(grid.alphas, config.sampler.nbeta, tuple(rows))


def train(config: Config, levels: Levels, folder: Path, seed: int, runs: int) -> list[Series]:
    """Checkpoints of policies of so many seeds from the first on, trained once."""
    seeds = [seed + i for i in range(runs)]
    moments = exact_gradient(config.build, levels, config.ascent, seeds)
    return trained_series(moments, [folder / f"seed-{each}" for each in seeds], config.ascent.updates)


def crossing(alphas: tuple[float, ...], values: np.ndarray) -> float:
    """Where values first rise through zero, straight between neighbours in log alpha; NaN where they do not.

    Alphas ascend; where a value is NaN its neighbours are each other's.
    """
    read = [(a, x) for a, x in zip(alphas, values, strict=True) if np.isfinite(x)]
    for (a, low), (b, high) in pairwise(read):
        if low < 0 <= high:
            return float(np.exp(np.log(a) + (np.log(b) - np.log(a)) * -low / (high - low)))
    return float("nan")


def _place(folder: Path, discount: float, alpha: float) -> Path:
    return folder / f"discount-{discount:g}" / f"alpha-{alpha:g}"


def _trained(config: Config, folder: Path, seed: int, discount: float, alpha: float) -> float:
    """Share of the runs of a cell that end nearest to the cheese."""
    levels = config.levels(alpha, discount)
    runs = train(config, levels, _place(folder, discount, alpha), seed, config.grid.runs)
    watch = Watch(levels, config.build())
    found = [watch.phase(watch.policy(run.items[-1])) for run in runs]
    return found.count(PHASES[-1]) / len(found)


def _gain(config: Config, folder: Path, seed: int, discount: float, alpha: float) -> np.ndarray:
    """(P,) free energy of a policy that walks to the corner less that of one that walks to the cheese."""
    picks = _picks(config, folder, discount, seed)
    gain = np.full(config.grid.picks, np.nan)
    if not len(picks):
        return gain
    scape = config.scape(config.levels(alpha, discount), config.ascent.temperature)
    out = _place(folder, discount, alpha) / "picks.zarr"
    found = survey(scape, picks, out, settings=config.sampler, seed=seed, workers=1, progress=False)
    nbeta = config.sampler.nbeta
    assert nbeta is not None
    llc = np.where(found.healthy, found.column("llc"), np.nan)
    free = nbeta * found.column("train_loss") + llc * np.log(nbeta)
    differences = np.subtract(*free.reshape(-1, 2).T)
    gain[: len(differences)] = differences
    return gain


def _picks(config: Config, folder: Path, discount: float, seed: int) -> Series:
    """Ends of training in pairs: to the corner, learnt at the least alpha; to the cheese, at the study's own."""
    watch = Watch(config.levels(discount=discount), config.build())
    ends = []
    for alpha, wanted in ((config.grid.alphas[0], PHASES[1]), (config.alpha, PHASES[2])):
        home, found = _place(folder, discount, alpha), []
        for i in range(config.grid.runs):
            last = checkpoints(home / f"seed-{seed + i}").items[-1]
            if watch.phase(watch.policy(last)) == wanted:
                found.append(last.path)
        ends.append(found[: config.grid.picks])
    paths = [path for pair in zip(*ends, strict=False) for path in pair]
    return Series(folder, tuple(Checkpoint(path, i) for i, path in enumerate(paths)))
