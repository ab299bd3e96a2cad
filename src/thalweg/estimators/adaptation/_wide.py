"""Start half of the chains wider than the posterior: from the localization alone.

Every second chain is drawn from N(w*, 1/gamma), nearer where the loss is not finite there, and falls to the posterior
by HMC whose step follows each chain's own acceptance: what relaxes fast is then in equilibrium or above it, and what
relaxes slowly is still as wide as the localization. The other half starts from w* itself. What has not relaxed when
draws are taken reads high in one half and low in the other, and the truth lies between. Steps that follow each chain
bias what they visit; nothing of this is counted.
"""

import math

import torch
from torch import Tensor

from thalweg.estimators.adaptation._course import Course, is_wide
from thalweg.samplers import Chunk, State, losses, move, start, start_wide

LEAPS, ACCEPTANCE, RATE = 4, 0.8, 1.0  # of a fall: mean leapfrog steps; what the step aims at, and how fast
SPARE, PATIENCE = 8, 4  # trajectories beside one for each halving of the energy; times so many at most
ARRIVED = 20.0  # nats beside one for each weight: U of a chain that has fallen
HALVINGS = 40  # of the distance, where the loss is not finite


def widen(course: Course, step_size: float) -> None:
    """Move every second chain out; the others stay where they are, and all carry their weights alone.

    Args:
        course: of HMC, with chains at w* or on their way.
        step_size: of the posterior near w*, where each chain's own begins.
    """
    for i, (chunk, state) in enumerate(course.parts):
        rows = [r for r, (_, chain) in enumerate(chunk.names) if is_wide(chain)]
        if not rows:
            continue
        names = tuple(chunk.names[r] for r in rows)
        part = Chunk(chunk.centers, tuple(chunk.which[r] for r in rows), names, chunk.rows)
        params = state.carried["params"].clone()
        params[rows] = _fall(course, part, step_size)
        course.parts[i] = chunk, State({"params": params}, state.step)


def _fall(course: Course, part: Chunk, step_size: float) -> Tensor:
    """Weights (R, D) of replicas that came from the localization; counts what they took."""
    engine = course.engine
    settings = course.settings.model_copy(update={"leapfrog_steps": LEAPS})
    state, loss = _finite_start(course, part)
    base = torch.tensor([part.centers[t].loss for t in part.which], dtype=torch.float64)
    nbeta, share = settings.nbeta or math.nan, len(part.which) / settings.chains
    weights = engine.scape.layout.width if engine.scape.mask is None else int(engine.scape.mask.sum())
    home, log_size = start(part).carried["params"], torch.full((len(loss),), math.log(step_size), dtype=torch.float64)
    halvings = math.log2(1 + nbeta * float((loss - base).clamp(min=0).quantile(0.9)))
    for _ in range(PATIENCE * (SPARE + math.ceil(halvings))):
        state, seen = move(engine, settings, part, state, state.step + 1, "fall", log_size.exp())
        log_size += 2 * RATE * (seen.accepted[:, 0].double() - ACCEPTANCE)
        course.count(LEAPS * share)
        away = (state.carried["params"] - home).double().square().sum(1)
        if (nbeta * seen.excess[:, 0].double() + 0.5 * settings.gamma * away <= weights + ARRIVED).all():
            break
    return state.carried["params"]


def _finite_start(course: Course, part: Chunk) -> tuple[State, Tensor]:
    """Replicas of the localization, each as far out as its loss is finite; and their losses (R,)."""
    state, home = start_wide(part, course.settings, course.engine.scape), start(part).carried["params"]
    loss = torch.empty(0)
    for _ in range(HALVINGS):
        loss = losses(course.engine, part, state)
        lost = ~loss.isfinite()
        course.count(len(part.which) / course.settings.chains)
        if not lost.any():
            break
        params = state.carried["params"]
        state = State({"params": torch.where(lost[:, None], 0.5 * (home + params), params)}, 0)
    return state, loss
