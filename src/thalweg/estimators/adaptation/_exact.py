"""HMC on the gradient of the full data: choose the step and the length of trajectories, then sample.

The longest step is brought to a mean acceptance of 0.8 while nothing counts, one step for all chains,
and then stays. Trajectories last 0.4 of the localization's time 1/sqrt(gamma), in which the slowest directions
of the posterior turn, or as long as the budget allows.
"""

import math

from thalweg.estimators.adaptation._course import Course, Task, sample
from thalweg.estimators.adaptation._curvature import largest_curvature
from thalweg.estimators.diagnostics import Health
from thalweg.samplers import JITTER

ACCEPTANCE = 0.8
SHORT, LONG, GROUP = 8, 12, 4  # rounds with short and with full trajectories; short ones in a round
TURN = 0.4  # of 1/sqrt(gamma): mean duration of a trajectory
MEAN_JITTER = (1 - 1 / JITTER) / math.log(JITTER)  # mean of the jittered step, in units of the longest
FEWEST = 64  # trajectories that a budget is cut into, at least
FIRST_DRAWS = 64


def run_exact(task: Task, gamma: float, rtol: float, budget: float) -> tuple[list[Course], Health, int]:
    """Sample one checkpoint at one strength of the localization.

    Returns:
        The chains, their health, and how many of the draws are burn-in.
    """
    course = Course.begin(task, sampler="hmc", gamma=gamma)
    curvature = largest_curvature(task.engine.scape, task.center, task.center.params, task.auto.seed)
    find_step(course, (course.settings.nbeta or math.nan) * curvature + gamma, budget)
    course.begin_draws()
    health, cut = sample([course], lambda found: found[0], FIRST_DRAWS, rtol, budget)
    return [course], health, cut


def find_step(course: Course, curvature: float, budget: float) -> None:
    """Set the longest step and the mean length of trajectories; the chains are on their way afterwards.

    Args:
        course: of HMC, at w*.
        curvature: of U at w*, where the search starts.
        budget: gradients of each chain for all that follows.
    """
    localization = max(course.settings.gamma, 1e-12)
    log_step, leapfrog_steps = -0.5 * math.log(max(curvature, localization)), 4
    for t in range(SHORT + LONG):
        if t >= SHORT:
            leapfrog_steps = round(TURN / math.sqrt(localization) / (MEAN_JITTER * math.exp(log_step)))
            leapfrog_steps = max(2, min(leapfrog_steps, int(budget / FEWEST)))
        course.change(step_size=math.exp(2 * log_step), leapfrog_steps=leapfrog_steps)
        accepted = float(course.take(GROUP if t < SHORT else 1, purpose="pilot").accepted.mean())
        log_step += 2 * (accepted - ACCEPTANCE) / math.sqrt(1 + t / 2)
    course.change(step_size=math.exp(2 * log_step))
