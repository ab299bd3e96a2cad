"""Cheese in the corner: a policy's regret falls in two steps, and its learning coefficient climbs the other way.

First the mouse learns to walk to the corner, where the cheese most often lies; much later, to look where it
lies. The essay asks that singular learning theory be carried to reinforcement learning; Elliott et al. 2026
(arXiv 2601.07524) do so, and saw opposing staircases in this world. Here all regrets are exact.
"""

from pathlib import Path
from typing import Any

import numpy as np

from thalweg.checkpoints import Checkpoint, Series
from thalweg.envs import corner
from thalweg.mdp import Levels
from thalweg.recipes.corner import _page as page
from thalweg.recipes.corner._behaviour import PHASES, Fall, Seen, Watch, fall, follow
from thalweg.recipes.corner._grid import sweep, train
from thalweg.recipes.corner._rise import Rise, rise
from thalweg.recipes.corner.config import Config, paper, tiny
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.survey import survey

PLAIN = 3  # runs of which plain regret is surveyed too


def run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train all runs, survey the first, compare plateau and end over all, sweep alpha and discount, draw."""
    levels = config.levels()
    stages.say(f"training {config.runs} policies")
    runs = train(config, levels, out / "runs", seed, config.runs)
    watch = Watch(levels, config.build())
    seen = [follow(watch, series) for series in runs]
    reference = corner.reference_regrets(config.size, config.horizon, config.alpha, config.discount)
    falls = [fall(run.regret, reference.corner) for run in seen]

    def surveyed(name: str, world: Levels, series: Series, settings: Settings, temperature: float) -> Survey:
        stages.say(f"survey {name}")
        return survey(
            config.scape(world, temperature), series, out / f"{name}.zarr", workers=config.workers,
            settings=settings, seed=seed, progress=stages.visible,
        )  # fmt: skip

    paid = config.ascent.temperature
    main = surveyed("regret", levels, runs[0], config.sampler, paid)
    refined = surveyed("corner-levels", levels.only("corner"), runs[0], config.sampler, paid)
    picks = _picks(runs, falls)
    rises, plain = list[Rise](), None
    if picks:
        for settings in config.rises:
            found = surveyed(f"rise-{settings.nbeta:g}", levels, picks, settings, paid)
            rises.append(rise(settings, found))
        plain = rise(config.sampler, surveyed("rise-plain", levels, picks[: 2 * PLAIN], config.sampler, 0.0))
    swept = sweep(config, out / "grid", seed, stages.say)
    study = page.Findings(reference, seen, falls, main, refined, rises, plain, swept)
    html = page.write(out / "corner.html", config, study)
    surveys = [main, *(r.survey for r in rises)]
    unhealthy = float(np.mean(np.concatenate([~s.healthy for s in surveys])))
    return Outcome(_results(study), html, unhealthy)


def _picks(runs: list[Series], falls: list[Fall]) -> Series:
    """Two checkpoints of every run that fell: the last of its plateau, and the last of all; numbered, not dated."""
    fell = [(run.items, found.last) for run, found in zip(runs, falls, strict=True) if found.fell >= 0]
    paths = [items[at].path for items, last in fell for at in (last, -1)]
    return Series(runs[0].items[0].path.parents[1], tuple(Checkpoint(path, i) for i, path in enumerate(paths)))


def _results(study: page.Findings) -> dict[str, Any]:
    """The document's `results`; `docs/recipes/corner.md` explains each name."""
    first, found, plain = study.seen[0], study.main.to_dict(), study.plain
    columns = ("llc", "llc_raw", "llc_stderr", "verdicts")
    return {
        "steps": first.steps.tolist(),
        "regret": first.regret.tolist(),
        "regret_corner": first.corner.tolist(),
        "regret_elsewhere": first.elsewhere.tolist(),
        **{name: found[name] for name in columns},
        "phases": first.phases,
        "transitions": found["transitions"],
        "reference": study.reference._asdict(),
        "corner_levels": {name: study.refined.to_dict()[name] for name in columns},
        "runs": [
            {
                "plateau": [] if f.first < 0 else [int(s.steps[f.first]), int(s.steps[f.last])],
                "second_fall": None if f.fell < 0 else int(s.steps[f.fell]),
                "regret_at_end": float(s.regret[-1]),
                "misgeneralised": _misgeneralised(s, f),
                "phases": {name: s.phases.count(name) for name in PHASES},
            }
            for s, f in zip(study.seen, study.falls, strict=True)
        ],
        "rises": [r.to_dict() for r in study.rises],
        "plain": None if plain is None else plain.to_dict(),
        "grid": study.swept.to_dict(),
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
