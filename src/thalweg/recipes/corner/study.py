"""Cheese in the corner: a policy's regret falls in two steps, and its learning coefficient climbs the other way.

First the mouse learns to walk to the corner, where the cheese most often lies; much later, to look where it
lies. The essay asks that singular learning theory be carried to reinforcement learning; Elliott et al. 2026
(arXiv 2601.07524) do so, and saw opposing staircases in this world. Here all regrets are exact.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from thalweg.checkpoints import Checkpoint, Series, checkpoints, place, save
from thalweg.recipes.corner import page
from thalweg.recipes.corner.behaviour import PHASES, Fall, Watch, fall
from thalweg.recipes.corner.grid import Grid, Sweep, sweep
from thalweg.recipes.corner.rise import Rise, rise
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rl import Ascent, Levels, ascend, regret_landscape
from thalweg.rl.corner import Mouse, corner, reference_regrets
from thalweg.samplers import Settings, threads
from thalweg.survey import Survey, survey

PLAIN = 3  # runs of which plain regret is surveyed too


class Config(BaseModel):
    """All that the study depends on, beside the seed.

    Attributes:
        size: of the world with its walls.
        alpha: chance that the cheese is anywhere.
        discount: of the reward.
        horizon: steps of an episode at most.
        hidden: widths of the policy's tanh layers.
        ascent: training; its temperature also stands in the regret that is surveyed.
        runs: seeds that are trained.
        n: sample size of the theory, episodes.
        sampler: of the survey of the first run.
        rises: samplers, one for each nbeta, by which lambda on the plateau and at the end is compared.
        grid: of alpha and discount.
        workers: processes of a survey; default the cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    alpha: float
    discount: float
    horizon: int
    hidden: tuple[int, ...]
    ascent: Ascent
    runs: int
    n: int
    sampler: Settings
    rises: tuple[Settings, ...]
    grid: Grid
    workers: int | None = None

    def levels(self, alpha: float | None = None, discount: float | None = None) -> Levels:
        """The world, at another alpha or discount if asked for."""
        alpha, discount = self.alpha if alpha is None else alpha, self.discount if discount is None else discount
        return corner(self.size, alpha=alpha, discount=discount, horizon=self.horizon)

    def build(self) -> Mouse:
        """The policy, to be initialised."""
        return Mouse(self.size, self.hidden)


def _sampler(nbeta: float, draws: int = 400) -> Settings:
    """Steps of 1/nbeta, a tether of a tenth of nbeta at 1,000; every level in every gradient."""
    step_size = min(1e-3, 1 / nbeta)
    return Settings(
        chains=4, burn_in=draws // 2, draws=draws, step_size=step_size, gamma=100.0, nbeta=nbeta, batch_size=10_000
    )


def paper() -> Config:
    """49 cells."""
    return Config(
        size=9,
        alpha=0.2,
        discount=0.9,
        horizon=28,
        hidden=(32, 32),
        ascent=Ascent(updates=590, learning_rate=0.003, levels=16, every=10, temperature=0.01),
        runs=10,
        n=10_000,
        sampler=_sampler(1000),
        rises=(_sampler(300), _sampler(1000), _sampler(2000, 800)),
        grid=Grid(alphas=(0.005, 0.02, 0.05, 0.1, 0.2), discounts=(0.8, 0.9, 0.95), runs=10, picks=2),
    )


def tiny() -> Config:
    """Sixteen cells, in seconds."""
    sampler = Settings(chains=4, burn_in=40, draws=160, step_size=1e-3, gamma=400.0, nbeta=300, batch_size=10_000)
    return Config(
        size=6,
        alpha=0.1,
        discount=0.9,
        horizon=16,
        hidden=(16,),
        ascent=Ascent(updates=500, learning_rate=0.005, levels=4, every=50, temperature=0.01),
        runs=3,
        n=1000,
        sampler=sampler,
        rises=(sampler,),
        grid=Grid(alphas=(0.03, 0.1), discounts=(0.9,), runs=2, picks=1),
        workers=1,
    )


def run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train all runs, survey the first, compare plateau and end over all, sweep alpha and discount, draw."""
    levels = config.levels()
    stages.say(f"training {config.runs} policies")
    folders = train(config, levels, out / "runs", [seed + i for i in range(config.runs)])
    watch, mouse = Watch.of(levels), config.build()
    seen = [_watch(watch, mouse, checkpoints(folder)) for folder in folders]
    reference = reference_regrets(config.size, config.horizon, config.alpha, config.discount)
    falls = [fall(run.regret, reference.corner) for run in seen]

    def surveyed(name: str, world: Levels, series: Series, settings: Settings, **how: Any) -> Survey:
        stages.say(f"survey {name}")
        temperature = how.pop("temperature", config.ascent.temperature)
        scape = regret_landscape(mouse, world, n=config.n, temperature=temperature)
        scape = scape.restrict(orthogonal_to_gradient=True)
        seeded = settings.model_copy(update={"seed": seed})
        return survey(
            scape, series, out / f"{name}.zarr", settings=seeded, workers=config.workers, progress=stages.visible
        )

    series = checkpoints(folders[0])
    main = surveyed("regret", levels, series, config.sampler)
    refined = surveyed("corner-levels", levels.only("corner"), series, config.sampler)
    picks = _picks(folders, falls)
    rises: list[Rise] = []
    if picks:
        for settings in config.rises:
            name = f"rise-{settings.nbeta:g}"
            rises.append(rise(settings, surveyed(name, levels, picks, settings)))
        few = picks[: 2 * PLAIN]
        plain = rise(config.sampler, surveyed("rise-plain", levels, few, config.sampler, temperature=0.0))
    else:
        plain = None
    swept = sweep(config, out / "grid", seed, stages.say)
    html = page.write(out / "corner.html", config, reference, seen, falls, main, refined, rises, plain, swept)
    surveys = [main, *(r.survey for r in rises)]
    unhealthy = float(np.mean(np.concatenate([~s.healthy for s in surveys])))
    results = _results(reference, seen, falls, main, refined, rises, plain, swept)
    return Outcome(results, html, unhealthy)


def train(config: Config, levels: Levels, folder: Path, seeds: list[int]) -> list[Path]:
    """Checkpoints of one policy a seed; trained only where the last of them is missing."""
    folders = [folder / f"seed-{seed}" for seed in seeds]
    missing = [s for s, f in zip(seeds, folders, strict=True) if not place(f, config.ascent.updates).exists()]
    if missing:
        with threads(1):
            for moment in ascend(config.build, levels, config.ascent, missing):
                for seed, weights in zip(missing, moment.weights, strict=True):
                    save(weights, folder / f"seed-{seed}", moment.step)
    return folders


class Seen:
    """What one run did, along its checkpoints.

    Attributes:
        steps: (T).
        regret: (T) over all levels, plain.
        corner: (T) over levels whose cheese is in the corner.
        elsewhere: (T) over the others.
        phases: (T) names.
        path: (T, 2) shares of the two returns, of `behaviour.Point`.
    """

    def __init__(self, steps: list[int], regrets: list[tuple[float, float, float]], phases: list[str]) -> None:
        self.steps = np.array(steps)
        self.regret, self.corner, self.elsewhere = np.array(regrets).T
        self.phases = phases


def _watch(watch: Watch, mouse: Mouse, series: Series) -> Seen:
    """Read every checkpoint of a run."""
    regrets, phases = [], []
    for checkpoint in series:
        mouse.load_state_dict(checkpoint.load())
        policy = watch.levels.policy(mouse).to(torch.float64)
        regrets.append(watch.regrets(policy))
        phases.append(watch.phase(policy))
    return Seen(series.steps, regrets, phases)


def _picks(folders: list[Path], falls: list[Fall]) -> Series:
    """Two checkpoints of every run that fell: the last of its plateau, and the last of all; numbered, not dated."""
    paths: list[Path] = []
    for folder, found in zip(folders, falls, strict=True):
        if found.fell >= 0:
            items = checkpoints(folder).items
            paths += [items[found.last].path, items[-1].path]
    return Series(folders[0].parent, tuple(Checkpoint(path, i) for i, path in enumerate(paths)))


def _results(
    reference: Any,
    seen: list[Seen],
    falls: list[Fall],
    main: Survey,
    refined: Survey,
    rises: list[Rise],
    plain: Rise | None,
    swept: Sweep,
) -> dict[str, Any]:
    """The document's `results`; `docs/recipes/corner.md` explains each name."""
    first, found = seen[0], main.to_dict()
    columns = ("llc", "llc_raw", "llc_stderr", "verdicts")
    return {
        "steps": first.steps.tolist(),
        "regret": first.regret.tolist(),
        "regret_corner": first.corner.tolist(),
        "regret_elsewhere": first.elsewhere.tolist(),
        **{name: found[name] for name in columns},
        "phases": first.phases,
        "transitions": found["transitions"],
        "reference": reference._asdict(),
        "corner_levels": {name: refined.to_dict()[name] for name in columns},
        "runs": [
            {
                "plateau": [] if f.first < 0 else [int(s.steps[f.first]), int(s.steps[f.last])],
                "second_fall": None if f.fell < 0 else int(s.steps[f.fell]),
                "regret_at_end": float(s.regret[-1]),
                "misgeneralised": _misgeneralised(s, f),
                "phases": {name: s.phases.count(name) for name in PHASES},
            }
            for s, f in zip(seen, falls, strict=True)
        ],
        "rises": [r.to_dict() for r in rises],
        "plain": None if plain is None else plain.to_dict(),
        "grid": swept.to_dict(),
    }


def _misgeneralised(seen: Seen, found: Fall) -> dict[str, list[float]] | None:
    """Regret on distinguishing levels and on the rest, at the end of the plateau and at the end of training."""
    if found.first < 0:
        return None
    at = [found.last, -1]
    return {"elsewhere": seen.elsewhere[at].tolist(), "corner": seen.corner[at].tolist()}


RECIPE = Recipe(
    name="corner",
    summary="A mouse learns where the cheese is: regret falls in two steps, its learning coefficient climbs.",
    paper=paper,
    tiny=tiny,
    run=run,
)

__all__ = ["RECIPE", "replace"]
