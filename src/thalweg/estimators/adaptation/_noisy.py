"""SGHMC (BAOAB): on batches where the full data is too much, on the full gradient where weights are too many.

Step: h = 0.5 of the time 1/omega of the fastest mode (0.8 where there is no noise), omega^2 = nbeta h_max + gamma,
with the largest curvature h_max at w* and again where the chains are.
Noise of batches: of variance s^2 in a gradient of U it heats the chains by h s^2 / (2 friction), about. It is
measured, with and without control variates g_B(w) - g_B(w*) + g(w*), and the quieter kind is taken; friction
and, where that does not suffice, the step keep the heating below HEAT; and what is left, linear in h, is
removed: one half of the chains moves by h, the other by h/2, and llc = 2 llc(h/2) - llc(h).
"""

import math
from dataclasses import replace

import torch

from thalweg.estimators.adaptation._course import Course, Task, sample
from thalweg.estimators.adaptation._curvature import largest_curvature
from thalweg.estimators.adaptation.auto import BATCH
from thalweg.estimators.diagnostics import Health
from thalweg.landscape import Center
from thalweg.samplers import WIDTH, place, start
from thalweg.types import Verdict

STEP, QUIET_STEP, QUIET_FRICTION = 0.5, 0.8, 0.5  # h omega with batch noise; and without; friction / omega without
HEAT = 0.15  # heating by batch noise at the longer step
PILOT, ROUNDS, PROBES, STIFFER = 64, 12, 8, 16.0
STEADY, QUIET_STEADY = 1.1, 1.5  # growth of the curvature in a round, with noise and without
FIRST_DRAWS, FEWEST = 256, WIDTH


def run_noisy(task: Task, gamma: float, rtol: float, budget: float) -> tuple[list[Course], Health, int]:
    """Sample one checkpoint at one strength of the localization.

    Returns:
        The chains (the half that moves by h, then the half that moves by h/2; or all, where there is no noise), the
        health of what they say together, and how many of the draws are burn-in.
    """
    data, chains = task.engine.scape.data, task.auto.chains
    noisy = data is not None and len(data) > BATCH
    chains = max(FEWEST, (chains or 2) // 2) if noisy else chains
    coarse = Course.begin(task, sampler="sghmc", chains=chains, batch_size=BATCH, gamma=gamma)
    find_dynamics(coarse, task.center, noisy)
    coarse.bracket()
    coarse.begin_draws()
    courses = [coarse]
    if noisy:
        fine = replace(coarse, purpose=", half the step", seen=[])
        fine.change(step_size=(coarse.settings.step_size or math.nan) / 4)
        courses.append(fine)
    first = min(FIRST_DRAWS, max(64, int((budget - coarse.spent) / coarse.cost)))
    health, cut = sample(courses, combine, first, rtol, budget)
    return courses, health, cut


def combine(found: list[tuple[Health, int]]) -> tuple[Health, int]:
    """2 fine - coarse, with the graver of the two verdicts; or what a single course says."""
    if len(found) == 1:
        return found[0]
    (coarse, first), (fine, second) = found
    order = list(Verdict)[1:]
    graver = min(coarse, fine, key=lambda h: order.index(h.verdict) if h.verdict in order else len(order))
    health = Health(
        mean=2 * fine.mean - coarse.mean,
        stderr=math.hypot(2 * fine.stderr, coarse.stderr),
        ess=min(coarse.ess, fine.ess),
        rhat=max(coarse.rhat, fine.rhat),
        share_below=max(coarse.share_below, fine.share_below),
        drift=max(coarse.drift, fine.drift),
        apart=max(coarse.apart, fine.apart),
        verdict=graver.verdict,
        reasons=graver.reasons,
    )
    return health, max(first, second)


def find_dynamics(course: Course, center: Center, noisy: bool) -> None:
    """Set step, friction and kind of gradient, and let the chains leave w*."""
    scape, nbeta, gamma = course.engine.scape, course.settings.nbeta or math.nan, course.settings.gamma
    curvature = largest_curvature(scape, center, center.params, course.settings.seed)
    for round_ in range(ROUNDS):
        omega = math.sqrt(nbeta * curvature + gamma)
        course.change(step_size=(QUIET_STEP / omega) ** 2, friction=QUIET_FRICTION * omega)
        if noisy:
            quiet(course, center, omega)
        seen = course.take(PILOT, purpose=f"pilot {round_}").excess
        found = _curvature_where_chains_are(course, center, round_) if seen.isfinite().all() else math.inf
        steady = found <= (STEADY if noisy else QUIET_STEADY) * curvature
        if steady and (round_ or not noisy):  # at w* itself, control variates leave no noise to see
            return
        if math.isfinite(found):
            curvature = max(curvature, found)
        else:  # chains flew apart: w* is flatter than its surroundings
            curvature = max(STIFFER * curvature, gamma / nbeta)
            course.parts = [(chunk, start(chunk)) for chunk, _ in course.parts]


def _curvature_where_chains_are(course: Course, center: Center, round_: int) -> float:
    """Largest curvature at the ends of a few chains; infinite where one is not finite."""
    scape, looks = course.engine.scape, 4 if course.engine.scape.engine == "batched" else 1
    ends = [state.carried["params"][0] for _, state in course.parts[:looks]]
    if scape.engine == "batched":
        ends = list(course.parts[0][1].carried["params"][:looks])
    seed = course.settings.seed + round_
    found = [largest_curvature(scape, center, place(scape, center.params, end), seed) for end in ends]
    return max(found) if all(math.isfinite(h) for h in found) else math.inf


def quiet(course: Course, center: Center, omega: float) -> None:
    """Choose control variates, friction and step by the noise of gradients where the chains are."""
    variances = _noise(course, center)
    controlled = variances[1] < variances[0]
    force = (course.settings.nbeta or math.nan) ** 2 * min(variances)
    slow = math.sqrt(omega * math.sqrt(max(course.settings.gamma, 1e-12)))
    h = STEP / omega
    friction = min(max(slow, h * force / (2 * HEAT)), omega)
    h = min(h, 2 * friction * HEAT / force) if force > 0 else h
    course.change(step_size=h**2, friction=friction, control_variates=controlled)


def _noise(course: Course, center: Center) -> tuple[float, float]:
    """Variance of the loss gradient over batches, without and with control variates.

    Mean over the weights in which there is noise: sum of squared variances over their sum.
    """
    engine, samples = course.engine, len(course.engine.scape.data or ())
    chunk, state = course.parts[0]
    rows = len(chunk.which)
    params = place(engine.scape, center.params, state.carried["params"])
    anchor = center.params.expand(rows, -1).contiguous()
    frozen = {k: w.expand(rows, *w.shape) for k, w in center.frozen.items()}
    own = torch.Generator(device=params.device).manual_seed(course.settings.seed)
    plain, paired = [], []
    for _ in range(PROBES):
        batch = torch.randint(samples, (rows, BATCH), generator=own, device=params.device)
        with torch.no_grad():
            gradient = engine.gradient(frozen, batch)
            at, there = gradient(params)[0], gradient(anchor)[0]
        localization = 1.0 if engine.scape.localization is None else engine.scape.localization
        plain.append((at / localization).double())
        paired.append(((at - there) / localization).double())
    return _weighted(torch.stack(plain)), _weighted(torch.stack(paired))


def _weighted(gradients: torch.Tensor) -> float:
    """Mean variance over probes (P, R, D), weighted by itself."""
    variance = gradients.var(0).mean(0)
    return float(variance.square().sum() / variance.sum()) if variance.sum() > 0 else 0.0
