"""Start half of the chains wider than the posterior: from the localization alone.          R replicas, D weights

Every second chain is drawn as wide as the localization, nearer where the loss is not finite there, and falls to the
posterior by HMC whose step follows each chain's own acceptance, until its U is one that the posterior has: what
relaxes fast is then in equilibrium or above it, and what relaxes slowly is still as wide as the localization. One
that is held where the posterior has nothing, that left the basin of a minimum for a lower one, or that came to a
place so narrow that the posterior's step would not move it, starts anew, from half as far. The other half starts from
w* itself. What has not relaxed when draws are taken reads high in one half and low in the other, and the truth lies
between. Steps that follow each chain bias what they visit; nothing of this is counted.
Source: starts wider than the target, Gelman & Rubin 1992, section 2.
"""

import math

import numpy as np
import torch
from torch import Tensor

from thalweg.landscape import Center, Landscape
from thalweg.samplers.engine import Engine
from thalweg.samplers.run import Chunk, State, losses, move, start, start_wide
from thalweg.samplers.settings import Settings

LEAPS, ACCEPTANCE, RATE = 4, 0.8, 1.0  # of a fall: mean leapfrog steps; what the step aims at, and how fast
SPELL, FALLS, MOST = 48, 8, 256  # trajectories of a fall that is given up; falls anew; trajectories in all
NARROW = 10.0  # times the step of the posterior over a chain's own, beyond which that would hardly move it
ARRIVED = 20.0  # nats beside one for each weight: U of a chain that has fallen
SETTLED = 8  # trajectories from there on
BELOW = 1.0  # nats below a minimum, which only another basin has
HALVINGS = 40  # of the distance, where the loss is not finite


def is_wide(chain: int) -> bool:
    """Whether a chain starts wide: every second one, where chains are bracketed."""
    return chain % 2 == 1


def wide_of(settings: Settings) -> np.ndarray | None:
    """(C,) whether each chain of a checkpoint starts wide; None where all start at w*."""
    return np.array([is_wide(chain) for chain in range(settings.chains)]) if settings.bracketed else None


def bracket(engine: Engine, settings: Settings, chunk: Chunk, state: State) -> tuple[State, float]:
    """Move every second chain out; the others stay where they are, and all carry their weights alone.

    Args:
        engine: of the landscape that the centres lie in.
        settings: resolved; each chain's own step begins at theirs.
        chunk: the replicas.
        state: where they are.

    Returns:
        The state, and the gradients of the full data that were taken for each replica of the chunk, in the mean. What
        a replica does depends on itself alone.
    """
    rows = [r for r, (_, chain) in enumerate(chunk.names) if is_wide(chain)]
    params = state.carried["params"].clone()
    if not rows:
        return State({"params": params}, state.step), 0.0
    part = Chunk(
        centers=chunk.centers,
        which=tuple(chunk.which[r] for r in rows),
        names=tuple(chunk.names[r] for r in rows),
        rows=chunk.rows,
    )
    params[rows], taken = _fall(engine, settings, part)
    return State({"params": params}, state.step), taken * len(rows) / len(chunk.names)


def _fall(engine: Engine, settings: Settings, part: Chunk) -> tuple[Tensor, float]:
    """Weights (R, D) of replicas that came from the localization, and the gradients that each took."""
    falling = settings.model_copy(update={"sampler": "hmc", "leapfrog_steps": LEAPS, "burn_in": 0})
    home, given = start(part).carried["params"], math.log(falling.step_size or math.nan)
    state, looks = _finite_start(engine, falling, part)
    weights = engine.scape.layout.width if engine.scape.mask is None else int(engine.scape.mask.sum())
    nbeta, gamma = falling.nbeta or math.nan, falling.gamma
    settled = torch.tensor([_settled(engine.scape, settings, part.centers[t]) for t in part.which])
    fallen = state.carried["params"]
    away, size = fallen - home, torch.full((len(home),), given, dtype=torch.float64)
    age, since, falls = (torch.zeros(len(home), dtype=torch.long) for _ in range(3))
    for _ in range(MOST):
        state, seen = move(engine, falling, part, state, state.step + 1, "fall", size.exp())
        size += 2 * RATE * (seen.accepted[:, 0].double() - ACCEPTANCE)
        fallen = torch.where((since < SETTLED)[:, None], state.carried["params"], fallen)
        excess = nbeta * seen.excess[:, 0].double()
        pulled = 0.5 * gamma * (fallen - home).double().square().sum(1)
        age, since = age + 1, since + ((since > 0) | (excess + pulled <= weights + ARRIVED))
        elsewhere = (size < given - 2 * math.log(NARROW)) | (settled & (excess < -BELOW))
        held = ((since == 0) & (age >= SPELL)) | ((since == SETTLED) & elsewhere)
        if held.any():
            away = torch.where(held[:, None], 0.5 * away, away)
            state = State({"params": torch.where(held[:, None], home + away, state.carried["params"])}, state.step)
            size, falls = torch.where(held, given, size), falls + held
            age, since = torch.where(held, 0, age), torch.where(held, 0, since)
        if ((since >= SETTLED) | (falls > FALLS)).all():
            break
    return fallen, looks + LEAPS * state.step


def _settled(scape: Landscape, settings: Settings, center: Center) -> bool:
    """Whether the gradient at w* gains less than a nat within the localization: no chain of its basin lies below."""
    if scape.restriction.tilted or scape.restriction.orthogonal_to_gradient:
        return True
    push = (settings.nbeta or math.nan) * float(center.gradient.double().norm())
    return push**2 < 2 * BELOW * settings.gamma


def _finite_start(engine: Engine, settings: Settings, part: Chunk) -> tuple[State, int]:
    """Replicas of the localization, each as far out as its loss is finite; and the passes that it took to see."""
    state, home = start_wide(part, settings, engine.scape), start(part).carried["params"]
    for look in range(1, HALVINGS + 1):
        lost = ~losses(engine, part, state).isfinite()
        if not lost.any():
            return state, look
        params = state.carried["params"]
        state = State({"params": torch.where(lost[:, None], 0.5 * (home + params), params)}, 0)
    return state, HALVINGS
