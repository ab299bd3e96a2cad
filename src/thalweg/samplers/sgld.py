"""SGLD:  w' = w + P[-(eps/2) grad U(w; batch) + sqrt(eps) xi],  xi ~ N(0, I).       R replicas, D weights

P keeps the open directions of the posterior. posteriors and blackjax drift by eps, not eps/2: give
them half our step size.
Source: Welling & Teh 2011, eq. 4, with eps constant."""

from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers._target import Draw, Gradient, Info
from thalweg.samplers.algorithm import Algorithm, dialled


class State(NamedTuple):
    """What is carried from step to step."""

    params: Tensor  # (R, D)


def init(params: Tensor) -> State:
    """Start every replica at its own centre.

    Args:
        params: (R, D), copied, never written to.
    """
    return State(params.detach().clone())


def step(
    state: State, draw: Draw, *, gradient: Gradient, posterior: LocalizedPosterior, step_size: Tensor
) -> tuple[State, Info]:
    """Move every replica once. Nothing is modified.

    Args:
        state: from `init` or the step before.
        draw: its noise is used.
        gradient: of the mean loss over the step's batch, nats per sample.
        posterior: the target of each replica.
        step_size: (R, 1) eps > 0, weight^2 per nat.

    Returns:
        The new state, and what was seen at the old one. A non-finite loss is returned, not raised:
        it spreads in its own replica alone, and the estimator gives it a verdict.
    """
    grad, loss = gradient(state.params)
    drift = posterior.gradient(state.params, grad)
    move = posterior.project((step_size.sqrt() * draw.noise).addcmul(step_size, drift, value=-0.5))
    return State(state.params + move), Info(loss, torch.ones_like(loss))


ALGORITHM = Algorithm(lambda params, gradient, posterior: init(params), dialled(step, "step_size"), State)
