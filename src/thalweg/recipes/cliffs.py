"""Do learners step off cliffs? Reward surfaces and gradient lines of three ways to learn.

Sullivan et al. 2022 (arXiv 2205.07015) saw that the return often collapses a step ahead along the gradient, and
that some learners step off such cliffs while PPO does not. Here a mouse that looks for cheese learns by exact
policy gradient, by REINFORCE and by PPO, with exact returns along every line; and a pole is balanced by the last
two, with sampled returns. Beside the lines stands the learning coefficient of regret.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict
from scipy import stats
from torch import nn

from thalweg.atlas import Section, Table, contour_map, line_map, report
from thalweg.envs import CartPole, Environment, Played, corner
from thalweg.landscape import Landscape
from thalweg.mdp import Levels
from thalweg.recipes._policy_checkpoints import maps, trained_series
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rl import PPO, Ascent, Reinforce, ascend, learn, regret_landscape, sampled_landscape
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.surfaces import Cliff, Line, Surface, along, cliffs
from thalweg.survey import survey
from thalweg.types import Params

INTERVAL = 1.96
COLOURS = {"exact gradient": "#2f6690", "REINFORCE": "#c8553d", "PPO": "#1b7f5c"}


class Config(BaseModel):
    """All that the study depends on, beside the seed.

    Attributes:
        size, alpha, discount, horizon: of the mouse's world.
        hidden: widths of the mouse's tanh layers; of the pole's policy the first.
        exact, reinforce, ppo: how the mouse learns.
        pole_reinforce, pole_ppo: how the pole is balanced.
        pole_horizon: steps of a pole's episode along a line.
        seeds: episodes of each point of a sampled line.
        length: of a line, in weights.
        plane: points a side of a reward surface.
        sampler: of the coefficient of the mouse's regret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    alpha: float
    discount: float
    horizon: int
    hidden: tuple[int, ...]
    exact: Ascent
    reinforce: Reinforce
    ppo: PPO
    pole_reinforce: Reinforce
    pole_ppo: PPO
    pole_horizon: int
    seeds: int
    length: float
    plane: int
    sampler: Settings


def paper() -> Config:
    """49 cells, and poles of 200 steps."""
    return Config(
        size=9,
        alpha=0.2,
        discount=0.9,
        horizon=28,
        hidden=(32, 32),
        exact=Ascent(updates=600, learning_rate=0.003, levels=16, every=30, temperature=0.01),
        reinforce=Reinforce(600, 128, 0.01, 30, entropy=0.01),
        ppo=PPO(300, 128, 0.003, 15, entropy=0.01),
        pole_reinforce=Reinforce(60, 16, 0.01, 2, value_learning_rate=0.01),
        pole_ppo=PPO(60, 16, 0.003, 2, decay=True),
        pole_horizon=200,
        seeds=64,
        length=4.0,
        plane=21,
        sampler=Settings(
            chains=4, burn_in=100, draws=420, step_size=1e-3, gamma=100.0, nbeta=1000.0, batch_size=10_000
        ),
    )


def tiny() -> Config:
    """Sixteen cells, and poles of twenty steps."""
    return Config(
        size=6,
        alpha=0.1,
        discount=0.9,
        horizon=16,
        hidden=(16,),
        exact=Ascent(updates=120, learning_rate=0.005, levels=4, every=20, temperature=0.01),
        reinforce=Reinforce(60, 16, 0.01, 10, entropy=0.01),
        ppo=PPO(24, 16, 0.005, 4, entropy=0.01),
        pole_reinforce=Reinforce(6, 8, 0.01, 2),
        pole_ppo=PPO(6, 8, 0.01, 2),
        pole_horizon=20,
        seeds=16,
        length=2.0,
        plane=5,
        sampler=Settings(
            chains=4, burn_in=40, draws=120, step_size=1e-3, gamma=400.0, nbeta=300.0, batch_size=10_000
        ),
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """One learner in one world.

    Attributes:
        world: mouse or pole.
        learner: its name.
        steps: updates of its checkpoints.
        lines: along the gradient, one a checkpoint.
        cliffs: found in them.
        surfaces: of some checkpoints.
        survey: of the coefficient, where regret is exact.
    """

    world: str
    learner: str
    steps: list[int]
    lines: list[tuple[int, Line]]
    cliffs: list[Cliff]
    surfaces: dict[str, Surface]
    survey: Survey | None

    @property
    def per_hundred(self) -> float:
        """Cliffs per 100 checkpoints."""
        return 100 * len(self.cliffs) / len(self.lines)


def _run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train every learner, follow its gradient at every checkpoint, draw."""
    levels = corner.corner(config.size, alpha=config.alpha, discount=config.discount, horizon=config.horizon)
    build = lambda: corner.Mouse(config.size, config.hidden)  # noqa: E731
    mouse = regret_landscape(build(), levels, n=10_000, temperature=config.exact.temperature)
    pole = sampled_landscape(_balance(config, 2), CartPole(horizon=config.pole_horizon), config.seeds, n=10_000)
    found = []
    for learner, moments, last in _mice(config, build, levels, seed):
        found.append(_follow("mouse", learner, moments, last, mouse, config, out, seed, stages))
    for settings in (config.pole_reinforce, config.pole_ppo):
        moments = _episodes(lambda: _balance(config, 2), CartPole(), settings, seed, lambda: _balance(config, 1))
        learner = "PPO" if isinstance(settings, PPO) else "REINFORCE"
        found.append(_follow("pole", learner, moments, settings.updates, pole, config, out, seed, stages))
    html = report(
        out / "cliffs.html", "Cliffs in the return", [_count(found), *(part for f in found for part in _sections(f))]
    )
    surveys = [f.survey for f in found if f.survey is not None]
    unhealthy = float(np.mean(np.concatenate([~s.healthy for s in surveys])))
    return Outcome({"runs": [_results(f) for f in found]}, html, unhealthy)


Moments = Callable[[], Iterator[tuple[int, list[Params]]]]


def _balance(config: Config, outputs: int) -> nn.Module:
    """Layers for a pole: its policy, or its value."""
    width = config.hidden[0]
    return nn.Sequential(
        nn.Linear(4, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
    )


def _mice(
    config: Config, build: Callable[[], nn.Module], levels: Levels, seed: int
) -> Iterator[tuple[str, Moments, int]]:
    """Three ways to learn, from one initialisation."""
    yield (
        "exact gradient",
        lambda: ((m.step, m.weights) for m in ascend(build, levels, config.exact, [seed])),
        (config.exact.updates),
    )
    for settings in (config.reinforce, config.ppo):
        learner = "PPO" if isinstance(settings, PPO) else "REINFORCE"
        yield learner, _episodes(build, Played(levels), settings, seed, None), settings.updates


def _episodes(
    build: Callable[[], nn.Module],
    environment: Environment,
    settings: Reinforce | PPO,
    seed: int,
    value: Callable[[], nn.Module] | None,
) -> Moments:
    """Learning from episodes, to be begun."""

    def moments() -> Iterator[tuple[int, list[Params]]]:
        return ((m.step, [m.weights]) for m in learn(build, environment, settings, seed, value=value))

    return moments


def _follow(
    world: str,
    learner: str,
    moments: Moments,
    last: int,
    scape: Landscape,
    config: Config,
    out: Path,
    seed: int,
    stages: Stages,
) -> _Found:
    """Train one learner; lines, cliffs, surfaces, and the coefficient where regret is exact."""
    folder = out / world / learner.replace(" ", "-")
    stages.say(f"{learner} teaches the {world}")
    (series,) = trained_series(moments, [folder / "checkpoints"], last)
    stages.say("lines along its gradient")
    lines = along(scape, ((item.step, item.load()) for item in series), length=config.length)
    read = None
    if world == "mouse":
        settings = config.sampler.model_copy(update={"seed": seed})
        restricted = scape.restrict(orthogonal_to_gradient=True)
        read = survey(restricted, series, folder / "survey.zarr", settings=settings, progress=stages.visible)
    return _Found(world, learner, series.steps, lines, cliffs(lines), maps(scape, series, config.plane, seed), read)


def _count(found: list[_Found]) -> Section:
    """How many cliffs, and the coefficient beside the flatness of the surface."""
    header = ("world", "learner", "checkpoints", "cliffs", "per 100", "λ̂ and fall along the line")
    rows = tuple(
        (f.world, f.learner, str(len(f.lines)), str(len(f.cliffs)), f"{f.per_hundred:.3g}", _agreement(f))
        for f in found
    )
    words = (
        "A checkpoint stands before a cliff when, along its gradient, the return above the run's lowest falls to "
        "half or less of what it was one or two points before, and by more than a quarter of the run's range.",
        "Last column: rank correlation, over the healthy checkpoints of a run, of λ̂ with the largest fall of the "
        "return along the line. Steepness ahead and λ̂ are different things: the one changes when weights are "
        "rescaled, the other does not.",
        "The figure: λ̂ of the mouse's regret, with 95 % bars; triangles are cliffs, a row for each learner.",
    )
    return Section("Cliffs per hundred checkpoints", words, _panel(found), Table(header, rows))


def _agreement(found: _Found) -> str:
    """Rank correlation of lambda with the largest fall along the line."""
    if found.survey is None or found.survey.healthy.sum() < 5:
        return "–"
    keep = found.survey.healthy
    falls = np.array([float(line.loss.max() - line.loss[0]) for _, line in found.lines])
    if np.ptp(falls[keep]) == 0:
        return "–"
    rank, _ = stats.spearmanr(found.survey.column("llc")[keep], falls[keep])
    return f"{rank:+.2f}"


def _sections(found: _Found) -> list[Section]:
    """Lines and surfaces of one learner."""
    title = f"{found.world}: {found.learner}"
    told = tuple(cliff.sentence() for cliff in found.cliffs[:3])
    parts = [Section(title, told, line_map(found.lines, found.cliffs, what="return"))]
    if found.surfaces:
        what = "regret" if found.world == "mouse" else "minus the return"
        told = ("A filter-normalised plane through three checkpoints.",)
        parts.append(Section(f"{title}, surfaces", told, contour_map(found.surfaces, what=what)))
    return parts


def _results(found: _Found) -> dict[str, Any]:
    """One learner in the document's `results`; `docs/recipes/cliffs.md` explains each name."""
    read = found.survey.to_dict() if found.survey is not None else {}
    return {
        "world": found.world,
        "learner": found.learner,
        "steps": found.steps,
        "returns": [-float(line.loss[0]) for _, line in found.lines],
        "cliffs": [cliff.to_dict() for cliff in found.cliffs],
        "cliffs_per_100": found.per_hundred,
        **{name: read.get(name) for name in ("llc", "llc_stderr", "verdicts", "transitions")},
    }


def _panel(found: list[_Found]) -> Figure:
    """Coefficient of regret along training, cliffs as hazards on the axis of time."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for row, f in enumerate(f for f in found if f.survey is not None):
        assert f.survey is not None
        steps, llc, error, keep = *(f.survey.column(k) for k in ("step", "llc", "llc_stderr")), f.survey.healthy
        share = steps / steps.max()
        axes.errorbar(share[keep], llc[keep], INTERVAL * error[keep], color=COLOURS[f.learner], marker="o",
                      markersize=3, linewidth=1, label=f.learner)  # fmt: skip
        hazards = [c.step / steps.max() for c in f.cliffs]
        height = np.full(len(hazards), 0.02 + 0.04 * row)  # of the panel, a row for each learner
        axes.plot(hazards, height, "^", color=COLOURS[f.learner], markersize=5, transform=axes.get_xaxis_transform())
    axes.set(xlabel="share of training", ylabel="λ̂ of regret")
    low, high = min(0, axes.get_ylim()[0]), axes.get_ylim()[1]
    axes.set_ylim(low - 0.15 * (high - low), high)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


RECIPE = Recipe(
    name="cliffs",
    summary="A mouse and a pole trained_series three ways: does the return collapse a step ahead along the gradient?",
    paper=paper,
    tiny=tiny,
    run=_run,
)
