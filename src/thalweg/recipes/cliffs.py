"""Do learners step off cliffs? Reward surfaces and gradient lines of three ways to learn.

Sullivan et al. 2022 (arXiv 2205.07015) saw that the return often collapses a step ahead along the gradient, and
that some learners step off such cliffs while PPO does not. Here a mouse that looks for cheese learns by exact
policy gradient, by REINFORCE and by PPO, with exact returns along every line; and a pole is balanced by the last
two, with sampled returns. Beside the lines stands the learning coefficient of regret.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from thalweg.atlas import Section, Table, contour_map, line_map, report
from thalweg.envs import CartPole, Played, corner
from thalweg.recipes._configuration import Configuration
from thalweg.recipes._drawing import BLUE, GREEN, INTERVAL, RED, legend, panels
from thalweg.recipes._policy_checkpoints import Followed, Lesson, episodes, exact_gradient, layers
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rl import PPO, Ascent, Reinforce, regret_landscape, sampled_landscape
from thalweg.samplers import Settings

COLOURS = {"exact gradient": BLUE, "REINFORCE": RED, "PPO": GREEN}


class Config(Configuration):
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

    size: int
    alpha: float
    discount: float = 0.9
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


class _Run(NamedTuple):
    """One learner in one world."""

    world: str  # mouse or pole
    learner: str
    found: Followed


def _lessons(config: Config, seed: int) -> Iterator[tuple[str, str, Lesson]]:
    """World, learner and lesson: a mouse three ways from one initialisation, with its coefficient; a pole two."""
    levels = corner.corner(config.size, alpha=config.alpha, discount=config.discount, horizon=config.horizon)
    build = partial(corner.Mouse, config.size, config.hidden)
    mouse = regret_landscape(build(), levels, n=10_000, temperature=config.exact.temperature)
    exact = exact_gradient(build, levels, config.exact, [seed])
    sizes = (config.plane, config.length)
    yield "mouse", "exact gradient", Lesson(exact, config.exact.updates, mouse, config.sampler, *sizes)
    for learner, how in (("REINFORCE", config.reinforce), ("PPO", config.ppo)):
        moments = episodes(build, Played(levels), how, seed)
        yield "mouse", learner, Lesson(moments, how.updates, mouse, config.sampler, *sizes)
    policy, value = (partial(layers, 4, config.hidden[0], outputs) for outputs in (2, 1))
    pole = sampled_landscape(policy(), CartPole(horizon=config.pole_horizon), config.seeds, n=10_000)
    for learner, how in (("REINFORCE", config.pole_reinforce), ("PPO", config.pole_ppo)):
        yield "pole", learner, Lesson(episodes(policy, CartPole(), how, seed, value), how.updates, pole, None, *sizes)


def _run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train every learner, follow its gradient at every checkpoint, draw."""
    runs = []
    for world, learner, lesson in _lessons(config, seed):
        stages.say(f"{learner} teaches the {world}")
        folder = out / world / learner.replace(" ", "-")
        runs.append(_Run(world, learner, lesson.followed(folder, seed, stages)))
    sections = [_count(runs), *(part for run in runs for part in _sections(run))]
    html = report(out / "cliffs.html", "Cliffs in the return", sections)
    healthy = np.concatenate([run.found.survey.healthy for run in runs if run.found.survey is not None])
    return Outcome({"runs": [_results(run) for run in runs]}, html, float((~healthy).mean()))


def _count(runs: list[_Run]) -> Section:
    """How many cliffs, and the coefficient beside the flatness of the surface."""
    header = ("world", "learner", "checkpoints", "cliffs", "per 100", "λ̂ and fall along the line")
    rows = tuple(
        (world, learner, str(len(f.lines)), str(len(f.cliffs)), f"{f.to_dict()['cliffs_per_100']:.3g}", _agreement(f))
        for world, learner, f in runs
    )
    words = (
        "A checkpoint stands before a cliff when, along its gradient, the return above the run's lowest falls to "
        "half or less of what it was one or two points before, and by more than a quarter of the run's range.",
        "Last column: rank correlation, over the healthy checkpoints of a run, of λ̂ with the largest fall of the "
        "return along the line. Steepness ahead and λ̂ are different things: the one changes when weights are "
        "rescaled, the other does not.",
        "The figure: λ̂ of the mouse's regret, with 95 % bars; triangles are cliffs, a row for each learner.",
    )
    return Section("Cliffs per hundred checkpoints", words, _panel(runs), Table(header, rows))


def _agreement(found: Followed) -> str:
    """Rank correlation of lambda with the largest fall along the line."""
    if found.survey is None or found.survey.healthy.sum() < 5:
        return "–"
    keep = found.survey.healthy
    falls = np.array([float(line.loss.max() - line.loss[0]) for _, line in found.lines])
    if np.ptp(falls[keep]) == 0:
        return "–"
    rank, _ = stats.spearmanr(found.survey.column("llc")[keep], falls[keep])
    return f"{rank:+.2f}"


def _sections(run: _Run) -> list[Section]:
    """Lines and surfaces of one learner."""
    title, found = f"{run.world}: {run.learner}", run.found
    told = tuple(cliff.sentence() for cliff in found.cliffs[:3])
    parts = [Section(title, told, line_map(found.lines, found.cliffs, what="return"))]
    if found.surfaces:
        what = "regret" if run.world == "mouse" else "minus the return"
        told = ("A filter-normalised plane through three checkpoints.",)
        parts.append(Section(f"{title}, surfaces", told, contour_map(found.surfaces, what=what)))
    return parts


def _results(run: _Run) -> dict[str, Any]:
    """One learner in the document's `results`; `docs/recipes/cliffs.md` explains each name."""
    read = run.found.survey.to_dict() if run.found.survey is not None else {}
    return {
        "world": run.world,
        "learner": run.learner,
        "returns": [-float(line.loss[0]) for _, line in run.found.lines],
        **run.found.to_dict(),
        **{name: read.get(name) for name in ("llc", "llc_stderr", "verdicts", "transitions")},
    }


def _panel(runs: list[_Run]) -> Figure:
    """Coefficient of regret along training, cliffs as hazards on the axis of time."""
    figure, (axes,) = panels(8.4, 3.4)
    for row, (learner, f, read) in enumerate((r.learner, r.found, r.found.survey) for r in runs if r.found.survey):
        steps, llc, error, keep = *(read.column(k) for k in ("step", "llc", "llc_stderr")), read.healthy
        share = steps / steps.max()
        axes.errorbar(share[keep], llc[keep], INTERVAL * error[keep], color=COLOURS[learner], marker="o",
                      markersize=3, linewidth=1, label=learner)  # fmt: skip
        hazards = [c.step / steps.max() for c in f.cliffs]
        height = np.full(len(hazards), 0.02 + 0.04 * row)  # of the panel, a row for each learner
        axes.plot(hazards, height, "^", color=COLOURS[learner], markersize=5, transform=axes.get_xaxis_transform())
    axes.set(xlabel="share of training", ylabel="λ̂ of regret")
    low, high = min(0, axes.get_ylim()[0]), axes.get_ylim()[1]
    axes.set_ylim(low - 0.15 * (high - low), high)
    legend(axes)
    return figure


RECIPE = Recipe(
    name="cliffs",
    summary="A mouse and a pole trained_series three ways: does the return collapse a step ahead along the gradient?",
    paper=paper,
    tiny=tiny,
    run=_run,
)
