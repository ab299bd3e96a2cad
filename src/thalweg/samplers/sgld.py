"""SGLD:  w' = w + P[-(eps/2) grad U(w; batch) + sqrt(eps) xi],  xi ~ N(0, I).       R replicas, D weights

P keeps the open directions of the posterior. posteriors and blackjax drift by eps, not eps/2: give
them half our step size.
Source: Welling & Teh 2011, eq. 4, with eps constant."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from thalweg.landscape import Posterior

Gradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (R, D), batch -> grad (R, D), loss (R,)


class State(NamedTuple):
    """What is carried from step to step."""

    params: Tensor  # (R, D)
    step: int  # steps taken; with the names of the replicas it names their random streams


class Info(NamedTuple):
    """What is seen at the state that the step started from."""

    loss: Tensor  # (R,) nats per sample, on the step's batch


def init(params: Tensor) -> State:
    """Start every replica at its own centre.

    Args:
        params: (R, D), copied, never written to.
    """
    return State(params.detach().clone(), 0)


def step(
    state: State, batch: Tensor, noise: Tensor, *, gradient: Gradient, posterior: Posterior, step_size: Tensor
) -> tuple[State, Info]:
    """Move every replica once. Nothing is modified.

    Args:
        state: from `init` or the step before.
        batch: (R, B) sample numbers, each replica its own; given to `gradient` unread.
        noise: (R, D) standard normal; row r comes from replica r's stream alone.
        gradient: gradient and value of the mean loss, nats per sample.
        posterior: the target of each replica.
        step_size: (R, 1) eps > 0, weight^2 per nat.

    Returns:
        The new state, and what was seen at the old one. A non-finite loss is returned, not raised:
        it spreads in its own replica alone, and the estimator gives it a verdict.
    """
    grad, loss = gradient(state.params, batch)
    drift = posterior.gradient(state.params, grad)
    move = posterior.project((step_size.sqrt() * noise).addcmul(step_size, drift, value=-0.5))
    return State(state.params + move, state.step + 1), Info(loss)
