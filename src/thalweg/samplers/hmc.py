"""HMC: trajectories of the leapfrog rule, accepted or refused so that the posterior is exact.   R replicas, D weights

    p ~ N(0, I);  leapfrog_steps times:  p -= (h/2) grad U(w),  w += h p,  p -= (h/2) grad U(w)
    accepted with probability min(1, exp(-change of U(w) + |p|^2/2)),      h = sqrt(eps) jitter^(-u),  u ~ U[0, 1)

The step is shared by the chains of a checkpoint and jittered over a wide factor from trajectory to
trajectory. Near singular points curvature has no upper bound over the posterior: one step is too long
for the narrow parts. A step that each chain goes on adapting to its own acceptance depends on where the
chain is, and reads low without a sign of it (-18 to -30 % on w^4); jittered by 20: within 0.6 % on six monomials.
Source: Neal 2011, section 5.2, and 5.4.2 for the jitter."""

from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers._target import Draw, Gradient, Info, force, potential
from thalweg.samplers.algorithm import BLOCK, Algorithm, dialled
from thalweg.samplers.leapfrog import acceptance, kinetic, leapfrog

JITTER = 20.0  # steps are drawn log-uniformly over this factor


class State(NamedTuple):
    """What is carried from trajectory to trajectory."""

    params: Tensor  # (R, D)
    force: Tensor  # (R, D) gradient of U at params
    loss: Tensor  # (R,) nats per sample at params


def init(params: Tensor, gradient: Gradient, posterior: LocalizedPosterior) -> State:
    """Start every replica at its own centre.

    Args:
        params: (R, D), copied, never written to.
        gradient: of the mean loss over the full data.
        posterior: the target of each replica.
    """
    grad, loss = gradient(params)
    return State(params.detach().clone(), force(posterior, params, grad), loss)


def step(
    state: State,
    draw: Draw,
    *,
    gradient: Gradient,
    posterior: LocalizedPosterior,
    step_size: Tensor,
    jitter: float = JITTER,
) -> tuple[State, Info]:
    """Follow one trajectory from every replica. Nothing is modified.

    Args:
        state: from `init` or the trajectory before.
        draw: momentum, uniform numbers for acceptance and step, and the number of leapfrog steps.
        gradient: of the mean loss over the full data; a batch would break the balance.
        posterior: the target of each replica.
        step_size: (R, 1) eps = h^2 of the longest step, weight^2 per nat, shared by a checkpoint's chains.
        jitter: h lies between sqrt(eps) and sqrt(eps) / jitter, log-uniformly.

    Returns:
        The new state, and its loss with the probability of acceptance. A trajectory that leaves the
        finite numbers is refused.
    """
    h = step_size.sqrt() * jitter ** -draw.uniform[:, 1:].to(step_size)
    start = posterior.project(draw.noise)

    def pulled(params: Tensor) -> tuple[Tensor, Tensor]:
        grad, loss = gradient(params)
        return force(posterior, params, grad), loss

    params, momentum, pull, loss = leapfrog(state.params, start, state.force, pulled, h, draw.leapfrog_steps)
    before = potential(posterior, state.params, state.loss) + kinetic(start)
    chance = acceptance(potential(posterior, params, loss) + kinetic(momentum) - before)
    keep = draw.uniform[:, 0].double() < chance
    state = State(
        torch.where(keep[:, None], params, state.params),
        torch.where(keep[:, None], pull, state.force),
        torch.where(keep, loss, state.loss),
    )
    return state, Info(state.loss, chance)


ALGORITHM = Algorithm(init, dialled(step, "step_size"), State, exact=True, trajectories=True, block=BLOCK // 8)
