"""Settle one checkpoint: the strength of the localization, and whether the point is one at all.

A localization too weak lets chains reach points more singular than w*, and the estimate is theirs; one too strong
takes the singular directions' share, and the estimate only falls. So an estimate that *rises* with gamma was not
local. gamma goes up by decades while that is so and gamma stays well below sqrt(nbeta); if it is still so then,
there is no local value to be had at this n: `not-localised`. Chains that stay well within the localization's
length do not feel it, and need no look.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from thalweg.estimators.adaptation._course import Course, Task, Tick
from thalweg.estimators.adaptation._exact import run_exact
from thalweg.estimators.adaptation._noisy import run_noisy
from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.diagnostics import Health
from thalweg.landscape import Center
from thalweg.samplers import Block, Engine, Settings
from thalweg.types import Verdict

DECADE, RISE, SIGMAS = 10.0, 0.1, 3.0
LOOK = 0.15  # of the budget, for each look at a stronger localization
UNFELT = 0.02
COARSE = 0.015  # relative error of a look


@dataclass(frozen=True, eq=False)
class Settled:
    """All that adaptation found.

    Attributes:
        health: mean and error of the excess, verdict and reasons.
        settings: that it was sampled with.
        seen: (C, N) of all draws, burn-in first: the fields of a block.
        burn_in: how many of them are burn-in.
        spent: gradients of the full data that a chain has taken in all.
        reach: gamma |w - w*|^2 / D where the chains end; 1 in directions that only the localization holds.
        choices: a sentence for each choice that was made.
    """

    health: Health
    settings: Settings
    seen: dict[str, np.ndarray]
    burn_in: int
    spent: float
    reach: float
    choices: tuple[str, ...]


def settle(engine: Engine, auto: Auto, center: Center, step: int, tick: Tick = lambda _: None) -> Settled:
    """Estimate one checkpoint with nothing set.

    Args:
        engine: of its landscape.
        auto: resolved.
        center: the checkpoint.
        step: its training step; names the streams.
        tick: told of the gradients spent.
    """
    gamma, choices = auto.first_gamma(engine.scape), []
    task = Task(engine, auto, center, step, tick)
    found = _run(task, gamma, auto.rtol or COARSE, float(auto.budget))
    while auto.gamma is None and found.health.verdict is Verdict.HEALTHY:
        if found.reach < UNFELT:
            choices.append(
                f"gamma = {gamma:g}: chains stay within {found.reach**0.5:.2g} of the localization's length"
            )
            break
        rise, looked = _rise(task, found)
        if rise is None:
            choices.append(looked)
            break
        if gamma * DECADE > auto.last_gamma(engine.scape):
            health = replace(found.health, verdict=Verdict.NOT_LOCALISED, reasons=(rise,))
            found = replace(found, health=health)
            break
        choices.append(rise)
        gamma *= DECADE
        found = _run(task, gamma, auto.rtol or COARSE, float(auto.budget))
    if auto.gamma is not None:
        choices.append(f"gamma = {gamma:g} was given: no stronger one was tried")
    return replace(found, choices=(*found.choices, *choices))


def _run(task: Task, gamma: float, rtol: float, budget: float) -> Settled:
    """One strength of the localization."""
    run = run_exact if task.auto.full_gradient else run_noisy
    courses, health, cut = run(task, gamma, rtol, budget)
    seen = Block.join([c.seen[0] for c in courses], axis=0).arrays()
    made = courses[-1].settings  # of the finer half, where there are two
    data = task.engine.scape.data
    kind = "the full gradient" if data is None or made.exact else f"batches of {min(made.batch_size, len(data))}"
    chains, steps = seen["loss"].shape
    choices = [
        f"{made.sampler} on {kind}: {chains} chains, {steps - cut} draws after {cut} of burn-in, longest"
        f" step {math.sqrt(made.step_size or math.nan) * (2 if len(courses) > 1 else 1):.3g}"
    ]
    if health.verdict is Verdict.HEALTHY and health.stderr > rtol * abs(health.mean):
        choices.append(f"the budget of {budget:g} gradients a chain ended before the error reached {rtol:.1%}")
    return Settled(
        health=health,
        settings=made,
        seen=seen,
        burn_in=cut,
        spent=sum(c.spent for c in courses) / len(courses),
        reach=_reach(courses, task.center),
        choices=tuple(choices),
    )


def _reach(courses: list[Course], center: Center) -> float:
    """Mean of gamma (w - w*)^2 over weights and chains."""
    gamma = courses[0].settings.gamma
    ends = [state.carried["params"] for course in courses for _, state in course.parts]
    return gamma * float(np.mean([(end - center.params).double().square().mean().item() for end in ends]))


def _rise(task: Task, found: Settled) -> tuple[str | None, str]:
    """A sentence if the estimate rises with a localization of one or two decades more; and one of what was seen.

    A look that is not healthy itself is no evidence.
    """
    told, auto, base = [], task.auto, found.health
    nbeta = auto.nbeta or 1.0
    for times in (DECADE, DECADE**2):
        gamma = found.settings.gamma * times
        budget = max(LOOK * auto.budget, 100.0)
        look = _run(task, gamma, max(auto.rtol or 0.0, COARSE), budget).health
        error = np.hypot(look.stderr, base.stderr)
        if look.verdict is not Verdict.HEALTHY:
            told.append(f"at {gamma:g} it could not be told ({look.verdict})")
            continue
        told.append(f"at {gamma:g} it is {nbeta * look.mean:.4g}")
        if look.mean - base.mean > max(RISE * abs(base.mean), SIGMAS * error):
            reason = (
                f"at gamma = {gamma:g} the estimate is {nbeta * look.mean:.4g}, at {found.settings.gamma:g} it is"
                f" {nbeta * base.mean:.4g}: chains reach more singular points than w*, or w* is no minimum"
            )
            return reason, reason
    return None, f"gamma = {found.settings.gamma:g}: the estimate does not rise with gamma; {', '.join(told)}"
