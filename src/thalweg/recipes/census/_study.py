"""A census of transitions: which kind is common, and what rises where lambda falls.

The essay: of the second kind of transition, lambda falls "and some other quantity goes up. There are several
candidates for this quantity, and as far as I know, we don't know which increase is empirically more common."
Five families of tasks, several seeds each: train, survey, find the transitions, count.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.checkpoints import checkpoints
from thalweg.estimators import LOGGED
from thalweg.landscape import landscape
from thalweg.recipes import modular_addition
from thalweg.recipes._configuration import Configuration
from thalweg.recipes._parallel import in_parallel
from thalweg.recipes._training import Training, train
from thalweg.recipes.census import _page as page
from thalweg.recipes.census._counts import Count, a_then_b, count
from thalweg.recipes.census._families import FAMILIES, Task
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rng import seed_of
from thalweg.runtime import threads
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.survey import survey


class Config(Configuration):
    """All that the study depends on, beside the seed.

    Attributes:
        runs: of each family.
        tasks: the families.
    """

    runs: int
    tasks: tuple[Task, ...]


def _addition(published: modular_addition.Config, sampler: Settings) -> Task:
    """The family whose own recipe says how."""
    return Task(
        family="modular addition",
        sizes=published.model_dump(include={"modulus", "embedding", "hidden", "train_share"}),
        training=published.training,
        sampler=sampler,
    )


def paper() -> Config:
    """Ten runs of each."""
    published = modular_addition.paper()
    return Config(
        runs=10,
        tasks=(
            _addition(published, published.sampler),
            Task(
                family="induction",
                sizes={"samples": 2000, "vocabulary": 12, "half": 6, "width": 16, "heads": 2},
                training=Training(750, 64, 30, 0.002, 0.0),
                sampler=Settings(chains=4, burn_in=150, draws=500, step_size=3e-4, gamma=100.0, batch_size=16),
            ),
            Task(
                family="superposition",
                sizes={"samples": 1000, "noise": 0.05},
                training=Training(100_000, 20, 5000, 0.02, 0.0, "sgd", 6),
                sampler=Settings(
                    sampler="hmc", chains=4, burn_in=60, draws=300, step_size=0.1, leapfrog_steps=4, gamma=20.0
                ),
            ),
            Task(
                family="deep linear",
                sizes={"samples": 2000, "width": 8, "depth": 3, "scale": 0.1},
                training=Training(600, 100, 25, 0.01, 0.0, "sgd"),
                sampler=Settings(chains=4, burn_in=200, draws=1200, step_size=1e-4, gamma=1000.0, batch_size=256),
            ),
            Task(
                family="digits",
                sizes={"train_share": 0.8, "hidden": 32},
                training=Training(2000, 64, 125, 0.003, 1e-4, early=9),
                sampler=Settings(chains=4, burn_in=200, draws=800, step_size=1e-3, gamma=100.0, batch_size=128),
            ),
        ),
    )


def tiny() -> Config:
    """Two runs of each, small and short."""
    small = modular_addition.tiny()
    return Config(
        runs=2,
        tasks=(
            _addition(small, Settings(chains=4, burn_in=100, draws=400, step_size=2e-3, gamma=20.0, batch_size=32)),
            Task(
                family="induction",
                sizes={"samples": 100, "vocabulary": 5, "half": 3, "width": 8, "heads": 1},
                training=Training(120, 32, 20, 0.01, 0.0),
                sampler=Settings(chains=4, burn_in=20, draws=60, step_size=1e-3, gamma=100.0, batch_size=16),
            ),
            Task(
                family="superposition",
                sizes={"samples": 200, "noise": 0.05},
                training=Training(1200, 20, 200, 0.05, 0.0, "sgd"),
                sampler=Settings(
                    sampler="hmc", chains=4, burn_in=20, draws=80, step_size=0.1, leapfrog_steps=4, gamma=20.0
                ),
            ),
            Task(
                family="deep linear",
                sizes={"samples": 200, "width": 4, "depth": 3, "scale": 0.2},
                training=Training(300, 50, 50, 0.02, 0.0, "sgd"),
                sampler=Settings(chains=4, burn_in=50, draws=200, step_size=2e-4, gamma=300.0, batch_size=64),
            ),
            Task(
                family="digits",
                sizes={"train_share": 0.3, "hidden": 4},
                training=Training(200, 32, 50, 0.01, 1e-4, early=3),
                sampler=Settings(chains=4, burn_in=50, draws=200, step_size=1e-3, gamma=100.0, batch_size=32),
            ),
        ),
    )


def run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train and survey every run, in as many processes as there are cores; count; draw."""
    jobs = [(task, r) for task in config.tasks for r in range(config.runs)]
    places = [out / task.family.replace(" ", "-") / f"run-{r}" for task, r in jobs]
    seeds = [seed_of(seed, "census", task.family, r) for task, r in jobs]
    for done, (task, r) in zip(in_parallel(_run, [task for task, _ in jobs], places, seeds), jobs, strict=True):
        stages.say(f"{task.family}, run {r + 1} of {config.runs}: {done}")
    surveys: dict[str, list[Survey]] = {task.family: [] for task in config.tasks}
    for (task, _), place in zip(jobs, places, strict=True):
        surveys[task.family].append(Survey(place / "survey.zarr"))
    found = {family: [each.transitions() for each in own] for family, own in surveys.items()}
    counts = {family: count([each], seed) for family, each in found.items()}
    total = count(list(found.values()), seed)
    html = page.write(out / "map.html", config.tasks, surveys, found, counts, total)
    results = {
        "families": {
            family: _family(own, found[family], counts[family], config.runs) for family, own in surveys.items()
        },
        "all": asdict(total),
        "a_then_b": {family: [a_then_b(each) for each in own] for family, own in found.items()},
    }
    healthy = np.concatenate([each.healthy for own in surveys.values() for each in own])
    return Outcome(results, html, float((~healthy).mean()))


def _run(task: Task, place: Path, seed: int) -> str:
    """One run of one family: training and survey; what is there already is not done again."""
    problem = FAMILIES[task.family](seed, **task.sizes)
    with threads(1):
        module = train(
            problem.build, problem.train, task.training, place / "checkpoints", seed=seed, loss=problem.loss
        )
        scape = landscape(module, problem.train, problem.loss)
        found = survey(
            scape.restrict(orthogonal_to_gradient=True),
            checkpoints(place / "checkpoints"),
            place / "survey.zarr",
            settings=task.sampler,
            seed=seed,
            test_data=problem.test,
            logged=tuple(LOGGED.ours),
            workers=1,
            progress=False,
        )
    return f"{len(found)} checkpoints, {found.healthy.mean():.0%} healthy"


def _family(surveys: list[Survey], found: list[list], counts: Count, runs: int) -> dict[str, Any]:
    """One family for JSON."""
    first = surveys[0].settings[0]
    return {
        "runs": runs,
        **{name: first[name] for name in ("n", "nbeta", "gamma", "weights")},
        "healthy_share": float(np.concatenate([each.healthy for each in surveys]).mean()),
        "transitions": [{"run": r, **transition.to_dict()} for r, own in enumerate(found) for transition in own],
        **asdict(counts),
    }


RECIPE = Recipe(
    name="census",
    summary="Five families of tasks: how often lambda rises, how often it falls, and what rises where it falls.",
    paper=paper,
    tiny=tiny,
    run=run,
)
