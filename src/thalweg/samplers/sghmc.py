"""SGHMC: underdamped Langevin dynamics in the splitting BAOAB.                   R replicas, D weights, h = sqrt(eps)

    B  p = p - (h/2) grad U      A  w = w + (h/2) p      O  p = c p + sqrt(1 - c^2) xi,  c = exp(-friction h)
    A  w = w + (h/2) p           B  p = p - (h/2) grad U(w; batch)

One gradient a step. On a quadratic the law of w is exact at every stable h (h^2 curvature < 4), and
elsewhere wrong by O(h^2). Noise of variance s^2 in a gradient of U adds h s^2 / (2 friction), about, to
the variance of p where h friction is small.
Source: Leimkuhler & Matthews 2013, eq. 9 (BAOAB); Chen, Fox & Guestrin 2014 (stochastic gradients)."""

from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers._target import Draw, Gradient, Info, force
from thalweg.samplers.algorithm import Algorithm, dialled


class State(NamedTuple):
    """What is carried from step to step."""

    params: Tensor  # (R, D)
    momentum: Tensor  # (R, D); its law is N(0, I)
    force: Tensor  # (R, D) gradient of U at params, on the batch of the step before
    loss: Tensor  # (R,) at params, on that batch


def init(params: Tensor, gradient: Gradient, posterior: LocalizedPosterior) -> State:
    """Start every replica at its own centre, at rest.

    Args:
        params: (R, D), copied, never written to.
        gradient: of the mean loss over the first batch.
        posterior: the target of each replica.
    """
    grad, loss = gradient(params)
    return State(params.detach().clone(), torch.zeros_like(params), force(posterior, params, grad), loss)


def step(
    state: State,
    draw: Draw,
    *,
    gradient: Gradient,
    posterior: LocalizedPosterior,
    step_size: Tensor,
    friction: Tensor,
) -> tuple[State, Info]:
    """Move every replica once. Nothing is modified.

    Args:
        state: from `init` or the step before.
        draw: its noise is used.
        gradient: of the mean loss over the step's batch, nats per sample.
        posterior: the target of each replica.
        step_size: (R, 1) eps = h^2 > 0, weight^2 per nat.
        friction: (R, 1) per unit of time; the fastest mixing of a mode is near its own frequency.

    Returns:
        The new state, and the loss at its weights, on the step's batch: the gradient taken there serves
        the next step too.
    """
    h = step_size.sqrt()
    keep = (-friction * h).exp()
    momentum = state.momentum.addcmul(h, state.force, value=-0.5)
    params = state.params.addcmul(h, momentum, value=0.5)
    momentum = (keep * momentum).addcmul((1 - keep.square()).sqrt(), posterior.project(draw.noise))
    params = params.addcmul(h, momentum, value=0.5)
    grad, loss = gradient(params)
    pull = force(posterior, params, grad)
    return State(params, momentum.addcmul(h, pull, value=-0.5), pull, loss), Info(loss, torch.ones_like(loss))


ALGORITHM = Algorithm(init, dialled(step, "step_size", "friction"), State)
