"""Three environments of everyone's, trained here with PPO: the coefficient of their regret along training.

CartPole is sampled: its regret is minus the return of episodes whose chances belong to seeds. FrozenLake and
the empty room of MiniGrid are small enough to be exact. Beside the coefficient stand the reward surface, the
gradient's lines, and the cliffs in them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from torch import eye, nn

from thalweg.atlas import Section, Table, contour_map, line_map, report
from thalweg.envs import CartPole, Environment, GymEnvironment, Played, grid_levels, process
from thalweg.landscape import Landscape
from thalweg.recipes._configuration import Configuration
from thalweg.recipes._drawing import BLUE, RED, estimates, panels
from thalweg.recipes._policy_checkpoints import Followed, Lesson, episodes, layers
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rl import PPO, regret_landscape, sampled_landscape
from thalweg.samplers import Settings
from thalweg.store import Survey


class Config(Configuration):
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
    temperature: float = 0.003
    pole_temperature: float = 0.03


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
    )


def _lessons(config: Config, seed: int) -> dict[str, Lesson]:
    """The three environments by Gymnasium's names, each with the landscape that is surveyed."""
    table, reward = process("FrozenLake-v1", 0.95)
    walked = grid_levels("MiniGrid-Empty-5x5-v0", discount=0.95)
    exact = {"n": 10_000, "temperature": config.temperature}

    def lesson(
        inputs: int, outputs: int, environment: Environment, how: PPO, sampler: Settings,
        scape: Callable[[nn.Module], Landscape],
    ) -> Lesson:  # fmt: skip
        policy, value = (partial(layers, inputs, config.hidden, count) for count in (outputs, 1))
        moments = episodes(policy, environment, how, seed, value)
        return Lesson(moments, how.updates, scape(policy()), sampler, config.size)

    return {
        "CartPole-v1": lesson(
            4, 2, CartPole(), config.pole, config.pole_sampler,
            lambda policy: sampled_landscape(
                policy, CartPole(horizon=config.horizon), config.seeds, n=10_000, temperature=config.pole_temperature
            ),
        ),
        "FrozenLake-v1": lesson(
            16, 4, GymEnvironment("FrozenLake-v1", discount=0.95), config.lake, config.lake_sampler,
            lambda policy: regret_landscape(policy, table, reward=reward, observations=eye(16), **exact),
        ),
        "MiniGrid-Empty-5x5-v0": lesson(
            walked.observations.shape[-1], walked.actions, Played(walked), config.room, config.room_sampler,
            lambda policy: regret_landscape(policy, walked, **exact),
        ),
    }  # fmt: skip


def _run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train, survey, map, draw: each environment after the other."""
    sections, results, healthy = [], {}, []
    for name, lesson in _lessons(config, seed).items():
        stages.say(f"PPO on {name}: training, survey, surfaces")
        found = lesson.followed(out / name, seed, stages)
        assert lesson.sampler is not None
        assert found.survey is not None
        sections += _sections(name, lesson.sampler, found, found.survey)
        read = found.survey.to_dict()
        columns = {key: read[key] for key in ("llc", "llc_raw", "llc_stderr", "verdicts", "transitions")}
        results[name] = {"regret": read["train_loss"], **columns, **found.to_dict()}  # named in docs/recipes/gym.md
        healthy.append(found.survey.healthy)
    html = report(out / "gym.html", "Regret along training with PPO", sections)
    return Outcome(results, html, float((~np.concatenate(healthy)).mean()))


def _sections(name: str, made: Settings, found: Followed, read: Survey) -> list[Section]:
    """Curves; surface and lines."""
    figure, (above, below) = panels(8.4, 4.8, rows=2, sharex=True)
    sampled = name.startswith("CartPole")
    above.plot(found.steps, read.column("train_loss"), color=BLUE, marker="o", markersize=3)
    above.set_ylabel("minus the return" if sampled else "regret, entropy paid")
    for cliff in found.cliffs:
        above.plot(cliff.step, above.get_ylim()[0], marker="^", color=RED, clip_on=False, markersize=5)
    estimates(below, read, BLUE)
    below.set(ylabel="λ̂ of regret", xlabel="update of PPO")
    kinds = sorted(set(read.verdicts))
    words = (
        f"nβ = {made.nbeta:g} per unit of reward, γ = {made.gamma:g}, orthogonal to the gradient; bars 95 %, hollow "
        f"points have no value. Verdicts: {', '.join(f'{read.verdicts.count(k)} {k}' for k in kinds)}. "
        f"{len(found.cliffs)} of {len(found.lines)} checkpoints stand before a cliff of the return (triangles).",
        *(t.sentence() for t in read.transitions()),
    )
    parts = [Section(name, words, figure)]
    if found.surfaces:
        what = "minus the return" if sampled else "regret"
        told = "The landscape on a filter-normalised plane through each checkpoint; w* is the dot in the middle."
        parts.append(Section(f"{name}: reward surfaces", (told,), contour_map(found.surfaces, what=what)))
    told = tuple(cliff.sentence() for cliff in found.cliffs)
    lines = line_map(found.lines, found.cliffs, what="return")
    header = ("update", "step size", "share of the range")
    rows = tuple((f"{c.step:,}", f"{c.at:.3g}", f"{c.drop:.0%}") for c in found.cliffs)
    table = Table(header, rows) if rows else None
    parts.append(Section(f"{name}: along the gradient", told[:3], lines, table))
    return parts


RECIPE = Recipe(
    name="gym",
    summary="CartPole, FrozenLake and an empty room with PPO: the coefficient of regret, surfaces, cliffs.",
    paper=paper,
    tiny=tiny,
    run=_run,
)
