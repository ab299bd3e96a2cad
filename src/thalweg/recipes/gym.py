"""Three environments of everyone's, trained here with PPO: the coefficient of their regret along training.

CartPole is sampled: its regret is minus the return of episodes whose chances belong to seeds. FrozenLake and
the empty room of MiniGrid are small enough to be exact. Beside the coefficient stand the reward surface, the
gradient's lines, and the cliffs in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict
from torch import eye, nn

from thalweg.atlas import Section, Table, contour_map, line_map, report
from thalweg.envs import CartPole, Environment, GymEnvironment, Played, grid_levels, process
from thalweg.landscape import Landscape
from thalweg.recipes._policy_checkpoints import maps, trained_series
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rl import PPO, learn, regret_landscape, sampled_landscape
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.surfaces import Cliff, Line, Surface, along, cliffs
from thalweg.survey import survey
from thalweg.types import Params

INTERVAL = 1.96
BLUE, RED = "#2f6690", "#c8553d"


class Config(BaseModel):
    """All that the study depends on, beside the seed.

    Attributes:
        hidden: width of each policy's tanh layers.
        pole, lake, room: training on CartPole-v1, FrozenLake-v1 and MiniGrid-Empty-5x5-v0.
        pole_sampler, lake_sampler, room_sampler: of their surveys; every seed and level in every gradient.
        horizon: steps of a CartPole episode that is surveyed.
        seeds: episodes of CartPole that are surveyed.
        size: points a side of a reward surface.
        temperature: reward units a nat of entropy in the regret of lake and room that is surveyed.
        pole_temperature: the same in CartPole's return, of reward 1 a step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int
    pole: PPO
    lake: PPO
    room: PPO
    pole_sampler: Settings
    lake_sampler: Settings
    room_sampler: Settings
    horizon: int
    seeds: int
    size: int
    temperature: float
    pole_temperature: float


def paper() -> Config:
    """Until each is solved, or as far as it goes."""
    exact = Settings(chains=4, burn_in=200, draws=800, step_size=1e-3, gamma=100.0, batch_size=10_000)
    return Config(
        hidden=32,
        pole=PPO(60, 16, 3e-3, 6, decay=True),
        lake=PPO(90, 64, 1e-2, 6, entropy=0.003),
        room=PPO(60, 32, 3e-3, 4, entropy=0.003),
        pole_sampler=Settings(
            chains=2, burn_in=100, draws=200, step_size=2e-3, gamma=400.0, nbeta=2.0, batch_size=10_000
        ),
        lake_sampler=Settings.of(exact, nbeta=1000.0),
        room_sampler=Settings.of(exact, nbeta=300.0),
        horizon=200,
        seeds=48,
        size=21,
        temperature=0.003,
        pole_temperature=0.03,
    )


def tiny() -> Config:
    """The same in seconds."""
    exact = Settings(chains=4, burn_in=50, draws=150, step_size=1e-3, gamma=400.0, batch_size=10_000)
    return Config(
        hidden=8,
        pole=PPO(12, 8, 1e-2, 4),
        lake=PPO(8, 16, 1e-2, 4, entropy=0.003),
        room=PPO(12, 8, 1e-2, 4, entropy=0.003),
        pole_sampler=Settings(
            chains=2, burn_in=10, draws=20, step_size=2e-3, gamma=400.0, nbeta=2.0, batch_size=1000
        ),
        lake_sampler=Settings.of(exact, nbeta=300.0),
        room_sampler=Settings.of(exact, nbeta=100.0),
        horizon=60,
        seeds=8,
        size=5,
        temperature=0.003,
        pole_temperature=0.03,
    )


@dataclass(frozen=True, eq=False)
class _Study:
    """One environment.

    Attributes:
        name: Gymnasium's.
        inputs: numbers that the policy sees.
        outputs: actions.
        environment: trained in.
        training: how.
        sampler: of the survey.
        hidden: width of the policy.
    """

    name: str
    inputs: int
    outputs: int
    environment: Environment
    training: PPO
    sampler: Settings
    hidden: int

    def policy(self) -> nn.Module:
        """Observations -> logits."""
        return self._layers(self.outputs)

    def value(self) -> nn.Module:
        """Observations -> value."""
        return self._layers(1)

    def _layers(self, outputs: int) -> nn.Module:
        h = self.hidden
        return nn.Sequential(nn.Linear(self.inputs, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh(), nn.Linear(h, outputs))


@dataclass(frozen=True, eq=False)
class _Found:
    """What one environment gave."""

    study: _Study
    steps: list[int]
    survey: Survey
    surfaces: dict[str, Surface]
    lines: list[tuple[int, Line]]
    cliffs: list[Cliff]


def _studies(config: Config) -> list[tuple[_Study, Landscape]]:
    """The three environments, each with the landscape that is surveyed."""
    pole = _Study("CartPole-v1", 4, 2, CartPole(), config.pole, config.pole_sampler, config.hidden)
    lake = _Study(
        "FrozenLake-v1", 16, 4, GymEnvironment("FrozenLake-v1", discount=0.95), config.lake, config.lake_sampler,
        config.hidden,
    )  # fmt: skip
    table, reward = process("FrozenLake-v1", 0.95)
    walked = grid_levels("MiniGrid-Empty-5x5-v0", discount=0.95)
    room = _Study(
        "MiniGrid-Empty-5x5-v0", walked.observations.shape[-1], walked.actions, Played(walked), config.room,
        config.room_sampler, config.hidden,
    )  # fmt: skip
    short = CartPole(horizon=config.horizon)
    exact = {"n": 10_000, "temperature": config.temperature}
    return [
        (pole, sampled_landscape(pole.policy(), short, config.seeds, n=10_000, temperature=config.pole_temperature)),
        (lake, regret_landscape(lake.policy(), table, reward=reward, observations=eye(16), **exact)),
        (room, regret_landscape(room.policy(), walked, **exact)),
    ]


def _run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train, survey, map, draw: each environment after the other."""
    found = [_study(study, scape, config, out, seed, stages) for study, scape in _studies(config)]
    html = report(out / "gym.html", "Regret along training with PPO", [part for f in found for part in _sections(f)])
    unhealthy = float(np.mean(np.concatenate([~f.survey.healthy for f in found])))
    return Outcome({f.study.name: _results(f) for f in found}, html, unhealthy)


def _study(study: _Study, scape: Landscape, config: Config, out: Path, seed: int, stages: Stages) -> _Found:
    """One environment."""
    folder = out / study.name

    def moments() -> Iterator[tuple[int, list[Params]]]:
        for moment in learn(study.policy, study.environment, study.training, seed, value=study.value):
            yield moment.step, [moment.weights]

    stages.say(f"PPO on {study.name}")
    (series,) = trained_series(moments, [folder / "checkpoints"], study.training.updates)
    stages.say(f"survey of {study.name}")
    settings = study.sampler.model_copy(update={"seed": seed})
    restricted = scape.restrict(orthogonal_to_gradient=True)
    read = survey(restricted, series, folder / "survey.zarr", settings=settings, progress=stages.visible)
    stages.say(f"surfaces of {study.name}")
    mapped = maps(scape, series, config.size, seed)
    lines = along(scape, ((item.step, item.load()) for item in series))
    return _Found(study, series.steps, read, mapped, lines, cliffs(lines))


def _sections(found: _Found) -> list[Section]:
    """Curves; surface and lines."""
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    steps, read = np.array(found.steps), found.survey
    sampled = found.study.name.startswith("CartPole")
    above.plot(steps, read.column("train_loss"), color=BLUE, marker="o", markersize=3)
    above.set_ylabel("minus the return" if sampled else "regret, entropy paid")
    for cliff in found.cliffs:
        above.plot(cliff.step, above.get_ylim()[0], marker="^", color=RED, clip_on=False, markersize=5)
    llc, error, keep = read.column("llc"), read.column("llc_stderr"), read.healthy
    below.errorbar(steps[keep], llc[keep], INTERVAL * error[keep], color=BLUE, marker="o", markersize=3, linewidth=1)
    near = ~keep & (llc > -0.5 * max(1.0, float(np.max(llc[keep], initial=1.0))))
    below.scatter(steps[near], llc[near], s=12, facecolor="white", edgecolor=BLUE, linewidth=0.8, zorder=3)
    below.set(ylabel="λ̂ of regret", xlabel="update of PPO")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    made = found.study.sampler
    kinds = sorted(set(read.verdicts))
    words = (
        f"nβ = {made.nbeta:g} per unit of reward, γ = {made.gamma:g}, orthogonal to the gradient; bars 95 %, hollow "
        f"points have no value. Verdicts: {', '.join(f'{read.verdicts.count(k)} {k}' for k in kinds)}. "
        f"{len(found.cliffs)} of {len(found.lines)} checkpoints stand before a cliff of the return (triangles).",
        *(t.sentence() for t in read.transitions()),
    )
    parts = [Section(found.study.name, words, figure)]
    if found.surfaces:
        what = "minus the return" if sampled else "regret"
        told = "The landscape on a filter-normalised plane through each checkpoint; w* is the dot in the middle."
        parts.append(Section(f"{found.study.name}: reward surfaces", (told,), contour_map(found.surfaces, what=what)))
    told = tuple(cliff.sentence() for cliff in found.cliffs)
    lines = line_map(found.lines, found.cliffs, what="return")
    header = ("update", "step size", "share of the range")
    rows = tuple((f"{c.step:,}", f"{c.at:.3g}", f"{c.drop:.0%}") for c in found.cliffs)
    table = Table(header, rows) if rows else None
    parts.append(Section(f"{found.study.name}: along the gradient", told[:3], lines, table))
    return parts


def _results(found: _Found) -> dict[str, Any]:
    """The document's `results` of one environment; `docs/recipes/gym.md` explains each name."""
    read = found.survey.to_dict()
    return {
        "steps": found.steps,
        "regret": read["train_loss"],
        **{name: read[name] for name in ("llc", "llc_raw", "llc_stderr", "verdicts", "transitions")},
        "cliffs": [cliff.to_dict() for cliff in found.cliffs],
        "cliffs_per_100": 100 * len(found.cliffs) / len(found.lines),
    }


RECIPE = Recipe(
    name="gym",
    summary="CartPole, FrozenLake and an empty room with PPO: the coefficient of regret, surfaces, cliffs.",
    paper=paper,
    tiny=tiny,
    run=_run,
)
