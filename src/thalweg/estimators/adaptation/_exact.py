"""HMC on the gradient of the full data: choose the step and the length of trajectories, then sample.

The longest step is brought to a mean acceptance of 0.8 while nothing counts, one step for all chains, and then stays.
Trajectories are short at first. Where the halves of the chains, one from w* and one from wide, do not meet, or chains
move too slowly for their draws to be more than a few, trajectories are doubled and draws begin anew, up to 0.4 of the
localization's time 1/sqrt(gamma), in which the slowest directions of the posterior turn: what is nowhere slow costs
the same at every n.
"""

import math
from functools import partial

from thalweg.estimators.adaptation._course import Course, Task, sample
from thalweg.estimators.adaptation._curvature import largest_curvature
from thalweg.estimators.diagnostics import Health
from thalweg.samplers import JITTER

ACCEPTANCE = 0.8
PILOT = 8  # rounds with chains from w*, and again with the half that starts wide
LEAPS = 4  # of the first trajectories, in the mean
TURN = 0.4  # of 1/sqrt(gamma): mean duration of the longest trajectories
APART = 2.0  # standard errors between the halves, that ask for longer ones
FEW, FEWER = 4.0, 2.0  # effective draws of a chain, that ask for longer ones, and for much longer ones
MEAN_JITTER = (1 - 1 / JITTER) / math.log(JITTER)  # mean of the jittered step, in units of the longest
FEWEST = 64  # trajectories that a budget is cut into, at least
FIRST_DRAWS = 16


def run_exact(task: Task, gamma: float, rtol: float, budget: float) -> tuple[list[Course], Health, int]:
    """Sample one checkpoint at one strength of the localization.

    Returns:
        The chains, their health, and how many of the draws are burn-in.
    """
    course = Course.begin(task, sampler="hmc", gamma=gamma)
    curvature = largest_curvature(task.engine.scape, task.center, task.center.params, task.auto.seed)
    log_step = -0.5 * math.log((course.settings.nbeta or math.nan) * curvature + gamma)
    log_step = find_step(course, log_step)
    course.bracket()
    log_step = find_step(course, log_step)
    course.begin_draws()
    longest = round(TURN / math.sqrt(gamma) / (MEAN_JITTER * math.exp(log_step)))
    longest = max(LEAPS, min(longest, int(budget / FEWEST)))
    health, cut = sample(
        [course], lambda found: found[0], FIRST_DRAWS, rtol, budget, partial(lengthen, course, longest)
    )
    return [course], health, cut


def lengthen(course: Course, longest: int, health: Health) -> bool:
    """Take longer trajectories where they are too short for what they are to relax; whether they were."""
    length, each = course.settings.leapfrog_steps, health.ess / course.settings.chains
    if length >= longest or (health.apart <= APART and each >= FEW):
        return False
    course.change(leapfrog_steps=min((2 if each >= FEWER else 4) * length, longest))
    return True


def find_step(course: Course, log_step: float) -> float:
    """Bring the longest step to its acceptance; the chains are on their way.

    Args:
        course: of HMC.
        log_step: where the search starts.

    Returns:
        Logarithm of the step.
    """
    for t in range(PILOT):
        course.change(step_size=math.exp(2 * log_step), leapfrog_steps=LEAPS)
        accepted = float(course.take(1, purpose="pilot").accepted.mean())
        log_step += 2 * (accepted - ACCEPTANCE) / math.sqrt(1 + t / 2)
    course.change(step_size=math.exp(2 * log_step))
    return log_step
